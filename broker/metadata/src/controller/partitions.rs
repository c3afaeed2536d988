//! CreatePartitions, ElectLeaders.

use klamm_model::{BrokerId, PartitionIndex};

use super::topics::duplicates;
use super::{Controller, Decision, PARTITIONS_PER_REQUEST_MAX};
use crate::image::{MetadataImage, PartitionImage, TopicImage};
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
            let (index, image) = (PartitionIndex(index), PartitionImage::of_brokers(replicas));
            records.push(MetadataRecord::partition(topic.id, index, image));
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
                let first = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
                for (partition, replicas) in (first..).zip(assignments) {
                    self.check_new_replicas(partition, replicas, Some(factor))?;
                }
                Ok(assignments.clone())
            }
            None => {
                let placement = self.placement();
                let alive = placement.broker_count();
                let asked = i16::try_from(factor).unwrap_or(i16::MAX);
                if factor == 0 || factor > alive {
                    return Err(self.too_few_brokers(asked, alive));
                }
                let first = topic.partitions[0].preferred_leader();
                let turn = first.and_then(|broker| placement.turn_of(broker));
                let there = topic.partitions.len();
                Ok(placement.place(turn.unwrap_or(0), there, added, factor))
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
