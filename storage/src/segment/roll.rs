//! When a segment is full.

use klamm_model::raft::{DataEntry, Placement};
use klamm_model::{LogIndex, Offset, Timestamp};

use super::Segment;
use crate::log::LogConfig;

/// How full the segment is that the next entry goes to, with all that is about to be written to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filling {
    base_offset: Offset,
    base_index: Option<LogIndex>,
    length: u64,
    /// What of it has no entries in the indexes yet.
    planned_bytes: u64,
    offset_entries: u64,
    time_entries: u64,
    first_timestamp: Option<Timestamp>,
    created: Timestamp,
    /// By so much it is rolled before it is as old as it may be.
    jitter_ms: i64,
    /// Damage stays in a closed segment: nothing is written behind it.
    damaged: bool,
}

impl Filling {
    /// Of a segment that is to be created.
    pub(crate) fn of_new(base_offset: Offset, now: Timestamp, jitter_ms: i64) -> Self {
        Self {
            base_offset,
            base_index: None,
            length: 0,
            planned_bytes: 0,
            offset_entries: 0,
            time_entries: 0,
            first_timestamp: None,
            created: now,
            jitter_ms,
            damaged: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether an entry has to go to a new segment: where that is decided already, as it was decided,
    /// as far as the entry can go where it should.
    pub(crate) fn ends_before(
        &self,
        entry: &DataEntry,
        config: &LogConfig,
        now: Timestamp,
    ) -> bool {
        if self.damaged {
            return true;
        }
        if self.is_empty() {
            return false;
        }
        match entry.placement {
            Placement::Begins => true,
            Placement::Continues => !self.can_hold(entry),
            Placement::Undecided => !self.can_hold(entry) || self.is_full_for(entry, config, now),
        }
    }

    /// Kafka's `LogSegment.shouldRoll`, and the limits of our own index.
    fn is_full_for(&self, entry: &DataEntry, config: &LogConfig, now: Timestamp) -> bool {
        let header = entry.batch.header();
        let waited_ms = match self.first_timestamp {
            Some(first) if first.millis() >= 0 => {
                let newest = header.max_timestamp().millis();
                newest.saturating_sub(first.millis())
            }
            _ => now.millis().saturating_sub(self.created.millis()),
        };
        let old = config.segment_ms >= 0 && waited_ms > config.segment_ms - self.jitter_ms;
        let new_entries = self.planned_bytes / (u64::from(config.index_interval_bytes) + 1) + 1;
        let index_bytes = u64::from(config.segment_index_bytes);
        let index_full = (self.offset_entries + new_entries) * 8 > index_bytes
            // The last one is for when the segment is closed.
            || (self.time_entries + new_entries + 1) * 12 > index_bytes;
        self.length + header.size_bytes() as u64 > u64::from(config.segment_bytes)
            || old
            || index_full
    }

    /// Whether the formats have numbers for an entry behind the others: positions and relative numbers
    /// in the indexes are as wide as Kafka's.
    fn can_hold(&self, entry: &DataEntry) -> bool {
        const WIDTH: u64 = i32::MAX as u64;
        let header = entry.batch.header();
        let base_index = self.base_index.unwrap_or(entry.index);
        self.length + header.size_bytes() as u64 <= WIDTH
            && entry.index.0 - base_index.0 <= WIDTH
            && header.last_offset().since(self.base_offset) <= i64::from(i32::MAX)
    }

    /// An entry goes there.
    pub(crate) fn add(&mut self, entry: &DataEntry) {
        let header = entry.batch.header();
        if self.is_empty() {
            self.first_timestamp = Some(header.max_timestamp());
        }
        self.base_index.get_or_insert(entry.index);
        self.length += header.size_bytes() as u64;
        self.planned_bytes += header.size_bytes() as u64;
    }
}

impl Segment {
    /// How full it is.
    pub(crate) fn filling(&self, jitter_ms: i64) -> Filling {
        Filling {
            base_offset: self.base_offset,
            base_index: self.base_index,
            length: self.length,
            planned_bytes: 0,
            offset_entries: self.offset_index.len() as u64,
            time_entries: self.time_index.len() as u64,
            first_timestamp: self.first_timestamp,
            created: self.created,
            jitter_ms,
            damaged: !self.holes.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch;

    fn entry(index: u64, base_offset: i64, placement: Placement) -> DataEntry {
        let mut batch = batch(1, &["x"]);
        let term = klamm_model::Term::new(1);
        batch.stamp(Offset::new(base_offset), term.leader_epoch());
        DataEntry {
            index: LogIndex(index),
            term,
            batch,
            placement,
        }
    }

    #[test]
    fn what_the_formats_have_no_numbers_for_begins_a_segment_whatever_was_said() {
        const WIDTH: i64 = i32::MAX as i64;
        let now = Timestamp(1);
        let config = LogConfig::default();
        let first = entry(7, 10, Placement::Begins);
        let size = first.batch.size_bytes() as u64;
        let mut filling = Filling::of_new(Offset::new(10), now, 0);
        filling.add(&first);
        let ends_before = |filling: &Filling, index, offset| {
            let next = entry(index, offset, Placement::Continues);
            filling.ends_before(&next, &config, now)
        };
        assert!(!ends_before(&filling, 7 + WIDTH as u64, 10 + WIDTH));
        assert!(ends_before(&filling, 8 + WIDTH as u64, 10 + WIDTH));
        assert!(ends_before(&filling, 7 + WIDTH as u64, 11 + WIDTH));
        filling.length = WIDTH as u64 - size;
        assert!(!ends_before(&filling, 8, 11));
        filling.length += 1;
        assert!(ends_before(&filling, 8, 11));
    }
}
