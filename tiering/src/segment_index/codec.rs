//! The bytes of an index.
//!
//! ```text
//!  0 "KLAMMIDX"
//!  8 version u8             1
//!  9 base offset i64, end offset i64
//! 25 bytes of the batches u64, records u64
//! 41 earliest first time i64, latest time i64                        -1: none
//! 57 positions   count u32, then each: offset i64, position u64      rising; the first is at position 0
//!    times       count u32, then each: timestamp i64, offset i64     rising
//!    epochs      count u32, then each: epoch i32, first offset i64   rising; the first is at the base offset
//!    aborted     count u32, then each: producer id i64, first offset i64, last offset i64,
//!                last stable offset i64                              by rising last offset
//!    open        count u32, then each: producer id i64, first offset i64   rising
//!    producers   length u32, bytes                                   as in a `.snapshot` file of the log
//!    CRC-32 u32  of all bytes before
//! ```
//! All numbers are big-endian. A later version keeps the first nine bytes.
//!
//! Decoding believes nothing: a count reserves no more than the bytes there could hold.

use bytes::{Buf, BufMut, Bytes};
use klamm_model::{LeaderEpoch, Offset, ProducerId, Timestamp};
use klamm_storage::{AbortedTransaction, EpochEntry};

use super::{OpenTransaction, PositionEntry, SegmentFacts, SegmentIndex, TimeEntry};

const MAGIC: &[u8; 8] = b"KLAMMIDX";
const VERSION: u8 = 1;
const CRC_BYTES: usize = 4;

/// Why bytes are not an index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentIndexError {
    /// Something else lies here.
    #[error("not an index of an archived object")]
    Foreign,
    /// A newer program wrote it.
    #[error("the index is of a newer version version={0} known={VERSION}")]
    Newer(u8),
    /// Cut short, or not what was written.
    #[error("the index is damaged: {0}")]
    Damaged(&'static str),
}

use SegmentIndexError::Damaged;

impl SegmentIndex {
    /// The bytes of the object.
    pub fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.memory_bytes());
        bytes.put_slice(MAGIC);
        bytes.put_u8(VERSION);
        put_facts(&mut bytes, &self.facts);
        put_count(&mut bytes, self.positions.len());
        for entry in &self.positions {
            bytes.put_i64(entry.offset.get());
            bytes.put_u64(entry.position);
        }
        put_count(&mut bytes, self.times.len());
        for entry in &self.times {
            bytes.put_i64(entry.timestamp.millis());
            bytes.put_i64(entry.offset.get());
        }
        put_count(&mut bytes, self.epochs.len());
        for entry in &self.epochs {
            bytes.put_i32(entry.epoch.0);
            bytes.put_i64(entry.start_offset.get());
        }
        put_count(&mut bytes, self.aborted.len());
        for entry in &self.aborted {
            bytes.put_i64(entry.producer_id.0);
            bytes.put_i64(entry.first_offset.get());
            bytes.put_i64(entry.last_offset.get());
            bytes.put_i64(entry.last_stable_offset.get());
        }
        put_count(&mut bytes, self.open.len());
        for entry in &self.open {
            bytes.put_i64(entry.producer_id.0);
            bytes.put_i64(entry.first_offset.get());
        }
        put_count(&mut bytes, self.producers.len());
        bytes.put_slice(&self.producers);
        bytes.put_u32(crc32fast::hash(&bytes));
        bytes.into()
    }

    /// Reads what [`encode`](Self::encode) writes.
    ///
    /// # Errors
    /// If it is anything else; no error depends on the order of what is wrong but that a version is looked at
    /// before the checksum.
    pub fn decode(bytes: &[u8]) -> Result<Self, SegmentIndexError> {
        let mut left = summed(bytes)?;
        let facts = take_facts(&mut left)?;
        let index = Self {
            facts,
            positions: take_list(&mut left, 16, take_position)?,
            times: take_list(&mut left, 16, take_time)?,
            epochs: take_list(&mut left, 12, take_epoch)?,
            aborted: take_list(&mut left, 32, take_aborted)?,
            open: take_list(&mut left, 16, take_open)?,
            producers: take_producers(&mut left)?,
        };
        if !left.is_empty() {
            return Err(Damaged("there is more than its fields"));
        }
        index.check()?;
        Ok(index)
    }

    /// What lookups rely on.
    fn check(&self) -> Result<(), SegmentIndexError> {
        let first = self.positions.first().map(|entry| entry.position);
        let first_epoch = self.epochs.first().map(|entry| entry.start_offset);
        if !self.is_in_order() {
            return Err(Damaged("entries are not in order"));
        }
        if !self.is_inside() {
            return Err(Damaged("an entry lies outside of the object"));
        }
        match first == Some(0) && first_epoch == Some(self.facts.base) {
            true => Ok(()),
            false => Err(Damaged("it does not begin where the object does")),
        }
    }

    fn is_in_order(&self) -> bool {
        let (positions, times) = (self.positions.iter(), self.times.iter());
        let epochs = self.epochs.iter();
        rise(positions.clone().map(|entry| entry.offset))
            && rise(positions.map(|entry| entry.position))
            && rise(times.clone().map(|entry| entry.timestamp))
            && rise(times.map(|entry| entry.offset))
            && rise(epochs.clone().map(|entry| entry.epoch))
            && rise(epochs.map(|entry| entry.start_offset))
            && rise(self.aborted.iter().map(|entry| entry.last_offset))
            && rise(self.open.iter().map(|entry| entry.producer_id))
    }

    fn is_inside(&self) -> bool {
        let SegmentFacts {
            base, end, bytes, ..
        } = self.facts;
        let holds = |offset: Offset| (base..end).contains(&offset);
        let positions = self.positions.iter();
        let epochs = self.epochs.iter();
        // Transactions may have begun in an earlier object.
        let ends_here = |entry: &AbortedTransaction| {
            holds(entry.last_offset) && entry.first_offset <= entry.last_offset
        };
        positions
            .clone()
            .all(|entry| holds(entry.offset) && entry.position < bytes)
            && self.times.iter().all(|entry| holds(entry.offset))
            && epochs.clone().all(|entry| holds(entry.start_offset))
            && self.aborted.iter().all(ends_here)
            && self.open.iter().all(|entry| entry.first_offset < end)
    }
}

