//! What the cluster is: an immutable picture that readers share, changed record by record.
//!
//! The maps share their structure with older pictures (persistent trees), so keeping one while
//! ten thousand topics are created costs a path of nodes per change, never a copy of all.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use klamm_model::{BrokerId, PartitionIndex, ProducerId, TopicId, TopicName};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use crate::client_quota::ClientQuotas;
use crate::record::{ListenerAddress, MetadataRecord, PeerAddress};
use crate::topic_config::Configs;

mod partition;

pub use partition::{LogEnd, PartitionImage, ReplicaImage, UncleanElection};

/// The feature whose level says which records may be written and what brokers tell each other.
pub const KLAMM_VERSION: &str = "klamm.version";
/// The highest level of [`KLAMM_VERSION`] that this broker understands.
pub const KLAMM_VERSION_LEVEL: u16 = 2;
/// The level of [`KLAMM_VERSION`] from which on there are unclean elections.
pub const UNCLEAN_ELECTIONS_LEVEL: u16 = 2;

/// The cluster at one position of the metadata log. A clone is a few counters.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct MetadataImage {
    cluster_id: Option<Arc<str>>,
    brokers: RedBlackTreeMapSync<BrokerId, BrokerImage>,
    /// The numbers of brokers that left for ever.
    removed_brokers: RedBlackTreeSetSync<BrokerId>,
    /// The highest number that was given to a broker before it registered.
    last_broker_number: Option<BrokerId>,
    topics: RedBlackTreeMapSync<TopicName, Arc<TopicImage>>,
    names: RedBlackTreeMapSync<TopicId, TopicName>,
    /// Names with `.` or `_`, under the name with all `.` made `_`: they would share metric names.
    look_alikes: RedBlackTreeMapSync<String, BTreeSet<TopicName>>,
    configs: RedBlackTreeMapSync<ConfigResource, Arc<Configs>>,
    client_quotas: ClientQuotas,
    next_producer_id: i64,
    features: RedBlackTreeMapSync<String, u16>,
}

/// A broker that registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerImage {
    /// Its number.
    pub id: BrokerId,
    /// Another one at each start; `None` if it has not started since there is such a thing.
    pub incarnation: Option<TopicId>,
    /// Its log directories (`directory.id`); none are known where `incarnation` is `None`.
    pub disks: Vec<TopicId>,
    /// Where other brokers reach it; `None` if it stands alone.
    pub peer: Option<PeerAddress>,
    /// Where it stands (`broker.rack`).
    pub rack: Option<String>,
    /// Where clients reach it, one address per listener.
    pub listeners: Vec<ListenerAddress>,
    /// The highest level of [`KLAMM_VERSION`] that it understands.
    pub version: u16,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: TopicName,
    /// Its identity.
    pub id: TopicId,
    /// Its partitions; the position is the partition's number.
    pub partitions: Vec<PartitionImage>,
}

/// What can be configured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigResource {
    /// What it is.
    pub kind: ResourceKind,
    /// Its name; for all brokers the empty text.
    pub name: String,
}

/// The kinds of things that can be configured (`ConfigResource.Type`; the numbers are Kafka's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    /// A topic, by name.
    Topic = 2,
    /// A broker, by number; or all of them.
    Broker = 4,
    /// A consumer group.
    Group = 32,
}

/// A record that does not fit the image: the metadata log is not the one this image grew from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfPlace {
    /// A topic of that name or identity is there already.
    #[error("the topic exists already name={name} id={id}")]
    TopicExists {
        /// The name.
        name: TopicName,
        /// The identity.
        id: TopicId,
    },
    /// The record concerns a topic that is not there.
    #[error("no such topic id={0}")]
    NoTopic(TopicId),
    /// A partition whose number leaves a gap.
    #[error("a partition is missing before this one topic={topic} partition={partition}")]
    Gap {
        /// The topic.
        topic: TopicName,
        /// The number in the record.
        partition: i32,
    },
    /// A replica would speak for another that had its number before.
    #[error("replica ids of a partition are given out again topic={topic} partition={partition}")]
    ReplicaIdsAgain {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: i32,
    },
    /// The record concerns a broker that is not there.
    #[error("no such broker id={}", .0.0)]
    NoBroker(BrokerId),
    /// A broker registers under a number that is never given out again.
    #[error("the broker left for ever id={}", .0.0)]
    RemovedBroker(BrokerId),
    /// Producer ids would be given out twice.
    #[error("producer ids go backwards from={from} to={to}")]
    ProducerIdsGoBack {
        /// The next id of the image.
        from: i64,
        /// The next id in the record.
        to: i64,
    },
}

static NO_CONFIGS: Configs = Configs::new();

impl MetadataImage {
    /// The cluster's identity; `None` before the first start is complete.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// All brokers, by number.
    pub fn brokers(&self) -> impl Iterator<Item = &BrokerImage> {
        self.brokers.values()
    }

