//! Being copied: what a copy of the log consists of, and the bytes of its parts.
//!
//! Nothing here waits for the disk but tickets. A part is read by the name of its file, which may
//! get another content meanwhile: what was read counts only if the log still has the segment, and
//! no compaction has begun to replace it, before *and* after.

use std::path::PathBuf;

use bytes::Bytes;
use klamm_model::raft::MetaEntry;
use klamm_model::{LogIndex, Offset};

use super::{Log, Offline, Place, next_data_index, read, snapshots};
use crate::copy::{
    CopiedSegment, CopyEnd, LogManifest, MANIFEST_BYTES_MAX, ManifestError, Part, PartError,
    WantedPart,
};
use crate::disk::{DiskError, Open};
use crate::journal::Anchor;
use crate::segment::residency::{Unread, Waiting};
use crate::segment::walk::Written;
use crate::segment::{Segment, file_name};

/// A manifest in the making, on any thread.
#[derive(Debug)]
pub struct ManifestTicket {
    place: Place,
    anchor: Anchor,
    metas: Vec<MetaEntry>,
    /// The last as long as it is, which may be beyond the end.
    segments: Vec<CopiedSegment>,
    has_snapshot: Vec<bool>,
    /// Where the last one ends in the log.
    last_end: Offset,
    through: CopyEnd,
    /// Whether `through` is the last entry that there is.
    is_whole: bool,
}

impl Log {
    /// Begins a manifest of the log up to an entry, which is to be committed: run the ticket on any
    /// thread. The log goes on meanwhile.
    pub fn begin_manifest(&self, through: LogIndex) -> Result<ManifestTicket, ManifestError> {
        self.online()?;
        let before_first = LogIndex(self.first_index().0 - 1);
        if !(before_first..=self.last_index()).contains(&through) {
            return Err(ManifestError::NotThere {
                through,
                first_index: self.first_index(),
                last_index: self.last_index(),
            });
        }
        if self.swapping.is_some() {
            return Err(ManifestError::Gone);
        }
        let is_whole = through == self.last_index();
        let last = match is_whole {
            true => self.segments.len() - 1,
            false => self.segment_of_index(through.next()),
        };
        let segments = &self.segments[..=last];
        if let Some((segment, hole)) = first_hole(segments) {
            return Err(ManifestError::Damaged(read::damage(segment, hole)));
        }
        let has_snapshot = |segment: &Segment| self.snapshots.contains(&segment.base_offset());
        Ok(ManifestTicket {
            place: self.place.clone(),
            anchor: self.anchor(),
            metas: self.metas_through(through),
            has_snapshot: segments.iter().map(has_snapshot).collect(),
            last_end: segments[last].end_offset(),
            segments: segments.iter().map(copied).collect(),
            through: CopyEnd {
                index: through,
                term: self.term_at(through),
                // Until it is known.
                offset: segments[last].end_offset(),
            },
            is_whole,
        })
    }

    /// As [`begin_manifest`](Self::begin_manifest), with the ticket on this thread.
    pub fn manifest(&self, through: LogIndex) -> Result<LogManifest, ManifestError> {
        self.begin_manifest(through)?.run()
    }

    fn anchor(&self) -> Anchor {
        let known = self.raft.anchor.as_ref();
        Anchor {
            first_index: self.first_index(),
            prev_term: self.prev_term(),
            first_offset: self.segments[0].base_offset(),
            log_start_offset: self.log_start,
            compacted: known.and_then(|anchor| anchor.compacted.clone()),
            members: self.anchored_members(),
        }
    }

    fn metas_through(&self, through: LogIndex) -> Vec<MetaEntry> {
        let metas = self.raft.metas.iter();
        let metas = metas.take_while(|meta| meta.index <= through);
        metas.cloned().collect()
    }

