//! Putting a compacted copy in place of the segments it was made of, so that a crash leaves either.
//!
//! 1. The copy is durable under names that end with `.cleaned`; whoever finds them removes them.
//! 2. The journal says that batches may be missing up to the copy's end, and is synced.
//! 3. The indexes get names that end with `.swap`, then the `.log`, whose name also tells where
//!    the copy ends. From here on the copy counts: whoever finds it goes on with 4.
//! 4. The segments behind the first go, the indexes take the places of the first's, then the
//!    `.log` does.
//!
//! Readers hold the old files open meanwhile. Kafka's `UnifiedLog.replaceSegments` and `LogLoader`;
//! the end in the name is ours, so that nothing has to be guessed.

use std::path::{Path, PathBuf};

use klamm_model::Offset;

use super::open::parse_name;
use super::{AppendError, Log, Place};
use crate::compaction::{CleanedGroup, Source};
use crate::disk::{Disk, DiskError};
use crate::segment::{CLEANED, FoundFiles, Segment, file_name};

const SWAP: &str = ".swap";

/// All but the `.log`.
const INDEXES: [&str; 3] = ["index", "timeindex", "txnindex"];

impl Place {
    /// Removes a copy that is not wanted. What cannot be removed now goes at the next start.
    pub(crate) fn remove_cleaned(&self, base: Offset) {
        let kinds = INDEXES.iter().chain(&["log"]);
        for name in kinds.flat_map(|kind| [CLEANED, SWAP].map(|end| file_name(base, kind) + end)) {
            match self.disk.remove_file(&self.directory.join(name)) {
                Ok(()) | Err(DiskError::NotFound { .. }) => {}
                Err(error) => tracing::warn!(%error, "a compacted copy cannot be removed"),
            }
        }
    }
}

impl Log {
    /// Prepares to put a copy in place of its originals: run the ticket on any thread, then tell
    /// [`swapped`](Self::swapped). `None` if they are not what they were; the copy is gone then.
    ///
    /// Entries up to the end of the copy are no longer Raft's:
    /// [`first_index`](Self::first_index) rises.
    pub fn begin_swap(&mut self, group: CleanedGroup) -> Result<Option<SwapTicket>, AppendError> {
        let begun = self.try_begin_swap(&group);
        if !matches!(begun, Ok(Some(_))) {
            self.place.remove_cleaned(group.base_offset());
        }
        begun
    }

    fn try_begin_swap(&mut self, group: &CleanedGroup) -> Result<Option<SwapTicket>, AppendError> {
        self.online()?;
        assert!(self.swapping.is_none(), "one copy at a time");
        let Some(at) = self.sources_at(&group.sources) else {
            return Ok(None);
        };
        let behind = at + group.sources.len();
        self.pin(at..behind).map_err(AppendError::of)?;
        if behind > self.first_whole() {
            self.give_up_entries(behind)?;
        }
        let range = group.base_offset()..group.end_offset();
        self.swapping = Some(range.clone());
        let snapshots = self.snapshots_inside(&range);
        Ok(Some(SwapTicket {
            place: self.place.clone(),
            base: range.start,
            end: range.end,
            replaced: group.sources[1..].to_vec(),
            files: group.files,
            snapshots,
        }))
    }

