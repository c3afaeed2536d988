//! One change of the cluster's metadata, and its bytes.
//!
//! ```text
//! record   version u8 (1), kind u8, body
//! kinds    1 cluster        id text
//!          2 broker         id i32, rack text?, listeners: read only, 9 is written
//!          3 topic          name text, id 16 bytes
//!          4 partition      topic id 16 bytes, index i32, count, count x i32: read only, 10 is written
//!          5 remove topic   id 16 bytes
//!          6 config         resource kind u8, resource name text, key text, value text?
//!          7 producer ids   next i64
//!          8 client quota   user name?, client-id name?, key u8, limit f64?
//!          9 broker         id i32, incarnation 16 bytes, disks: count, count x 16 bytes,
//!                           peer: u8 (0 none, 1: host text, port u16), rack text?, listeners,
//!                           version u16
//!         10 partition      topic id 16 bytes, index i32, replicas: count, count x (i32, id u64),
//!                           adding: count, count x i32, removing: count, count x i32, last id u64
//!         11 remove broker  id i32
//!         12 feature        name text, level u16
//!         13 broker number  id i32
//!         14 partition      as 10, then the last unclean election: number u64, survivor u64, term u64, index u64,
//!                           offset i64, leader epoch i32
//! listeners                 count, count x (name text, host text, port u16)
//! ```
//! Counts and lengths are LEB128 (at most 5 bytes); other numbers have fixed width and are
//! big-endian; a text is its length and UTF-8; an optional one (`?`) its length plus one, 0 being
//! none. A name of a quota's entity begins with a byte: 0 none, 1 the default, 2 a text that follows;
//! an optional limit with 0 or 1. An incarnation of zeros is none. Nothing may follow. A new kind is a
//! new number, and so is a changed body: the old kind is read for ever, since it lies on disks.
//!
//! Kind 14 is written of partitions that have been through an unclean election, 10 of all others. A broker of kind 2 has no incarnation, disks or peer; the replicas of kind 4 are numbered from 1.

use klamm_model::{BrokerId, PartitionIndex, ProducerId, TopicId, TopicName};

use crate::client_quota::{EntityName, QuotaEntity, QuotaKey, QuotaLimit};
use crate::image::{ConfigResource, PartitionImage, ReplicaImage, ResourceKind, UncleanElection};

mod decode;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataRecord {
    /// The cluster got its identity: once, at the first start.
    Cluster {
        /// 22 characters, as Kafka prints uuids.
        id: String,
    },
    /// A broker started, or changed its address.
    RegisterBroker {
        /// Its number.
        id: BrokerId,
        /// Another one at each start. Uuids of all kinds have the type of a topic's.
        incarnation: Option<TopicId>,
        /// Its log directories (`directory.id`), sorted.
        disks: Vec<TopicId>,
        /// Where other brokers reach it.
        peer: Option<PeerAddress>,
        /// Where it stands.
        rack: Option<String>,
        /// Where clients reach it.
        listeners: Vec<ListenerAddress>,
        /// The highest level of [`KLAMM_VERSION`](crate::image::KLAMM_VERSION) that it understands.
        version: u16,
    },
    /// A broker left for ever: its number is not given out again.
    UnregisterBroker {
        /// Its number.
        id: BrokerId,
    },
    /// A topic was created; its partitions follow.
    Topic {
        /// Its name.
        name: TopicName,
        /// Its identity.
        id: TopicId,
    },
    /// A partition was created or got other replicas.
    Partition {
        /// Its topic.
        topic: TopicId,
        /// Its number: of those not yet there, the lowest comes first.
        index: PartitionIndex,
        /// Who holds it, preferred leader first; while it is reassigned, whoever held it before
        /// comes last.
        replicas: Vec<ReplicaImage>,
        /// Who shall hold it and did not before the reassignment under way.
        adding: Vec<BrokerId>,
        /// Who shall not hold it once the reassignment is complete.
        removing: Vec<BrokerId>,
        /// The highest replica id ever given out in this partition.
        last_replica_id: u64,
        /// The last unclean election, if there was one.
        unclean_election: Option<UncleanElection>,
    },
    /// A topic was deleted, with its partitions and settings.
    RemoveTopic {
        /// Its identity.
        id: TopicId,
    },
    /// A broker was given a number, and has not registered under it yet.
    BrokerNumber {
        /// The highest that was given to any.
        id: BrokerId,
    },
    /// A setting was given or taken back.
    Config {
        /// Of what.
        resource: ConfigResource,
        /// The setting.
        key: String,
        /// Its value; `None` takes it back.
        value: Option<String>,
    },
    /// A block of producer ids was given to a broker.
    ProducerIds {
        /// The first id after the block.
        next: ProducerId,
    },
    /// A limit of clients was given or taken back.
    ClientQuota {
        /// For whom.
        entity: QuotaEntity,
        /// Which.
        key: QuotaKey,
        /// How high; `None` takes it back.
        limit: Option<QuotaLimit>,
    },
    /// All brokers may use what a level of a feature brings.
    Feature {
        /// Which.
        name: String,
        /// Its level; 0 takes it back.
        level: u16,
    },
}

