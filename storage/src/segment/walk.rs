//! From batch to batch over the bytes of a segment, and over what is damaged in them.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use klamm_model::record_batch::BatchHeader;
use klamm_model::{Offset, RecordBatch};

use super::file_name;
use super::residency::{Cold, Unread, Waiting};
use crate::disk::{DiskError, Mapping};

/// The written bytes of a segment, of which nothing is touched that is not in memory.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    mapping: Mapping,
    length: u64,
    waiting: Waiting,
    /// The stretch that may be touched without asking again.
    ready: Cell<(u64, u64)>,
    directory: Arc<Path>,
    base_offset: Offset,
    /// Where a segment ends in which batches may be missing, but never the last.
    sparse_end: Option<Offset>,
}

/// Bytes that are asked about at once, at least: a walk would ask for each batch.
const AHEAD_BYTES_MIN: u64 = 256 << 10;

/// And at most. In between, it is as much as has been walked over: what is brought into memory for
/// one reader stays in proportion to what it needs, and so does the number of times it waits.
const AHEAD_BYTES_MAX: u64 = 16 << 20;

/// Bytes that are searched at once for the end of a damage.
const SEARCH_BYTES: u64 = 64 << 10;

impl Written {
    /// The first `length` bytes of a segment; those from `resident_from` on are known to be in
    /// memory.
    pub(crate) fn new(
        mapping: Mapping,
        length: u64,
        resident_from: u64,
        waiting: Waiting,
        (directory, base_offset): (Arc<Path>, Offset),
    ) -> Self {
        Self {
            mapping,
            length,
            waiting,
            ready: Cell::new((resident_from.min(length), length)),
            directory,
            base_offset,
            sparse_end: None,
        }
    }

    /// Says that batches before `end` may be missing, but never the last.
    pub(crate) fn sparse(mut self, end: Offset) -> Self {
        self.sparse_end = Some(end);
        self
    }

