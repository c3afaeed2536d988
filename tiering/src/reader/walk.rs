//! Walks the batches in a window of an object. Pure: what else has to be read is said, not done.

use bytes::Bytes;
use klamm_model::record_batch::BatchHeader;
use klamm_model::{Offset, RecordBatch};

use crate::segment_index::{PositionEntry, SegmentIndex};

const HEADER_BYTES: u64 = BatchHeader::SIZE_BYTES as u64;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// From the batch that holds this offset on, or the next one, where batches are missing.
    pub(super) from: Offset,
    /// Bytes of batches at most; the first may be larger.
    pub(super) bytes_max: usize,
}

/// Bytes of an object from where a batch begins.
#[derive(Debug)]
pub(super) struct Window<'a> {
    pub(super) index: &'a SegmentIndex,
    pub(super) at: PositionEntry,
    pub(super) bytes: &'a Bytes,
}

/// What a window has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// Whole batches whose checksums are right.
    Found(Found),
    /// All batches here are earlier: walk on from there.
    Earlier(PositionEntry),
    /// The first wanted batch begins there, and is not wholly here: so many bytes from there are needed.
    Needs(PositionEntry, u64),
    /// The object holds no batch that is wanted: those were compacted away.
    Nothing,
    /// What lies there is no batch of this object.
    Bad(u64),
}

/// Batches that follow each other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) records: Bytes,
    /// Where the first of them begins.
    pub(super) at: PositionEntry,
    /// The offset after the last.
    pub(super) next_offset: Offset,
}

impl Window<'_> {
    pub(super) fn walk(&self, wanted: Wanted) -> Walked {
        let mut at = self.at;
        loop {
            let left = self.index.facts().bytes - at.position;
            if left == 0 {
                return Walked::Nothing;
            }
            if left < HEADER_BYTES {
                return Walked::Bad(at.position);
            }
            if (self.rest(at).len() as u64) < HEADER_BYTES {
                return match at == self.at {
                    true => Walked::Needs(at, HEADER_BYTES),
                    false => Walked::Earlier(at),
                };
            }
            let Some(header) = self.header(at) else {
                return Walked::Bad(at.position);
            };
            if header.last_offset() >= wanted.from {
                let at = PositionEntry {
                    offset: header.base_offset(),
                    ..at
                };
                return self.collect(at, wanted.bytes_max);
            }
            at = after(at, &header);
        }
    }

    /// The batches from `at` on, as many as are wholly here and wanted.
    fn collect(&self, at: PositionEntry, bytes_max: usize) -> Walked {
        let mut next = at;
        while let Some(header) = self.header(next) {
            let taken = (next.position - at.position) as usize;
            let size = header.size_bytes();
            if taken > 0 && taken + size > bytes_max {
                break;
            }
            let rest = self.rest(next);
            if rest.len() < size {
                match taken {
                    0 => return Walked::Needs(at, size as u64),
                    _ => break,
                }
            }
            if RecordBatch::parse(&mut rest.slice(..size)).is_err() {
                break;
            }
            next = after(next, &header);
        }
        if next == at {
            return Walked::Bad(at.position);
        }
        let size = (next.position - at.position) as usize;
        Walked::Found(Found {
            records: self.rest(at).slice(..size),
            at,
            next_offset: next.offset,
        })
    }

    /// The header of the batch at `at`, if it can be one of this object: offsets are outside of the checksum,
    /// and a length is believed only as far as the index allows.
    fn header(&self, at: PositionEntry) -> Option<BatchHeader> {
        let header = BatchHeader::peek(&self.rest(at)).ok()?;
        let next = self.index.next_entry(at.position);
        let next_offset = header.last_offset().plus(1);
        let end = at.position + header.size_bytes() as u64;
        let follows = match self.index.is_known(at) {
            true => header.base_offset() == at.offset,
            false => header.base_offset() >= at.offset,
        };
        let fits = end <= next.position && next_offset <= next.offset;
        (follows && fits).then_some(header)
    }

    fn rest(&self, at: PositionEntry) -> Bytes {
        let before = (at.position - self.at.position) as usize;
        self.bytes.slice(before.min(self.bytes.len())..)
    }
}

fn after(at: PositionEntry, header: &BatchHeader) -> PositionEntry {
    PositionEntry {
        offset: header.last_offset().plus(1),
        position: at.position + header.size_bytes() as u64,
    }
}
