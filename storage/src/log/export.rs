//! Records on their way to the archive: the very bytes of a range of offsets, wherever segments begin in it.
//!
//! A ticket walks over all batches of the range and checks each: what is damaged is not archived. The
//! files stay open from then on, so the bytes can be read even if the log lets them go meanwhile.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use klamm_model::Offset;
use klamm_model::record_batch::BatchHeader;

use super::{Damage, Log, Offline, Place, ReadError, snapshots};
use crate::disk::{DiskError, DiskFile, Open};
use crate::producer_state::AbortedTransaction;
use crate::segment::residency::{Unread, Waiting};
use crate::segment::walk::Written;
use crate::segment::{Segment, file_name};

/// Why records cannot be exported.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExportError {
    /// Not all of the range is in the log, entry by entry: it begins or ends elsewhere, or compaction has
    /// been here.
    #[error("the log does not hold all records of the range start={start} end={end}")]
    NotThere {
        /// First offset of the range.
        start: Offset,
        /// The offset after its last.
        end: Offset,
    },
    /// Records are damaged.
    #[error("records are damaged file={} position={} first_offset={}", .0.file.display(), .0.position, .0.first_offset)]
    Damaged(Damage),
    /// The disk does not give the records. They may be readable at another time.
    #[error("records cannot be read from the disk: {0}")]
    Unreadable(DiskError),
    /// The log has to be given up.
    #[error(transparent)]
    Offline(#[from] Offline),
}

/// An export that has begun; to be run on any thread.
#[derive(Debug)]
#[must_use = "nothing is read until it is run"]
pub struct ExportTicket {
    place: Place,
    range: Range<Offset>,
    pieces: Vec<SegmentPiece>,
    aborted: Vec<AbortedTransaction>,
}

/// What is taken of one segment.
#[derive(Clone, Copy, Debug)]
struct SegmentPiece {
    base_offset: Offset,
    /// Bytes that are written.
    length: u64,
    end_offset: Offset,
}

/// Records that have been found sound. Their bytes are one Kafka log segment.
#[derive(Debug)]
pub struct Export {
    range: Range<Offset>,
    files: Vec<FilePiece>,
    aborted: Vec<AbortedTransaction>,
    producers: Bytes,
}

#[derive(Debug)]
struct FilePiece {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    bytes: Range<u64>,
}

impl Log {
    /// Begins an export of the records from `range.start` to before `range.end`, where batches begin. They
    /// have to be committed.
    pub fn begin_export(&mut self, range: Range<Offset>) -> Result<ExportTicket, ExportError> {
        self.online()?;
        let (start, end) = (range.start, range.end);
        let is_there = self.segments[self.first_whole()].base_offset() <= start
            && start < end
            && end <= self.log_end_offset();
        if !is_there {
            return Err(ExportError::NotThere { start, end });
        }
        let mut aborted = self
            .aborted_transactions(start, end)
            .map_err(ExportError::of)?;
        aborted.retain(|aborted| aborted.last_offset < end);
        aborted.sort_by_key(|aborted| aborted.last_offset);
        let first = self.segment_of(start);
        let segments = self.segments[first..].iter();
        let pieces = segments
            .take_while(|segment| segment.base_offset() < end)
            .map(SegmentPiece::of);
        Ok(ExportTicket {
            place: self.place.clone(),
            pieces: pieces.collect(),
            range,
            aborted,
        })
    }

    /// Where the first closed segment ends that reaches beyond `after`; `None` if it ends behind `bound`,
    /// or there is none.
    pub fn closed_segment_end(&self, after: Offset, bound: Offset) -> Option<Offset> {
        let closed = &self.segments[..self.segments.len() - 1];
        let mut ends = closed.iter().map(Segment::end_offset);
        let end = ends.find(|end| *end > after)?;
        (end <= bound).then_some(end)
    }
}

impl SegmentPiece {
    fn of(segment: &Segment) -> Self {
        Self {
            base_offset: segment.base_offset(),
            length: segment.length(),
            end_offset: segment.end_offset(),
        }
    }
}

