//! CreateTopics, automatic creation, DeleteTopics.

use std::collections::{BTreeMap, BTreeSet};

use klamm_model::{BrokerId, PartitionIndex, TopicId, TopicName};

use super::{Controller, Decision, PARTITIONS_PER_REQUEST_MAX};
use crate::describe::{ConfigEntry, topic_entries};
use crate::image::{ConfigResource, PartitionImage, ResourceKind};
use crate::record::MetadataRecord;
use crate::refusal::Refusal;
use crate::setting::ConfigError;
use crate::topic_config::Configs;

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NewTopic {
    /// Its name, not checked yet.
    pub name: String,
    /// How many partitions; -1 is the default.
    pub num_partitions: i32,
    /// How many replicas of each; -1 is the default.
    pub replication_factor: i16,
    /// Replicas chosen by hand, by partition; if there are any, both numbers must be -1.
    pub assignments: Vec<(i32, Vec<BrokerId>)>,
    /// Settings; a null is refused.
    pub configs: Vec<(String, Option<String>)>,
    /// The broker needs it itself: it is created beyond the limit of partitions, too, so that
    /// nobody can take away its room beforehand.
    pub is_needed: bool,
}

/// A topic as it was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its identity.
    pub id: TopicId,
    /// How many partitions it has.
    pub num_partitions: i32,
    /// How many replicas its first partition has.
    pub replication_factor: i16,
    /// All its settings.
    pub configs: Vec<ConfigEntry>,
}

/// A topic by name or by identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRef {
    /// Its name, if that is how it is meant.
    pub name: Option<String>,
    /// Its identity, otherwise; [`TopicId::ZERO`] with a name.
    pub id: TopicId,
}

/// A topic to delete, with both its names as far as they are known, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its name.
    pub name: Option<String>,
    /// Its identity.
    pub id: TopicId,
    /// Whether it was deleted.
    pub outcome: Result<(), Refusal>,
}

/// What was decided for each topic of the request, once per name, in the order of the request.
pub type CreateReply = Vec<(String, Result<CreatedTopic, Refusal>)>;

/// The name of the log that holds the metadata itself, as in Kafka; no topic may have it.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

impl NewTopic {
    /// A topic with the defaults of the broker.
    pub fn with_defaults(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            num_partitions: -1,
            replication_factor: -1,
            ..Self::default()
        }
    }
}

