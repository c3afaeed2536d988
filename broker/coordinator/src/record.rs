//! What is written to `__consumer_offsets`, byte for byte as Kafka 4.4 writes it.
//!
//! A key begins with two bytes that say what it is about: 0 and 1 an offset
//! (`LegacyOffsetCommitKey`, `OffsetCommitKey`), 2 a classic group (`GroupMetadataKey`). Higher
//! numbers belong to newer kinds of groups and are skipped. A value begins with two bytes of
//! version; versions 4 are the flexible ones.
//!
//! Written: offsets as version 4, or 1 where the client asked for a retention time; groups as
//! version 3. Read: versions 0 to 4 of both.

mod group_metadata;
mod offset_commit;
mod wire;

use bytes::Bytes;

pub use group_metadata::{GroupMetadata, MemberMetadata};
pub use offset_commit::CommittedOffset;
pub use wire::STRING_LENGTH_MAX;

use crate::LogRecord;
use wire::{Reader, Writer};

/// A record that cannot be read. The log holds what this broker or Kafka wrote, so it is damaged
/// or from a later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It ends early, or says so.
    #[error("record of the offsets topic is cut short")]
    Truncated,
    /// A text is not UTF-8, a length is negative.
    #[error("record of the offsets topic is malformed")]
    Malformed,
    /// A version of the value that Kafka 4.4 does not know.
    #[error("record of the offsets topic has an unknown version version={0}")]
    UnknownVersion(i16),
    /// No key: nothing of Kafka's writes such a record.
    #[error("record of the offsets topic has no key")]
    NoKey,
}

/// A record, read. `None` as value: deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An offset that was committed.
    Offset {
        /// By which group.
        group_id: String,
        /// Of which topic.
        topic: String,
        /// Of which of its partitions.
        partition: i32,
        /// What was committed.
        value: Option<CommittedOffset>,
    },
    /// A classic group's generation.
    Group {
        /// Which group.
        group_id: String,
        /// The generation.
        value: Option<GroupMetadata>,
    },
    /// About something this broker does not serve.
    Unknown,
}

impl Record {
    /// Reads a record.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, RecordError> {
        let mut reader = Reader::new(key);
        match reader.i16()? {
            OFFSET_KEY_LEGACY | OFFSET_KEY => {
                let group_id = reader.string()?;
                let topic = reader.string()?;
                let partition = reader.i32()?;
                let value = value.map(CommittedOffset::decode).transpose()?;
                Ok(Self::Offset {
                    group_id,
                    topic,
                    partition,
                    value,
                })
            }
            GROUP_KEY => {
                let group_id = reader.string()?;
                let value = value.map(GroupMetadata::decode).transpose()?;
                Ok(Self::Group { group_id, value })
            }
            _ => Ok(Self::Unknown),
        }
    }
}

const OFFSET_KEY_LEGACY: i16 = 0;
const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;

/// The record that stores an offset; `None` deletes it.
///
/// Panics if a text exceeds [`STRING_LENGTH_MAX`].
pub fn offset_record(
    group_id: &str,
    topic: &str,
    partition: i32,
    value: Option<&CommittedOffset>,
) -> LogRecord {
    let mut key = Writer::new(OFFSET_KEY);
    key.string(group_id);
    key.string(topic);
    key.i32(partition);
    LogRecord {
        key: key.finish(),
        value: value.map(CommittedOffset::encode),
    }
}

/// The record that stores a group; `None` deletes it.
///
/// Panics if a text exceeds [`STRING_LENGTH_MAX`].
pub fn group_record(group_id: &str, value: Option<&GroupMetadata>) -> LogRecord {
    let mut key = Writer::new(GROUP_KEY);
    key.string(group_id);
    LogRecord {
        key: key.finish(),
        value: value.map(GroupMetadata::encode),
    }
}

/// A copy that does not keep the buffer alive from which `bytes` was cut: members and
/// assignments outlive their request by days.
pub(crate) fn detached(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

#[cfg(test)]
mod tests;
