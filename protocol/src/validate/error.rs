//! Why a produced batch is refused, in Kafka's codes and words.

use klamm_model::record_batch::{BatchError, RecordError};
use klamm_model::{Offset, Timestamp, TopicPartition};

use crate::ErrorCode;

/// Why the records of a partition are not appended. [`Display`](std::fmt::Display) gives the
/// sentence without the partition; [`message`](Self::message) what the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// No whole batch.
    #[error(
        "Produce requests with version {version} must have at least one record batch per partition"
    )]
    NoBatch {
        /// The request's version.
        version: i16,
    },
    /// More than one batch.
    #[error(
        "Produce requests with version {version} are only allowed to contain exactly one record \
         batch per partition"
    )]
    SeveralBatches {
        /// The request's version.
        version: i16,
    },
    /// A format before v2.
    #[error(
        "Produce requests with version {version} are only allowed to contain record batches with \
         magic version 2"
    )]
    OldFormat {
        /// The request's version.
        version: i16,
    },
    /// zstd from a client too old to know it (KIP-110).
    #[error("Produce requests with version {version} are not allowed to use ZStandard compression")]
    ZstdTooEarly {
        /// The request's version.
        version: i16,
    },
    /// Bytes that are no batch, or not those that were summed.
    #[error("Record is corrupt: {0}")]
    Corrupt(BatchError),
    /// Over `max.message.bytes`.
    #[error(
        "The record batch size is {size_bytes} bytes which exceeds the maximum configured value \
         of {max_bytes}"
    )]
    TooLarge {
        /// The batch, with its header.
        size_bytes: usize,
        /// `max.message.bytes`.
        max_bytes: usize,
    },
    /// A base offset that is not 0.
    #[error("The baseOffset of the record batch should be 0, but it is {0}")]
    BaseOffset(Offset),
    /// Offsets that no batch can have.
    #[error("Batch has an invalid offset range: {0}")]
    OffsetRange(BatchError),
    /// No record.
    #[error("Invalid reported count for record batch: {0}")]
    Count(i32),
    /// The offsets and the count disagree.
    #[error(
        "Inconsistent batch offset range [0, {last_offset_delta}] and count of records {count}"
    )]
    CountMismatch {
        /// As found.
        last_offset_delta: i32,
        /// As found.
        count: i32,
    },
    /// The control bit.
    #[error("Clients are not allowed to write control records")]
    Control,
    /// A producer id without a sequence number.
    #[error("Invalid sequence number {sequence} in record batch with producerId {producer_id}")]
    Sequence {
        /// As found.
        producer_id: i64,
        /// As found.
        sequence: i32,
    },
    /// A codec number that Kafka has not defined.
    #[error("Unknown compression type")]
    UnknownCodec,
    /// Records that do not inflate, or do not add up.
    #[error("Records cannot be read: {0}")]
    Records(RecordError),
    /// Offsets within the batch that do not count up from 0.
    #[error("Record {index} has the offset delta {offset_delta}")]
    OffsetDelta {
        /// Which record of the batch, from 0.
        index: i32,
        /// As found.
        offset_delta: i32,
    },
    /// The producer claims to be the broker's clock.
    #[error(
        "Invalid timestamp type in record batch. Producer should not set timestamp type to \
         LogAppendTime."
    )]
    TimestampType,
    /// Some records break a rule, and with them the batch.
    #[error("{}", summary(.0))]
    Faulty(Vec<RecordFault>),
}

/// What is wrong with one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFault {
    /// Which record of the batch, from 0.
    pub index: i32,
    /// What is wrong.
    pub kind: RecordFaultKind,
}

/// What can be wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFaultKind {
    /// No key on a compacted topic.
    #[error("Compacted topic cannot accept message without key")]
    NoKey,
    /// Too old or too new.
    #[error(
        "Timestamp {timestamp} of message is out of range. The timestamp should be within \
         [{earliest}, {latest}]"
    )]
    Timestamp {
        /// As found.
        timestamp: Timestamp,
        /// What the topic accepts.
        earliest: Timestamp,
        /// What the topic accepts.
        latest: Timestamp,
    },
}

impl ProduceError {
    /// Sorts an error of parsing the first batch as Kafka does, which drops a batch that is cut
    /// short and so finds `no_batch`.
    pub(super) fn of_first_batch(error: BatchError, no_batch: Self, version: i16) -> Self {
        match error {
            BatchError::Truncated { .. } => no_batch,
            BatchError::Magic(0 | 1) => Self::OldFormat { version },
            BatchError::Offsets { .. } => Self::OffsetRange(error),
            error => Self::Corrupt(error),
        }
    }

    /// Kafka's code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NoBatch { .. }
            | Self::SeveralBatches { .. }
            | Self::OldFormat { .. }
            | Self::BaseOffset(_)
            | Self::OffsetRange(_)
            | Self::Count(_)
            | Self::CountMismatch { .. }
            | Self::Control
            | Self::Sequence { .. }
            | Self::UnknownCodec
            | Self::OffsetDelta { .. } => ErrorCode::InvalidRecord,
            Self::ZstdTooEarly { .. } => ErrorCode::UnsupportedCompressionType,
            Self::Corrupt(_) => ErrorCode::CorruptMessage,
            Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::Records(error) => code_of_records(error),
            Self::TimestampType => ErrorCode::InvalidTimestamp,
            Self::Faulty(faults) if faults.iter().any(RecordFault::is_of_time) => {
                ErrorCode::InvalidTimestamp
            }
            Self::Faulty(_) => ErrorCode::InvalidRecord,
        }
    }

    /// What the client is told from version 8 on.
    pub fn message(&self, partition: &TopicPartition) -> String {
        match self {
            Self::Faulty(_) | Self::NoBatch { .. } | Self::SeveralBatches { .. } => {
                self.to_string()
            }
            _ => format!("{self} in topic partition {partition}"),
        }
    }

    /// The records at fault, told from version 8 on (KIP-467).
    pub fn record_faults(&self) -> &[RecordFault] {
        match self {
            Self::Faulty(faults) => faults,
            _ => &[],
        }
    }
}

impl RecordFault {
    fn is_of_time(&self) -> bool {
        matches!(self.kind, RecordFaultKind::Timestamp { .. })
    }
}

fn code_of_records(error: &RecordError) -> ErrorCode {
    match error {
        RecordError::UnknownCodec | RecordError::Malformed { .. } => ErrorCode::InvalidRecord,
        RecordError::Inflate(klamm_model::compression::InflateError::TooLarge(_)) => {
            ErrorCode::MessageTooLarge
        }
        RecordError::Inflate(_) => ErrorCode::CorruptMessage,
    }
}

fn summary(faults: &[RecordFault]) -> String {
    if faults.iter().any(RecordFault::is_of_time) {
        return "One or more records have been rejected due to invalid timestamp".to_owned();
    }
    format!(
        "One or more records have been rejected due to {} record errors in total",
        faults.len()
    )
}
