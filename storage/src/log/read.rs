//! Reading whole batches, and around what is damaged.
//!
//! Checksums are verified once: when a batch is appended, or when its bytes, written in an earlier
//! life of the process, are first read. What is not a batch becomes a *hole*, found once and
//! remembered: readers of offsets in it get [`ReadError::Corrupt`], all others do not notice.

use klamm_model::Offset;
use klamm_model::record_batch::BatchHeader;

use super::populate::Stop;
use super::{Attempt, Damage, Log, Offline, ReadError, ReadResult};
use crate::disk::DiskError;
use crate::segment::residency::{Unread, Waiting};
use crate::segment::walk::Written;
use crate::segment::{Hole, Segment};

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
    ///
    /// Waits for the disk where records are not in memory. Those it returns are, for the moment.
    pub fn read(
        &mut self,
        from: Offset,
        upper: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<ReadResult, ReadError> {
        Ok(self.read_some(from, upper, max_bytes, at_least_one, Waiting::Here)?)
    }

    /// As [`read`](Self::read), but does not wait for the disk. What was written a moment ago is
    /// read at once, without asking whether it is in memory.
    pub fn try_read(
        &mut self,
        from: Offset,
        upper: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Attempt<ReadResult>, ReadError> {
        let result = self.read_some(from, upper, max_bytes, at_least_one, Waiting::Elsewhere);
        self.attempt(result)
    }

    fn read_some(
        &mut self,
        from: Offset,
        upper: Offset,
        max_bytes: usize,
        at_least_one: bool,
        waiting: Waiting,
    ) -> Result<ReadResult, Stop> {
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
        let written = self.written(at, waiting)?;
        let margin_bytes = u64::from(self.config.index_interval_bytes) + MARGIN_BYTES;
        let wanted_bytes = (max_bytes as u64).saturating_add(margin_bytes);
        let start = self.start_of_seek(at, &written, from, wanted_bytes)?;
        let Some(first) = self.walk_to(at, &written, start, from)? else {
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
            records: written.slice(first.position, end_position)?,
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
    ) -> Result<(u64, Offset), Stop> {
        let limit = first.position.saturating_add(max_bytes as u64);
        let (mut position, mut next) = (first.end_position(), first.next_offset());
        if let Some(jump) = self.jump(at, written, first.position, limit, upper)? {
            (position, next) = jump;
        }
        while next < upper && position < limit {
            let Some(header) = written.header(position, next)? else {
                break;
            };
            let found = Found { position, header };
            // A batch that does not fit is not looked at any further: most of it lies beyond what
            // was asked for, and may not be in memory.
            if found.end_position() > limit
                || found.next_offset() > upper
                || self.segments[at].hole_of(next).is_some()
                || !self.is_valid(at, written, position, &header)?
            {
                break;
            }
            (position, next) = (found.end_position(), found.next_offset());
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
    ) -> Result<Option<(u64, Offset)>, Stop> {
        let disk = self.disk();
        let segment = &mut self.segments[at];
        // What is known to be right counts, not what the reader would take: at the end of the log,
        // and where a reader is the first, an index entry would cost more than the walk.
        let worth_it = start.saturating_add(JUMP_BYTES_MIN);
        if limit < worth_it || !segment.verified().contains(start, worth_it) {
            return Ok(None);
        }
        let (position, ends_with) =
            match segment.last_entry_before(&*disk, limit, written.waiting()) {
                Ok(entry) => entry,
                // Walking is quicker than the disk.
                Err(Unread::Cold(_)) => return Ok(None),
                Err(Unread::Failed(error)) => return Err(self.unreadable(error).into()),
            };
        if ends_with.is_none() {
            return Ok(None);
        }
        let segment = &mut self.segments[at];
        let known = position > start && segment.verified().contains(start, position);
        if !known || !segment.holes().is_empty() {
            return Ok(None);
        }
        let Some(header) = written.any_header(position)? else {
            return Ok(None);
        };
        let base = header.base_offset();
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
    pub(super) fn written(&mut self, at: usize, waiting: Waiting) -> Result<Written, Offline> {
        let place = &self.place;
        let active = at + 1 == self.segments.len();
        let segment_bytes = u64::from(self.config.segment_bytes);
        let mapping =
            self.segments[at].mapping(&*place.disk, &place.mappings, active, segment_bytes);
        let mapping = mapping.map_err(|error: DiskError| self.unreadable(error))?;
        let tail_bytes = self.tail_bytes_of(at);
        Ok(self.segments[at].written(mapping, tail_bytes, waiting))
    }

    /// How much of a segment's end was written a moment ago.
    fn tail_bytes_of(&self, at: usize) -> u64 {
        let mut bytes = self.tail.size_bytes();
        for later in self.segments[at + 1..].iter().rev() {
            bytes = bytes.saturating_sub(later.length());
            if bytes == 0 {
                break;
            }
        }
        bytes
    }

    /// The batch that holds `target`; `None` if the segment ends before it.
    pub(super) fn seek(
        &mut self,
        at: usize,
        written: &Written,
        target: Offset,
    ) -> Result<Option<Found>, Stop> {
        let start = self.start_of_seek(at, written, target, 0)?;
        self.walk_to(at, written, start, target)
    }

    /// Where a walk to the batch that holds `target` begins: position and offset. `wanted_bytes`
    /// from there on are asked for at once: otherwise the reader would wait first where it begins,
    /// and then further on.
    fn start_of_seek(
        &mut self,
        at: usize,
        written: &Written,
        target: Offset,
        wanted_bytes: u64,
    ) -> Result<(u64, Offset), Stop> {
        let base = self.segments[at].base_offset();
        if let Some(position) = self.cursors.find(base, target) {
            written.touch(position, position.saturating_add(wanted_bytes))?;
            return Ok((position, target));
        }
        let (position, ends_with) = self.entry_before(at, written, target)?;
        written.touch(position, position.saturating_add(wanted_bytes))?;
        let believed = self.believe(at, written, position, ends_with)?;
        Ok(believed.unwrap_or((0, base)))
    }

    fn walk_to(
        &mut self,
        at: usize,
        written: &Written,
        (mut position, mut expected): (u64, Offset),
        target: Offset,
    ) -> Result<Option<Found>, Stop> {
        loop {
            match self.at(at, written, position, expected)? {
                At::Batch(found) if found.header.last_offset() >= target => {
                    return Ok(Some(found));
                }
                At::Batch(found) => {
                    (position, expected) = (found.end_position(), found.next_offset());
                }
                At::Hole(hole) if target < hole.next_offset => {
                    return Err(ReadError::Corrupt(damage(&self.segments[at], &hole)).into());
                }
                At::Hole(hole) => (position, expected) = (hole.end_position, hole.next_offset),
                At::End => return Ok(None),
            }
        }
    }

    /// Where the index says that a batch at or before `target` is, and the offset it ends with. An
    /// index entry that does not point at such a batch is not to be believed.
    fn entry_before(
        &mut self,
        at: usize,
        written: &Written,
        target: Offset,
    ) -> Result<(u64, Option<Offset>), Stop> {
        let disk = self.disk();
        let entry = self.segments[at].position_before(&*disk, target, written.waiting());
        entry.map_err(|unread| self.index_unread(unread))
    }

    /// An index that cannot be read takes the log offline: appends need it, too.
    pub(super) fn index_unread(&mut self, unread: Unread) -> Stop {
        match unread {
            Unread::Cold(cold) => Stop::Cold(cold),
            Unread::Failed(error) => self.unreadable(error).into(),
        }
    }

    /// The place an index entry names, if there is the batch it speaks of.
    pub(super) fn believe(
        &mut self,
        at: usize,
        written: &Written,
        position: u64,
        ends_with: Option<Offset>,
    ) -> Result<Option<(u64, Offset)>, Unread> {
        if ends_with.is_none() {
            return Ok(None);
        }
        let Some(header) = written.any_header(position)? else {
            return Ok(None);
        };
        let believed = Some(header.last_offset()) == ends_with
            && self.is_valid(at, written, position, &header)?;
        Ok(believed.then_some((position, header.base_offset())))
    }

    /// What stands at `position`, where the batch with offset `expected` should be.
    pub(super) fn at(
        &mut self,
        at: usize,
        written: &Written,
        position: u64,
        expected: Offset,
    ) -> Result<At, Unread> {
        let segment = &self.segments[at];
        if let Some(hole) = segment.hole_of(expected) {
            return Ok(At::Hole(hole));
        }
        // Bytes may follow that were cut, if the cut was lost; they are not of the log.
        if expected >= segment.end_offset() {
            return Ok(At::End);
        }
        if let Some(header) = written.header(position, expected)?
            && self.is_valid(at, written, position, &header)?
        {
            return Ok(At::Batch(Found { position, header }));
        }
        Ok(At::Hole(self.dig(at, written, position, expected)?))
    }

    /// Whether a header is that of the batch that was written: checksum, and what the checksum
    /// does not cover.
    fn is_valid(
        &mut self,
        at: usize,
        written: &Written,
        position: u64,
        header: &BatchHeader,
    ) -> Result<bool, Unread> {
        let end = position + header.size_bytes() as u64;
        if self.segments[at].verified().contains(position, end) {
            return Ok(true);
        }
        let valid = self.is_of_its_epoch(header) && written.batch(position, header)?.is_some();
        if valid {
            self.segments[at].verified().add(position, end);
        }
        Ok(valid)
    }

    /// Whether a batch carries the epoch that the journal knows for its offset.
    fn is_of_its_epoch(&self, header: &BatchHeader) -> bool {
        is_of_its_epoch(&self.epochs, self.log_start, header)
    }

    /// Finds out how far a damage reaches, and remembers it.
    fn dig(
        &mut self,
        at: usize,
        written: &Written,
        position: u64,
        expected: Offset,
    ) -> Result<Hole, Unread> {
        let segment = &self.segments[at];
        let end = segment.end_offset();
        let valid = |header: &BatchHeader| self.is_of_its_epoch(header);
        let (end_position, next_offset) = match written.resync(position, expected, end, valid)? {
            Some((position, header)) => (position, header.base_offset()),
            None => (written.length(), end),
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
        Ok(hole)
    }
}

/// What is asked for beyond the bytes of a read and the way to the first of them: the header of
/// the batch that is left out, and a batch of usual size before the first.
const MARGIN_BYTES: u64 = 64 << 10;

/// Reads shorter than this are not worth a look into the index.
const JUMP_BYTES_MIN: u64 = 64 << 10;

/// See [`Log::is_of_its_epoch`]. Below the log start nobody remembers epochs.
pub(crate) fn is_of_its_epoch(
    epochs: &crate::LeaderEpochs,
    log_start: Offset,
    header: &BatchHeader,
) -> bool {
    header.base_offset() < log_start
        || epochs.epoch_at(header.base_offset()) == Some(header.leader_epoch())
}