    /// One broker.
    pub fn broker(&self, id: BrokerId) -> Option<&BrokerImage> {
        self.brokers.get(&id)
    }

    /// Whether a broker of that number left for ever.
    pub fn is_removed(&self, id: BrokerId) -> bool {
        self.removed_brokers.contains(&id)
    }

    /// The highest number that a broker ever had or was given, if there was any.
    pub fn last_broker_id(&self) -> Option<BrokerId> {
        let there = self.brokers.last().map(|(id, _)| *id);
        let removed = self.removed_brokers.last().copied();
        there.max(removed).max(self.last_broker_number)
    }

    /// The level of a feature that all brokers may use; `None` if it is none.
    pub fn feature(&self, name: &str) -> Option<u16> {
        self.features.get(name).copied()
    }

    /// All features that all brokers may use, with their levels.
    pub fn features(&self) -> impl Iterator<Item = (&str, u16)> {
        self.features
            .iter()
            .map(|(name, level)| (name.as_str(), *level))
    }

    /// How many brokers there are.
    pub fn broker_count(&self) -> usize {
        self.brokers.size()
    }

    /// All topics, sorted by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    /// All topics from `name` on, sorted by name: one page of a listing after another.
    pub fn topics_from(&self, name: &str) -> impl Iterator<Item = &Arc<TopicImage>> {
        let from = (Bound::Included(name), Bound::Unbounded);
        self.topics.range::<str, _>(from).map(|(_, topic)| topic)
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.size()
    }

    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    /// The topic of that identity.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.names.get(&id)?)
    }

    /// An existing topic whose name differs from `name` in `.` and `_` only (or not at all).
    pub fn look_alike(&self, name: &str) -> Option<&TopicName> {
        let alike = self.look_alikes.get(&unified(name)?)?;
        alike.first()
    }

    /// What was set for a resource while the cluster ran; empty if nothing was.
    pub fn configs(&self, kind: ResourceKind, name: &str) -> &Configs {
        // A tree of owned keys is asked with an owned key: configuration is read seldom.
        let resource = ConfigResource {
            kind,
            name: name.to_owned(),
        };
        self.configs
            .get(&resource)
            .map_or(&NO_CONFIGS, |configs| configs)
    }

    /// The resources of a kind for which something was set, sorted by name.
    pub fn configured(&self, kind: ResourceKind) -> impl Iterator<Item = &str> {
        let of_kind = move |resource: &&ConfigResource| resource.kind == kind;
        self.configs
            .keys()
            .filter(of_kind)
            .map(|resource| resource.name.as_str())
    }

    /// What clients may ask for.
    pub fn client_quotas(&self) -> &ClientQuotas {
        &self.client_quotas
    }

    /// The first producer id that no broker was given yet.
    pub fn next_producer_id(&self) -> ProducerId {
        ProducerId(self.next_producer_id)
    }

    /// Applies one change.
    ///
    /// # Errors
    /// If the record does not fit; the image is as before. The controller never makes such a
    /// record, so this is a damaged or foreign metadata log.
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), OutOfPlace> {
        match record {
            MetadataRecord::Cluster { id } => self.cluster_id = Some(id.as_str().into()),
            MetadataRecord::RegisterBroker {
                id,
                incarnation,
                disks,
                peer,
                rack,
                listeners,
                version,
            } => {
                if self.is_removed(*id) {
                    return Err(OutOfPlace::RemovedBroker(*id));
                }
                let broker = BrokerImage {
                    id: *id,
                    incarnation: *incarnation,
                    disks: disks.clone(),
                    peer: peer.clone(),
                    rack: rack.clone(),
                    listeners: listeners.clone(),
                    version: *version,
                };
                self.brokers.insert_mut(*id, broker);
            }
            MetadataRecord::UnregisterBroker { id } => return self.remove_broker(*id),
            MetadataRecord::BrokerNumber { id } => {
                self.last_broker_number = self.last_broker_number.max(Some(*id));
            }
            MetadataRecord::Topic { name, id } => return self.add_topic(name, *id),
            MetadataRecord::Partition {
                topic,
                index,
                replicas,
                adding,
                removing,
                last_replica_id,
                unclean_election,
            } => {
                let partition = PartitionImage {
                    replicas: replicas.clone(),
                    adding: adding.clone(),
                    removing: removing.clone(),
                    last_replica_id: *last_replica_id,
                    unclean_election: *unclean_election,
                };
                return self.set_partition(*topic, *index, partition);
            }
            MetadataRecord::RemoveTopic { id } => return self.remove_topic(*id),
            MetadataRecord::Config {
                resource,
                key,
                value,
            } => {
                self.set_config(resource, key, value.as_deref());
            }
            MetadataRecord::ClientQuota { entity, key, limit } => {
                self.client_quotas.set(entity, *key, *limit);
            }
            MetadataRecord::ProducerIds { next } => {
                let (from, to) = (self.next_producer_id, next.0);
                if to < from {
                    return Err(OutOfPlace::ProducerIdsGoBack { from, to });
                }
                self.next_producer_id = to;
            }
            MetadataRecord::Feature { name, level: 0 } => drop(self.features.remove_mut(name)),
            MetadataRecord::Feature { name, level } => {
                self.features.insert_mut(name.clone(), *level);
            }
        }
        Ok(())
    }

    /// Its replicas stay listed, as in Kafka, until partitions are reassigned.
    fn remove_broker(&mut self, id: BrokerId) -> Result<(), OutOfPlace> {
        if !self.brokers.remove_mut(&id) {
            return Err(OutOfPlace::NoBroker(id));
        }
        self.removed_brokers.insert_mut(id);
        let resource = ConfigResource::new(ResourceKind::Broker, id.0.to_string());
        self.configs.remove_mut(&resource);
        Ok(())
    }

    fn add_topic(&mut self, name: &TopicName, id: TopicId) -> Result<(), OutOfPlace> {
        if self.topics.contains_key(name) || self.names.contains_key(&id) || id.is_zero() {
            return Err(OutOfPlace::TopicExists {
                name: name.clone(),
                id,
            });
        }
        let topic = TopicImage {
            name: name.clone(),
            id,
            partitions: Vec::new(),
        };
        self.topics.insert_mut(name.clone(), Arc::new(topic));
        self.names.insert_mut(id, name.clone());
        if let Some(unified) = unified(name.as_str()) {
            let mut alike = self.look_alikes.get(&unified).cloned().unwrap_or_default();
            alike.insert(name.clone());
            self.look_alikes.insert_mut(unified, alike);
        }
        Ok(())
    }

    fn set_partition(
        &mut self,
        id: TopicId,
        index: PartitionIndex,
        partition: PartitionImage,
    ) -> Result<(), OutOfPlace> {
        let name = self.names.get(&id).ok_or(OutOfPlace::NoTopic(id))?;
        let topic = self.topics.get_mut(name).ok_or(OutOfPlace::NoTopic(id))?;
        let position = usize::try_from(index.0).ok();
        match position.filter(|position| *position <= topic.partitions.len()) {
            Some(position) if position < topic.partitions.len() => {
                if !partition.follows(&topic.partitions[position]) {
                    let (topic, partition) = (topic.name.clone(), index.0);
                    return Err(OutOfPlace::ReplicaIdsAgain { topic, partition });
                }
                Arc::make_mut(topic).partitions[position] = partition;
            }
            Some(_) => Arc::make_mut(topic).partitions.push(partition),
            None => {
                let (topic, partition) = (topic.name.clone(), index.0);
                return Err(OutOfPlace::Gap { topic, partition });
            }
        }
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), OutOfPlace> {
        let name = self
            .names
            .get(&id)
            .cloned()
            .ok_or(OutOfPlace::NoTopic(id))?;
        self.names.remove_mut(&id);
        self.topics.remove_mut(&name);
        let kind = ResourceKind::Topic;
        self.configs.remove_mut(&ConfigResource {
            kind,
            name: name.as_str().to_owned(),
        });
        if let Some(unified) = unified(name.as_str()) {
            let mut alike = self.look_alikes.get(&unified).cloned().unwrap_or_default();
            alike.remove(&name);
            if alike.is_empty() {
                self.look_alikes.remove_mut(&unified);
            } else {
                self.look_alikes.insert_mut(unified, alike);
            }
        }
        Ok(())
    }

    fn set_config(&mut self, resource: &ConfigResource, key: &str, value: Option<&str>) {
        let mut configs = self
            .configs
            .get(resource)
            .map(|c| (**c).clone())
            .unwrap_or_default();
        match value {
            Some(value) => drop(configs.insert(key.to_owned(), value.to_owned())),
            None => drop(configs.remove(key)),
        }
        if configs.is_empty() {
            self.configs.remove_mut(resource);
        } else {
            self.configs.insert_mut(resource.clone(), Arc::new(configs));
        }
    }
}

impl TopicImage {
    /// The numbers of its partitions.
    pub fn partition_indexes(&self) -> impl Iterator<Item = PartitionIndex> + use<> {
        let count = i32::try_from(self.partitions.len()).expect("a partition's number is an i32");
        (0..count).map(PartitionIndex)
    }

    /// One partition.
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    /// How many replicas its first partition has, or shall have: what Kafka calls the topic's
    /// replication factor.
    pub fn replication_factor(&self) -> usize {
        self.partitions
            .first()
            .map_or(0, |partition| partition.target().count())
    }
}

impl ConfigResource {
    /// Pairs the two.
    pub fn new(kind: ResourceKind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl ResourceKind {
    /// The kind Kafka sends as this number; `None` for those Klamm has not.
    pub fn from_wire(code: i8) -> Option<Self> {
        match code {
            2 => Some(Self::Topic),
            4 => Some(Self::Broker),
            32 => Some(Self::Group),
            _ => None,
        }
    }
}

/// `name` with all `.` made `_`, if it has either (`Topic.unifyCollisionChars`).
fn unified(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}
