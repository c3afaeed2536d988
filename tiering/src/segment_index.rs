//! What finds records in an object: the `.idx` beside the `.log`.
//!
//! It is made once from the headers of the batches ([`SegmentIndexBuilder`]), written, and never changed. Its
//! bytes are described in the module `codec`.
//!
//! Positions and times are sparse: a lookup says from where to walk. Where an entry is, a batch begins.

mod builder;
mod codec;

use std::ops::Range;

use bytes::Bytes;
use klamm_model::{LeaderEpoch, Offset, ProducerId, Timestamp};
use klamm_storage::{AbortedTransaction, EpochEntry};

pub use builder::{INTERVAL_BYTES, OutOfOrder, SegmentIndexBuilder};
pub use codec::SegmentIndexError;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    facts: SegmentFacts,
    /// The first batch stands in it, whatever the interval.
    positions: Vec<PositionEntry>,
    times: Vec<TimeEntry>,
    epochs: Vec<EpochEntry>,
    aborted: Vec<AbortedTransaction>,
    open: Vec<OpenTransaction>,
    producers: Bytes,
}

/// What can be said of the batches of an object as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// The first offset.
    pub base: Offset,
    /// The offset after the last.
    pub end: Offset,
    /// Bytes of all batches.
    pub bytes: u64,
    /// As the batches say.
    pub records: u64,
    /// The earliest time of a first record of a batch, or [`Timestamp::NONE`]: records may be earlier.
    pub min_timestamp: Timestamp,
    /// The latest time that a batch claims, or [`Timestamp::NONE`].
    pub max_timestamp: Timestamp,
}

/// A batch begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionEntry {
    /// Its first offset.
    pub offset: Offset,
    /// In bytes from the start of the object.
    pub position: u64,
}

/// Records below an offset are not later than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// The latest time of a batch below `offset`.
    pub timestamp: Timestamp,
    /// The first offset of a batch that has a [`PositionEntry`].
    pub offset: Offset,
}

/// A transaction whose marker lies behind the object, if it has one already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first record that is known, in this object or before.
    pub first_offset: Offset,
}

/// Aborted transactions, as far as one object, or several, know of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AbortedSearch {
    /// Those that overlap the range.
    pub transactions: Vec<AbortedTransaction>,
    /// Whether there can be no more of them in what follows. If not, the next object, and in the end the
    /// local log, is to be asked too.
    pub is_complete: bool,
}

impl SegmentIndex {
    /// What can be said of the batches as a whole.
    pub fn facts(&self) -> &SegmentFacts {
        &self.facts
    }

    /// The leader epochs of the batches, each with its first offset here, both rising. The first stands at
    /// the object's base.
    pub fn epochs(&self) -> &[EpochEntry] {
        &self.epochs
    }

    /// The epoch of the first batch and of the last.
    pub fn first_and_last_epoch(&self) -> (LeaderEpoch, LeaderEpoch) {
        let epoch = |entry: Option<&EpochEntry>| entry.map_or(LeaderEpoch::UNKNOWN, |at| at.epoch);
        (epoch(self.epochs.first()), epoch(self.epochs.last()))
    }

    /// Transactions that are open at the object's end, by producer id.
    pub fn open_transactions(&self) -> &[OpenTransaction] {
        &self.open
    }

    /// The producers at the object's end, as in a `.snapshot` file of the log; may be empty.
    pub fn producers(&self) -> &Bytes {
        &self.producers
    }

    /// From where to walk to the batch that holds `offset`.
    pub fn position_of(&self, offset: Offset) -> PositionEntry {
        let after = self
            .positions
            .partition_point(|entry| entry.offset <= offset);
        self.positions[after.saturating_sub(1)]
    }

    /// The first entry above `position`, or the end of the object: no batch that begins at or before
    /// `position` goes beyond it.
    pub(crate) fn next_entry(&self, position: u64) -> PositionEntry {
        let after = self
            .positions
            .partition_point(|entry| entry.position <= position);
        let end = PositionEntry {
            offset: self.facts.end,
            position: self.facts.bytes,
        };
        self.positions.get(after).copied().unwrap_or(end)
    }

    /// Whether the batch at this position begins at exactly this offset, if the one before it ends there: it
    /// does where no batch is missing.
    pub(crate) fn is_known(&self, at: PositionEntry) -> bool {
        let offsets = self.facts.end.since(self.facts.base);
        let is_dense = u64::try_from(offsets) == Ok(self.facts.records);
        is_dense || self.position_of(at.offset) == at
    }

    /// From where to walk to the first record whose time is `timestamp` or later; `None` if no batch claims
    /// to have one.
    pub fn position_of_time(&self, timestamp: Timestamp) -> Option<PositionEntry> {
        if self.facts.max_timestamp < timestamp {
            return None;
        }
        let earlier = self
            .times
            .partition_point(|entry| entry.timestamp < timestamp);
        let from = match earlier.checked_sub(1) {
            Some(last) => self.times[last].offset,
            None => self.facts.base,
        };
        Some(self.position_of(from))
    }

    /// The aborted transactions whose markers lie in this object and which a reader of `range` must know
    /// (Kafka's `collectAbortedTxns`), in the order of their markers.
    pub fn aborted(&self, range: &Range<Offset>) -> AbortedSearch {
        // What is aborted behind the object and concerns the range is open at its end.
        let is_open = |at: &OpenTransaction| at.first_offset < range.end;
        let mut found = AbortedSearch {
            transactions: Vec::new(),
            is_complete: range.end <= self.facts.end && !self.open.iter().any(is_open),
        };
        for entry in &self.aborted {
            if entry.last_offset >= range.start && entry.first_offset < range.end {
                found.transactions.push(*entry);
            }
            if entry.last_stable_offset >= range.end {
                found.is_complete = true;
                break;
            }
        }
        found
    }

    /// About how much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let lists = size_of_val(&*self.positions)
            + size_of_val(&*self.times)
            + size_of_val(&*self.epochs)
            + size_of_val(&*self.aborted)
            + size_of_val(&*self.open);
        size_of::<Self>() + lists + self.producers.len()
    }
}

#[cfg(test)]
mod tests;