    /// Begins to read bytes of a copy: run the ticket on any thread, then tell
    /// [`part_read`](Self::part_read).
    pub fn begin_read_part(&self, wanted: &WantedPart) -> Result<PartTicket, PartError> {
        let (segment, position) = (wanted.segment, wanted.position);
        let base_offset = segment.base_offset;
        let size = segment.part_bytes(wanted.part);
        let Some(left) = size.and_then(|size| size.checked_sub(position)) else {
            return Err(PartError::NotListed {
                base_offset,
                position,
            });
        };
        let of_this_directory = wanted.directory_id == self.place.directory_id;
        if !of_this_directory || !self.has_still(&segment)? {
            return Err(PartError::Gone { base_offset });
        }
        let name = file_name(base_offset, wanted.part.suffix());
        let length = left.min(wanted.length_max.into());
        Ok(PartTicket {
            path: self.place.directory.join(name),
            place: self.place.clone(),
            segment,
            position,
            length: usize::try_from(length).expect("it fits, as the maximum does"),
        })
    }

    /// Takes note of a ticket that has run, and gives its bytes, if they are those of the copy.
    pub fn part_read(&self, read: PartRead) -> Result<Bytes, PartError> {
        let base_offset = read.segment.base_offset;
        if !self.has_still(&read.segment)? {
            return Err(PartError::Gone { base_offset });
        }
        match read.result {
            // A snapshot may go before its segment does.
            Err(error) if error.is_not_found() => Err(PartError::Gone { base_offset }),
            result => result.map_err(PartError::Unreadable),
        }
    }

    /// As [`begin_read_part`](Self::begin_read_part), with the ticket on this thread, of what a manifest
    /// lists.
    pub fn read_part(
        &self,
        manifest: &LogManifest,
        base_offset: Offset,
        part: Part,
        (position, length_max): (u64, u32),
    ) -> Result<Bytes, PartError> {
        let wanted = manifest.wanted_part(base_offset, part, (position, length_max));
        let wanted = wanted.ok_or(PartError::NotListed {
            base_offset,
            position,
        })?;
        let ticket = self.begin_read_part(&wanted)?;
        self.part_read(ticket.run())
    }

    /// Whether a segment is what it was when it was listed.
    fn has_still(&self, listed: &CopiedSegment) -> Result<bool, Offline> {
        self.online()?;
        let base_offset = listed.base_offset;
        let swapping = self.swapping.as_ref();
        if swapping.is_some_and(|range| range.contains(&base_offset)) {
            return Ok(false);
        }
        let at = self
            .segments
            .binary_search_by_key(&base_offset, Segment::base_offset);
        Ok(at.is_ok_and(|at| {
            let segment = &self.segments[at];
            segment.generation() == listed.generation && segment.length() >= listed.log_bytes
        }))
    }
}

fn copied(segment: &Segment) -> CopiedSegment {
    CopiedSegment {
        base_offset: segment.base_offset(),
        base_index: segment.base_index(),
        generation: segment.generation(),
        log_bytes: segment.length(),
        snapshot_bytes: None,
    }
}

fn first_hole(segments: &[Segment]) -> Option<(&Segment, &crate::segment::Hole)> {
    let mut holes = segments.iter().filter_map(|segment| {
        let hole = segment.holes().first()?;
        Some((segment, hole))
    });
    holes.next()
}

impl ManifestTicket {
    /// Finds where the last entry ends, and which snapshots there are. Waits for the disk.
    pub fn run(mut self) -> Result<LogManifest, ManifestError> {
        if !self.is_whole {
            self.find_end()?;
        }
        for at in 0..self.segments.len() {
            if self.has_snapshot[at] {
                let length = self.snapshot_bytes(self.segments[at].base_offset);
                self.segments[at].snapshot_bytes = length.map_err(unreadable)?;
            }
        }
        let end = self.through;
        // It may have been raised to what is not committed yet.
        self.anchor.log_start_offset = self.anchor.log_start_offset.min(end.offset);
        let directory_id = self.place.directory_id;
        let manifest = LogManifest::new(directory_id, self.anchor, self.metas, self.segments, end)
            .map_err(ManifestError::Unsound)?;
        let bytes = manifest.encode().len();
        match bytes > MANIFEST_BYTES_MAX {
            true => Err(ManifestError::TooLarge {
                bytes,
                max: MANIFEST_BYTES_MAX,
            }),
            false => Ok(manifest),
        }
    }

