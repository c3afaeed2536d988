//! After a start: from what is on disk to a log that holds together.
//!
//! Everything below the recovery point was synced and is believed: closed segments there are not
//! read at all. From the recovery point on, every batch is looked at. The log is the longest
//! prefix in which every batch is whole, offsets follow each other, and every batch carries the
//! epoch whose no-op in the journal stands last at or before it. What comes after is cut: it is
//! the tail of a write that did not finish, or was never synced.
//!
//! Damage is told from that by two signs. Below the recovery point nothing may be missing. Above
//! it, if the page cache was not lost, only the very last write can be unfinished: a bad batch
//! with a good one after it was damaged later. Damage is kept as a hole, never cut.

use std::collections::BTreeMap;

use klamm_model::record_batch::BatchHeader;
use klamm_model::{LogIndex, Offset};

use super::finish::epochs_of;
use super::read::is_of_its_epoch;
use super::sync::Durable;
use super::{Log, OpenLogError, next_data_index};
use crate::disk::DiskError;
use crate::log_dir::BootKind;
use crate::segment::residency::Waiting;
use crate::segment::walk::Written;
use crate::segment::{FoundFiles, Hole, Segment};

/// How a segment is to be walked.
#[derive(Clone, Copy, Debug)]
struct Walk {
    /// Everything before was synced.
    recovery_point: Offset,
    /// Whether unsynced bytes may be lost in any order.
    lossy: bool,
    /// Whether what follows in the next segment is there.
    goes_on: bool,
}

/// How the walk over a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// At the end of its bytes.
    Whole,
    /// Cut, with everything after.
    Cut,
}

impl Log {
    /// Brings the log from what was found to what it is.
    pub(super) fn recover(
        &mut self,
        boot: BootKind,
        recovery_point: Offset,
        found: &BTreeMap<Offset, FoundFiles>,
    ) -> Result<(), OpenLogError> {
        let is_new = found.is_empty() && recovery_point == Offset::ZERO;
        if is_new && self.raft == crate::GroupState::default() {
            return self.begin_new();
        }
        self.epochs = epochs_of(&self.raft, self.raft.first_index());
        let lossy = boot == BootKind::Lossy;
        self.drop_empty()?;
        let mut at = 0;
        while at < self.segments.len() {
            let next_base = self.segments.get(at + 1).map(Segment::base_offset);
            self.know_base_index(at)?;
            // One that ends just there may have been cut without a sync since. What was compacted
            // was synced before it took the place of what was there.
            let synced = self.segments[at].is_sparse()
                || next_base.is_some_and(|base| base < recovery_point);
            if let (Some(next_base), true) = (next_base, synced) {
                self.segments[at].set_end_offset(next_base);
                self.trust(at, found)?;
            } else {
                let walk = Walk {
                    recovery_point,
                    lossy,
                    goes_on: next_base.is_some(),
                };
                match self.recover_segment(at, &walk, next_base)? {
                    // With other neighbours it may end elsewhere.
                    Ended::Whole if self.drop_overrun(at)? => continue,
                    Ended::Whole => {}
                    Ended::Cut => self.drop_segments_after(at)?,
                }
            }
            at += 1;
        }
        self.finish(boot, recovery_point)
    }

    /// A log that is new has nothing to recover, and nothing to sync before something is in it:
    /// topics of many partitions are made in a moment.
    fn begin_new(&mut self) -> Result<(), OpenLogError> {
        let snapshots = std::mem::take(&mut self.snapshots);
        for snapshot in snapshots {
            self.remove_snapshot(snapshot)?;
        }
        self.durable = Durable::new(self.end());
        self.durable.directory_changed();
        Ok(())
    }

