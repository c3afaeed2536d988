//! What stays of a batch (Kafka's `Cleaner.cleanInto` and `shouldRetainRecord`).

use std::collections::BTreeMap;

use klamm_model::record_batch::{BatchHeader, RecordFacts};
use klamm_model::{ProducerId, RecordBatch, Timestamp};

use super::{INFLATED_BYTES_MAX, LastRecord, OffsetMap};

/// What stays.
#[derive(Debug)]
pub(super) enum Kept {
    Nothing,
    Whole,
    Changed(RecordBatch),
}

/// What decides.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    pub(super) map: &'a OffsetMap,
    pub(super) producers: &'a BTreeMap<ProducerId, LastRecord>,
    pub(super) now: Timestamp,
    pub(super) delete_retention_ms: i64,
}

impl Filter<'_> {
    /// `can_discard`: see [`CleanedTransactions`](super::CleanedTransactions). `is_last`: whether
    /// it is the last batch of its segment.
    pub(super) fn filter(&self, batch: &RecordBatch, can_discard: bool, is_last: bool) -> Kept {
        let header = batch.header();
        let stays_empty = is_last || self.tells_producer(header);
        if header.record_count() == 0 {
            return match stays_empty {
                true => Kept::Whole,
                false => Kept::Nothing,
            };
        }
        let emptied = || match stays_empty {
            true => Kept::Changed(batch.emptied()),
            false => Kept::Nothing,
        };
        match (header.is_control(), can_discard) {
            (true, _) if !can_discard => Kept::Whole,
            (true, _) if self.is_past_horizon(header) => emptied(),
            (true, _) => self.marker(batch),
            (false, true) => emptied(),
            (false, false) => self.data(batch).unwrap_or_else(emptied),
        }
    }

    /// A marker that will go: first it gets its time.
    fn marker(&self, batch: &RecordBatch) -> Kept {
        let records: Vec<_> = batch.facts(batch.record_bytes()).flatten().collect();
        if batch.header().delete_horizon().is_some() || records.is_empty() {
            return Kept::Whole;
        }
        Kept::Changed(batch.keeping(&records, Some(self.new_horizon())))
    }

    /// `None` if no record stays.
    fn data(&self, batch: &RecordBatch) -> Option<Kept> {
        let Ok(inflated) = batch.inflated_record_bytes(INFLATED_BYTES_MAX) else {
            return Some(Kept::Whole);
        };
        let Ok(records) = batch.facts(&inflated).collect::<Result<Vec<_>, _>>() else {
            return Some(Kept::Whole);
        };
        let all = records.len();
        let kept: Vec<_> = records
            .into_iter()
            .filter(|record| self.stays(batch, record))
            .collect();
        if kept.is_empty() {
            return None;
        }
        let has_tombstone = kept.iter().any(|record| !record.has_value);
        let needs_horizon = has_tombstone && batch.header().delete_horizon().is_none();
        let horizon = needs_horizon.then(|| self.new_horizon());
        Some(match kept.len() == all && horizon.is_none() {
            true => Kept::Whole,
            false => Kept::Changed(batch.keeping(&kept, horizon)),
        })
    }

    fn stays(&self, batch: &RecordBatch, record: &RecordFacts<'_>) -> bool {
        let offset = batch.base_offset().plus(i64::from(record.offset_delta));
        if offset >= self.map.end_offset() {
            return true;
        }
        // Without a key nobody can ask for it; topics that are compacted refuse such records.
        let Some(key) = record.key else {
            return false;
        };
        let is_latest = self.map.get(key).is_none_or(|latest| offset >= latest);
        is_latest && (record.has_value || !self.is_past_horizon(batch.header()))
    }

    fn is_past_horizon(&self, header: &BatchHeader) -> bool {
        let horizon = header.delete_horizon();
        horizon.is_some_and(|horizon| horizon <= self.now)
    }

    fn new_horizon(&self) -> Timestamp {
        self.now.plus_millis(self.delete_retention_ms)
    }

    /// Whether it is by this batch that the sequence number (or the epoch) of a live producer is
    /// known.
    fn tells_producer(&self, header: &BatchHeader) -> bool {
        let last = self.producers.get(&header.producer_id());
        last.is_some_and(|last| match last.data_offset {
            Some(offset) => header.last_offset() == offset,
            None => header.is_control() && header.producer_epoch() == last.epoch,
        })
    }
}
