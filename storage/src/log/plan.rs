//! Which batches go to which segment: decided once, by the leader, and then followed by whoever
//! appends them.

use std::ops::Range;

use klamm_model::raft::{DataEntry, Placement};
use klamm_model::{LogIndex, Offset, Timestamp};

use super::Log;
use crate::disk::DiskError;
use crate::segment::{Filling, Segment};

/// What goes to one segment.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) entries: Range<usize>,
    pub(super) bytes: u64,
    /// Whether a segment begins with it.
    pub(super) rolls: bool,
}

/// Where the log will stand when all is appended that has been given a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    filling: Filling,
    last: LogIndex,
}

impl Log {
    /// Decides for entries that are about to be appended whether a segment begins with them, and writes
    /// it into them; what was decided before stays so. They follow those that were given a place before,
    /// which need not be appended yet. `now` is for the age of segments.
    pub fn place(&mut self, entries: &mut [DataEntry], now: Timestamp) {
        let Some(last) = entries.last().map(|entry| entry.index) else {
            return;
        };
        let placed = self.placed.map(|placed| placed.filling);
        let mut filling = placed.unwrap_or_else(|| self.filling());
        for entry in entries {
            let begins = self.advance(&mut filling, entry, now).begins;
            entry.placement = match begins {
                true => Placement::Begins,
                false => Placement::Continues,
            };
        }
        self.placed = Some(Placed { filling, last });
    }

    /// Whether more is on its way to the log than it has.
    pub(super) fn is_ahead(&self) -> bool {
        self.appending || self.placed.is_some()
    }

    /// All that is on its way may have arrived.
    pub(super) fn note_arrived(&mut self) {
        let next = self.next_index;
        self.placed.take_if(|placed| placed.last < next);
    }

    /// Whether a segment begins with the batch at an offset, which has been appended.
    pub fn placement_at(&self, base_offset: Offset) -> Placement {
        let found = self
            .segments
            .binary_search_by_key(&base_offset, Segment::base_offset);
        match found {
            Ok(_) => Placement::Begins,
            Err(_) => Placement::Continues,
        }
    }

    /// Cuts entries into runs, at most one of them for the active segment; `runs` is room for them.
    pub(super) fn plan(
        &self,
        entries: &[DataEntry],
        now: Timestamp,
        mut runs: Vec<Run>,
    ) -> Vec<Run> {
        runs.clear();
        let mut filling = self.filling();
        for (at, entry) in entries.iter().enumerate() {
            let rolls = self.advance(&mut filling, entry, now).rolls;
            if rolls && entry.placement == Placement::Continues {
                self.report_lone_roll(entry);
            }
            let size = entry.batch.size_bytes() as u64;
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
        }
        runs
    }

    fn report_lone_roll(&self, entry: &DataEntry) {
        tracing::warn!(
            partition = %self.topic_partition,
            offset = entry.batch.base_offset().get(),
            "a segment begins here that does not on the leader: the one before is damaged, or too large"
        );
    }

    /// How full the active segment is.
    fn filling(&self) -> Filling {
        let active = self.active();
        active.filling(self.jitter_ms(active.base_offset()))
    }

    /// Puts an entry behind the others.
    fn advance(&self, filling: &mut Filling, entry: &DataEntry, now: Timestamp) -> Step {
        let rolls = filling.ends_before(entry, &self.config, now);
        if rolls {
            let base_offset = entry.batch.base_offset();
            *filling = Filling::of_new(base_offset, now, self.jitter_ms(base_offset));
        }
        let begins = filling.is_empty();
        filling.add(entry);
        Step { rolls, begins }
    }

    /// If the active segment is empty, the one before goes on, unless nothing can be written there: where
    /// one begins, its first entry says.
    pub(super) fn reopen(&mut self) -> Result<(), DiskError> {
        let before = self.segments.len().checked_sub(2);
        let Some(before) = before.filter(|_| self.active().is_empty()) else {
            return Ok(());
        };
        let previous = &self.segments[before];
        let is_compacted = previous.is_sparse() || previous.base_offset() < self.cleaned_to;
        if is_compacted || self.swapping.is_some() || !previous.holes().is_empty() {
            return Ok(());
        }
        let place = self.place.clone();
        let mut empty = self.segments.pop().expect("there are two");
        empty.unmap(&place.mappings);
        Segment::remove_files(&*place.disk, &place.directory, empty.base_offset())?;
        self.durable.directory_changed();
        self.cursors.clear();
        self.tail.cut();
        self.cuts += 1;
        let active = self.active_mut();
        active.unmap(&place.mappings);
        active.first_time(&*place.disk)?;
        self.reindex_end()
    }

    /// Spreads rolls by time. Kafka draws at random; a sum over the partition and the offset is as
    /// good, and can be told again after a restart.
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

/// What an entry means for the segments.
struct Step {
    /// One is to be created for it.
    rolls: bool,
    /// It is the first in its segment.
    begins: bool,
}
