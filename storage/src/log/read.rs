//! Reading whole batches, and around what is damaged.
//!
//! Checksums are verified once: when a batch is appended, or when its bytes, written in an earlier
//! life of the process, are first read. What is not a batch becomes a *hole*, found once and
//! remembered: readers of offsets in it get [`ReadError::Corrupt`], all others do not notice.

use klamm_model::Offset;
use klamm_model::record_batch::BatchHeader;

use super::{Damage, Log, Offline, ReadError, ReadResult};
use crate::disk::DiskError;
use crate::segment::walk::{NoBatch, Written};
use crate::segment::{Hole, Segment};

/// Places in the log where readers stopped: most go on from there.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    recent: [Option<Cursor>; CURSORS],
    next: usize,
}

const CURSORS: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Cursor {
    offset: Offset,
    segment: Offset,
    position: u64,
}

impl Cursors {
    fn find(&self, segment: Offset, offset: Offset) -> Option<u64> {
        self.recent
            .iter()
            .flatten()
            .find(|cursor| cursor.segment == segment && cursor.offset == offset)
            .map(|cursor| cursor.position)
    }

    fn keep(&mut self, segment: Offset, offset: Offset, position: u64) {
        let cursor = Cursor {
            offset,
            segment,
            position,
        };
        let known = self.recent.iter().flatten();
        if !known.clone().any(|known| known.offset == offset) {
            self.recent[self.next] = Some(cursor);
            self.next = (self.next + 1) % CURSORS;
        }
    }

    /// The log was cut: places may not be what they were.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A batch and where it lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) position: u64,
    pub(super) header: BatchHeader,
}

impl Found {
    pub(super) fn end_position(&self) -> u64 {
        self.position + self.header.size_bytes() as u64
    }

    pub(super) fn next_offset(&self) -> Offset {
        self.header.last_offset().plus(1)
    }
}

/// What stands at an offset.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Batch(Found),
    Hole(Hole),
    /// The segment ends here.
    End,
}

/// A hole as readers are told of it.
pub(super) fn damage(segment: &Segment, hole: &Hole) -> Damage {
    Damage {
        file: segment.path(),
        position: hole.position,
        first_offset: hole.first_offset,
        next_offset: hole.next_offset,
    }
}

