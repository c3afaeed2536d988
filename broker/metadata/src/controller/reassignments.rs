//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455).
//!
//! A decision says where a partition shall be. Its Raft group follows: whoever leads it takes the
//! new replicas in and the old ones out, and when the members are those of
//! [`PartitionImage::target`], the reassignment is complete. Kafka completes one that only removes
//! at once; here that, too, is a change of the group's members. A new order of the same replicas is
//! in force at once.
//!
//! A replica that leaves the list because its reassignment was called off or replaced may already
//! be a member of its group: its files must stay until the group has taken it out.

use std::collections::{BTreeMap, BTreeSet};

use klamm_model::{BrokerId, PartitionIndex, TopicId, TopicName};

use super::{Controller, Decision};
use crate::image::{MetadataImage, PartitionImage, TopicImage};
use crate::record::MetadataRecord;
use crate::refusal::Refusal;

/// A partition that shall have other replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its replicas; `None` calls off a reassignment under way.
    pub replicas: Option<Vec<BrokerId>>,
}

/// The reassignments under way in one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReassignments {
    /// The topic.
    pub topic: TopicName,
    /// At least one.
    pub partitions: Vec<OngoingReassignment>,
}

/// A reassignment under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OngoingReassignment {
    /// The partition.
    pub partition: PartitionIndex,
    /// Everybody concerned, preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Those of them that come.
    pub adding: Vec<BrokerId>,
    /// Those of them that go.
    pub removing: Vec<BrokerId>,
}

impl Controller<'_> {
    /// AlterPartitionReassignments; the reply is in the order of the request. Where a partition
    /// comes more than once, the last of them that is not refused holds.
    pub fn reassign_all(
        &self,
        requests: &[Reassignment],
        allow_factor_change: bool,
    ) -> Decision<Vec<Result<(), Refusal>>> {
        let mut decided = BTreeMap::new();
        let outcomes = requests.iter().map(|request| {
            let records = self.reassign(request, allow_factor_change)?;
            decided.insert((request.topic.as_str(), request.partition), records);
            Ok(())
        });
        let reply = outcomes.collect();
        let records = decided.into_values().flatten().collect();
        Decision { records, reply }
    }

    /// AlterPartitionReassignments for one partition. A reassignment under way is replaced.
    ///
    /// # Errors
    /// If there is no such partition, the replicas cannot be, or nothing is to be called off.
    pub fn reassign(
        &self,
        request: &Reassignment,
        allow_factor_change: bool,
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        let (topic, partition) = self.partition_to_reassign(request)?;
        let wanted = match &request.replicas {
            None if !partition.is_reassigning() => return Err(Refusal::NoReassignment),
            None => partition.called_off(),
            Some(replicas) => {
                self.check_replicas(replicas, None)?;
                let (from, to) = (partition.target().count(), replicas.len());
                if from != to && !allow_factor_change {
                    return Err(Refusal::ReplicationFactorChange { from, to });
                }
                partition.reassigned_to(replicas)
            }
        };
        if *partition == wanted {
            return Ok(Vec::new());
        }
        let index = PartitionIndex(request.partition);
        Ok(vec![MetadataRecord::partition(topic.id, index, wanted)])
    }

    /// The members of the partition's group are these replicas now: if they are those of its target,
    /// the reassignment is complete. Another may have taken the place of the one that the group has
    /// followed. The reply is whether there was one to complete.
    pub fn complete_reassignment(
        &self,
        topic: TopicId,
        index: PartitionIndex,
        members: &[u64],
    ) -> Decision<bool> {
        let found = self.image.topic_by_id(topic);
        let partition = found.and_then(|topic| topic.partition(index));
        let has_followed = |partition: &&PartitionImage| {
            let target: BTreeSet<_> = partition.target().map(|replica| replica.id).collect();
            partition.is_reassigning() && members.iter().copied().collect::<BTreeSet<_>>() == target
        };
        let records: Vec<_> = partition
            .filter(has_followed)
            .map(|partition| MetadataRecord::partition(topic, index, partition.completed()))
            .into_iter()
            .collect();
        let reply = !records.is_empty();
        Decision { records, reply }
    }

    fn partition_to_reassign(
        &self,
        request: &Reassignment,
    ) -> Result<(&TopicImage, &PartitionImage), Refusal> {
        let topic = self.image.topic(&request.topic);
        let topic = topic.ok_or_else(|| Refusal::NoTopicToReassign(request.topic.clone()))?;
        let partition = topic.partition(PartitionIndex(request.partition));
        let partition = partition.ok_or_else(|| Refusal::NoPartitionToReassign {
            topic: request.topic.clone(),
            partition: request.partition,
        })?;
        Ok((topic, partition))
    }
}

/// ListPartitionReassignments: of all topics, or of these partitions. What is not there, or is not
/// reassigned, is left out.
pub fn list_reassignments(
    image: &MetadataImage,
    only: Option<&[(String, Vec<i32>)]>,
) -> Vec<TopicReassignments> {
    let Some(only) = only else {
        let all = |topic: &TopicImage| 0..i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let topics = image.topics();
        return topics
            .filter_map(|topic| of_topic(topic, all(topic)))
            .collect();
    };
    let topics = only.iter().filter_map(|(name, partitions)| {
        let topic = image.topic(name)?;
        of_topic(topic, partitions.iter().copied())
    });
    topics.collect()
}

fn of_topic(
    topic: &TopicImage,
    partitions: impl Iterator<Item = i32>,
) -> Option<TopicReassignments> {
    let ongoing = partitions.filter_map(|partition| {
        let partition = PartitionIndex(partition);
        let image = topic.partition(partition)?;
        image.is_reassigning().then(|| OngoingReassignment {
            partition,
            replicas: image.broker_ids().collect(),
            adding: image.adding.clone(),
            removing: image.removing.clone(),
        })
    });
    let partitions: Vec<_> = ongoing.collect();
    let topic = topic.name.clone();
    (!partitions.is_empty()).then_some(TopicReassignments { topic, partitions })
}
