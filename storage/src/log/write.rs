//! The slow part of an append: new segments' files, then the batches. May run on any thread.

use std::io::IoSlice;
use std::sync::Arc;

use klamm_model::raft::DataEntry;
use klamm_model::{Offset, Timestamp};

use super::Place;
use super::plan::Run;
use crate::disk::{DiskError, DiskFile};
use crate::segment::{Segment, Spare};

/// Entries to be written behind the end of the log.
#[derive(Debug)]
#[must_use = "the log waits for it"]
pub struct AppendTicket {
    pub(super) entries: Vec<DataEntry>,
    pub(super) runs: Vec<Run>,
    pub(super) active: ActiveEnd,
    /// If any run begins a segment.
    pub(super) rolling: Option<Rolling>,
}

/// Where the active segment ends.
#[derive(Debug)]
pub(super) struct ActiveEnd {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) position: u64,
}

/// What new segments are made of.
#[derive(Debug)]
pub(super) struct Rolling {
    pub(super) place: Place,
    pub(super) spare: Option<Spare>,
    pub(super) segment_bytes: u64,
    pub(super) preallocate: bool,
    pub(super) now: Timestamp,
}

/// An append whose writes have run; to be handed to [`Log::append_done`](super::Log::append_done).
#[derive(Debug)]
#[must_use = "the log has to learn of it"]
pub struct AppendDone {
    pub(super) entries: Vec<DataEntry>,
    pub(super) runs: Vec<Run>,
    /// Segments that were begun, one for each run that rolls unless there was an error.
    pub(super) begun: Vec<Segment>,
    pub(super) result: Result<(), DiskError>,
}

impl AppendTicket {
    /// Bytes of the batches.
    pub fn size_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes).sum()
    }

    /// Writes. Blocks for as long as the disk takes.
    pub fn run(mut self) -> AppendDone {
        let mut begun = Vec::new();
        let result = self.write(&mut begun);
        AppendDone {
            entries: self.entries,
            runs: self.runs,
            begun,
            result,
        }
    }

    /// All files are there before the first batch is written: most full disks are found without a
    /// byte to take back.
    fn write(&mut self, begun: &mut Vec<Segment>) -> Result<(), DiskError> {
        if let Some(rolling) = &mut self.rolling {
            for run in self.runs.iter().filter(|run| run.rolls) {
                let base_offset = self.entries[run.entries.start].batch.base_offset();
                begun.push(rolling.create(base_offset, run.bytes)?);
            }
        }
        let mut fresh = begun.iter_mut();
        for run in &self.runs {
            let (file, position) = match (run.rolls, &self.rolling) {
                (true, Some(rolling)) => {
                    let segment = fresh.next().expect("created for this run");
                    (segment.file(&*rolling.place.disk)?, segment.length())
                }
                _ => (Arc::clone(&self.active.file), self.active.position),
            };
            write_entries(&*file, &self.entries[run.entries.clone()], position)?;
        }
        Ok(())
    }
}

fn write_entries(
    file: &dyn DiskFile,
    entries: &[DataEntry],
    position: u64,
) -> Result<(), DiskError> {
    // One batch is what most turns have, and needs no list.
    if let [entry] = entries {
        return file.write_at(&mut entry.batch.as_slices().map(IoSlice::new), position);
    }
    let slices = entries.iter().flat_map(|entry| entry.batch.as_slices());
    let mut all = Vec::with_capacity(entries.len() * 2);
    all.extend(slices.map(IoSlice::new));
    file.write_at(&mut all, position)
}

impl Rolling {
    /// The files of a segment, with room for `bytes`.
    pub(super) fn create(&mut self, base_offset: Offset, bytes: u64) -> Result<Segment, DiskError> {
        let spare = self.spare.take();
        let (disk, directory) = (&*self.place.disk, &self.place.directory);
        let mappings = &self.place.mappings;
        Segment::create(disk, directory, base_offset, spare, mappings, self.now)
            .and_then(|mut segment| {
                let end = segment.length() + bytes;
                segment.allocate(disk, end, self.segment_bytes, self.preallocate)?;
                Ok(segment)
            })
            .inspect_err(|_| {
                // If even this fails, an empty file is left, which the next start removes.
                let _ = Segment::remove_files(disk, directory, base_offset);
            })
    }
}