impl ExportTicket {
    /// Reads all of it and checks it; `each` gets every batch, in order. Waits for the disk.
    pub fn run(self, mut each: impl FnMut(&BatchHeader)) -> Result<Export, ExportError> {
        let mut next = self.range.start;
        let mut files = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            files.push(self.walk(piece, &mut next, &mut each)?);
        }
        let Range { start, end } = self.range;
        if next != end {
            return Err(ExportError::NotThere { start, end });
        }
        Ok(Export {
            producers: self.producers().map_err(ExportError::Unreadable)?,
            range: self.range,
            files,
            aborted: self.aborted,
        })
    }

    fn walk(
        &self,
        piece: &SegmentPiece,
        next: &mut Offset,
        each: &mut impl FnMut(&BatchHeader),
    ) -> Result<FilePiece, ExportError> {
        let path = self
            .place
            .directory
            .join(file_name(piece.base_offset, "log"));
        let open = self.place.disk.open(&path, Open::Existing);
        let file = open.map_err(ExportError::Unreadable)?;
        let mapping = file
            .map_read_only(piece.length as usize)
            .map_err(ExportError::Unreadable)?;
        let at = (self.place.directory.clone(), piece.base_offset);
        let written = Written::new(mapping, piece.length, piece.length, Waiting::Here, at);
        let (mut position, mut expected) = (0, piece.base_offset);
        let mut begin = None;
        while expected < piece.end_offset.min(self.range.end) {
            let is_wanted = expected >= *next;
            begin = begin.or(is_wanted.then_some(position));
            let header = sound(&written, position, expected, is_wanted).map_err(unread)?;
            let header = header.ok_or_else(|| damaged(&path, position, expected, piece))?;
            position += header.size_bytes() as u64;
            expected = header.last_offset().plus(1);
            if is_wanted {
                each(&header);
                *next = expected;
            }
        }
        Ok(FilePiece {
            path,
            file,
            bytes: begin.unwrap_or(position)..position,
        })
    }

    /// What was saved of the producers where the range ends, if anything was.
    fn producers(&self) -> Result<Bytes, DiskError> {
        match snapshots::read_whole(&self.place, self.range.end) {
            Ok(bytes) => Ok(bytes.map_or_else(Bytes::new, Bytes::from)),
            Err(DiskError::NotFound { .. }) => Ok(Bytes::new()),
            Err(error) => Err(error),
        }
    }
}

/// The header of the batch there; `None` if there is none or, if the `whole` batch counts, its checksum is
/// wrong.
fn sound(
    written: &Written,
    position: u64,
    expected: Offset,
    whole: bool,
) -> Result<Option<BatchHeader>, Unread> {
    let Some(header) = written.header(position, expected)? else {
        return Ok(None);
    };
    let is_sound = !whole || written.batch(position, &header)?.is_some();
    Ok(is_sound.then_some(header))
}

impl Export {
    /// Offsets of the records.
    pub fn range(&self) -> Range<Offset> {
        self.range.clone()
    }

    /// The transactions whose markers are among the records and say that they were aborted, in the order of
    /// the markers.
    pub fn aborted(&self) -> &[AbortedTransaction] {
        &self.aborted
    }

    /// The producers at the end of the range, as a Kafka `.snapshot`; empty if none was taken there.
    pub fn producers(&self) -> &Bytes {
        &self.producers
    }

    /// Bytes of all batches.
    pub fn size_bytes(&self) -> u64 {
        let sizes = self.files.iter().map(FilePiece::size_bytes);
        sizes.sum()
    }

    /// Bytes of the batches from position `range.start` to before `range.end`. Waits for the disk. Panics
    /// beyond the end.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, DiskError> {
        assert!(range.end <= self.size_bytes(), "only what is there is read");
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let (mut filled, mut skipped) = (0, 0);
        for piece in &self.files {
            let from = range.start.saturating_sub(skipped).min(piece.size_bytes());
            let left = (bytes.len() - filled) as u64;
            let length = (piece.size_bytes() - from).min(left) as usize;
            skipped += piece.size_bytes();
            if skipped <= range.start || length == 0 {
                continue;
            }
            piece.fill(&mut bytes[filled..filled + length], from)?;
            filled += length;
        }
        Ok(bytes.into())
    }
}

impl FilePiece {
    fn size_bytes(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    fn fill(&self, buffer: &mut [u8], from: u64) -> Result<(), DiskError> {
        let read = self.file.read_at(buffer, self.bytes.start + from)?;
        match read == buffer.len() {
            true => Ok(()),
            false => Err(DiskError::NotFound {
                path: self.path.clone(),
            }),
        }
    }
}

impl ExportError {
    fn of(error: ReadError) -> Self {
        match error {
            ReadError::Corrupt(damage) => Self::Damaged(damage),
            ReadError::Unreadable(error) => Self::Unreadable(error),
            ReadError::Offline(offline) => Self::Offline(offline),
            ReadError::OffsetOutOfRange {
                log_start, log_end, ..
            } => Self::NotThere {
                start: log_start,
                end: log_end,
            },
        }
    }
}

fn unread(unread: Unread) -> ExportError {
    ExportError::Unreadable(unread.into())
}

fn damaged(
    path: &std::path::Path,
    position: u64,
    first_offset: Offset,
    piece: &SegmentPiece,
) -> ExportError {
    ExportError::Damaged(Damage {
        file: path.to_owned(),
        position,
        first_offset,
        next_offset: piece.end_offset,
    })
}

#[cfg(test)]
mod tests;
