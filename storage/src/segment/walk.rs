//! From batch to batch over the bytes of a segment, and over what is damaged in them.

use klamm_model::record_batch::BatchHeader;
use klamm_model::{Offset, RecordBatch};

use crate::disk::Mapping;

/// The written bytes of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) mapping: Mapping,
    /// Bytes that have been written; the mapping may be longer.
    pub(crate) length: u64,
}

/// Why there is no batch at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoBatch;

impl Written {
    /// The header of the batch at `position`, which must start at `expected` and lie wholly in the
    /// written bytes.
    pub(crate) fn header(&self, position: u64, expected: Offset) -> Result<BatchHeader, NoBatch> {
        let header = self.any_header(position)?;
        if header.base_offset() == expected {
            Ok(header)
        } else {
            Err(NoBatch)
        }
    }

    /// As [`header`](Self::header), whatever offset it starts at.
    pub(crate) fn any_header(&self, position: u64) -> Result<BatchHeader, NoBatch> {
        let left = self.length.checked_sub(position).ok_or(NoBatch)?;
        if left < BatchHeader::SIZE_BYTES as u64 {
            return Err(NoBatch);
        }
        let mut bytes = [0; BatchHeader::SIZE_BYTES];
        self.mapping.read(&mut bytes, position as usize);
        let header = BatchHeader::peek(&bytes).map_err(|_| NoBatch)?;
        // Sums of fields from outside: an offset that does not fit is damage, not our mistake.
        let last = i128::from(header.base_offset().get()) + i128::from(header.last_offset_delta());
        if header.size_bytes() as u64 > left || last >= i128::from(i64::MAX) {
            return Err(NoBatch);
        }
        Ok(header)
    }

    /// The whole batch at `position`, its checksum verified.
    pub(crate) fn batch(
        &self,
        position: u64,
        header: &BatchHeader,
    ) -> Result<RecordBatch, NoBatch> {
        let start = position as usize;
        let mut bytes = self.mapping.slice(start..start + header.size_bytes());
        RecordBatch::parse(&mut bytes).map_err(|_| NoBatch)
    }

    /// The first valid batch after `position` that starts after `expected` and ends before
    /// `end`; `valid` has the last word.
    pub(crate) fn resync(
        &self,
        position: u64,
        expected: Offset,
        end: Offset,
        valid: impl Fn(&BatchHeader) -> bool,
    ) -> Option<(u64, BatchHeader)> {
        let bytes = self
            .mapping
            .slice(position as usize..self.length.max(position) as usize);
        let last_start = bytes.len().checked_sub(BatchHeader::SIZE_BYTES)?;
        (1..=last_start)
            // The format's byte: a quick look before a slow one.
            .filter(|at| bytes[at + 16] == BatchHeader::MAGIC as u8)
            .map(|at| position + at as u64)
            .find_map(|at| {
                let header = self.any_header(at).ok()?;
                let fits = header.base_offset() > expected && header.last_offset() < end;
                (fits && valid(&header) && self.batch(at, &header).is_ok()).then_some((at, header))
            })
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
