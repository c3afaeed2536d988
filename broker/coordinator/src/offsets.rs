//! Committed offsets, and those on their way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::record::CommittedOffset;
use crate::{AppendId, GroupId};

/// The offsets of all groups.
///
/// Reads see what is committed. Writes are decided on what will be committed if all appends under
/// way succeed, so that a deletion right behind a commit deletes what the commit stores.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    groups: BTreeMap<GroupId, Topics>,
}

pub(crate) type Topics = BTreeMap<Arc<str>, BTreeMap<i32, Slot>>;

/// What is known of one partition.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    committed: Option<CommittedOffset>,
    /// In the order of the appends; `None` deletes.
    under_way: VecDeque<(AppendId, Option<CommittedOffset>)>,
}

impl Slot {
    /// What clients may see.
    pub(crate) fn committed(&self) -> Option<&CommittedOffset> {
        self.committed.as_ref()
    }

    /// What stands once all appends under way are through.
    pub(crate) fn latest(&self) -> Option<&CommittedOffset> {
        match self.under_way.back() {
            Some((_, latest)) => latest.as_ref(),
            None => self.committed.as_ref(),
        }
    }

    fn is_vacant(&self) -> bool {
        self.committed.is_none() && self.under_way.is_empty()
    }
}

impl Offsets {
    /// Stores or deletes an offset at once: it comes from the log.
    pub(crate) fn apply(
        &mut self,
        group_id: &GroupId,
        topic: &str,
        partition: i32,
        value: Option<CommittedOffset>,
    ) {
        self.change(group_id, topic, partition, |slot| slot.committed = value);
    }

    /// Notes what an append will store or delete.
    pub(crate) fn stage(
        &mut self,
        append_id: AppendId,
        group_id: &GroupId,
        topic: &str,
        partition: i32,
        value: Option<CommittedOffset>,
    ) {
        self.change(group_id, topic, partition, |slot| {
            slot.under_way.push_back((append_id, value));
        });
    }

    /// The append is committed: what it noted for the partition counts.
    pub(crate) fn commit(
        &mut self,
        append_id: AppendId,
        group_id: &GroupId,
        topic: &str,
        partition: i32,
    ) {
        self.change(group_id, topic, partition, |slot| {
            // A request may name a partition twice: the last one stands.
            while slot
                .under_way
                .front()
                .is_some_and(|(id, _)| *id == append_id)
            {
                slot.committed = slot.under_way.pop_front().and_then(|(_, value)| value);
            }
        });
    }

    /// The append failed: what it noted for the partition is void.
    pub(crate) fn abort(
        &mut self,
        append_id: AppendId,
        group_id: &GroupId,
        topic: &str,
        partition: i32,
    ) {
        self.change(group_id, topic, partition, |slot| {
            slot.under_way.retain(|(id, _)| *id != append_id);
        });
    }

    /// The group's topics, with slots that are never vacant.
    pub(crate) fn group(&self, group_id: &str) -> Option<&Topics> {
        self.groups.get(group_id)
    }

    /// The groups that have offsets, or may have.
    pub(crate) fn group_ids(&self) -> impl Iterator<Item = &GroupId> {
        self.groups.keys()
    }

    /// The partitions for which the group will have an offset once all appends are through.
    pub(crate) fn latest(
        &self,
        group_id: &str,
    ) -> impl Iterator<Item = (&Arc<str>, i32, &CommittedOffset)> {
        self.groups
            .get(group_id)
            .into_iter()
            .flatten()
            .flat_map(|(topic, partitions)| {
                partitions
                    .iter()
                    .filter_map(move |(partition, slot)| Some((topic, *partition, slot.latest()?)))
            })
    }

    /// What is known of the partition.
    pub(crate) fn slot(&self, group_id: &str, topic: &str, partition: i32) -> Option<&Slot> {
        self.groups.get(group_id)?.get(topic)?.get(&partition)
    }

    /// Changes a slot, and leaves no vacant one behind.
    fn change(
        &mut self,
        group_id: &GroupId,
        topic: &str,
        partition: i32,
        change: impl FnOnce(&mut Slot),
    ) {
        let topics = self.groups.entry(group_id.clone()).or_default();
        let topic = topics
            .get_key_value(topic)
            .map_or_else(|| topic.into(), |(topic, _)| topic.clone());
        let partitions = topics.entry(topic.clone()).or_default();
        let slot = partitions.entry(partition).or_default();
        change(slot);
        if slot.is_vacant() {
            partitions.remove(&partition);
            if partitions.is_empty() {
                topics.remove(&topic);
            }
            if topics.is_empty() {
                self.groups.remove(group_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use klamm_model::{Timestamp, TopicId};

    use super::*;

    fn offset(offset: i64) -> CommittedOffset {
        CommittedOffset {
            offset,
            leader_epoch: -1,
            metadata: String::new(),
            commit_timestamp: Timestamp(0),
            expire_timestamp: None,
            topic_id: TopicId::ZERO,
        }
    }

    fn seen(offsets: &Offsets) -> (Option<i64>, Option<i64>) {
        let slot = offsets.slot("g", "t", 0);
        (
            slot.and_then(Slot::committed).map(|offset| offset.offset),
            slot.and_then(Slot::latest).map(|offset| offset.offset),
        )
    }

    #[test]
    fn readers_see_the_committed_and_writers_the_latest() {
        let group = GroupId::new("g");
        let mut offsets = Offsets::default();
        offsets.stage(AppendId(1), &group, "t", 0, Some(offset(1)));
        offsets.stage(AppendId(2), &group, "t", 0, None);
        offsets.stage(AppendId(3), &group, "t", 0, Some(offset(3)));
        assert_eq!(seen(&offsets), (None, Some(3)));
        offsets.commit(AppendId(1), &group, "t", 0);
        assert_eq!(seen(&offsets), (Some(1), Some(3)));
        offsets.abort(AppendId(3), &group, "t", 0);
        assert_eq!(seen(&offsets), (Some(1), None));
        offsets.commit(AppendId(2), &group, "t", 0);
        assert_eq!(seen(&offsets), (None, None));
        assert!(offsets.group("g").is_none(), "nothing vacant is kept");
    }
}