impl Log {
    /// Reads whole batches from the one that holds `from`, ending at or before `upper`, of at most
    /// `max_bytes` together; with `at_least_one`, the first batch even if it is larger. Stays
    /// within one segment. `from` at the end (or at `upper` or beyond) reads nothing.
    pub fn read(
        &mut self,
        from: Offset,
        upper: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<ReadResult, ReadError> {
        self.check_readable(from)?;
        let upper = upper.min(self.log_end_offset());
        let nothing = ReadResult {
            records: bytes::Bytes::new(),
            base_offset: from,
            next_offset: from,
        };
        if from >= upper {
            return Ok(nothing);
        }
        let at = self.segment_of(from);
        let written = self.written(at)?;
        let Some(first) = self.seek(at, &written, from)? else {
            // Only a hole at the end of a segment reaches beyond its batches.
            return Ok(nothing);
        };
        let fits = first.header.size_bytes() <= max_bytes || at_least_one;
        if !fits || first.next_offset() > upper {
            return Ok(nothing);
        }
        let (end_position, next_offset) = self.extend(at, &written, first, upper, max_bytes)?;
        let base = self.segments[at].base_offset();
        self.cursors.keep(base, next_offset, end_position);
        Ok(ReadResult {
            records: written
                .mapping
                .slice(first.position as usize..end_position as usize),
            base_offset: first.header.base_offset(),
            next_offset,
        })
    }

    /// How far batches can be read on after `first`.
    fn extend(
        &mut self,
        at: usize,
        written: &Written,
        first: Found,
        upper: Offset,
        max_bytes: usize,
    ) -> Result<(u64, Offset), Offline> {
        let limit = first.position.saturating_add(max_bytes as u64);
        let (mut position, mut next) = (first.end_position(), first.next_offset());
        if let Some(jump) = self.jump(at, written, first.position, limit, upper)? {
            (position, next) = jump;
        }
        while next < upper && position < limit {
            match self.at(at, written, position, next) {
                At::Batch(found)
                    if found.end_position() <= limit && found.next_offset() <= upper =>
                {
                    (position, next) = (found.end_position(), found.next_offset());
                }
                _ => break,
            }
        }
        Ok((position, next))
    }

    /// Steps over batches that need no look because their checksums are known to be right: to the
    /// last one with an index entry before `limit`.
    fn jump(
        &mut self,
        at: usize,
        written: &Written,
        start: u64,
        limit: u64,
        upper: Offset,
    ) -> Result<Option<(u64, Offset)>, Offline> {
        let disk = self.disk();
        let segment = &mut self.segments[at];
        // What is left of the segment counts, not what the reader would take: at the end of the
        // log an index entry would cost more than the walk.
        let end = limit.min(segment.length());
        if end.saturating_sub(start) < JUMP_BYTES_MIN
            || !segment.verified().contains(start, start + 1)
        {
            return Ok(None);
        }
        let entry = segment.last_entry_before(&*disk, limit);
        let (position, Some(_)) = entry.map_err(|error| self.unreadable(error))? else {
            return Ok(None);
        };
        let segment = &mut self.segments[at];
        let known = position > start && segment.verified().contains(start, position);
        if !known || !segment.holes().is_empty() {
            return Ok(None);
        }
        let base = match written.any_header(position) {
            Ok(header) => header.base_offset(),
            Err(NoBatch) => return Ok(None),
        };
        let end = upper.min(self.segments[at].end_offset());
        Ok((base <= end).then_some((position, base)))
    }

    pub(super) fn check_readable(&self, from: Offset) -> Result<(), ReadError> {
        if let Some(offline) = &self.offline {
            return Err(offline.clone().into());
        }
        if from < self.log_start || from > self.log_end_offset() {
            return Err(ReadError::OffsetOutOfRange {
                offset: from,
                log_start: self.log_start,
                log_end: self.log_end_offset(),
            });
        }
        Ok(())
    }

    /// Which segment an offset belongs to.
    pub(super) fn segment_of(&self, offset: Offset) -> usize {
        let after = self
            .segments
            .partition_point(|segment| segment.base_offset() <= offset);
        after.saturating_sub(1)
    }

    /// The bytes of a segment.
    pub(super) fn written(&mut self, at: usize) -> Result<Written, Offline> {
        let place = &self.place;
        let active = at + 1 == self.segments.len();
        let segment_bytes = u64::from(self.config.segment_bytes);
        let written =
            self.segments[at].written(&*place.disk, &place.mappings, active, segment_bytes);
        written.map_err(|error: DiskError| self.unreadable(error))
    }

    /// The batch that holds `target`; `None` if the segment ends before it.
    pub(super) fn seek(
        &mut self,
        at: usize,
        written: &Written,
        target: Offset,
    ) -> Result<Option<Found>, ReadError> {
        let base = self.segments[at].base_offset();
        let (mut position, mut expected) = match self.cursors.find(base, target) {
            Some(position) => (position, target),
            None => self.start_before(at, written, target)?,
        };
        loop {
            match self.at(at, written, position, expected) {
                At::Batch(found) if found.header.last_offset() >= target => {
                    return Ok(Some(found));
                }
                At::Batch(found) => {
                    (position, expected) = (found.end_position(), found.next_offset());
                }
                At::Hole(hole) if target < hole.next_offset => {
                    return Err(ReadError::Corrupt(damage(&self.segments[at], &hole)));
                }
                At::Hole(hole) => (position, expected) = (hole.end_position, hole.next_offset),
                At::End => return Ok(None),
            }
        }
    }

    /// A batch's position and offset at or before `target`, by the index. An index entry that does
    /// not point at such a batch is not believed.
    fn start_before(
        &mut self,
        at: usize,
        written: &Written,
        target: Offset,
    ) -> Result<(u64, Offset), Offline> {
        let disk = self.disk();
        let entry = self.segments[at].position_before(&*disk, target);
        let (position, ends_with) = entry.map_err(|error| self.unreadable(error))?;
        let base = self.segments[at].base_offset();
        Ok(self
            .believe(at, written, position, ends_with)
            .unwrap_or((0, base)))
    }

    /// The place an index entry names, if there is the batch it speaks of.
    pub(super) fn believe(
        &mut self,
        at: usize,
        written: &Written,
        position: u64,
        ends_with: Option<Offset>,
    ) -> Option<(u64, Offset)> {
        let header = written.any_header(position).ok()?;
        (Some(header.last_offset()) == ends_with && self.is_valid(at, written, position, &header))
            .then_some((position, header.base_offset()))
    }

    /// What stands at `position`, where the batch with offset `expected` should be.
    pub(super) fn at(
        &mut self,
        at: usize,
        written: &Written,
        position: u64,
        expected: Offset,
    ) -> At {
        let segment = &self.segments[at];
        if let Some(hole) = segment.hole_of(expected) {
            return At::Hole(hole);
        }
        // Bytes may follow that were cut, if the cut was lost; they are not of the log.
        if expected >= segment.end_offset() {
            return At::End;
        }
        match written.header(position, expected) {
            Ok(header) if self.is_valid(at, written, position, &header) => {
                At::Batch(Found { position, header })
            }
            _ => At::Hole(self.dig(at, written, position, expected)),
        }
    }

    /// Whether a header is that of the batch that was written: checksum, and what the checksum
    /// does not cover.
    fn is_valid(
        &mut self,
        at: usize,
        written: &Written,
        position: u64,
        header: &BatchHeader,
    ) -> bool {
        let end = position + header.size_bytes() as u64;
        if self.segments[at].verified().contains(position, end) {
            return true;
        }
        let valid = self.is_of_its_epoch(header) && written.batch(position, header).is_ok();
        if valid {
            self.segments[at].verified().add(position, end);
        }
        valid
    }

    /// Whether a batch carries the epoch that the journal knows for its offset.
    fn is_of_its_epoch(&self, header: &BatchHeader) -> bool {
        is_of_its_epoch(&self.epochs, self.log_start, header)
    }

    /// Finds out how far a damage reaches, and remembers it.
    fn dig(&mut self, at: usize, written: &Written, position: u64, expected: Offset) -> Hole {
        let segment = &self.segments[at];
        let end = segment.end_offset();
        let valid = |header: &BatchHeader| self.is_of_its_epoch(header);
        let (end_position, next_offset) = match written.resync(position, expected, end, valid) {
            Some((position, header)) => (position, header.base_offset()),
            None => (written.length, end),
        };
        let hole = Hole {
            position,
            end_position,
            first_offset: expected,
            next_offset,
        };
        tracing::error!(
            file = %segment.path().display(),
            position,
            first_offset = %expected,
            %next_offset,
            "records are damaged"
        );
        self.segments[at].add_hole(hole);
        hole
    }
}

/// Reads shorter than this are not worth a look into the index.
const JUMP_BYTES_MIN: u64 = 64 << 10;

/// See [`Log::is_of_its_epoch`]. Below the log start nobody remembers epochs.
pub(super) fn is_of_its_epoch(
    epochs: &crate::LeaderEpochs,
    log_start: Offset,
    header: &BatchHeader,
) -> bool {
    header.base_offset() < log_start
        || epochs.epoch_at(header.base_offset()) == Some(header.leader_epoch())
}
