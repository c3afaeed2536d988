//! Walks the records of a batch for what validation and indexes go by, without building them.

use super::records::RecordError;
use super::varint;
use super::{BatchHeader, TimestampType};
use crate::Timestamp;

/// What can be said of a record without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFacts {
    /// Its offset less the batch's base offset, as its producer wrote it.
    pub offset_delta: i32,
    /// Its time, or the broker's where the batch says so.
    pub timestamp: Timestamp,
    /// Whether it has a key.
    pub has_key: bool,
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

    fn take(&mut self) -> Option<RecordFacts> {
        let length = take_length(&mut self.rest)?;
        let (mut record, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        record = record.get(1..)?; // attributes: none are defined
        let timestamp_delta = varint::take(&mut record)?;
        let offset_delta = i32::try_from(varint::take(&mut record)?).ok()?;
        let has_key = skip_nullable(&mut record)?;
        skip_nullable(&mut record)?;
        let headers = take_length(&mut record)?;
        for _ in 0..headers {
            if !skip_nullable(&mut record)? {
                return None; // a header has a name
            }
            skip_nullable(&mut record)?;
        }
        record.is_empty().then(|| RecordFacts {
            offset_delta,
            timestamp: self
                .append_time
                .unwrap_or_else(|| self.base_timestamp.plus_millis(timestamp_delta)),
            has_key,
        })
    }
}

impl Iterator for RecordFactsIter<'_> {
    type Item = Result<RecordFacts, RecordError>;

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

/// Skips bytes that may be null; whether they were not.
fn skip_nullable(bytes: &mut &[u8]) -> Option<bool> {
    let length = varint::take(bytes)?;
    if length < 0 {
        return Some(false);
    }
    *bytes = bytes.get(usize::try_from(length).ok()?..)?;
    Some(true)
}