    /// Where its reader may wait.
    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Bytes that have been written.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Makes sure that bytes may be touched; what lies beyond the written ones is left out.
    pub(crate) fn touch(&self, start: u64, end: u64) -> Result<(), Unread> {
        let (low, high) = self.ready.get();
        let end = end.min(self.length);
        if start >= end || low <= start && end <= high {
            return Ok(());
        }
        let goes_on = low <= start && start <= high;
        let walked = if goes_on { high - low } else { 0 };
        let from = if goes_on { high } else { start };
        let ahead = walked.clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX);
        let to = (from + ahead).min(self.length).max(end);
        self.make_ready(from, to)?;
        let joins = goes_on || start < low && low <= to;
        self.ready.set(match joins {
            true => (low.min(from), high.max(to)),
            false => (from, to),
        });
        Ok(())
    }

    fn make_ready(&self, start: u64, end: u64) -> Result<(), Unread> {
        let range = start as usize..end as usize;
        match self.waiting {
            Waiting::Here => self
                .mapping
                .populate(range)
                .map_err(|error| Unread::Failed(DiskError::new("populate", &self.path(), error))),
            Waiting::Elsewhere if self.mapping.is_resident(range.clone()) => Ok(()),
            Waiting::Elsewhere => {
                let cold = Cold::mapped(self.path(), &self.mapping, range);
                Err(Unread::Cold(cold))
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(file_name(self.base_offset, "log"))
    }

    /// Shares bytes, which have been written.
    pub(crate) fn slice(&self, start: u64, end: u64) -> Result<Bytes, Unread> {
        self.touch(start, end)?;
        Ok(self.mapping.slice(start as usize..end as usize))
    }

    /// The header of the batch at `position`; `None` unless there is one that starts at
    /// `expected` (or later, where batches may be missing) and lies wholly in the written bytes.
    pub(crate) fn header(
        &self,
        position: u64,
        expected: Offset,
    ) -> Result<Option<BatchHeader>, Unread> {
        let header = self.any_header(position)?;
        Ok(header.filter(|header| self.follows(position, expected, header)))
    }

    fn follows(&self, position: u64, expected: Offset, header: &BatchHeader) -> bool {
        let Some(end) = self.sparse_end else {
            return header.base_offset() == expected;
        };
        let is_last = position + header.size_bytes() as u64 == self.length;
        let next = header.last_offset().plus(1);
        header.base_offset() >= expected && if is_last { next == end } else { next < end }
    }

    /// As [`header`](Self::header), whatever offset it starts at.
    pub(crate) fn any_header(&self, position: u64) -> Result<Option<BatchHeader>, Unread> {
        let left = self.length.saturating_sub(position);
        if left < BatchHeader::SIZE_BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = [0; BatchHeader::SIZE_BYTES];
        self.touch(position, position + bytes.len() as u64)?;
        self.mapping.read(&mut bytes, position as usize);
        let Ok(header) = BatchHeader::peek(&bytes) else {
            return Ok(None);
        };
        // No checksum covers offsets: those that a segment cannot hold are damage, not our mistake.
        let relative = header.last_offset().since(self.base_offset);
        let in_segment = (0..=i64::from(i32::MAX)).contains(&relative);
        let fits = header.size_bytes() as u64 <= left && in_segment;
        Ok(fits.then_some(header))
    }

    /// The whole batch at `position`; `None` if its checksum is wrong.
    pub(crate) fn batch(
        &self,
        position: u64,
        header: &BatchHeader,
    ) -> Result<Option<RecordBatch>, Unread> {
        let mut bytes = self.slice(position, position + header.size_bytes() as u64)?;
        Ok(RecordBatch::parse(&mut bytes).ok())
    }

    /// The first valid batch after `position` that starts after `expected` and ends before
    /// `end`; `valid` has the last word.
    pub(crate) fn resync(
        &self,
        position: u64,
        expected: Offset,
        end: Offset,
        valid: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<(u64, BatchHeader)>, Unread> {
        let header_bytes = BatchHeader::SIZE_BYTES as u64;
        let mut start = position + 1;
        while start + header_bytes <= self.length {
            let stop = (start + SEARCH_BYTES).min(self.length - header_bytes + 1);
            let bytes = self.slice(start, stop + header_bytes - 1)?;
            // The format's byte: a quick look before a slow one.
            let magic = |at: &usize| bytes[at + 16] == BatchHeader::MAGIC as u8;
            for at in (0..(stop - start) as usize).filter(magic) {
                let at = start + at as u64;
                let Some(header) = self.any_header(at)? else {
                    continue;
                };
                let fits = header.base_offset() > expected && header.last_offset() < end;
                if fits && valid(&header) && self.batch(at, &header)?.is_some() {
                    return Ok(Some((at, header)));
                }
            }
            start = stop;
        }
        Ok(None)
    }
}

/// Byte ranges of a segment whose checksums have been found right since the log was opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verified {
    /// Disjoint, in order.
    ranges: Vec<(u64, u64)>,
}

/// Ranges that are remembered: readers of a segment at different places.
const RANGES_MAX: usize = 8;

impl Verified {
    pub(crate) fn contains(&self, start: u64, end: u64) -> bool {
        self.ranges
            .iter()
            .any(|range| range.0 <= start && end <= range.1)
    }

    /// Adds a range; if there are too many, the shortest is forgotten.
    pub(crate) fn add(&mut self, start: u64, end: u64) {
        // What is written or read in order prolongs a range.
        if let Some(range) = self.ranges.iter_mut().find(|range| range.1 == start) {
            range.1 = end;
        } else {
            self.ranges.push((start, end));
        }
        self.ranges.sort_unstable();
        self.ranges.dedup_by(|next, range| {
            let touches = next.0 <= range.1;
            if touches {
                range.1 = range.1.max(next.1);
            }
            touches
        });
        if self.ranges.len() > RANGES_MAX {
            let shortest = (0..self.ranges.len()).min_by_key(|at| {
                let range = self.ranges[*at];
                range.1 - range.0
            });
            if let Some(at) = shortest {
                self.ranges.remove(at);
            }
        }
    }

    pub(crate) fn truncate(&mut self, length: u64) {
        self.ranges.retain(|range| range.0 < length);
        for range in &mut self.ranges {
            range.1 = range.1.min(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verified_ranges_join_where_they_touch() {
        let mut verified = Verified::default();
        verified.add(0, 10);
        verified.add(20, 30);
        assert!(!verified.contains(5, 25));
        verified.add(10, 20);
        assert!(verified.contains(0, 30));
        assert_eq!(verified.ranges.len(), 1);
        verified.truncate(15);
        assert!(verified.contains(0, 15) && !verified.contains(0, 16));
        for start in 0..20 {
            verified.add(100 * start + 50, 100 * start + 51 + start);
        }
        assert_eq!(verified.ranges.len(), RANGES_MAX);
        assert!(verified.contains(0, 15), "the longest are kept");
    }
}
