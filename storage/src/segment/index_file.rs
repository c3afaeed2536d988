//! A file of fixed-size entries that only grows at its end.
//!
//! New entries wait in memory until [`flush`](IndexFile::flush): the log can always be walked to
//! make them again, so an append costs one write, of the records alone. Old entries are read from
//! the file: an index in memory would cost what the page cache gives for nothing.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::residency::{Cold, Unread, Waiting};
use crate::disk::{Disk, DiskError, DiskFile, Open};

/// An index of `N`-byte entries.
#[derive(Debug)]
pub(crate) struct IndexFile<const N: usize> {
    path: PathBuf,
    /// Open between first use and [`close`](Self::close).
    file: Option<Arc<dyn DiskFile>>,
    /// Entries in the file.
    stored: usize,
    pending: Vec<[u8; N]>,
    /// Whether the file has bytes that were not synced.
    unsynced: bool,
}

impl<const N: usize> IndexFile<N> {
    /// An index of which `length` bytes are on disk; a partial entry at the end does not count.
    pub(crate) fn new(path: PathBuf, length: u64) -> Self {
        Self {
            path,
            file: None,
            stored: length as usize / N,
            pending: Vec::new(),
            unsynced: false,
        }
    }

    /// Creates the file, empty.
    pub(crate) fn create(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.stored = 0;
        self.pending.clear();
        self.unsynced = true;
        self.file = Some(disk.open(&self.path, Open::Truncate)?);
        Ok(())
    }

    /// As [`create`](Self::create), where there is no file yet. If the disk is full, or there is no
    /// file descriptor for it now, it is made when it is flushed: until then all entries are in
    /// memory.
    pub(crate) fn create_new(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        match self.create(disk) {
            Err(error) if error.is_refusal() => Ok(()),
            result => result,
        }
    }

    /// As [`create`](Self::create), where there may be a file. If there is none, and the disk is too full for
    /// one, it is made when it is flushed. One that is there must be emptied: what is in it is out of date.
    pub(crate) fn create_anew(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        match self.create(disk) {
            Err(error) if error.is_no_space() => match disk.open(&self.path, Open::Existing) {
                Err(DiskError::NotFound { .. }) => Ok(()),
                _ => Err(error),
            },
            result => result,
        }
    }

    /// Opens the file if it is not, so that a later use cannot fail for want of a descriptor.
    pub(crate) fn keep_open(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        Self::open(&mut self.file, disk, &self.path).map(drop)
    }

    /// Entries, in the file and in memory.
    pub(crate) fn len(&self) -> usize {
        self.stored + self.pending.len()
    }

    /// Bytes of all entries.
    pub(crate) fn length(&self) -> u64 {
        (self.len() * N) as u64
    }

    /// Adds an entry, in memory.
    pub(crate) fn push(&mut self, entry: [u8; N]) {
        self.pending.push(entry);
    }

    /// The entry at `at`, below [`len`](Self::len). A file shorter than it should be gives zeros,
    /// which the caller finds out when it looks at the log.
    pub(crate) fn entry(&mut self, disk: &dyn Disk, at: usize) -> Result<[u8; N], DiskError> {
        Ok(self.try_entry(disk, at, Waiting::Here)?)
    }

    /// As [`entry`](Self::entry), for readers that may wait elsewhere.
    pub(crate) fn try_entry(
        &mut self,
        disk: &dyn Disk,
        at: usize,
        waiting: Waiting,
    ) -> Result<[u8; N], Unread> {
        if let Some(pending) = at.checked_sub(self.stored) {
            return Ok(self.pending[pending]);
        }
        let mut entry = [0; N];
        let position = (at * N) as u64;
        let file = Self::open(&mut self.file, disk, &self.path).map_err(Unread::Failed)?;
        let read = match waiting {
            Waiting::Here => file.read_at(&mut entry, position).map(Some),
            Waiting::Elsewhere => file.read_at_once(&mut entry, position),
        };
        if read.map_err(Unread::Failed)?.is_none() {
            let length = (self.stored * N) as u64;
            let cold = Cold::of_file(self.path.clone(), Arc::clone(file), length);
            return Err(Unread::Cold(cold));
        }
        Ok(entry)
    }

    /// The last entry.
    pub(crate) fn last(&mut self, disk: &dyn Disk) -> Result<Option<[u8; N]>, DiskError> {
        Ok(self.try_last(disk, Waiting::Here)?)
    }

    /// As [`last`](Self::last), for readers that may wait elsewhere.
    pub(crate) fn try_last(
        &mut self,
        disk: &dyn Disk,
        waiting: Waiting,
    ) -> Result<Option<[u8; N]>, Unread> {
        match self.len().checked_sub(1) {
            Some(at) => self.try_entry(disk, at, waiting).map(Some),
            None => Ok(None),
        }
    }

    /// How many entries at the front are "before", as `partition_point` of slices.
    pub(crate) fn partition_point(
        &mut self,
        disk: &dyn Disk,
        before: impl Fn(&[u8; N]) -> bool,
    ) -> Result<usize, DiskError> {
        Ok(self.try_partition_point(disk, Waiting::Here, before)?)
    }

    /// As [`partition_point`](Self::partition_point), for readers that may wait elsewhere.
    pub(crate) fn try_partition_point(
        &mut self,
        disk: &dyn Disk,
        waiting: Waiting,
        before: impl Fn(&[u8; N]) -> bool,
    ) -> Result<usize, Unread> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(&self.try_entry(disk, middle, waiting)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Writes what waits in memory.
    pub(crate) fn flush(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let position = (self.stored * N) as u64;
        let bytes = self.pending.as_flattened();
        let file = Self::open(&mut self.file, disk, &self.path)?;
        file.write_at(&mut [IoSlice::new(bytes)], position)?;
        self.stored += self.pending.len();
        self.pending.clear();
        self.pending.shrink_to(PENDING_KEPT);
        self.unsynced = true;
        Ok(())
    }

    /// Keeps the first `count` entries.
    pub(crate) fn truncate(&mut self, disk: &dyn Disk, count: usize) -> Result<(), DiskError> {
        if let Some(pending) = count.checked_sub(self.stored) {
            self.pending.truncate(pending);
            return Ok(());
        }
        self.pending.clear();
        let length = (count * N) as u64;
        Self::open(&mut self.file, disk, &self.path)?.truncate(length)?;
        self.stored = count;
        self.unsynced = true;
        Ok(())
    }

    /// Says that the disk may not hold what the file says: another life wrote it.
    pub(crate) fn set_unsynced(&mut self) {
        self.unsynced = true;
    }

    /// The file, if it has to be synced; it counts as synced from now on.
    pub(crate) fn take_unsynced(
        &mut self,
        disk: &dyn Disk,
    ) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
        if !self.unsynced {
            return Ok(None);
        }
        Self::open(&mut self.file, disk, &self.path)?;
        self.unsynced = false;
        Ok(self.file.clone())
    }

    /// Gives the file handle back; the next use opens it again. Nothing waits in memory.
    pub(crate) fn close(&mut self) {
        debug_assert!(self.pending.is_empty(), "flushed before it is closed");
        self.pending = Vec::new();
        self.file = None;
    }

    fn open<'a>(
        file: &'a mut Option<Arc<dyn DiskFile>>,
        disk: &dyn Disk,
        path: &Path,
    ) -> Result<&'a Arc<dyn DiskFile>, DiskError> {
        match file {
            Some(file) => Ok(file),
            None => Ok(file.insert(disk.open(path, Open::Create)?)),
        }
    }
}

/// Entries of memory that an index keeps between flushes.
const PENDING_KEPT: usize = 32;
