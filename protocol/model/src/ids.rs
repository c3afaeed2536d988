//! Who and what: brokers, topics, partitions, producers.

use std::fmt;
use std::sync::Arc;

/// A broker's number in the cluster; never negative, stable over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub i32);

/// A partition's number within its topic, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionIndex(pub i32);

/// The number under which an idempotent or transactional producer writes; -1 means "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub i64);

impl ProducerId {
    /// What a batch carries when its producer is not idempotent.
    pub const NONE: Self = Self(-1);
}

/// Fences older incarnations of the same [`ProducerId`]; -1 means "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(pub i16);

impl ProducerEpoch {
    /// What a batch carries when its producer is not idempotent.
    pub const NONE: Self = Self(-1);
}

/// A topic's identity: a new one when a topic of the same name is created again (KIP-516).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId([u8; 16]);

impl TopicId {
    /// "Not known": what a request carries that names its topic by name.
    pub const ZERO: Self = Self([0; 16]);

    /// Takes the 16 bytes of a uuid, most significant first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the uuid, most significant first.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether this is [`TopicId::ZERO`].
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Reads the 22 characters of [`Display`](fmt::Display); `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        const LENGTH: usize = 22;
        if text.len() != LENGTH {
            return None;
        }
        let mut bits: u128 = 0;
        for (position, character) in text.bytes().enumerate() {
            let sextet = BASE64_URL.iter().position(|&c| c == character)? as u128;
            if position == LENGTH - 1 {
                // 22 sextets hold 132 bits: the last 4 must be zero.
                if sextet & 0xf != 0 {
                    return None;
                }
                bits = (bits << 2) | (sextet >> 4);
            } else {
                bits = (bits << 6) | sextet;
            }
        }
        Some(Self(bits.to_be_bytes()))
    }
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// As Kafka prints uuids: base64 with the URL alphabet, no padding, 22 characters.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for shift in (0..21).map(|position| 122 - 6 * position) {
            let sextet = (bits >> shift) & 0x3f;
            write!(f, "{}", BASE64_URL[sextet as usize] as char)?;
        }
        write!(f, "{}", BASE64_URL[((bits << 4) & 0x3f) as usize] as char)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

/// A legal topic name: 1 to 249 of `[a-zA-Z0-9._-]`, not `.` and not `..`
/// (Kafka's `org.apache.kafka.common.internals.Topic`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// Why a text is not a topic name. The texts are Kafka's, since tools show them to people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    /// The empty text.
    #[error("the empty string is not allowed")]
    Empty,
    /// `.` or `..`, which would be directories.
    #[error("'{0}' is not allowed")]
    Dots(&'static str),
    /// More than [`TopicName::LENGTH_MAX`] bytes.
    #[error("the length of '{0}' is longer than the max allowed length 249")]
    TooLong(String),
    /// A character outside `[a-zA-Z0-9._-]`.
    #[error(
        "'{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    IllegalCharacter(String),
}

impl TopicName {
    /// The longest name in bytes: with `-` and a partition number it must fit a file name.
    pub const LENGTH_MAX: usize = 249;

    /// Checks `name` against Kafka's rules.
    pub fn new(name: &str) -> Result<Self, InvalidTopicName> {
        match name {
            "" => Err(InvalidTopicName::Empty),
            "." => Err(InvalidTopicName::Dots(".")),
            ".." => Err(InvalidTopicName::Dots("..")),
            _ if name.len() > Self::LENGTH_MAX => Err(InvalidTopicName::TooLong(name.to_owned())),
            _ if !name.bytes().all(Self::is_legal) => {
                Err(InvalidTopicName::IllegalCharacter(name.to_owned()))
            }
            _ => Ok(Self(name.into())),
        }
    }

    fn is_legal(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether clients should hide the topic: Kafka's own topics for offsets, transactions and
    /// share groups.
    pub fn is_internal(&self) -> bool {
        matches!(
            self.as_str(),
            "__consumer_offsets" | "__transaction_state" | "__share_group_state"
        )
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A partition of a topic; printed, and named on disk, as `topic-partition`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number within it.
    pub partition: PartitionIndex,
}

impl TopicPartition {
    /// Pairs the two.
    pub fn new(topic: TopicName, partition: PartitionIndex) -> Self {
        Self { topic, partition }
    }

    /// Reads `topic-partition` as [`Display`](fmt::Display) writes it; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (topic, partition) = text.rsplit_once('-')?;
        let index: i32 = partition.parse().ok().filter(|index| *index >= 0)?;
        if partition != index.to_string() {
            return None;
        }
        Some(Self::new(
            TopicName::new(topic).ok()?,
            PartitionIndex(index),
        ))
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_prints_as_kafka_prints_uuids_and_reads_back() {
        let id = TopicId::from_bytes([
            0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0x4d, 0xef, 0x81, 0x23, 0x45, 0x67, 0x89, 0xab,
            0xcd, 0xef,
        ]);
        assert_eq!(id.to_string(), "EjRWeJq8Te-BI0VniavN7w");
        assert_eq!(TopicId::parse("EjRWeJq8Te-BI0VniavN7w"), Some(id));
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        for bad in [
            "",
            "EjRWeJq8Te-BI0VniavN7",
            "EjRWeJq8Te-BI0VniavN7x",
            "EjRWeJq8Te+BI0VniavN7w",
        ] {
            assert_eq!(TopicId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_topic_name_is_checked_as_kafka_checks_it() {
        for good in ["a", "orders.v1_x-Y9", &"x".repeat(249)] {
            assert!(TopicName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(250)] {
            assert!(TopicName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_partition_directory_is_read_back_only_as_written() {
        let partition = TopicPartition::new(TopicName::new("a-b-7").unwrap(), PartitionIndex(3));
        assert_eq!(partition.to_string(), "a-b-7-3");
        assert_eq!(TopicPartition::parse("a-b-7-3"), Some(partition));
        for bad in ["a", "a-", "a-x", "-1", "a-01", "a-+1"] {
            assert_eq!(TopicPartition::parse(bad), None, "{bad}");
        }
    }
}
