//! What a partition remembers of its idempotent and transactional producers.
//!
//! For each producer id: its epoch, its last [`BATCHES_KEPT`] batches (so that a retry is answered
//! with the offsets of the original), and its open transaction, if any. Updated by every append,
//! rebuilt at start from a snapshot file and the log after it. Kafka's `ProducerStateManager` and
//! `ProducerAppendInfo`.
//!
//! Checking and recording are apart: [`ProducerState::check`] decides about a batch that is not
//! yet in the log, [`ProducerState::record`] takes note of one that is. Between the two, batches
//! of one turn stand in [`StagedProducers`].

mod entry;
mod snapshot;

use std::collections::BTreeMap;

use klamm_model::record_batch::BatchHeader;
use klamm_model::{Offset, ProducerId, RecordBatch, Timestamp};

pub(crate) use entry::Marker;
pub use entry::{BatchRange, ProducerEntry};
pub(crate) use snapshot::{decode, encode};

/// Batches of one producer that are remembered; also what a producer may have in flight.
const BATCHES_KEPT: usize = 5;

/// All producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerState {
    entries: BTreeMap<ProducerId, ProducerEntry>,
    /// First offset of each open transaction.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Ended transactions, first offset to the marker's: unstable until the high watermark has
    /// passed the marker.
    ended: BTreeMap<Offset, Offset>,
}

/// What a batch is to the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerCheck {
    /// New: append it.
    Accept,
    /// A repeat of a batch that is in the log; answer with its offsets, once those are visible.
    Duplicate(BatchRange),
}

/// Why a batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerRefusal {
    /// An older incarnation writes: `INVALID_PRODUCER_EPOCH`.
    #[error(
        "producer epoch is older than the last seen producer_id={producer_id} epoch={epoch} last_epoch={last_epoch}"
    )]
    InvalidEpoch {
        /// Who.
        producer_id: i64,
        /// What it claims.
        epoch: i16,
        /// What is known.
        last_epoch: i16,
    },
    /// A gap, or a repeat too old to be remembered: `OUT_OF_ORDER_SEQUENCE_NUMBER`.
    #[error(
        "sequence number is out of order producer_id={producer_id} epoch={epoch} sequence={sequence} last_sequence={last_sequence}"
    )]
    OutOfOrderSequence {
        /// Who.
        producer_id: i64,
        /// Its epoch.
        epoch: i16,
        /// First sequence number of the batch.
        sequence: i32,
        /// Last sequence number known, or -1.
        last_sequence: i32,
    },
    /// Outside a transaction while one is open: `INVALID_TXN_STATE`.
    #[error("write outside the open transaction producer_id={producer_id}")]
    InvalidTransactionState {
        /// Who.
        producer_id: i64,
    },
}

/// An aborted transaction, as consumers that read committed records need it; a row of
/// `.txnindex`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// The last stable offset when the marker was appended.
    pub last_stable_offset: Offset,
}