/// Where other brokers reach a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// A host name or an address.
    pub host: String,
    /// A TCP port.
    pub port: u16,
}

/// Where clients reach a broker under one of its listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerAddress {
    /// The listener's name, such as `PLAINTEXT`.
    pub name: String,
    /// A host name or an address.
    pub host: String,
    /// A TCP port.
    pub port: u16,
}

/// Bytes that are no record of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorruptRecord {
    /// Written by a newer Klamm.
    #[error("unknown version of a metadata record version={0}")]
    UnknownVersion(u8),
    /// Written by a newer Klamm, or damaged.
    #[error("unknown kind of metadata record kind={0}")]
    UnknownKind(u8),
    /// The bytes end too soon.
    #[error("a metadata record ends too soon position={0}")]
    TooShort(usize),
    /// More bytes than the record has.
    #[error("bytes follow a metadata record count={0}")]
    Trailing(usize),
    /// A field holds what it cannot hold.
    #[error("a field of a metadata record is invalid field={field} position={position}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// After how many bytes it ends.
        position: usize,
    },
}

const VERSION: u8 = 1;
const CLUSTER: u8 = 1;
/// Without incarnation, disks and peer.
const REGISTER_BROKER_ALONE: u8 = 2;
const TOPIC: u8 = 3;
/// Without replica ids.
const PARTITION_OF_BROKERS: u8 = 4;
const REMOVE_TOPIC: u8 = 5;
const CONFIG: u8 = 6;
const PRODUCER_IDS: u8 = 7;
const CLIENT_QUOTA: u8 = 8;
const REGISTER_BROKER: u8 = 9;
const PARTITION: u8 = 10;
const UNREGISTER_BROKER: u8 = 11;
const FEATURE: u8 = 12;
const BROKER_NUMBER: u8 = 13;
const PARTITION_AFTER_UNCLEAN_ELECTION: u8 = 14;

const NO_NAME: u8 = 0;
const DEFAULT_NAME: u8 = 1;
const NAMED: u8 = 2;

impl MetadataRecord {
    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::Cluster { id } => {
                out.push(CLUSTER);
                put_text(&mut out, id);
            }
            Self::RegisterBroker {
                id,
                incarnation,
                disks,
                peer,
                rack,
                listeners,
                version,
            } => {
                out.push(REGISTER_BROKER);
                out.extend(id.0.to_be_bytes());
                out.extend(incarnation.unwrap_or(TopicId::ZERO).as_bytes());
                put_count(&mut out, disks.len());
                disks.iter().for_each(|disk| out.extend(disk.as_bytes()));
                out.push(u8::from(peer.is_some()));
                if let Some(peer) = peer {
                    put_text(&mut out, &peer.host);
                    out.extend(peer.port.to_be_bytes());
                }
                put_optional(&mut out, rack.as_deref());
                put_listeners(&mut out, listeners);
                out.extend(version.to_be_bytes());
            }
            Self::UnregisterBroker { id } => {
                out.push(UNREGISTER_BROKER);
                out.extend(id.0.to_be_bytes());
            }
            Self::BrokerNumber { id } => {
                out.push(BROKER_NUMBER);
                out.extend(id.0.to_be_bytes());
            }
            Self::Topic { name, id } => {
                out.push(TOPIC);
                put_text(&mut out, name.as_str());
                out.extend(id.as_bytes());
            }
            Self::Partition {
                topic,
                index,
                replicas,
                adding,
                removing,
                last_replica_id,
                unclean_election,
            } => {
                out.push(match unclean_election {
                    None => PARTITION,
                    Some(_) => PARTITION_AFTER_UNCLEAN_ELECTION,
                });
                out.extend(topic.as_bytes());
                out.extend(index.0.to_be_bytes());
                put_count(&mut out, replicas.len());
                for replica in replicas {
                    out.extend(replica.broker.0.to_be_bytes());
                    out.extend(replica.id.to_be_bytes());
                }
                put_brokers(&mut out, adding);
                put_brokers(&mut out, removing);
                out.extend(last_replica_id.to_be_bytes());
                if let Some(election) = unclean_election {
                    put_unclean_election(&mut out, election);
                }
            }
            Self::RemoveTopic { id } => {
                out.push(REMOVE_TOPIC);
                out.extend(id.as_bytes());
            }
            Self::Config {
                resource,
                key,
                value,
            } => {
                out.push(CONFIG);
                out.push(wire_code(resource.kind));
                put_text(&mut out, &resource.name);
                put_text(&mut out, key);
                put_optional(&mut out, value.as_deref());
            }
            Self::ProducerIds { next } => {
                out.push(PRODUCER_IDS);
                out.extend(next.0.to_be_bytes());
            }
            Self::ClientQuota { entity, key, limit } => {
                out.push(CLIENT_QUOTA);
                put_name(&mut out, entity.user.as_ref());
                put_name(&mut out, entity.client_id.as_ref());
                out.push(*key as u8);
                out.push(u8::from(limit.is_some()));
                out.extend(limit.iter().flat_map(|limit| limit.get().to_be_bytes()));
            }
            Self::Feature { name, level } => {
                out.push(FEATURE);
                put_text(&mut out, name);
                out.extend(level.to_be_bytes());
            }
        }
        out
    }

    /// The record after which a partition is as `image` says.
    pub fn partition(topic: TopicId, index: PartitionIndex, image: PartitionImage) -> Self {
        Self::Partition {
            topic,
            index,
            replicas: image.replicas,
            adding: image.adding,
            removing: image.removing,
            last_replica_id: image.last_replica_id,
            unclean_election: image.unclean_election,
        }
    }
}

