//! What a failed fsync leaves behind.
//!
//! The kernel may mark pages clean that it could not write. They can be read for as long as they
//! are cached, by the next process too, and no later fsync writes them: that they never reached the
//! disk shows when power is lost. So the first fsync that fails in a log directory leaves a mark
//! there ([`MarkingDisk`]), in its boot file. A start that finds it takes nothing for durable that lies above a
//! recovery point: it writes the same bytes again, so that the pages are dirty again, and syncs
//! them, before anything else is read ([`write_again`]).
//!
//! The mark is for a process that ends while the kernel runs on. Whether it reaches the disk
//! matters little: after a loss of power only what is on the disk is there to be read.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use klamm_model::{Offset, TopicPartition};

use super::{Checkpoints, LogDirError, Partitions, boot};
use crate::disk::{DirEntry, Disk, DiskError, DiskFile, DiskLock, Mapping, Open, Space};
use crate::journal::{Journal, JournalError};
use crate::log::parse_name;
use crate::segment::residency::Waiting;
use crate::segment::walk::Written;

/// How often to try to leave the mark. A disk whose fsync fails may refuse a write as well, and
/// there is no second chance.
const TRIES: usize = 3;

/// Bytes read and written again at a time.
const STEP_BYTES: usize = 1 << 20;

/// Whether an fsync has failed in the directory, in this life or an earlier one.
#[derive(Debug)]
pub(super) struct Mark {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Held open: the process may have no file descriptor left when it is needed.
    boot_file: Mutex<Option<Arc<dyn DiskFile>>>,
    failed: AtomicBool,
    left: AtomicBool,
}

impl Mark {
    fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self {
            disk,
            root: root.to_owned(),
            boot_file: Mutex::new(None),
            failed: AtomicBool::new(false),
            left: AtomicBool::new(false),
        }
    }

    /// Opens the boot file that is there now.
    pub(super) fn renew(&self) -> Result<(), DiskError> {
        let file = boot::open(&*self.disk, &self.root)?;
        *self.boot_file() = Some(file);
        Ok(())
    }

    fn boot_file(&self) -> MutexGuard<'_, Option<Arc<dyn DiskFile>>> {
        self.boot_file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an fsync has failed since the directory was opened.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Passes the result of an fsync on; leaves the mark if it failed.
    fn noting(&self, synced: Result<(), DiskError>) -> Result<(), DiskError> {
        if let Err(cause) = &synced
            // Nothing was lost: it could not be opened.
            && !(cause.is_not_found() || cause.is_no_files())
        {
            self.failed.store(true, Ordering::SeqCst);
            // Several threads may be here at once: the mark is the same.
            if !self.left.load(Ordering::SeqCst) {
                self.leave(cause);
            }
        }
        synced
    }

    fn leave(&self, cause: &DiskError) {
        let mut left = self.try_to_leave();
        for _ in 1..TRIES {
            if left.is_err() {
                left = self.try_to_leave();
            }
        }
        match left {
            Ok(()) => self.left.store(true, Ordering::SeqCst),
            Err(error) => tracing::error!(path = %self.root.display(), %error, %cause,
                "an fsync failed, and the log directory cannot be marked: unless the machine is restarted, the next start may take records for durable that are not"),
        }
    }

    fn try_to_leave(&self) -> Result<(), DiskError> {
        // By its name first: the one that is held may just have been replaced.
        let file = boot::open(&*self.disk, &self.root).or_else(|error| {
            let held = self.boot_file().clone();
            held.ok_or(error)
        })?;
        boot::mark_unsynced(&*file)
    }
}

/// Writes again what is not known to be durable. The mark may go after that.
pub(super) fn write_again(
    disk: &dyn Disk,
    root: &Path,
    journal: &Journal,
    partitions: &Partitions,
    checkpoints: &Checkpoints,
) -> Result<(), LogDirError> {
    tracing::warn!(path = %root.display(),
        "an fsync failed in the log directory before: what may have been lost is written again");
    let failed = |cause| LogDirError::CannotWriteAgain {
        path: root.to_owned(),
        cause,
    };
    journal.rewrite().map_err(|error| match error {
        JournalError::Offline { cause } => failed(cause),
        error => error.into(),
    })?;
    let again = Again { disk };
    let mut bytes = 0;
    for entry in disk.list(root)?.into_iter().filter(|entry| entry.is_dir) {
        if let Some(partition) = TopicPartition::parse(&entry.name) {
            let from = recovery_point(&partition, journal, partitions, checkpoints);
            let directory = root.join(&entry.name);
            bytes += again.log(&directory, from).map_err(failed)?;
        }
    }
    tracing::info!(path = %root.display(), bytes, "what may have been lost is durable now");
    Ok(())
}

/// Everything before was synced, by fsyncs that did not fail.
fn recovery_point(
    partition: &TopicPartition,
    journal: &Journal,
    partitions: &Partitions,
    checkpoints: &Checkpoints,
) -> Offset {
    let known = checkpoints.recovery_points.get(partition).copied();
    let group = partitions.group(partition);
    match (known, group) {
        (Some(known), Some(group)) => match journal.group(group).cut_to {
            Some((end, _)) => known.min(end),
            None => known,
        },
        _ => Offset::ZERO,
    }
}

