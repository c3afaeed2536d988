//! A disk that lies: it says that some files were synced, or written over, and does neither.
//! Planted to see that the checks notice.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use klamm_storage::disk::{DirEntry, DiskLock, Open, Space};
use klamm_storage::{Disk, DiskError, DiskFile, Mapping, MemDisk};

/// What a disk says of some files, untruly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// That they were synced.
    Synced,
    /// That they were written to behind their start.
    Overwritten,
}

/// A disk that lies about files whose path contains a text.
#[derive(Debug)]
pub(crate) struct LyingDisk {
    pub(crate) disk: MemDisk,
    pub(crate) about: &'static str,
    pub(crate) lie: Lie,
}

#[derive(Debug)]
struct LyingFile {
    file: Arc<dyn DiskFile>,
    lie: Lie,
}

impl Disk for LyingDisk {
    fn create_dir_all(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.create_dir_all(path)
    }

    fn open(&self, path: &Path, open: Open) -> Result<Arc<dyn DiskFile>, DiskError> {
        if !path.to_string_lossy().contains(self.about) {
            return self.disk.open(path, open);
        }
        let (file, lie) = (self.disk.open(path, open)?, self.lie);
        Ok(Arc::new(LyingFile { file, lie }))
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
        self.disk.sync_dir(path)
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

impl DiskFile for LyingFile {
    fn write_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> Result<(), DiskError> {
        match self.lie {
            Lie::Overwritten if position > 0 => Ok(()),
            Lie::Overwritten | Lie::Synced => self.file.write_at(slices, position),
        }
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, DiskError> {
        self.file.read_at(buffer, position)
    }

    fn read_at_once(&self, buffer: &mut [u8], position: u64) -> Result<Option<usize>, DiskError> {
        self.file.read_at_once(buffer, position)
    }

    fn sync_data(&self) -> Result<(), DiskError> {
        match self.lie {
            Lie::Synced => Ok(()),
            Lie::Overwritten => self.file.sync_data(),
        }
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