fn wire_code(kind: ResourceKind) -> u8 {
    match kind {
        ResourceKind::Topic => 2,
        ResourceKind::Broker => 4,
        ResourceKind::Group => 32,
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    put_number(
        out,
        u32::try_from(count).expect("texts and lists of requests are far below 4 GiB"),
    );
}

fn put_number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend(text.as_bytes());
}

fn put_brokers(out: &mut Vec<u8>, brokers: &[BrokerId]) {
    put_count(out, brokers.len());
    out.extend(brokers.iter().flat_map(|broker| broker.0.to_be_bytes()));
}

fn put_unclean_election(out: &mut Vec<u8>, election: &UncleanElection) {
    out.extend(election.number.to_be_bytes());
    out.extend(election.survivor.to_be_bytes());
    out.extend(election.log_end.term.get().to_be_bytes());
    out.extend(election.log_end.index.0.to_be_bytes());
    out.extend(election.log_end.offset.get().to_be_bytes());
    out.extend(election.leader_epoch.0.to_be_bytes());
}

fn put_listeners(out: &mut Vec<u8>, listeners: &[ListenerAddress]) {
    put_count(out, listeners.len());
    for listener in listeners {
        put_text(out, &listener.name);
        put_text(out, &listener.host);
        out.extend(listener.port.to_be_bytes());
    }
}

fn put_name(out: &mut Vec<u8>, name: Option<&EntityName>) {
    match name {
        None => out.push(NO_NAME),
        Some(EntityName::Default) => out.push(DEFAULT_NAME),
        Some(EntityName::Named(name)) => {
            out.push(NAMED);
            put_text(out, name);
        }
    }
}