fn rise<T: PartialOrd>(values: impl Iterator<Item = T>) -> bool {
    values.is_sorted_by(|one, next| one < next)
}

fn put_facts(bytes: &mut Vec<u8>, facts: &SegmentFacts) {
    bytes.put_i64(facts.base.get());
    bytes.put_i64(facts.end.get());
    bytes.put_u64(facts.bytes);
    bytes.put_u64(facts.records);
    bytes.put_i64(facts.min_timestamp.millis());
    bytes.put_i64(facts.max_timestamp.millis());
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.put_u32(u32::try_from(count).expect("an object has fewer than 2^32 batches"));
}

/// The fields, if the checksum behind them is right.
fn summed(bytes: &[u8]) -> Result<&[u8], SegmentIndexError> {
    let fields = bytes
        .strip_prefix(MAGIC)
        .ok_or(SegmentIndexError::Foreign)?;
    let version = *fields.first().ok_or(Damaged("it is cut short"))?;
    match version {
        VERSION => {}
        0 => return Err(SegmentIndexError::Foreign),
        newer => return Err(SegmentIndexError::Newer(newer)),
    }
    let (summed, checksum) = bytes
        .split_last_chunk::<CRC_BYTES>()
        .ok_or(Damaged("it is cut short"))?;
    if u32::from_be_bytes(*checksum) != crc32fast::hash(summed) {
        return Err(Damaged("the checksum does not match"));
    }
    summed
        .get(MAGIC.len() + 1..)
        .ok_or(Damaged("it is cut short"))
}

fn take_facts(left: &mut &[u8]) -> Result<SegmentFacts, SegmentIndexError> {
    let facts = SegmentFacts {
        base: take_offset(left)?,
        end: take_offset(left)?,
        bytes: left.try_get_u64().map_err(cut)?,
        records: left.try_get_u64().map_err(cut)?,
        min_timestamp: take_timestamp(left)?,
        max_timestamp: take_timestamp(left)?,
    };
    match facts.base < facts.end {
        true => Ok(facts),
        false => Err(Damaged("the object is empty")),
    }
}

/// Entries of which each takes `entry_bytes`.
fn take_list<T>(
    left: &mut &[u8],
    entry_bytes: usize,
    take: impl Fn(&mut &[u8]) -> Result<T, SegmentIndexError>,
) -> Result<Vec<T>, SegmentIndexError> {
    let count = left.try_get_u32().map_err(cut)? as usize;
    if count > left.len() / entry_bytes {
        return Err(Damaged("it is cut short"));
    }
    (0..count).map(|_| take(left)).collect()
}

fn take_position(left: &mut &[u8]) -> Result<PositionEntry, SegmentIndexError> {
    Ok(PositionEntry {
        offset: take_offset(left)?,
        position: left.try_get_u64().map_err(cut)?,
    })
}

fn take_time(left: &mut &[u8]) -> Result<TimeEntry, SegmentIndexError> {
    Ok(TimeEntry {
        timestamp: take_timestamp(left)?,
        offset: take_offset(left)?,
    })
}

fn take_epoch(left: &mut &[u8]) -> Result<EpochEntry, SegmentIndexError> {
    Ok(EpochEntry {
        epoch: LeaderEpoch(left.try_get_i32().map_err(cut)?),
        start_offset: take_offset(left)?,
    })
}

fn take_aborted(left: &mut &[u8]) -> Result<AbortedTransaction, SegmentIndexError> {
    Ok(AbortedTransaction {
        producer_id: ProducerId(left.try_get_i64().map_err(cut)?),
        first_offset: take_offset(left)?,
        last_offset: take_offset(left)?,
        last_stable_offset: take_offset(left)?,
    })
}

fn take_open(left: &mut &[u8]) -> Result<OpenTransaction, SegmentIndexError> {
    Ok(OpenTransaction {
        producer_id: ProducerId(left.try_get_i64().map_err(cut)?),
        first_offset: take_offset(left)?,
    })
}

/// A copy, so that the snapshot does not keep all other bytes in memory.
fn take_producers(left: &mut &[u8]) -> Result<Bytes, SegmentIndexError> {
    let length = left.try_get_u32().map_err(cut)? as usize;
    let (producers, rest) = left
        .split_at_checked(length)
        .ok_or(Damaged("it is cut short"))?;
    *left = rest;
    Ok(Bytes::copy_from_slice(producers))
}

fn take_offset(left: &mut &[u8]) -> Result<Offset, SegmentIndexError> {
    let offset = left.try_get_i64().map_err(cut)?;
    Offset::checked(offset).ok_or(Damaged("an offset is negative"))
}

fn take_timestamp(left: &mut &[u8]) -> Result<Timestamp, SegmentIndexError> {
    Ok(Timestamp(left.try_get_i64().map_err(cut)?))
}

fn cut(_: bytes::TryGetError) -> SegmentIndexError {
    Damaged("it is cut short")
}