impl Controller<'_> {
    /// CreateTopics, and automatic creation (with [`NewTopic::with_defaults`]).
    pub fn create_topics(
        &mut self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Decision<CreateReply> {
        let mut records = Vec::new();
        let mut reply = CreateReply::new();
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for topic in topics {
            *times.entry(&topic.name).or_default() += 1;
        }
        let mut room = self.room_for_partitions();
        let too_many = self.partitions_of(topics) > PARTITIONS_PER_REQUEST_MAX;
        for topic in topics {
            let outcome = match times.remove(topic.name.as_str()) {
                // Answered when the name came first.
                None => continue,
                Some(2..) => Err(Refusal::DuplicateTopicName),
                Some(_) if too_many => Err(Refusal::TooManyPartitions),
                Some(_) => {
                    // Topics of one request, too, begin with one broker after another.
                    let turn = self.image.topic_count() + reply.len();
                    self.create_topic(topic, turn, &mut room, &mut records)
                }
            };
            reply.push((topic.name.clone(), outcome));
        }
        if validate_only {
            records.clear();
        }
        Decision { records, reply }
    }

    /// DeleteTopics. By name and by identity may be mixed; no topic may come twice.
    pub fn delete_topics(&self, topics: &[TopicRef]) -> Decision<Vec<DeletedTopic>> {
        let mut records = Vec::new();
        let mut reply = Vec::new();
        let names = duplicates(topics.iter().filter_map(|topic| topic.name.as_deref()));
        let ids = duplicates(topics.iter().map(|t| t.id).filter(|id| !id.is_zero()));
        let mut deleted = BTreeSet::new();
        for topic in topics {
            let twice = topic
                .name
                .as_deref()
                .is_some_and(|name| names.contains(name));
            let found = if !self.rules.deletion_enabled {
                Err(Refusal::DeletionDisabled)
            } else if twice {
                Err(Refusal::DuplicateTopicName)
            } else if ids.contains(&topic.id) {
                Err(Refusal::DuplicateTopicId)
            } else {
                self.topic_to_delete(topic)
            };
            let found = match found {
                Ok((_, id)) if !deleted.insert(id) => Err(Refusal::DuplicateTopicId),
                found => found,
            };
            reply.push(match found {
                Ok((name, id)) => {
                    records.push(MetadataRecord::RemoveTopic { id });
                    DeletedTopic {
                        name: Some(name.as_str().to_owned()),
                        id,
                        outcome: Ok(()),
                    }
                }
                Err(refusal) => DeletedTopic {
                    name: topic.name.clone(),
                    id: topic.id,
                    outcome: Err(refusal),
                },
            });
        }
        Decision { records, reply }
    }

    fn topic_to_delete(&self, topic: &TopicRef) -> Result<(TopicName, TopicId), Refusal> {
        let found = match (&topic.name, topic.id) {
            (Some(_), id) if !id.is_zero() => return Err(Refusal::NameAndId),
            (Some(name), _) => self.image.topic(name).ok_or(Refusal::UnknownTopic)?,
            (None, id) if id.is_zero() => return Err(Refusal::NeitherNameNorId),
            (None, id) => self.image.topic_by_id(id).ok_or(Refusal::UnknownTopicId)?,
        };
        Ok((found.name.clone(), found.id))
    }

    fn partitions_of(&self, topics: &[NewTopic]) -> usize {
        let count = |topic: &NewTopic| match (topic.assignments.len(), topic.num_partitions) {
            (0, -1) => usize::try_from(self.rules.num_partitions).unwrap_or(0),
            (0, count) => usize::try_from(count).unwrap_or(0),
            (count, _) => count,
        };
        topics.iter().map(count).fold(0, usize::saturating_add)
    }

    fn create_topic(
        &mut self,
        topic: &NewTopic,
        turn: usize,
        room: &mut usize,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<CreatedTopic, Refusal> {
        let name = self.check_name(&topic.name)?;
        let configs = non_null(&topic.configs)?;
        self.topic_defaults.check(&configs)?;
        let partitions = self.assign(topic, turn)?;
        *room = match room.checked_sub(partitions.len()) {
            Some(left) => left,
            None if topic.is_needed => 0,
            None => return Err(Refusal::PartitionsMax(self.rules.partitions_max)),
        };
        let id = self.unused_id();
        records.push(MetadataRecord::Topic { name, id });
        for (key, value) in &configs {
            let resource = ConfigResource::new(ResourceKind::Topic, topic.name.as_str());
            let (key, value) = (key.clone(), Some(value.clone()));
            records.push(MetadataRecord::Config {
                resource,
                key,
                value,
            });
        }
        let count = i32::try_from(partitions.len()).expect("bounded by the limit per request");
        let factor = partitions.first().map_or(0, Vec::len);
        for (index, replicas) in (0..).zip(partitions) {
            let (index, image) = (PartitionIndex(index), PartitionImage::of_brokers(replicas));
            records.push(MetadataRecord::partition(id, index, image));
        }
        Ok(CreatedTopic {
            id,
            num_partitions: count,
            replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
            configs: topic_entries(&configs, &self.layers),
        })
    }

    fn check_name(&self, name: &str) -> Result<TopicName, Refusal> {
        if name == METADATA_TOPIC {
            return Err(Refusal::ReservedTopic(name.to_owned()));
        }
        let checked = TopicName::new(name)?;
        if self.image.topic(name).is_some() {
            return Err(Refusal::TopicExists(name.to_owned()));
        }
        match self.image.look_alike(name) {
            Some(existing) => {
                let (name, existing) = (name.to_owned(), existing.clone());
                Err(Refusal::LooksAlike { name, existing })
            }
            None => Ok(checked),
        }
    }

    fn assign(&self, topic: &NewTopic, turn: usize) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        if !topic.assignments.is_empty() {
            return self.assigned_by_hand(topic);
        }
        let count = match topic.num_partitions {
            -1 => self.rules.num_partitions,
            count => count,
        };
        let count = usize::try_from(count).ok().filter(|count| *count > 0);
        let placement = self.placement();
        let factor = self.replication_factor(topic.replication_factor, placement.broker_count());
        // Kafka looks at the factor first.
        let factor = factor?;
        let count = count.ok_or(Refusal::PartitionCount)?;
        Ok(placement.place(turn, 0, count, factor))
    }

    fn replication_factor(&self, asked: i16, alive: usize) -> Result<usize, Refusal> {
        let asked = match asked {
            -1 => self.rules.default_replication_factor,
            asked => asked,
        };
        match usize::try_from(asked) {
            Err(_) | Ok(0) => Err(Refusal::ReplicationFactor),
            Ok(factor) if factor <= alive => Ok(factor),
            Ok(_) if self.rules.clamp_replication_factor && alive > 0 => Ok(alive),
            Ok(_) => Err(self.too_few_brokers(asked, alive)),
        }
    }

    fn assigned_by_hand(&self, topic: &NewTopic) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        if topic.replication_factor != -1 {
            return Err(Refusal::AssignmentAndReplicationFactor);
        }
        if topic.num_partitions != -1 {
            return Err(Refusal::AssignmentAndPartitionCount);
        }
        let mut by_partition = BTreeMap::new();
        let mut before = None;
        for (partition, replicas) in &topic.assignments {
            if by_partition.contains_key(partition) {
                return Err(Refusal::AssignmentTwice(*partition));
            }
            self.check_new_replicas(*partition, replicas, before)?;
            before = Some(replicas.len());
            by_partition.insert(*partition, replicas.clone());
        }
        if by_partition
            .keys()
            .zip(0..)
            .any(|(partition, expected)| *partition != expected)
        {
            return Err(Refusal::AssignmentGap);
        }
        Ok(by_partition.into_values().collect())
    }

    fn unused_id(&mut self) -> TopicId {
        loop {
            let id = self.ids.draw();
            if self.image.topic_by_id(id).is_none() {
                return id;
            }
        }
    }
}

fn non_null(configs: &[(String, Option<String>)]) -> Result<Configs, Refusal> {
    let nulls = configs.iter().filter(|(_, value)| value.is_none());
    let nulls: Vec<_> = nulls.map(|(key, _)| key.clone()).collect();
    if !nulls.is_empty() {
        return Err(ConfigError::Null(nulls).into());
    }
    let given = configs
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
    Ok(given.collect())
}

pub(super) fn duplicates<T: Ord>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for item in items {
        match seen.take(&item) {
            Some(first) => {
                seen.insert(item);
                twice.insert(first);
            }
            None => drop(seen.insert(item)),
        }
    }
    twice
}
