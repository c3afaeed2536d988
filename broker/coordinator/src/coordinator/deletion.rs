//! What goes: groups by request or for lack of use, offsets of deleted partitions.

use klamm_model::TopicPartition;

use super::GroupCoordinator;
use super::offset_requests::{Change, partitions_of, records_of};
use crate::append::Purpose;
use crate::record::group_record;
use crate::{AppendId, Effect, GroupError, GroupId, Now, Reply, Token};

/// How many deletions go into one append, so that a group with very many offsets does not exceed
/// what a batch may hold.
const DELETIONS_PER_APPEND_MAX: usize = 1_000;

impl GroupCoordinator {
    pub(super) fn delete_group(
        &mut self,
        now: Now,
        token: Token,
        group_id: &str,
        effects: &mut Vec<Effect>,
    ) {
        let checked = match self.groups.get(group_id) {
            Some(group) => group.check_delete().map(|()| group.id().clone()),
            None => Err(GroupError::GroupIdNotFound),
        };
        match checked {
            Ok(group_id) => {
                let append_id = self.append_group_deletion(now, &group_id, effects);
                self.shared
                    .turn(now, effects)
                    .hold(append_id, token, Reply::DeleteGroup(Ok(())));
            }
            Err(error) => {
                effects.push(Effect::Reply {
                    token,
                    reply: Reply::DeleteGroup(Err(error)),
                });
            }
        }
    }

    /// Deletes an empty group with its offsets. It is gone at once for whoever wants to join; if
    /// the append fails, it is back. Returns the last append.
    pub(super) fn append_group_deletion(
        &mut self,
        now: Now,
        group_id: &GroupId,
        effects: &mut Vec<Effect>,
    ) -> AppendId {
        let mut deletions: Vec<Change> = self
            .offsets
            .latest(group_id.as_str())
            .map(|(topic, partition, _)| (topic.clone(), partition, None))
            .collect();
        while deletions.len() > DELETIONS_PER_APPEND_MAX {
            let rest = deletions.split_off(DELETIONS_PER_APPEND_MAX);
            self.append_changes(
                now,
                group_id,
                std::mem::replace(&mut deletions, rest),
                effects,
            );
        }
        let mut group = self
            .groups
            .remove(group_id)
            .expect("the caller found the group");
        let mut turn = self.shared.turn(now, effects);
        group.clear_pending(&mut turn);
        turn.deadlines.cancel_group(group_id);

        let mut records = records_of(group_id, &deletions);
        records.push(group_record(group_id.as_str(), None));
        let partitions = partitions_of(&deletions);
        let purpose = Purpose::GroupDeleted {
            group: Box::new(group),
            partitions,
        };
        let append_id = turn.append(records, purpose);
        self.stage(append_id, group_id, deletions);
        append_id
    }

    /// Deletes what all groups have committed for partitions that are no more.
    pub(super) fn partitions_deleted(
        &mut self,
        now: Now,
        deleted: &[TopicPartition],
        effects: &mut Vec<Effect>,
    ) {
        let group_ids: Vec<GroupId> = self.offsets.group_ids().cloned().collect();
        for group_id in group_ids {
            let has_offset = |partition: &&TopicPartition| {
                let TopicPartition { topic, partition } = partition;
                let slot = self
                    .offsets
                    .slot(group_id.as_str(), topic.as_str(), partition.0);
                slot.is_some_and(|slot| slot.latest().is_some())
            };
            let deletions: Vec<Change> = deleted
                .iter()
                .filter(has_offset)
                .map(|partition| (partition.topic.as_str().into(), partition.partition.0, None))
                .collect();
            self.append_deletions(now, &group_id, deletions, effects);
        }
    }

    /// Deletes offsets of a group, without anyone waiting for it.
    pub(super) fn append_deletions(
        &mut self,
        now: Now,
        group_id: &GroupId,
        mut deletions: Vec<Change>,
        effects: &mut Vec<Effect>,
    ) {
        while !deletions.is_empty() {
            let rest = deletions.split_off(deletions.len().min(DELETIONS_PER_APPEND_MAX));
            self.append_changes(
                now,
                group_id,
                std::mem::replace(&mut deletions, rest),
                effects,
            );
        }
    }
}
