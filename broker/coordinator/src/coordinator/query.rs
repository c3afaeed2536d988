//! What can be read without changing anything.

use std::collections::BTreeMap;

use klamm_model::TopicId;

use super::GroupCoordinator;
use crate::group::GroupState;
use crate::offsets::Slot;
use crate::record::CommittedOffset;
use crate::reply::{DescribedGroup, FetchedOffset, FetchedTopic, ListedGroup};
use crate::request::{FetchTopic, OffsetFetch};

impl GroupCoordinator {
    /// OffsetFetch of one group: what is committed, in the order asked, or by name if all are
    /// asked for. A group that is not there has no offsets. Without transactions every committed
    /// offset is stable, so `require_stable` changes nothing.
    pub fn fetch_offsets(&self, fetch: &OffsetFetch) -> Vec<FetchedTopic> {
        match &fetch.topics {
            Some(topics) => topics
                .iter()
                .map(|topic| self.fetch_topic(&fetch.group_id, topic))
                .collect(),
            None => self.fetch_all(&fetch.group_id),
        }
    }

    fn fetch_topic(&self, group_id: &str, topic: &FetchTopic) -> FetchedTopic {
        let partitions = topic.partitions.iter().map(|&partition| {
            let slot = self.offsets.slot(group_id, &topic.name, partition);
            let offset = slot
                .and_then(Slot::committed)
                .filter(|offset| is_same_topic(offset.topic_id, topic.topic_id));
            (partition, offset.map(fetched))
        });
        FetchedTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        }
    }

    fn fetch_all(&self, group_id: &str) -> Vec<FetchedTopic> {
        let mut fetched_topics = Vec::new();
        for (name, slots) in self.offsets.group(group_id).into_iter().flatten() {
            let committed: Vec<(i32, &CommittedOffset)> = slots
                .iter()
                .filter_map(|(partition, slot)| Some((*partition, slot.committed()?)))
                .collect();
            let Some((_, first)) = committed.first() else {
                continue;
            };
            fetched_topics.push(FetchedTopic {
                name: name.to_string(),
                topic_id: first.topic_id,
                partitions: committed
                    .into_iter()
                    .map(|(partition, offset)| (partition, Some(fetched(offset))))
                    .collect(),
            });
        }
        fetched_topics
    }

    /// DescribeGroups of one group; `None` if it is not there.
    pub fn describe_group(&self, group_id: &str) -> Option<DescribedGroup> {
        self.groups.get(group_id).map(|group| group.describe())
    }

    /// How many groups there are in each state; states without any are left out.
    pub fn count_groups(&self) -> BTreeMap<GroupState, usize> {
        let mut counts = BTreeMap::new();
        for group in self.groups.values() {
            *counts.entry(group.state()).or_default() += 1;
        }
        counts
    }

    /// ListGroups, by name. Empty filters let everything through; their case does not matter.
    /// All groups here are of type `classic`.
    pub fn list_groups(&self, states: &[String], types: &[String]) -> Vec<ListedGroup> {
        let passes = |filter: &[String], value: &str| {
            filter.is_empty()
                || filter
                    .iter()
                    .any(|wanted| wanted.eq_ignore_ascii_case(value))
        };
        if !passes(types, "classic") {
            return Vec::new();
        }
        let groups = self
            .groups
            .values()
            .filter(|group| passes(states, group.state().as_str()));
        let listed = groups.map(|group| ListedGroup {
            group_id: group.id().to_string(),
            protocol_type: group.protocol_type().to_owned(),
            state: group.state(),
        });
        listed.collect()
    }
}

/// Whether an offset belongs to the topic asked for, as far as both ids are known: a topic that
/// was deleted and made again has offsets of its own.
fn is_same_topic(committed: TopicId, asked: TopicId) -> bool {
    committed.is_zero() || asked.is_zero() || committed == asked
}

fn fetched(offset: &CommittedOffset) -> FetchedOffset {
    FetchedOffset {
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.clone(),
    }
}
