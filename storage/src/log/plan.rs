//! Which batches of an append go to which segment.

use std::ops::Range;

use klamm_model::raft::DataEntry;
use klamm_model::{Offset, Timestamp};

use super::Log;
use crate::segment::{Planned, RollRule, Segment};

/// What goes to one segment.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) entries: Range<usize>,
    pub(super) bytes: u64,
    /// Whether a segment begins with it.
    pub(super) rolls: bool,
}

impl Log {
    /// Cuts entries into runs, at most one of them for the active segment; `runs` is room for them.
    pub(super) fn plan(
        &self,
        entries: &[DataEntry],
        now: Timestamp,
        mut runs: Vec<Run>,
    ) -> Vec<Run> {
        runs.clear();
        let active = self.active();
        // Damage stays in a closed segment: nothing is written behind it.
        let mut fresh = !active.holes().is_empty();
        let mut base_offset = active.base_offset();
        let mut planned = Planned::default();
        for (at, entry) in entries.iter().enumerate() {
            let header = entry.batch.header();
            let rule = self.roll_rule(base_offset, now);
            let full = match runs.iter().any(|run| run.rolls) {
                false => active.is_full_for(header, entry.index, &planned, &rule),
                true => Segment::new_is_full_for(base_offset, now, entry, &planned, &rule),
            };
            let rolls = full || fresh;
            fresh = false;
            if rolls {
                base_offset = header.base_offset();
                planned = Planned::default();
            }
            let size = header.size_bytes() as u64;
            match runs.last_mut() {
                Some(run) if !rolls => {
                    run.entries.end = at + 1;
                    run.bytes += size;
                }
                _ => runs.push(Run {
                    entries: at..at + 1,
                    bytes: size,
                    rolls,
                }),
            }
            planned.bytes += size;
            planned
                .first_timestamp
                .get_or_insert(header.max_timestamp());
            planned.first_index.get_or_insert(entry.index);
        }
        runs
    }

    fn roll_rule(&self, base_offset: Offset, now: Timestamp) -> RollRule<'_> {
        RollRule {
            config: &self.config,
            jitter_ms: self.jitter_ms(base_offset),
            now,
        }
    }

    /// Spreads rolls by time. Kafka draws at random; a sum over the partition and the offset is as
    /// good and the same on every replica.
    pub(super) fn jitter_ms(&self, base_offset: Offset) -> i64 {
        let jitter_ms = self.config.segment_jitter_ms.min(self.config.segment_ms);
        if jitter_ms <= 0 {
            return 0;
        }
        let mut sum = crc32fast::Hasher::new();
        sum.update(self.place.group.topic_id.as_bytes());
        sum.update(&self.place.group.partition.0.to_be_bytes());
        sum.update(&base_offset.get().to_be_bytes());
        i64::from(sum.finalize()) % jitter_ms
    }
}
