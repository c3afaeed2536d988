//! Walks the records of a batch.

use bytes::{Buf, Bytes};

use super::varint;
use super::{RecordBatch, TimestampType};
use crate::compression::InflateError;
use crate::{Offset, Timestamp};

/// One record, its bytes shared with the batch (or with the inflated copy of it).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the partition.
    pub offset: Offset,
    /// The producer's time, or the broker's where the batch says so.
    pub timestamp: Timestamp,
    /// What compaction and partitioning go by.
    pub key: Option<Bytes>,
    /// The payload; `None` is a tombstone on compacted topics.
    pub value: Option<Bytes>,
    /// Named extras, in the producer's order, names not unique.
    pub headers: Vec<Header>,
}

/// One header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: Option<Bytes>,
}

/// Why the records of a batch cannot be read, although its checksum is right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A codec number that Kafka has not defined.
    #[error("unknown compression codec")]
    UnknownCodec,
    /// The records do not inflate, or to more than the caller allows.
    #[error("records do not inflate: {0}")]
    Inflate(#[from] InflateError),
    /// A record's fields do not add up.
    #[error("record is malformed index={index}")]
    Malformed {
        /// Which record of the batch, from 0.
        index: i32,
    },
}

/// Iterator over a batch's records. Ends after the first error.
#[derive(Debug)]
pub struct Records {
    rest: Bytes,
    base_offset: Offset,
    base_timestamp: Timestamp,
    append_time: Option<Timestamp>,
    next: i32,
    count: i32,
}

impl Records {
    pub(super) fn open(
        batch: &RecordBatch,
        inflated_bytes_max: usize,
    ) -> Result<Self, RecordError> {
        let header = batch.header();
        Ok(Self {
            rest: batch.inflated_record_bytes(inflated_bytes_max)?,
            base_offset: header.base_offset(),
            base_timestamp: header.base_timestamp(),
            append_time: (header.timestamp_type() == TimestampType::LogAppendTime)
                .then(|| header.max_timestamp()),
            next: 0,
            count: header.record_count(),
        })
    }

    fn take_record(&mut self) -> Option<Record> {
        let length = usize::try_from(varint::take(&mut self.rest)?).ok()?;
        if length > self.rest.len() {
            return None;
        }
        let mut record = self.rest.split_to(length);
        if !record.has_remaining() {
            return None;
        }
        record.advance(1); // attributes: none are defined
        let timestamp_delta = varint::take(&mut record)?;
        let offset_delta = i32::try_from(varint::take(&mut record)?).ok()?;
        let key = take_nullable(&mut record)?;
        let value = take_nullable(&mut record)?;
        let headers = take_headers(&mut record)?;
        if record.has_remaining() || offset_delta < 0 {
            return None;
        }
        Some(Record {
            offset: Offset::checked(
                self.base_offset
                    .get()
                    .checked_add(i64::from(offset_delta))?,
            )?,
            timestamp: self
                .append_time
                .unwrap_or_else(|| self.base_timestamp.plus_millis(timestamp_delta)),
            key,
            value,
            headers,
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.count {
            return None;
        }
        let index = self.next;
        self.next += 1;
        match self.take_record() {
            Some(record) => Some(Ok(record)),
            None => {
                self.next = self.count;
                Some(Err(RecordError::Malformed { index }))
            }
        }
    }
}

fn take_nullable(buffer: &mut Bytes) -> Option<Option<Bytes>> {
    let length = varint::take(buffer)?;
    if length < 0 {
        return Some(None);
    }
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= buffer.len())?;
    Some(Some(buffer.split_to(length)))
}

fn take_headers(record: &mut Bytes) -> Option<Vec<Header>> {
    let count = usize::try_from(varint::take(record)?).ok()?;
    // A header has at least two bytes: no allocation on the word of a count alone.
    if count > record.len() / 2 {
        return None;
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let key = take_nullable(record)??;
        let key = String::from_utf8(key.to_vec()).ok()?;
        headers.push(Header {
            key,
            value: take_nullable(record)?,
        });
    }
    Some(headers)
}