impl ProducerState {
    /// What is known of a producer.
    pub fn get(&self, producer_id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&producer_id)
    }

    /// All producers, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no producer is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Decides about a batch of a client. Control batches are the coordinator's and not checked
    /// here.
    pub fn check(&self, header: &BatchHeader) -> Result<ProducerCheck, ProducerRefusal> {
        check(self.get(header.producer_id()), header)
    }

    /// Takes note of a batch that is in the log, whoever let it in. Returns the transaction that
    /// it aborts, to be written to `.txnindex`.
    pub fn record(&mut self, batch: &RecordBatch) -> Option<AbortedTransaction> {
        let header = batch.header();
        if header.producer_id().0 < 0 {
            return None;
        }
        if header.is_control() {
            return self.end_transaction(batch);
        }
        let entry = self.entries.entry(header.producer_id()).or_default();
        let began = entry.append(header);
        if began {
            self.ongoing
                .insert(header.base_offset(), header.producer_id());
        }
        None
    }

    fn end_transaction(&mut self, batch: &RecordBatch) -> Option<AbortedTransaction> {
        let marker = entry::Marker::read(batch)?;
        let header = batch.header();
        let entry = self.entries.entry(header.producer_id()).or_default();
        let first_offset = entry.end_transaction(header, marker)?;
        self.ongoing.remove(&first_offset);
        self.ended.insert(first_offset, header.base_offset());
        let last_stable_offset = match self.ongoing.keys().next() {
            Some(first) => *first,
            None => header.base_offset().plus(1),
        };
        marker.aborts.then_some(AbortedTransaction {
            producer_id: header.producer_id(),
            first_offset,
            last_offset: header.base_offset(),
            last_stable_offset,
        })
    }

    /// The first offset that a reader of committed records must not pass: of the oldest
    /// transaction that is open, or whose marker is not below the high watermark.
    pub fn first_unstable_offset(&self, high_watermark: Offset) -> Option<Offset> {
        let undecided = self.ongoing.keys().next().copied();
        let unreplicated = self
            .ended
            .iter()
            .find(|(_, marker)| **marker >= high_watermark)
            .map(|(first, _)| *first);
        undecided.into_iter().chain(unreplicated).min()
    }

    /// Forgets ended transactions whose markers are below the high watermark.
    pub fn high_watermark_moved(&mut self, high_watermark: Offset) {
        if !self.ended.is_empty() {
            self.ended.retain(|_, marker| *marker >= high_watermark);
        }
    }

    /// Forgets producers that have been silent for `expiration_ms`
    /// (`producer.id.expiration.ms`), unless a transaction is open. Returns how many.
    pub fn expire(&mut self, now: Timestamp, expiration_ms: i64) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, entry| {
            entry.transaction_start().is_some()
                || now.millis().saturating_sub(entry.last_timestamp().millis()) < expiration_ms
        });
        before - self.entries.len()
    }

    /// Puts back a producer read from a snapshot.
    pub(crate) fn restore(&mut self, producer_id: ProducerId, entry: ProducerEntry) {
        if let Some(first) = entry.transaction_start() {
            self.ongoing.insert(first, producer_id);
        }
        self.entries.insert(producer_id, entry);
    }

    /// Adds a batch older than those known of a restored producer: snapshots keep only the last.
    pub(crate) fn prefill(&mut self, header: &BatchHeader) {
        if let Some(entry) = self.entries.get_mut(&header.producer_id()) {
            entry.prefill(header);
        }
    }
}

/// Batches that are accepted but not yet in the log, laid over a [`ProducerState`]: several
/// batches of one producer may be staged in one turn.
#[derive(Clone, Debug, Default)]
pub struct StagedProducers {
    entries: BTreeMap<ProducerId, ProducerEntry>,
}

impl StagedProducers {
    /// Nothing staged.
    pub const fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }

    /// Decides about a batch as if what is staged were in the log.
    pub fn check(
        &self,
        state: &ProducerState,
        header: &BatchHeader,
    ) -> Result<ProducerCheck, ProducerRefusal> {
        let producer_id = header.producer_id();
        let known = self.entries.get(&producer_id);
        check(known.or_else(|| state.get(producer_id)), header)
    }

    /// Stages a batch that was accepted; its header carries the predicted base offset.
    pub fn stage(&mut self, state: &ProducerState, header: &BatchHeader) {
        let producer_id = header.producer_id();
        if producer_id.0 < 0 || header.is_control() {
            return;
        }
        self.entries
            .entry(producer_id)
            .or_insert_with(|| state.get(producer_id).cloned().unwrap_or_default())
            .append(header);
    }

    /// Forgets all: what was staged is in the log now, or will never be.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// Kafka's rules: epochs never go back, a new epoch starts at sequence 0, sequences have no gap
/// and wrap from `i32::MAX` to 0, a producer of which nothing is known may start anywhere.
fn check(
    known: Option<&ProducerEntry>,
    header: &BatchHeader,
) -> Result<ProducerCheck, ProducerRefusal> {
    let producer_id = header.producer_id();
    if producer_id.0 < 0 || header.is_control() {
        return Ok(ProducerCheck::Accept);
    }
    let Some(known) = known else {
        return Ok(ProducerCheck::Accept);
    };
    if let Some(original) = known.find(header) {
        return Ok(ProducerCheck::Duplicate(original));
    }
    let epoch = header.producer_epoch();
    if epoch < known.epoch() {
        return Err(ProducerRefusal::InvalidEpoch {
            producer_id: producer_id.0,
            epoch: epoch.0,
            last_epoch: known.epoch().0,
        });
    }
    if !known.continues_with(header) {
        return Err(ProducerRefusal::OutOfOrderSequence {
            producer_id: producer_id.0,
            epoch: epoch.0,
            sequence: header.base_sequence(),
            last_sequence: known.last_sequence(),
        });
    }
    if known.transaction_start().is_some() && !header.is_transactional() {
        return Err(ProducerRefusal::InvalidTransactionState {
            producer_id: producer_id.0,
        });
    }
    Ok(ProducerCheck::Accept)
}

#[cfg(test)]
mod tests;
