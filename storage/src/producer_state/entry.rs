//! One producer.

use std::collections::VecDeque;

use bytes::Buf;
use klamm_model::record_batch::BatchHeader;
use klamm_model::{Offset, ProducerEpoch, RecordBatch, Timestamp};

use super::BATCHES_KEPT;

/// Sequence number of "none".
const NO_SEQUENCE: i32 = -1;

/// Where a batch of a producer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRange {
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Records in it, less one.
    pub offset_delta: i32,
    /// Its largest timestamp; with log append time, the broker's.
    pub timestamp: Timestamp,
}

impl BatchRange {
    fn of(header: &BatchHeader) -> Self {
        Self {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta(),
            timestamp: header.max_timestamp(),
        }
    }

    /// Offset of its first record.
    pub fn base_offset(&self) -> Offset {
        // A batch that was compacted or read from a foreign snapshot may claim more than it has.
        Offset::checked(self.last_offset.get() - i64::from(self.offset_delta))
            .unwrap_or(Offset::ZERO)
    }

    /// Sequence number of its first record; numbers wrap from `i32::MAX` to 0.
    pub fn base_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        (first & i64::from(i32::MAX)) as i32
    }
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    epoch: ProducerEpoch,
    /// Oldest first, all of `epoch`.
    batches: VecDeque<BatchRange>,
    /// -1 until a transaction ended.
    coordinator_epoch: i32,
    last_timestamp: Timestamp,
    transaction_start: Option<Offset>,
}

impl Default for ProducerEntry {
    fn default() -> Self {
        Self {
            epoch: ProducerEpoch::NONE,
            batches: VecDeque::new(),
            coordinator_epoch: -1,
            last_timestamp: Timestamp::NONE,
            transaction_start: None,
        }
    }
}

impl ProducerEntry {
    /// As a snapshot has it.
    pub(super) fn restored(
        epoch: ProducerEpoch,
        last: Option<BatchRange>,
        coordinator_epoch: i32,
        last_timestamp: Timestamp,
        transaction_start: Option<Offset>,
    ) -> Self {
        Self {
            epoch,
            batches: last.into_iter().collect(),
            coordinator_epoch,
            last_timestamp,
            transaction_start,
        }
    }

    /// Its latest incarnation.
    pub fn epoch(&self) -> ProducerEpoch {
        self.epoch
    }

    /// Sequence number of its last record, or -1.
    pub fn last_sequence(&self) -> i32 {
        self.batches
            .back()
            .map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// Its last batch in this epoch.
    pub fn last_batch(&self) -> Option<&BatchRange> {
        self.batches.back()
    }

    /// When it last wrote, by the timestamps of its records.
    pub fn last_timestamp(&self) -> Timestamp {
        self.last_timestamp
    }

    /// Epoch of the transaction coordinator that last ended a transaction, or -1.
    pub fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }

    /// First offset of its open transaction.
    pub fn transaction_start(&self) -> Option<Offset> {
        self.transaction_start
    }

    /// The remembered batch that this one repeats.
    pub(super) fn find(&self, header: &BatchHeader) -> Option<BatchRange> {
        if header.producer_epoch() != self.epoch || header.base_sequence() < 0 {
            return None;
        }
        let (first, last) = (header.base_sequence(), header.last_sequence());
        self.batches
            .iter()
            .find(|batch| batch.base_sequence() == first && batch.last_sequence == last)
            .copied()
    }

    /// Whether a batch of this or a later epoch is the next.
    pub(super) fn continues_with(&self, header: &BatchHeader) -> bool {
        let first = header.base_sequence();
        if header.producer_epoch() != self.epoch {
            return first == 0 || self.epoch == ProducerEpoch::NONE;
        }
        let last = self.last_sequence();
        i64::from(first) == i64::from(last) + 1 || (first == 0 && last == i32::MAX)
    }

    /// Takes note of a batch in the log; returns whether it began a transaction.
    pub(super) fn append(&mut self, header: &BatchHeader) -> bool {
        self.adopt_epoch(header.producer_epoch());
        if self.batches.len() == BATCHES_KEPT {
            self.batches.pop_front();
        }
        self.batches.push_back(BatchRange::of(header));
        self.last_timestamp = header.max_timestamp();
        let begins = header.is_transactional() && self.transaction_start.is_none();
        if begins {
            self.transaction_start = Some(header.base_offset());
        }
        begins
    }

    /// Takes note of an end marker; returns where the transaction began that it ends.
    pub(super) fn end_transaction(
        &mut self,
        header: &BatchHeader,
        marker: Marker,
    ) -> Option<Offset> {
        self.adopt_epoch(header.producer_epoch());
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp = header.max_timestamp();
        self.transaction_start.take()
    }

    fn adopt_epoch(&mut self, epoch: ProducerEpoch) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    /// Inserts a batch older than the oldest known, met while walking forward over the log.
    pub(super) fn prefill(&mut self, header: &BatchHeader) {
        if header.producer_epoch() != self.epoch || header.is_control() {
            return;
        }
        let Some(last) = self.batches.back().copied() else {
            return;
        };
        if header.last_offset() >= last.last_offset {
            return;
        }
        self.batches.pop_back();
        if self.batches.len() == BATCHES_KEPT - 1 {
            self.batches.pop_front();
        }
        self.batches.push_back(BatchRange::of(header));
        self.batches.push_back(last);
    }
}

/// The end of a transaction (Kafka's `EndTransactionMarker`, `ControlRecordType`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marker {
    pub(crate) aborts: bool,
    coordinator_epoch: i32,
}

impl Marker {
    /// `None` if the batch ends no transaction (or was emptied by compaction).
    pub(crate) fn read(batch: &RecordBatch) -> Option<Self> {
        const ABORT: i16 = 0;
        const COMMIT: i16 = 1;
        /// A marker is a handful of bytes, never compressed.
        const BYTES_MAX: usize = 1 << 10;
        let record = batch.records(BYTES_MAX).ok()?.next()?.ok()?;
        let key = record.key?;
        // Version, then type.
        let kind = i16::from_be_bytes(key.get(2..4)?.try_into().ok()?);
        let mut value = record.value?;
        if value.len() < 6 || !matches!(kind, ABORT | COMMIT) {
            return None;
        }
        value.advance(2); // version
        Some(Self {
            aborts: kind == ABORT,
            coordinator_epoch: value.get_i32(),
        })
    }
}
