//! `OffsetCommitValue`: what a group has committed for a partition.

use bytes::Bytes;
use klamm_model::{Timestamp, TopicId};

use super::RecordError;
use super::wire::{Reader, Writer};

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read; any number, as the client sent it.
    pub offset: i64,
    /// The leader epoch of the last record read; -1 if not known. Lost in versions below 3.
    pub leader_epoch: i32,
    /// Free text of the client's.
    pub metadata: String,
    /// When it was committed.
    pub commit_timestamp: Timestamp,
    /// When it is to be forgotten, if the client said so; else the group's fate decides.
    pub expire_timestamp: Option<Timestamp>,
    /// Which topic of that name; zero if not known. Only version 4 has it.
    pub topic_id: TopicId,
}

impl CommittedOffset {
    pub(super) fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(value);
        let version = reader.i16()?;
        if !(0..=4).contains(&version) {
            return Err(RecordError::UnknownVersion(version));
        }
        let offset = reader.i64()?;
        let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
        let metadata = if version >= 4 {
            reader.compact_string()?
        } else {
            reader.string()?
        };
        let commit_timestamp = Timestamp(reader.i64()?);
        let expire_timestamp = if version == 1 {
            reader.i64()?
        } else {
            NO_EXPIRY
        };
        let mut topic_id = TopicId::ZERO;
        if version >= 4 {
            reader.tagged_fields(|tag, bytes| {
                if tag == TOPIC_ID_TAG {
                    let bytes = bytes.try_into().map_err(|_| RecordError::Malformed)?;
                    topic_id = TopicId::from_bytes(bytes);
                }
                Ok(())
            })?;
        }
        Ok(Self {
            offset,
            leader_epoch,
            metadata,
            commit_timestamp,
            expire_timestamp: (expire_timestamp != NO_EXPIRY)
                .then_some(Timestamp(expire_timestamp)),
            topic_id,
        })
    }

    /// As Kafka chooses (`GroupCoordinatorRecordHelpers.offsetCommitValueVersion`): version 1
    /// alone has an expiry, version 4 has everything else.
    pub(super) fn encode(&self) -> Bytes {
        match self.expire_timestamp {
            Some(expire_timestamp) => {
                let mut writer = Writer::new(1);
                writer.i64(self.offset);
                writer.string(&self.metadata);
                writer.i64(self.commit_timestamp.millis());
                writer.i64(expire_timestamp.millis());
                writer.finish()
            }
            None => {
                let mut writer = Writer::new(4);
                writer.i64(self.offset);
                writer.i32(self.leader_epoch);
                writer.compact_string(&self.metadata);
                writer.i64(self.commit_timestamp.millis());
                if self.topic_id.is_zero() {
                    writer.no_tagged_fields();
                } else {
                    writer.one_tagged_uuid(self.topic_id);
                }
                writer.finish()
            }
        }
    }
}

const NO_EXPIRY: i64 = -1;
const TOPIC_ID_TAG: u32 = 0;