    /// Removes empty segments after the first: leftovers of rolls that failed, or that nothing was
    /// appended to. Where the log ends, the one before shows.
    fn drop_empty(&mut self) -> Result<(), DiskError> {
        let place = self.place.clone();
        let whole_from = self.raft.whole_from();
        let mut at = 1;
        while at < self.segments.len() {
            // Where the log begins, an empty segment before others has lost what was in it, and
            // they do not follow on.
            let begins = self.segments[at].base_offset() == whole_from;
            if self.segments[at].is_empty() && !begins {
                let base = self.segments.remove(at).base_offset();
                Segment::remove_files(&*place.disk, &place.directory, base)?;
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    /// Finds out the index of a segment's first batch: the journal knows, or counting on from the
    /// segment before tells.
    fn know_base_index(&mut self, at: usize) -> Result<(), OpenLogError> {
        let base_offset = self.segments[at].base_offset();
        let known = self.raft.segments.get(&base_offset).copied();
        let index = match known {
            // Its batches are gone, and another entry may take the index of the first.
            _ if self.segments[at].is_empty() => None,
            _ if self.segments[at].is_sparse() => None,
            Some(index) => Some(index),
            None if at == self.first_whole() => {
                let before = LogIndex(self.raft.first_index().0 - 1);
                Some(next_data_index(&self.raft.metas, before))
            }
            None => self.index_after(at - 1)?,
        };
        self.segments[at].set_base_index(index);
        Ok(())
    }

    /// The index of the batch after a segment.
    pub(super) fn index_after(&mut self, at: usize) -> Result<Option<LogIndex>, OpenLogError> {
        let end = LogIndex(u64::MAX);
        let disk = self.disk();
        let Some((position, index, ends_with)) =
            self.segments[at].position_before_index(&*disk, end)?
        else {
            return Ok(None);
        };
        let written = self.written(at, Waiting::Here);
        let written = written.map_err(|offline| offline.cause)?;
        let base = self.segments[at].base_offset();
        let base_index = self.segments[at].base_index().unwrap_or(index);
        let believed = self.believe(at, &written, position, ends_with);
        let believed = believed.map_err(DiskError::from)?;
        let ((mut position, mut expected), mut index) = match believed {
            Some(place) => (place, index),
            None => ((0, base), base_index),
        };
        loop {
            use super::read::At;
            (position, expected) = match self
                .at(at, &written, position, expected)
                .map_err(DiskError::from)?
            {
                At::Batch(found) => (found.end_position(), found.next_offset()),
                At::Hole(hole) => (hole.end_position, hole.next_offset),
                At::End => return Ok(Some(index)),
            };
            index = self.next_data_index(index);
        }
    }

    /// Takes a segment that was synced whole as it is, unless its indexes cannot be right.
    fn trust(
        &mut self,
        at: usize,
        found: &BTreeMap<Offset, FoundFiles>,
    ) -> Result<(), OpenLogError> {
        let disk = self.disk();
        let base = self.segments[at].base_offset();
        let files = found.get(&base).copied().unwrap_or_default();
        if !self.segments[at].indexes_look_right(&*disk, files)? {
            let path = self.segments[at].path();
            tracing::warn!(file = %path.display(), "rebuilding the indexes of a segment");
            self.reindex(at)?;
        }
        Ok(())
    }

    /// Makes the indexes of a closed segment anew, from its batches.
    fn reindex(&mut self, at: usize) -> Result<(), OpenLogError> {
        let walk = Walk {
            recovery_point: self.segments[at].end_offset(),
            lossy: true,
            goes_on: true,
        };
        let end = self.segments[at].end_offset();
        self.recover_segment(at, &walk, Some(end)).map(|_| ())
    }

    /// Walks a segment from the last place that can be believed, makes its indexes, and ends it
    /// where it must end.
    fn recover_segment(
        &mut self,
        at: usize,
        walk: &Walk,
        next_base: Option<Offset>,
    ) -> Result<Ended, OpenLogError> {
        let disk = self.disk();
        let length = self.segments[at].length();
        let base = self.segments[at].base_offset();
        // Offsets that must be there, and offsets that can be.
        let must_reach = walk.recovery_point.max(base);
        let end = next_base.unwrap_or(Offset::new(i64::MAX));
        self.segments[at].set_end_offset(end);
        let written = self.written(at, Waiting::Here);
        let written = written.map_err(|offline| offline.cause)?;
        let mut index = self.begin_walk(at, walk, &written)?;
        let mut position = self.segments[at].length();
        let mut expected = self.segments[at].end_offset();
        let ended = loop {
            if position >= length && (next_base.is_none() || expected >= end) {
                break Ended::Whole;
            }
            if let Some(header) = self.good_batch(at, &written, position, expected, walk)? {
                let next = index.unwrap_or(self.raft.first_index());
                let interval_bytes = self.config.index_interval_bytes;
                self.segments[at].note(&*disk, &header, next, interval_bytes)?;
                position += header.size_bytes() as u64;
                expected = header.last_offset().plus(1);
                index = Some(next_data_index(&self.raft.metas, next));
                continue;
            }
            if next_base.is_some() && expected >= end {
                // What was cut before the next segment was begun, and the cut was lost.
                break Ended::Whole;
            }
            let hole = self.hole(&written, position, expected, walk, must_reach, end)?;
            let Some(hole) = hole else {
                break Ended::Cut;
            };
            self.report(at, &hole);
            self.segments[at].add_hole(hole);
            self.segments[at].skip_to(hole.end_position, hole.next_offset);
            (position, expected) = (hole.end_position, hole.next_offset);
            index = index.map(|index| next_data_index(&self.raft.metas, index));
        };
        self.end_walk(at, length, must_reach, next_base, ended)?;
        Ok(ended)
    }

    /// Sets the segment back to where the walk begins; returns the index of the batch there.
    fn begin_walk(
        &mut self,
        at: usize,
        walk: &Walk,
        written: &Written,
    ) -> Result<Option<LogIndex>, DiskError> {
        let disk = self.disk();
        let segment = &mut self.segments[at];
        segment.forget_holes();
        let base = segment.base_offset();
        let base_index = segment.base_index();
        if let Some(first) = written.any_header(0)? {
            segment.set_first_timestamp(first.max_timestamp());
        }
        // After a power loss index entries may be missing although later ones are there.
        if !walk.lossy
            && let Some(resume) = segment.resume(&*disk, walk.recovery_point)?
            && let Some(header) = written.any_header(resume.position)?
            && header.last_offset() == resume.ends_with
            && is_of_its_epoch(&self.epochs, self.log_start, &header)
        {
            let segment = &mut self.segments[at];
            segment.rewind(resume.position, header.base_offset(), resume.max_time);
            return Ok(Some(resume.index));
        }
        let segment = &mut self.segments[at];
        segment.reset_indexes(&*disk)?;
        segment.rewind(0, base, None);
        Ok(base_index)
    }

    /// The batch at `position`, if it is what the log should have there.
    fn good_batch(
        &mut self,
        at: usize,
        written: &Written,
        position: u64,
        expected: Offset,
        walk: &Walk,
    ) -> Result<Option<BatchHeader>, DiskError> {
        let Some(header) = written.header(position, expected)? else {
            return Ok(None);
        };
        if !is_of_its_epoch(&self.epochs, self.log_start, &header) {
            return Ok(None);
        }
        // Below the recovery point the reader verifies; it may be a lot.
        if header.last_offset() >= walk.recovery_point {
            if written.batch(position, &header)?.is_none() {
                return Ok(None);
            }
            let end = position + header.size_bytes() as u64;
            self.segments[at].verified().add(position, end);
        }
        Ok(Some(header))
    }

    /// What is damaged from `expected` on; `None` if the log ends there.
    fn hole(
        &self,
        written: &Written,
        position: u64,
        expected: Offset,
        walk: &Walk,
        must_reach: Offset,
        end: Offset,
    ) -> Result<Option<Hole>, DiskError> {
        let lost = expected < must_reach;
        if walk.lossy && !lost {
            return Ok(None);
        }
        let log_start = self.log_start;
        let valid = |header: &BatchHeader| is_of_its_epoch(&self.epochs, log_start, header);
        let (end_position, next_offset) = match written.resync(position, expected, end, valid)? {
            Some((position, header)) => (position, header.base_offset()),
            // Nothing good follows here, but it does in the next segment.
            None if walk.goes_on && (lost || !walk.lossy) => (written.length(), end),
            None if lost => (written.length(), must_reach),
            None => return Ok(None),
        };
        Ok(Some(Hole {
            position,
            end_position,
            first_offset: expected,
            next_offset,
        }))
    }

    fn report(&self, at: usize, hole: &Hole) {
        tracing::error!(
            file = %self.segments[at].path().display(),
            position = hole.position,
            first_offset = %hole.first_offset,
            next_offset = %hole.next_offset,
            "records are damaged"
        );
    }

    /// Gives the segment its end.
    fn end_walk(
        &mut self,
        at: usize,
        length: u64,
        must_reach: Offset,
        next_base: Option<Offset>,
        ended: Ended,
    ) -> Result<(), OpenLogError> {
        let disk = self.disk();
        let segment = &mut self.segments[at];
        let position = segment.length();
        if position < length {
            let path = segment.path();
            let end = segment.end_offset();
            tracing::info!(file = %path.display(), position, %end, "cutting an unfinished tail");
            segment.file(&*disk)?.truncate(position)?;
            segment.unmap(&self.place.mappings);
        }
        let segment = &mut self.segments[at];
        if next_base.is_none() && segment.end_offset() < must_reach {
            // The file is shorter than it was when it was synced.
            let hole = Hole {
                position,
                end_position: position,
                first_offset: segment.end_offset(),
                next_offset: must_reach,
            };
            segment.add_hole(hole);
            segment.set_end_offset(must_reach);
            self.report(at, &hole);
        }
        let segment = &mut self.segments[at];
        segment.set_wholly_unsynced();
        if segment.is_empty() {
            segment.set_base_index(None);
        }
        if next_base.is_some() && ended == Ended::Whole {
            segment.note_time(&*disk)?;
        }
        segment.flush_indexes(&*disk)?;
        Ok(())
    }

    /// Removes segments that begin before this one ends: the end was cut, and their names came
    /// back with a power loss. Were they right, the batches here would not be of their epochs.
    /// Returns whether there were any.
    fn drop_overrun(&mut self, at: usize) -> Result<bool, DiskError> {
        let end = self.segments[at].end_offset();
        let place = self.place.clone();
        let before = self.segments.len();
        while let Some(next) = self.segments.get(at + 1)
            && next.base_offset() < end
        {
            let base = self.segments.remove(at + 1).base_offset();
            Segment::remove_files(&*place.disk, &place.directory, base)?;
        }
        Ok(self.segments.len() < before)
    }

    fn drop_segments_after(&mut self, at: usize) -> Result<(), OpenLogError> {
        while self.segments.len() > at + 1 {
            let base = self.active().base_offset();
            self.segments.pop();
            let place = &self.place;
            Segment::remove_files(&*place.disk, &place.directory, base)?;
        }
        Ok(())
    }
}