    fn pin(&mut self, segments: std::ops::Range<usize>) -> Result<(), DiskError> {
        let place = self.place.clone();
        for at in segments.clone() {
            if let Err(error) = self.segments[at].pin(&*place.disk, &place.mappings) {
                self.segments[segments.start..=at]
                    .iter_mut()
                    .for_each(Segment::unpin);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Raft's entries begin with segment `whole`.
    fn give_up_entries(&mut self, whole: usize) -> Result<(), AppendError> {
        let anchor = self.anchor_at(0, whole, self.log_start);
        let journaled = self.place.journal.anchor(self.place.group, &anchor);
        self.journaled(journaled)?;
        self.raft = self.place.journal.group(self.place.group);
        self.segments[..whole]
            .iter_mut()
            .for_each(Segment::set_sparse);
        Ok(())
    }

    /// Producers as of segments that are about to go; the newest snapshot is kept.
    fn snapshots_inside(&mut self, range: &std::ops::Range<Offset>) -> Vec<Offset> {
        let newest = self.snapshots.last().copied();
        let inside = self.snapshots.range(range.start.plus(1)..range.end);
        let inside: Vec<Offset> = inside.copied().filter(|at| Some(*at) != newest).collect();
        inside.iter().for_each(|at| {
            self.snapshots.remove(at);
        });
        inside
    }

    /// Reads the copy from now on. After an error the log is offline, unless the disk was full:
    /// then all is as it was.
    pub fn swapped(&mut self, swapped: Swapped) -> Result<(), AppendError> {
        let range = self.swapping.take().expect("a swap was begun");
        if self.closed || self.offline.is_some() {
            return Ok(());
        }
        let first = self.segment_of(range.start);
        let behind = self.segment_of(range.end);
        if let Err(error) = swapped.result {
            self.segments[first..behind]
                .iter_mut()
                .for_each(Segment::unpin);
            return Err(self.gave(error));
        }
        let place = self.place.clone();
        let created = self.segments[behind - 1].created();
        let mut copy = Segment::found(
            &place.directory,
            range.start,
            swapped.files,
            &place.mappings,
            created,
        );
        copy.set_end_offset(range.end);
        copy.set_sparse();
        let replaced = self.segments.splice(first..behind, [copy]);
        for mut segment in replaced {
            segment.unmap(&place.mappings);
        }
        self.cursors.clear();
        Ok(())
    }
}

/// Files that change their names, on any thread.
#[derive(Debug)]
#[must_use = "the log waits for it"]
pub struct SwapTicket {
    place: Place,
    base: Offset,
    end: Offset,
    /// All but the first of the segments whose place the copy takes.
    replaced: Vec<Source>,
    files: FoundFiles,
    snapshots: Vec<Offset>,
}

/// What became of a [`SwapTicket`].
#[derive(Debug)]
#[must_use = "the log has to be told"]
pub struct Swapped {
    files: FoundFiles,
    result: Result<(), AppendError>,
}

impl SwapTicket {
    /// Makes the log's new beginning durable and puts the copy in place.
    pub fn run(self) -> Swapped {
        Swapped {
            files: self.files,
            result: self.swap(),
        }
    }

    fn swap(&self) -> Result<(), AppendError> {
        self.place.journal.sync()?;
        if let Err(error) = self.announce() {
            self.place.remove_cleaned(self.base);
            return Err(AppendError::of(error));
        }
        // From here on there is no way back.
        self.complete()
            .map_err(|cause| super::Offline { cause }.into())
    }

    fn announce(&self) -> Result<(), DiskError> {
        let place = &self.place;
        let cleaned = |kind| place.directory.join(file_name(self.base, kind) + CLEANED);
        for kind in INDEXES {
            let to = place.directory.join(file_name(self.base, kind) + SWAP);
            rename_if_there(&*place.disk, &cleaned(kind), &to)?;
        }
        place.disk.sync_dir(&place.directory)?;
        let to = announced_path(&place.directory, self.base, self.end);
        place.disk.rename(&cleaned("log"), &to)
    }

    fn complete(&self) -> Result<(), DiskError> {
        let place = &self.place;
        place.disk.sync_dir(&place.directory)?;
        let bases = self.replaced.iter().map(|source| source.base_offset);
        complete(&*place.disk, &place.directory, self.base, self.end, bases)?;
        for snapshot in &self.snapshots {
            let path = place.directory.join(file_name(*snapshot, "snapshot"));
            match place.disk.remove_file(&path) {
                Ok(()) | Err(DiskError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Where a copy stands that counts: both offsets are in its name.
fn announced_path(directory: &Path, base: Offset, end: Offset) -> PathBuf {
    directory.join(format!("{:020}-{:020}.log{SWAP}", base.get(), end.get()))
}

/// The reverse of [`announced_path`].
fn parse_announced(name: &str) -> Option<(Offset, Offset)> {
    let (base, end) = name.strip_suffix(SWAP)?.split_once('-')?;
    let (end, kind) = parse_name(end)?;
    let (base, _) = parse_name(&format!("{base}.log"))?;
    (kind == "log" && base < end).then_some((base, end))
}

/// Finishes what a crash interrupted.
pub(super) fn complete_all(disk: &dyn Disk, directory: &Path) -> Result<(), DiskError> {
    let entries = disk.list(directory)?;
    for (base, end) in entries
        .iter()
        .filter_map(|entry| parse_announced(&entry.name))
    {
        tracing::info!(directory = %directory.display(), %base, %end, "finishing a compaction");
        let logs = entries.iter().filter_map(|entry| parse_name(&entry.name));
        let inside = logs
            .map(|(base, _)| base)
            .filter(|inside| base < *inside && *inside < end);
        // Whatever is there of them: snapshots stay, they speak of producers.
        complete(disk, directory, base, end, inside)?;
    }
    Ok(())
}

/// Step 4 of the [module](self); each part of it may have been done before.
fn complete(
    disk: &dyn Disk,
    directory: &Path,
    base: Offset,
    end: Offset,
    replaced: impl Iterator<Item = Offset>,
) -> Result<(), DiskError> {
    for base in replaced {
        Segment::remove_files(disk, directory, base)?;
    }
    for kind in INDEXES {
        let to = directory.join(file_name(base, kind));
        let from = directory.join(file_name(base, kind) + SWAP);
        rename_if_there(disk, &from, &to)?;
    }
    match disk.remove_file(&directory.join(file_name(base, "raftindex"))) {
        Ok(()) | Err(DiskError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    disk.sync_dir(directory)?;
    let from = announced_path(directory, base, end);
    disk.rename(&from, &directory.join(file_name(base, "log")))?;
    disk.sync_dir(directory)
}

fn rename_if_there(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), DiskError> {
    match disk.rename(from, to) {
        Ok(()) | Err(DiskError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
