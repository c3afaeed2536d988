//! CreatePartitions, ElectLeaders, AlterPartitionReassignments.
//!
//! Reassignments are over as soon as they are decided: replicas only change their order here, so
//! `ListPartitionReassignments` always finds none.

use klamm_model::{BrokerId, PartitionIndex};

use super::topics::duplicates;
use super::{Controller, Decision, PARTITIONS_PER_REQUEST_MAX};
use crate::image::{MetadataImage, PartitionImage, TopicImage};
use crate::placement::place;
use crate::record::MetadataRecord;
use crate::refusal::Refusal;

/// A topic that shall get more partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    /// The topic.
    pub topic: String,
    /// How many it shall have in all.
    pub count: i32,
    /// Replicas of those that are added, if chosen by hand.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

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

/// What a leader election comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The leader is to hand over to this broker.
    HandOver(BrokerId),
}

/// How many partitions a request may still add.
struct Room {
    of_request: usize,
    in_all: usize,
}

/// Per topic of the request, once per name.
pub type CreatePartitionsReply = Vec<(String, Result<(), Refusal>)>;

impl Controller<'_> {
    /// CreatePartitions: a topic only grows.
    pub fn create_partitions(
        &self,
        topics: &[NewPartitions],
        validate_only: bool,
    ) -> Decision<CreatePartitionsReply> {
        let twice = duplicates(topics.iter().map(|topic| topic.topic.as_str()));
        let mut records = Vec::new();
        let mut reply = CreatePartitionsReply::new();
        let mut answered = std::collections::BTreeSet::new();
        let mut room = Room {
            of_request: PARTITIONS_PER_REQUEST_MAX,
            in_all: self.room_for_partitions(),
        };
        for topic in topics {
            if !answered.insert(topic.topic.as_str()) {
                continue;
            }
            let outcome = if twice.contains(topic.topic.as_str()) {
                Err(Refusal::DuplicateTopicName)
            } else {
                self.add_partitions(topic, &mut room, &mut records)
            };
            reply.push((topic.topic.clone(), outcome));
        }
        if validate_only {
            records.clear();
        }
        Decision { records, reply }
    }

    /// AlterPartitionReassignments for one partition.
    ///
    /// # Errors
    /// If there is no such partition, the replicas cannot be, or nothing is to be called off.
    pub fn reassign(
        &self,
        request: &Reassignment,
        allow_factor_change: bool,
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        let (topic, partition) = self.partition_to_reassign(request)?;
        let Some(replicas) = &request.replicas else {
            return Err(Refusal::NoReassignment);
        };
        self.check_replicas(replicas, None)?;
        let (from, to) = (partition.replicas.len(), replicas.len());
        if from != to && !allow_factor_change {
            return Err(Refusal::ReplicationFactorChange { from, to });
        }
        if partition.replicas == *replicas {
            return Ok(Vec::new());
        }
        if sorted(&partition.replicas) != sorted(replicas) {
            return Err(Refusal::CannotMoveReplicas);
        }
        let (topic, index) = (topic.id, PartitionIndex(request.partition));
        Ok(vec![MetadataRecord::Partition {
            topic,
            index,
            replicas: replicas.clone(),
        }])
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

    fn add_partitions(
        &self,
        request: &NewPartitions,
        room: &mut Room,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), Refusal> {
        let topic = self
            .image
            .topic(&request.topic)
            .ok_or(Refusal::UnknownTopic)?;
        let current = topic.partitions.len();
        let asked = usize::try_from(request.count).unwrap_or(0);
        if asked == current {
            return Err(Refusal::SamePartitionCount(current));
        }
        let Some(added) = asked.checked_sub(current) else {
            let (topic, asked) = (request.topic.clone(), request.count);
            return Err(Refusal::NotAnIncrease {
                topic,
                current,
                asked,
            });
        };
        room.of_request = room
            .of_request
            .checked_sub(added)
            .ok_or(Refusal::TooManyAdditionalPartitions)?;
        let replicas = self.replicas_of_added(request, topic, added)?;
        room.in_all = room
            .in_all
            .checked_sub(added)
            .ok_or(Refusal::PartitionsMax(self.rules.partitions_max))?;
        for (index, replicas) in (current..).zip(replicas) {
            let index = i32::try_from(index).expect("below the count, which is an i32");
            let (topic, index) = (topic.id, PartitionIndex(index));
            records.push(MetadataRecord::Partition {
                topic,
                index,
                replicas,
            });
        }
        Ok(())
    }

    fn replicas_of_added(
        &self,
        request: &NewPartitions,
        topic: &TopicImage,
        added: usize,
    ) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        let factor = topic.replication_factor();
        match &request.assignments {
            Some(assignments) if assignments.len() != added => {
                let assigned = assignments.len();
                Err(Refusal::AssignmentCount { added, assigned })
            }
            Some(assignments) => {
                for replicas in assignments {
                    self.check_replicas(replicas, Some(factor))?;
                }
                Ok(assignments.clone())
            }
            None => {
                let brokers = self.broker_ids();
                let asked = i16::try_from(factor).unwrap_or(i16::MAX);
                if factor == 0 || factor > brokers.len() {
                    return Err(Refusal::TooFewBrokers {
                        asked,
                        brokers: brokers.len(),
                    });
                }
                let turn = topic.partitions[0].preferred_leader();
                let turn = brokers.iter().position(|id| Some(*id) == turn).unwrap_or(0);
                Ok(place(&brokers, turn, topic.partitions.len(), added, factor))
            }
        }
    }
}

/// ElectLeaders for one partition, whose leader is `leader` now.
///
/// # Errors
/// If there is no such partition, and [`Refusal::ElectionNotNeeded`] if its preferred leader
/// leads, which is not worth a line where all partitions are asked for.
pub fn elect_leader(
    image: &MetadataImage,
    topic: &str,
    partition: i32,
    leader: Option<BrokerId>,
) -> Result<Election, Refusal> {
    let no_topic = || Refusal::NoTopicToElectIn(topic.to_owned());
    let found = image.topic(topic).ok_or_else(no_topic)?;
    let found = found.partition(PartitionIndex(partition)).ok_or_else(|| {
        let topic = topic.to_owned();
        Refusal::NoPartitionToElectIn { topic, partition }
    })?;
    match (leader, found.preferred_leader()) {
        (Some(leader), Some(preferred)) if leader != preferred => Ok(Election::HandOver(preferred)),
        (Some(_), _) => Err(Refusal::ElectionNotNeeded),
        // The replicas elect one themselves as soon as a majority of them is there.
        (None, _) => Err(Refusal::NoLeader),
    }
}

fn sorted(replicas: &[BrokerId]) -> Vec<BrokerId> {
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    sorted
}