    /// Ends the last segment behind the entry that is to be the last.
    fn find_end(&mut self) -> Result<(), ManifestError> {
        let last = self.segments.len() - 1;
        let segment = self.segments[last];
        let (mut position, mut expected) = (0, segment.base_offset);
        if let Some(mut index) = segment.base_index
            && index <= self.through.index
        {
            let written = self.open(&segment).map_err(unreadable)?;
            while index <= self.through.index && position < segment.log_bytes {
                let header = written.header(position, expected).map_err(unread)?;
                let Some(header) = header else {
                    // Replaced by compaction a moment ago, or damaged.
                    return Err(ManifestError::Damaged(crate::log::Damage {
                        file: self.path(&segment, Part::Log),
                        position,
                        first_offset: expected,
                        next_offset: self.last_end,
                    }));
                };
                position += header.size_bytes() as u64;
                expected = header.last_offset().plus(1);
                index = next_data_index(&self.metas, index);
            }
        }
        self.through.offset = expected;
        let segment = &mut self.segments[last];
        segment.log_bytes = position;
        segment.base_index = segment.base_index.filter(|_| position > 0);
        Ok(())
    }

    fn open(&self, segment: &CopiedSegment) -> Result<Written, DiskError> {
        let path = self.path(segment, Part::Log);
        let file = self.place.disk.open(&path, Open::Existing)?;
        if file.length()? < segment.log_bytes {
            // Of the same name, but not the same.
            return Err(DiskError::NotFound { path });
        }
        let length = segment.log_bytes;
        let mapping = file.map_read_only(length as usize)?;
        let at = (self.place.directory.clone(), segment.base_offset);
        Ok(Written::new(mapping, length, length, Waiting::Here, at))
    }

    /// How long a snapshot is; `None` if it was torn when power was lost, and so is none.
    fn snapshot_bytes(&self, base_offset: Offset) -> Result<Option<u64>, DiskError> {
        let bytes = snapshots::read_whole(&self.place, base_offset)?;
        Ok(bytes.map(|bytes| bytes.len() as u64))
    }

    fn path(&self, segment: &CopiedSegment, part: Part) -> PathBuf {
        let name = file_name(segment.base_offset, part.suffix());
        self.place.directory.join(name)
    }
}

fn unread(unread: Unread) -> ManifestError {
    unreadable(unread.into())
}

fn unreadable(error: DiskError) -> ManifestError {
    match error.is_not_found() {
        true => ManifestError::Gone,
        false => ManifestError::Unreadable(error),
    }
}

/// Bytes of a copy to be read, on any thread.
#[derive(Debug)]
#[must_use = "nothing is read until it is run"]
pub struct PartTicket {
    place: Place,
    path: PathBuf,
    segment: CopiedSegment,
    position: u64,
    length: usize,
}

/// A [`PartTicket`] that has run; to be handed to [`Log::part_read`].
#[derive(Debug)]
#[must_use = "the log has to say whether the bytes are right"]
pub struct PartRead {
    segment: CopiedSegment,
    result: Result<Bytes, DiskError>,
}

impl PartTicket {
    /// How many bytes it reads.
    pub fn size_bytes(&self) -> usize {
        self.length
    }

    /// Reads. Waits for the disk.
    pub fn run(self) -> PartRead {
        PartRead {
            segment: self.segment,
            result: self.read(),
        }
    }

    fn read(&self) -> Result<Bytes, DiskError> {
        let file = self.place.disk.open(&self.path, Open::Existing)?;
        let mut bytes = vec![0; self.length];
        let read = file.read_at(&mut bytes, self.position)?;
        match read == self.length {
            true => Ok(Bytes::from(bytes)),
            // Of the same name, but not the same.
            false => Err(DiskError::NotFound {
                path: self.path.clone(),
            }),
        }
    }
}