/// Writes the bytes of files again, in place.
struct Again<'a> {
    disk: &'a dyn Disk,
}

impl Again<'_> {
    /// The files of one log, less the segments that recovery will believe without a look.
    fn log(&self, directory: &Path, recovery_point: Offset) -> Result<u64, DiskError> {
        let entries = self.disk.list(directory)?;
        let below = |base: &Offset| *base < recovery_point;
        let bases = entries.iter().filter_map(base_of_log);
        // The one that the recovery point lies in. A segment that ends just there may have been cut
        // without a sync since.
        let first = bases.filter(below).max().unwrap_or(Offset::ZERO);
        let mut bytes = 0;
        for entry in entries.iter().filter(|entry| !entry.is_dir) {
            let path = directory.join(&entry.name);
            bytes += match parse_name(&entry.name) {
                Some((base, _)) if base < first => 0,
                Some((base, "log")) => self.segment((directory, base), &path, recovery_point)?,
                _ => self.file(&path, 0)?,
            };
        }
        self.disk.sync_dir(directory)?;
        Ok(bytes)
    }

    /// The batches of a segment from the recovery point on, and whatever follows them.
    fn segment(
        &self,
        (directory, base): (&Path, Offset),
        path: &Path,
        recovery_point: Offset,
    ) -> Result<u64, DiskError> {
        let file = self.disk.open(path, Open::Existing)?;
        let length = file.length()?;
        if length == 0 {
            return self.file(path, 0);
        }
        let mapping = file.map_read_only(length as usize)?;
        let place = (directory.into(), base);
        let written = Written::new(mapping, length, length, Waiting::Here, place);
        let mut position = 0;
        while let Some(header) = written.any_header(position)?
            && header.last_offset() < recovery_point
        {
            position += header.size_bytes() as u64;
        }
        self.file(path, position)
    }

    fn file(&self, path: &Path, from: u64) -> Result<u64, DiskError> {
        let file = self.disk.open(path, Open::Existing)?;
        let mut buffer = vec![0; STEP_BYTES];
        let mut position = from;
        loop {
            let length = file.read_at(&mut buffer, position)?;
            if length == 0 {
                break;
            }
            file.write_at(&mut [IoSlice::new(&buffer[..length])], position)?;
            position += length as u64;
        }
        file.sync_data()?;
        Ok(position - from)
    }
}

fn base_of_log(entry: &DirEntry) -> Option<Offset> {
    let (base, suffix) = parse_name(&entry.name)?;
    (suffix == "log").then_some(base)
}

/// A disk whose fsyncs leave the [`Mark`] of a log directory when they fail, on whatever thread.
#[derive(Debug)]
pub(super) struct MarkingDisk {
    disk: Arc<dyn Disk>,
    mark: Arc<Mark>,
}

impl MarkingDisk {
    pub(super) fn new(disk: Arc<dyn Disk>, root: &Path) -> (Self, Arc<Mark>) {
        let mark = Arc::new(Mark::new(Arc::clone(&disk), root));
        let marking = Self {
            disk,
            mark: Arc::clone(&mark),
        };
        (marking, mark)
    }
}

impl Disk for MarkingDisk {
    fn create_dir_all(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.create_dir_all(path)
    }

    fn open(&self, path: &Path, open: Open) -> Result<Arc<dyn DiskFile>, DiskError> {
        let file = self.disk.open(path, open)?;
        let mark = Arc::clone(&self.mark);
        Ok(Arc::new(MarkingFile { file, mark }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.remove_dir_all(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<DirEntry>, DiskError> {
        self.disk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.mark.noting(self.disk.sync_dir(path))
    }

    fn space(&self, path: &Path) -> Result<Space, DiskError> {
        self.disk.space(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, DiskError> {
        self.disk.lock(path)
    }

    fn boot_id(&self) -> Option<String> {
        self.disk.boot_id()
    }
}

#[derive(Debug)]
struct MarkingFile {
    file: Arc<dyn DiskFile>,
    mark: Arc<Mark>,
}

impl DiskFile for MarkingFile {
    fn write_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> Result<(), DiskError> {
        self.file.write_at(slices, position)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, DiskError> {
        self.file.read_at(buffer, position)
    }

    fn read_at_once(&self, buffer: &mut [u8], position: u64) -> Result<Option<usize>, DiskError> {
        self.file.read_at_once(buffer, position)
    }

    fn sync_data(&self) -> Result<(), DiskError> {
        self.mark.noting(self.file.sync_data())
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.file.truncate(length)
    }

    fn allocate(&self, position: u64, length: u64) -> Result<(), DiskError> {
        self.file.allocate(position, length)
    }

    fn length(&self) -> Result<u64, DiskError> {
        self.file.length()
    }

    fn map_read_only(&self, length: usize) -> Result<Mapping, DiskError> {
        self.file.map_read_only(length)
    }
}

#[cfg(test)]
mod tests;
