//! OffsetCommit and OffsetDelete.

use std::sync::Arc;

use klamm_model::{Timestamp, TopicId};

use super::GroupCoordinator;
use crate::append::Purpose;
use crate::record::{CommittedOffset, STRING_LENGTH_MAX, offset_record};
use crate::reply::TopicResult;
use crate::request::{CommitPartition, OffsetCommit, OffsetDelete};
use crate::{AppendId, Effect, GroupError, GroupId, LogRecord, Now, Reply, Token};

/// What an append will do to a partition's offset; `None` deletes it.
pub(super) type Change = (Arc<str>, i32, Option<CommittedOffset>);

impl GroupCoordinator {
    pub(super) fn commit_offsets(
        &mut self,
        now: Now,
        token: Token,
        commit: OffsetCommit,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(error) = self.check_commit(now, &commit, effects) {
            effects.push(Effect::Reply {
                token,
                reply: Reply::OffsetCommit(Err(error)),
            });
            return;
        }
        let group_id = GroupId::new(&commit.group_id);
        let mut changes: Vec<Change> = Vec::new();
        let mut results = Vec::with_capacity(commit.topics.len());
        for topic in commit.topics {
            let name: Arc<str> = topic.name.as_str().into();
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let index = partition.partition;
                if self.is_metadata_too_long(partition.metadata.as_deref().unwrap_or("")) {
                    partitions.push((index, Some(GroupError::OffsetMetadataTooLarge)));
                    continue;
                }
                let retention_time_ms = commit.retention_time_ms;
                let value = committed(now.wall, retention_time_ms, topic.topic_id, partition);
                changes.push((name.clone(), index, Some(value)));
                partitions.push((index, None));
            }
            results.push(TopicResult {
                name: topic.name,
                topic_id: topic.topic_id,
                partitions,
            });
        }
        let reply = Reply::OffsetCommit(Ok(results));
        self.append_changes_and_reply(now, token, &group_id, changes, reply, effects);
    }

    /// Whether the committer may commit. Who has no generation may create the group.
    fn check_commit(
        &mut self,
        now: Now,
        commit: &OffsetCommit,
        effects: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        if commit
            .topics
            .iter()
            .any(|topic| topic.name.len() > STRING_LENGTH_MAX)
        {
            return Err(GroupError::UnknownServerError);
        }
        let mut turn = self.shared.turn(now, effects);
        match self.groups.get(commit.group_id.as_str()) {
            Some(group) => group.commit(&mut turn, commit),
            None if commit.generation < 0 => Ok(()),
            None if commit.knows_group_id_not_found => Err(GroupError::GroupIdNotFound),
            None => Err(GroupError::IllegalGeneration),
        }
    }

    fn is_metadata_too_long(&self, metadata: &str) -> bool {
        metadata.len() > STRING_LENGTH_MAX
            || metadata.encode_utf16().count() > self.shared.config.offset_metadata_max
    }

    pub(super) fn delete_offsets(
        &mut self,
        now: Now,
        token: Token,
        delete: OffsetDelete,
        effects: &mut Vec<Effect>,
    ) {
        let Some(group) = self.groups.get(delete.group_id.as_str()) else {
            let reply = Reply::OffsetDelete(Err(GroupError::GroupIdNotFound));
            effects.push(Effect::Reply { token, reply });
            return;
        };
        if let Err(error) = group.check_offset_delete() {
            effects.push(Effect::Reply {
                token,
                reply: Reply::OffsetDelete(Err(error)),
            });
            return;
        }
        let group_id = group.id().clone();
        let mut changes: Vec<Change> = Vec::new();
        let mut results = Vec::with_capacity(delete.topics.len());
        for (name, partitions) in delete.topics {
            let subscribed = group.is_subscribed_to(&name);
            let error = subscribed.then_some(GroupError::GroupSubscribedToTopic);
            for &partition in partitions.iter().filter(|_| !subscribed) {
                let slot = self.offsets.slot(&delete.group_id, &name, partition);
                if slot.is_some_and(|slot| slot.latest().is_some()) {
                    changes.push((name.as_str().into(), partition, None));
                }
            }
            let partitions = partitions
                .into_iter()
                .map(|partition| (partition, error))
                .collect();
            results.push(TopicResult {
                name,
                topic_id: TopicId::ZERO,
                partitions,
            });
        }
        let reply = Reply::OffsetDelete(Ok(results));
        self.append_changes_and_reply(now, token, &group_id, changes, reply, effects);
    }

    /// Writes the changes, if there are any, before the reply leaves.
    fn append_changes_and_reply(
        &mut self,
        now: Now,
        token: Token,
        group_id: &GroupId,
        changes: Vec<Change>,
        reply: Reply,
        effects: &mut Vec<Effect>,
    ) {
        if changes.is_empty() {
            effects.push(Effect::Reply { token, reply });
            return;
        }
        let append_id = self.append_changes(now, group_id, changes, effects);
        self.shared.turn(now, effects).hold(append_id, token, reply);
    }

    /// Writes the changes in one append.
    pub(super) fn append_changes(
        &mut self,
        now: Now,
        group_id: &GroupId,
        changes: Vec<Change>,
        effects: &mut Vec<Effect>,
    ) -> AppendId {
        let records = records_of(group_id, &changes);
        let partitions = partitions_of(&changes);
        let purpose = Purpose::Offsets {
            group_id: group_id.clone(),
            partitions,
        };
        let append_id = self.shared.turn(now, effects).append(records, purpose);
        self.stage(append_id, group_id, changes);
        append_id
    }

    /// Notes the changes as under way.
    pub(super) fn stage(&mut self, append_id: AppendId, group_id: &GroupId, changes: Vec<Change>) {
        for (topic, partition, value) in changes {
            self.offsets
                .stage(append_id, group_id, &topic, partition, value);
        }
    }
}

/// The records that make the changes.
pub(super) fn records_of(group_id: &GroupId, changes: &[Change]) -> Vec<LogRecord> {
    let records = changes.iter().map(|(topic, partition, value)| {
        offset_record(group_id.as_str(), topic, *partition, value.as_ref())
    });
    records.collect()
}

/// What the changes are about.
pub(super) fn partitions_of(changes: &[Change]) -> Vec<(Arc<str>, i32)> {
    changes
        .iter()
        .map(|(topic, partition, _)| (topic.clone(), *partition))
        .collect()
}

fn committed(
    now: Timestamp,
    retention_time_ms: Option<i64>,
    topic_id: TopicId,
    partition: CommitPartition,
) -> CommittedOffset {
    CommittedOffset {
        offset: partition.offset,
        leader_epoch: partition.leader_epoch.max(-1),
        metadata: partition.metadata.unwrap_or_default(),
        commit_timestamp: now,
        expire_timestamp: retention_time_ms.map(|retention| now.plus_millis(retention)),
        topic_id,
    }
}
