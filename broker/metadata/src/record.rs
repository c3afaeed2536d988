//! One change of the cluster's metadata, and its bytes.
//!
//! ```text
//! record   version u8 (1), kind u8, body
//! kinds    1 cluster        id text
//!          2 broker         id i32, rack text?, count, count x (name text, host text, port u16)
//!          3 topic          name text, id 16 bytes
//!          4 partition      topic id 16 bytes, index i32, count, count x i32
//!          5 remove topic   id 16 bytes
//!          6 config         resource kind u8, resource name text, key text, value text?
//!          7 producer ids   next i64
//!          8 client quota   user name?, client-id name?, key u8, limit f64?
//! ```
//! Counts and lengths are LEB128 (at most 5 bytes); other numbers have fixed width and are
//! big-endian; a text is its length and UTF-8; an optional one (`?`) its length plus one, 0 being
//! none. A name of a quota's entity begins with a byte: 0 none, 1 the default, 2 a text that follows;
//! an optional limit with 0 or 1. Nothing may follow. A new kind is a new number; a changed body is a new version.

use klamm_model::{BrokerId, PartitionIndex, ProducerId, TopicId, TopicName};

use crate::client_quota::{EntityName, QuotaEntity, QuotaKey, QuotaLimit};
use crate::image::{ConfigResource, ResourceKind};

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
        /// Where it stands.
        rack: Option<String>,
        /// Where clients reach it.
        listeners: Vec<ListenerAddress>,
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
        /// Who holds it, preferred leader first.
        replicas: Vec<BrokerId>,
    },
    /// A topic was deleted, with its partitions and settings.
    RemoveTopic {
        /// Its identity.
        id: TopicId,
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
const REGISTER_BROKER: u8 = 2;
const TOPIC: u8 = 3;
const PARTITION: u8 = 4;
const REMOVE_TOPIC: u8 = 5;
const CONFIG: u8 = 6;
const PRODUCER_IDS: u8 = 7;
const CLIENT_QUOTA: u8 = 8;

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
                rack,
                listeners,
            } => {
                out.push(REGISTER_BROKER);
                out.extend(id.0.to_be_bytes());
                put_optional(&mut out, rack.as_deref());
                put_count(&mut out, listeners.len());
                for listener in listeners {
                    put_text(&mut out, &listener.name);
                    put_text(&mut out, &listener.host);
                    out.extend(listener.port.to_be_bytes());
                }
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
            } => {
                out.push(PARTITION);
                out.extend(topic.as_bytes());
                out.extend(index.0.to_be_bytes());
                put_count(&mut out, replicas.len());
                out.extend(replicas.iter().flat_map(|replica| replica.0.to_be_bytes()));
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
        }
        out
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
    use super::*;

    fn examples() -> Vec<MetadataRecord> {
        let topic = TopicId::from_bytes([7; 16]);
        vec![
            MetadataRecord::Cluster {
                id: "AAAAAAAAAAAAAAAAAAAAAQ".into(),
            },
            MetadataRecord::RegisterBroker {
                id: BrokerId(1),
                rack: Some(String::new()),
                listeners: vec![ListenerAddress {
                    name: "PLAINTEXT".into(),
                    host: "localhost".into(),
                    port: 9092,
                }],
            },
            MetadataRecord::RegisterBroker {
                id: BrokerId(0),
                rack: None,
                listeners: vec![],
            },
            MetadataRecord::Topic {
                name: TopicName::new("orders").unwrap(),
                id: topic,
            },
            MetadataRecord::Partition {
                topic,
                index: PartitionIndex(3),
                replicas: vec![BrokerId(1), BrokerId(2)],
            },
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
        let record = MetadataRecord::Partition {
            topic: TopicId::from_bytes([7; 16]),
            index: PartitionIndex(1),
            replicas: vec![BrokerId(1)],
        };
        let mut expected = vec![1, 4];
        expected.extend([7; 16]);
        expected.extend([0, 0, 0, 1, 1, 0, 0, 0, 1]);
        assert_eq!(record.encode(), expected);
    }
}
