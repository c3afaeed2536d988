//! Makes an index while the batches of an object pass by.

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_model::record_batch::BatchHeader;
use klamm_model::{Offset, ProducerId, Timestamp};
use klamm_storage::{AbortedTransaction, EpochEntry};

use super::{OpenTransaction, PositionEntry, SegmentFacts, SegmentIndex, TimeEntry};

/// Bytes of batches between two entries of an index: half a megabyte of entries for an object of a
/// gigabyte, and little to walk for who reads chunks of megabytes.
pub const INTERVAL_BYTES: u64 = 32 << 10;

/// See the [module](self).
#[derive(Debug)]
pub struct SegmentIndexBuilder {
    index: SegmentIndex,
    interval_bytes: u64,
    /// Of batches since the last entry.
    bytes_since_entry: u64,
    open: BTreeMap<ProducerId, Offset>,
}

/// A batch that cannot follow the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a batch does not follow the one before it base_offset={base}")]
pub struct OutOfOrder {
    /// Where it says that it begins.
    pub base: Offset,
}

impl SegmentIndexBuilder {
    /// Begins the index of an object whose first offset is `base`, with an entry for every
    /// `interval_bytes` of batches, usually [`INTERVAL_BYTES`]. `open` are the transactions that are open
    /// there: those of the object before it ([`SegmentIndex::open_transactions`]), if there is one.
    pub fn new(base: Offset, interval_bytes: u64, open: &[OpenTransaction]) -> Self {
        let facts = SegmentFacts {
            base,
            end: base,
            bytes: 0,
            records: 0,
            min_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
        };
        let index = SegmentIndex {
            facts,
            positions: Vec::new(),
            times: Vec::new(),
            epochs: Vec::new(),
            aborted: Vec::new(),
            open: Vec::new(),
            producers: Bytes::new(),
        };
        let open = open.iter().map(|at| (at.producer_id, at.first_offset));
        Self {
            index,
            interval_bytes,
            bytes_since_entry: 0,
            open: open.collect(),
        }
    }

    /// Takes note of the next batch. Batches come in order; some may be missing, in a log that was
    /// compacted.
    ///
    /// # Errors
    /// If it begins below the end of the one before, or has a lower leader epoch: neither is under the
    /// checksum of a batch. It has not been taken note of then.
    pub fn add(&mut self, batch: &BatchHeader) -> Result<(), OutOfOrder> {
        let last_epoch = self.index.epochs.last().map(|entry| entry.epoch);
        let is_next = batch.base_offset() >= self.index.facts.end
            && last_epoch.is_none_or(|last| last <= batch.leader_epoch());
        if !is_next {
            let base = batch.base_offset();
            return Err(OutOfOrder { base });
        }
        self.note(batch);
        Ok(())
    }

    fn note(&mut self, batch: &BatchHeader) {
        if self.index.facts.bytes == 0 || self.bytes_since_entry >= self.interval_bytes {
            self.add_entries(batch.base_offset());
        }
        self.note_epoch(batch);
        self.note_transaction(batch);
        let size = batch.size_bytes() as u64;
        self.bytes_since_entry += size;
        let facts = &mut self.index.facts;
        facts.bytes += size;
        facts.end = batch.last_offset().plus(1);
        facts.records += u64::try_from(batch.record_count()).unwrap_or(0);
        facts.max_timestamp = facts.max_timestamp.max(batch.max_timestamp());
        facts.min_timestamp = earlier(facts.min_timestamp, first_timestamp(batch));
    }

    /// Entries for the batch that begins at `offset`.
    fn add_entries(&mut self, offset: Offset) {
        self.bytes_since_entry = 0;
        let facts = &self.index.facts;
        self.index.positions.push(PositionEntry {
            offset,
            position: facts.bytes,
        });
        let timestamp = facts.max_timestamp;
        let last = self.index.times.last();
        let last = last.map_or(Timestamp::NONE, |entry| entry.timestamp);
        if timestamp > last {
            self.index.times.push(TimeEntry { timestamp, offset });
        }
    }

    fn note_epoch(&mut self, batch: &BatchHeader) {
        let epoch = batch.leader_epoch();
        let last = self.index.epochs.last().map(|entry| entry.epoch);
        if last != Some(epoch) {
            self.index.epochs.push(EpochEntry {
                epoch,
                start_offset: match last {
                    Some(_) => batch.base_offset(),
                    None => self.index.facts.base,
                },
            });
        }
    }

    /// A marker, which is a batch of its own, ends the transaction of its producer.
    fn note_transaction(&mut self, batch: &BatchHeader) {
        let producer_id = batch.producer_id();
        match (batch.is_transactional(), batch.is_control()) {
            (false, _) => {}
            (true, true) => drop(self.open.remove(&producer_id)),
            (true, false) => {
                self.open.entry(producer_id).or_insert(batch.base_offset());
            }
        }
    }

    /// Bytes of the batches so far.
    pub fn bytes(&self) -> u64 {
        self.index.facts.bytes
    }

    /// The index of an object that ends at `end`, which is at or above the end of the last batch. `aborted`
    /// are the transactions whose markers lie in it, in their order; `producers` all producers at `end`, as
    /// in a `.snapshot` file.
    ///
    /// # Panics
    /// If there was no batch, or `end` is too low.
    pub fn finish(
        mut self,
        end: Offset,
        aborted: Vec<AbortedTransaction>,
        producers: Bytes,
    ) -> SegmentIndex {
        let facts = &mut self.index.facts;
        assert!(facts.bytes > 0, "an object holds at least one batch");
        assert!(end >= facts.end, "an object holds whole batches");
        facts.end = end;
        self.index.aborted = aborted;
        let open = self.open.into_iter();
        let open = open.map(|(producer_id, first_offset)| OpenTransaction {
            producer_id,
            first_offset,
        });
        self.index.open = open.collect();
        self.index.producers = producers;
        self.index
    }
}

/// When the first record of a batch was written, if that is known.
fn first_timestamp(batch: &BatchHeader) -> Timestamp {
    use klamm_model::record_batch::TimestampType;
    match batch.timestamp_type() {
        TimestampType::LogAppendTime => batch.max_timestamp(),
        TimestampType::CreateTime if batch.delete_horizon().is_some() => batch.max_timestamp(),
        TimestampType::CreateTime => batch.base_timestamp(),
    }
}

/// The earlier of two times, of which each may be none.
fn earlier(one: Timestamp, other: Timestamp) -> Timestamp {
    match (one.millis() < 0, other.millis() < 0) {
        (true, _) => other,
        (_, true) => one,
        _ => one.min(other),
    }
}