fn put_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => put_count(out, 0),
        Some(text) => {
            put_count(out, text.len() + 1);
            out.extend(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use klamm_model::{LeaderEpoch, LogIndex, Offset, Term};

    use super::*;
    use crate::image::LogEnd;

    fn listener() -> ListenerAddress {
        ListenerAddress {
            name: "PLAINTEXT".into(),
            host: "localhost".into(),
            port: 9092,
        }
    }

    /// From brokers 1 and 2 to 3 and 1, where another replica of 3 has been before.
    fn moving(topic: TopicId) -> MetadataRecord {
        let replica = |broker, id| ReplicaImage {
            broker: BrokerId(broker),
            id,
        };
        MetadataRecord::Partition {
            topic,
            index: PartitionIndex(0),
            replicas: vec![replica(3, 4), replica(1, 1), replica(2, 2)],
            adding: vec![BrokerId(3)],
            removing: vec![BrokerId(2)],
            last_replica_id: 4,
            unclean_election: None,
        }
    }

    /// Of brokers 1 and 2, after the second was told to go on alone.
    fn gone_on_alone(topic: TopicId) -> MetadataRecord {
        let before = PartitionImage::of_brokers([BrokerId(1), BrokerId(2)]);
        let log_end = LogEnd {
            term: Term::new(5),
            index: LogIndex(258),
            offset: Offset::new(257),
        };
        let after = before.after_unclean_election(2, log_end, LeaderEpoch(1_005));
        MetadataRecord::partition(topic, PartitionIndex(3), after)
    }

    fn examples() -> Vec<MetadataRecord> {
        let topic = TopicId::from_bytes([7; 16]);
        vec![
            MetadataRecord::Cluster {
                id: "AAAAAAAAAAAAAAAAAAAAAQ".into(),
            },
            MetadataRecord::RegisterBroker {
                id: BrokerId(1),
                incarnation: Some(TopicId::from_bytes([8; 16])),
                disks: vec![TopicId::from_bytes([1; 16]), TopicId::from_bytes([2; 16])],
                peer: Some(PeerAddress {
                    host: "b1".into(),
                    port: 9093,
                }),
                rack: Some(String::new()),
                listeners: vec![listener()],
                version: 1,
            },
            MetadataRecord::RegisterBroker {
                id: BrokerId(0),
                incarnation: None,
                disks: vec![],
                peer: None,
                rack: None,
                listeners: vec![],
                version: 0,
            },
            MetadataRecord::UnregisterBroker { id: BrokerId(7) },
            MetadataRecord::BrokerNumber { id: BrokerId(8) },
            MetadataRecord::Feature {
                name: "klamm.version".into(),
                level: 1,
            },
            MetadataRecord::Topic {
                name: TopicName::new("orders").unwrap(),
                id: topic,
            },
            MetadataRecord::partition(
                topic,
                PartitionIndex(3),
                PartitionImage::of_brokers([BrokerId(1), BrokerId(2)]),
            ),
            moving(topic),
            gone_on_alone(topic),
            MetadataRecord::RemoveTopic { id: topic },
            MetadataRecord::Config {
                resource: ConfigResource::new(ResourceKind::Topic, "orders"),
                key: "retention.ms".into(),
                value: Some("x".repeat(300)),
            },
            MetadataRecord::Config {
                resource: ConfigResource::new(ResourceKind::Broker, ""),
                key: "log.retention.ms".into(),
                value: None,
            },
            MetadataRecord::ProducerIds {
                next: ProducerId(1000),
            },
            MetadataRecord::ClientQuota {
                entity: QuotaEntity {
                    user: Some(EntityName::Named("alice".into())),
                    client_id: Some(EntityName::Default),
                },
                key: QuotaKey::RequestPercentage,
                limit: QuotaLimit::new(12.5),
            },
            MetadataRecord::ClientQuota {
                entity: QuotaEntity {
                    user: None,
                    client_id: Some(EntityName::Named("app".into())),
                },
                key: QuotaKey::ProducerByteRate,
                limit: None,
            },
        ]
    }

    #[test]
    fn every_record_reads_back_as_written() {
        for record in examples() {
            assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn a_record_cut_anywhere_or_followed_by_anything_is_refused() {
        for record in examples() {
            let mut bytes = record.encode();
            for end in 0..bytes.len() {
                assert!(
                    MetadataRecord::decode(&bytes[..end]).is_err(),
                    "{record:?} {end}"
                );
            }
            bytes.push(0);
            assert_eq!(
                MetadataRecord::decode(&bytes),
                Err(CorruptRecord::Trailing(1))
            );
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_as_another_record_never_worse() {
        for record in examples() {
            let bytes = record.encode();
            for position in 0..bytes.len() {
                for bit in 0..8 {
                    let mut damaged = bytes.clone();
                    damaged[position] ^= 1 << bit;
                    if let Ok(other) = MetadataRecord::decode(&damaged) {
                        assert_ne!(other, record, "two encodings of one record");
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_newer_klamm_wrote_is_named() {
        assert_eq!(
            MetadataRecord::decode(&[2, 1]),
            Err(CorruptRecord::UnknownVersion(2))
        );
        assert_eq!(
            MetadataRecord::decode(&[1, 99]),
            Err(CorruptRecord::UnknownKind(99))
        );
    }

    #[test]
    fn the_bytes_of_a_record_do_not_change_between_versions_of_klamm() {
        let mut expected = vec![1, 10];
        expected.extend([7; 16]);
        expected.extend([0, 0, 0, 0, 3]);
        expected.extend([0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4]);
        expected.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        expected.extend([0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2]);
        expected.extend([1, 0, 0, 0, 3, 1, 0, 0, 0, 2]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 4]);
        assert_eq!(moving(TopicId::from_bytes([7; 16])).encode(), expected);

        let mut expected = vec![1, 14];
        expected.extend([7; 16]);
        expected.extend([0, 0, 0, 3, 2]);
        expected.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3]);
        expected.extend([0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2]);
        expected.extend([0, 0]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 3]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 1]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 2]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 5]);
        expected.extend([0, 0, 0, 0, 0, 0, 1, 2]);
        expected.extend([0, 0, 0, 0, 0, 0, 1, 1]);
        expected.extend([0, 0, 3, 237]);
        assert_eq!(
            gone_on_alone(TopicId::from_bytes([7; 16])).encode(),
            expected
        );

        let record = MetadataRecord::RegisterBroker {
            id: BrokerId(1),
            incarnation: Some(TopicId::from_bytes([8; 16])),
            disks: vec![TopicId::from_bytes([2; 16])],
            peer: Some(PeerAddress {
                host: "p".into(),
                port: 258,
            }),
            rack: Some("a".into()),
            listeners: vec![],
            version: 1,
        };
        let mut expected = vec![1, 9, 0, 0, 0, 1];
        expected.extend([8; 16]);
        expected.push(1);
        expected.extend([2; 16]);
        expected.extend([1, 1, b'p', 1, 2, 2, b'a', 0, 0, 1]);
        assert_eq!(record.encode(), expected);

        let record = MetadataRecord::UnregisterBroker { id: BrokerId(7) };
        assert_eq!(record.encode(), [1, 11, 0, 0, 0, 7]);
        let (name, level) = ("f".to_owned(), 258);
        let record = MetadataRecord::Feature { name, level };
        assert_eq!(record.encode(), [1, 12, 1, b'f', 1, 2]);
    }

    #[test]
    fn what_lies_on_disks_since_there_was_one_broker_only_reads_as_it_was_meant() {
        let topic = TopicId::from_bytes([7; 16]);
        let mut bytes = vec![1, 4];
        bytes.extend([7; 16]);
        bytes.extend([0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 9]);
        let image = PartitionImage::of_brokers([BrokerId(1), BrokerId(9)]);
        assert_eq!((image.replicas[1].id, image.last_replica_id), (2, 2));
        let record = MetadataRecord::partition(topic, PartitionIndex(1), image);
        assert_eq!(MetadataRecord::decode(&bytes), Ok(record));

        let mut bytes = vec![1, 2, 0, 0, 0, 5, 2, b'a', 1, 9];
        bytes.extend(b"PLAINTEXT\x09localhost\x23\x84");
        let record = MetadataRecord::RegisterBroker {
            id: BrokerId(5),
            incarnation: None,
            disks: vec![],
            peer: None,
            rack: Some("a".into()),
            listeners: vec![listener()],
            version: 0,
        };
        assert_eq!(MetadataRecord::decode(&bytes), Ok(record));
    }

    #[test]
    fn a_partition_that_cannot_be_is_refused() {
        let topic = TopicId::from_bytes([7; 16]);
        let check = |spoil: fn(&mut PartitionImage)| {
            let mut image = PartitionImage::of_brokers([BrokerId(1), BrokerId(2), BrokerId(3)]);
            image.adding = vec![BrokerId(1)];
            image.removing = vec![BrokerId(3)];
            let sound = MetadataRecord::partition(topic, PartitionIndex(0), image.clone());
            assert_eq!(MetadataRecord::decode(&sound.encode()), Ok(sound));
            spoil(&mut image);
            let spoilt = MetadataRecord::partition(topic, PartitionIndex(0), image);
            let read = MetadataRecord::decode(&spoilt.encode());
            let is_refused = matches!(read, Err(CorruptRecord::Invalid { .. }));
            assert!(is_refused, "{spoilt:?}");
        };
        check(|image| image.replicas.clear());
        check(|image| image.replicas[0].id = 0);
        check(|image| image.replicas[0].id = 2);
        check(|image| image.replicas[0].broker = BrokerId(2));
        check(|image| image.last_replica_id = 2);
        check(|image| image.adding = vec![BrokerId(4)]);
        check(|image| image.adding = vec![BrokerId(1), BrokerId(1)]);
        check(|image| image.removing = vec![BrokerId(3), BrokerId(3)]);
        check(|image| {
            image.removing.clear();
            image.adding = image.broker_ids().collect();
        });
        check(|image| {
            image.adding.clear();
            image.removing = image.broker_ids().collect();
        });
        check(|image| image.removing = vec![BrokerId(4)]);
        check(|image| {
            let log_end = LogEnd {
                term: Term::ZERO,
                index: LogIndex::ZERO,
                offset: Offset::ZERO,
            };
            *image = image.after_unclean_election(9, log_end, LeaderEpoch(1));
        });
    }
}
