//! Walks the records of a batch for what validation and compaction go by, without building them.

use super::records::RecordError;
use super::varint;
use super::{BatchHeader, TimestampType};
use crate::Timestamp;

/// What can be said of a record without building it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFacts<'a> {
    /// Its offset less the batch's base offset, as its producer wrote it.
    pub offset_delta: i32,
    /// Its time, or the broker's where the batch says so.
    pub timestamp: Timestamp,
    /// What compaction goes by.
    pub key: Option<&'a [u8]>,
    /// Whether it has a value; without one it is a tombstone.
    pub has_value: bool,
    /// As it lies in the batch, its length in front.
    pub(super) bytes: &'a [u8],
    /// The part of it behind its timestamp.
    pub(super) after_timestamp: &'a [u8],
}

/// Iterator over the facts of a batch's records, in order. Yields an error and ends where a record
/// is malformed, records are missing, or bytes are left over.
#[derive(Debug)]
pub struct RecordFactsIter<'a> {
    rest: &'a [u8],
    base_timestamp: Timestamp,
    append_time: Option<Timestamp>,
    next: i32,
    count: i32,
}

impl<'a> RecordFactsIter<'a> {
    /// Walks the inflated records of the batch with this header.
    pub(super) fn new(header: &BatchHeader, inflated: &'a [u8]) -> Self {
        Self {
            rest: inflated,
            base_timestamp: header.base_timestamp(),
            append_time: (header.timestamp_type() == TimestampType::LogAppendTime)
                .then(|| header.max_timestamp()),
            next: 0,
            count: header.record_count(),
        }
    }

    fn take(&mut self) -> Option<RecordFacts<'a>> {
        let start = self.rest;
        let length = take_length(&mut self.rest)?;
        let (mut record, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        let bytes = &start[..start.len() - rest.len()];
        record = record.get(1..)?; // attributes: none are defined
        let timestamp_delta = varint::take(&mut record)?;
        let after_timestamp = record;
        let offset_delta = i32::try_from(varint::take(&mut record)?).ok()?;
        let key = take_nullable(&mut record)?;
        let has_value = take_nullable(&mut record)?.is_some();
        let headers = take_length(&mut record)?;
        for _ in 0..headers {
            take_nullable(&mut record)??; // a header has a name
            take_nullable(&mut record)?;
        }
        record.is_empty().then(|| RecordFacts {
            offset_delta,
            timestamp: self
                .append_time
                .unwrap_or_else(|| self.base_timestamp.plus_millis(timestamp_delta)),
            key,
            has_value,
            bytes,
            after_timestamp,
        })
    }
}

impl<'a> Iterator for RecordFactsIter<'a> {
    type Item = Result<RecordFacts<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        if index >= self.count {
            let left_over = !std::mem::take(&mut self.rest).is_empty();
            return left_over.then_some(Err(RecordError::Malformed { index }));
        }
        self.next += 1;
        let facts = self.take();
        if facts.is_none() {
            self.next = self.count;
            self.rest = &[];
        }
        Some(facts.ok_or(RecordError::Malformed { index }))
    }
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(varint::take(bytes)?).ok()
}

/// Takes bytes that may be null.
fn take_nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint::take(bytes)?;
    if length < 0 {
        return Some(None);
    }
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(taken))
}
