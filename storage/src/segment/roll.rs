//! When a segment is full.

use klamm_model::raft::DataEntry;
use klamm_model::record_batch::BatchHeader;
use klamm_model::{LogIndex, Offset, Timestamp};

use super::Segment;
use crate::log::LogConfig;

/// What decides about a roll beside the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RollRule<'a> {
    pub(crate) config: &'a LogConfig,
    pub(crate) jitter_ms: i64,
    pub(crate) now: Timestamp,
}

/// Batches that are about to be written to a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planned {
    pub(crate) bytes: u64,
    pub(crate) first_timestamp: Option<Timestamp>,
    pub(crate) first_index: Option<LogIndex>,
}

/// How full a segment is.
#[derive(Clone, Copy, Debug)]
struct Fill {
    base_offset: Offset,
    base_index: Option<LogIndex>,
    length: u64,
    offset_entries: u64,
    time_entries: u64,
    first_timestamp: Option<Timestamp>,
    created: Timestamp,
}

impl Fill {
    fn is_full_for(
        &self,
        header: &BatchHeader,
        index: LogIndex,
        planned_bytes: u64,
        roll: &RollRule<'_>,
    ) -> bool {
        let config = roll.config;
        if self.length == 0 {
            return false;
        }
        let waited_ms = match self.first_timestamp {
            Some(first) if first.millis() >= 0 => {
                let newest = header.max_timestamp().millis();
                newest.saturating_sub(first.millis())
            }
            _ => roll.now.millis().saturating_sub(self.created.millis()),
        };
        let old = config.segment_ms >= 0 && waited_ms > config.segment_ms - roll.jitter_ms;
        let new_entries = planned_bytes / (u64::from(config.index_interval_bytes) + 1) + 1;
        let index_bytes = u64::from(config.segment_index_bytes);
        let index_full = (self.offset_entries + new_entries) * 8 > index_bytes
            // The last one is for when the segment is closed.
            || (self.time_entries + new_entries + 1) * 12 > index_bytes;
        let base_index = self.base_index.unwrap_or(index);
        self.length + header.size_bytes() as u64 > u64::from(config.segment_bytes)
            || old
            || index_full
            // Relative numbers in the indexes are as wide as Kafka's.
            || index.0 - base_index.0 > i32::MAX as u64
            || header.last_offset().since(self.base_offset) > i64::from(i32::MAX)
    }
}

impl Segment {
    /// Whether a batch has to go to a new segment after the `planned` ones that are about to be
    /// written (Kafka's `LogSegment.shouldRoll`, and the limits of our own index).
    pub(crate) fn is_full_for(
        &self,
        header: &BatchHeader,
        index: LogIndex,
        planned: &Planned,
        roll: &RollRule<'_>,
    ) -> bool {
        let fill = Fill {
            base_offset: self.base_offset,
            base_index: self.base_index.or(planned.first_index),
            length: self.length + planned.bytes,
            offset_entries: self.offset_index.len() as u64,
            time_entries: self.time_index.len() as u64,
            first_timestamp: self.first_timestamp.or(planned.first_timestamp),
            created: self.created,
        };
        fill.is_full_for(header, index, planned.bytes, roll)
    }

    /// As [`is_full_for`](Self::is_full_for), of a segment that will be created for `planned`.
    pub(crate) fn new_is_full_for(
        base_offset: Offset,
        now: Timestamp,
        entry: &DataEntry,
        planned: &Planned,
        roll: &RollRule<'_>,
    ) -> bool {
        let fill = Fill {
            base_offset,
            base_index: planned.first_index,
            length: planned.bytes,
            offset_entries: 0,
            time_entries: 0,
            first_timestamp: planned.first_timestamp,
            created: now,
        };
        fill.is_full_for(entry.batch.header(), entry.index, planned.bytes, roll)
    }
}
