//! Files of the operating system, through `rustix`.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the edge where real files enter"
)]

use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::{Errno, ReadWriteFlags};

use crate::disk::{
    ClosedBy, Closer, Closing, DirEntry, Disk, DiskError, DiskFile, DiskLock, Mapping, Open, Space,
};

/// The disk of this machine.
#[derive(Clone, Debug, Default)]
pub struct FileDisk {
    closer: Closer,
}

/// Slices a single `pwritev` takes at most (Linux' `IOV_MAX`).
const SLICES_PER_WRITE_MAX: usize = 1024;

/// Only the broker's user may read what the broker stores.
const MODE: u32 = 0o600;

impl FileDisk {
    /// The disk of this machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`new`](Self::new), with somebody who is handed each file and each mapping that is to be
    /// closed, by the thread that drops the last reference. To drop it is to close it, which takes
    /// long if the file has been removed.
    pub fn closing_with(close: impl Fn(Closing) + Send + Sync + 'static) -> Self {
        Self {
            closer: Closer::new(close),
        }
    }
}

impl Disk for FileDisk {
    fn create_dir_all(&self, path: &Path) -> Result<(), DiskError> {
        fs::create_dir_all(path).map_err(|error| DiskError::new("create directory", path, error))
    }

    fn open(&self, path: &Path, open: Open) -> Result<Arc<dyn DiskFile>, DiskError> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(open != Open::Existing)
            .truncate(open == Open::Truncate)
            .mode(MODE)
            .open(path)
            .map_err(|error| DiskError::new("open", path, error))?;
        Ok(Arc::new(OpenFile {
            file: ClosedBy::new(&self.closer, file),
            path: path.to_owned(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        fs::rename(from, to).map_err(|error| DiskError::new("rename", from, error))
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        fs::remove_file(path).map_err(|error| DiskError::new("remove", path, error))
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), DiskError> {
        fs::remove_dir_all(path).map_err(|error| DiskError::new("remove directory", path, error))
    }

    fn list(&self, path: &Path) -> Result<Vec<DirEntry>, DiskError> {
        let fail = |error| DiskError::new("list", path, error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed by someone between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(fail(error)),
            };
            let is_dir = metadata.is_dir();
            entries.push(DirEntry {
                name,
                is_dir,
                length: if is_dir { 0 } else { metadata.size() },
            });
        }
        entries.sort();
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        File::open(path)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| DiskError::new("sync directory", path, error))
    }

    fn space(&self, path: &Path) -> Result<Space, DiskError> {
        let stat = rustix::fs::statvfs(path)
            .map_err(|error| DiskError::new("statvfs", path, error.into()))?;
        Ok(Space {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, DiskError> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(path)
            .map_err(|error| DiskError::new("open", path, error))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(FileLock { _file: file })),
            Err(Errno::WOULDBLOCK) => Err(DiskError::Locked {
                path: path.to_owned(),
            }),
            Err(error) => Err(DiskError::new("lock", path, error.into())),
        }
    }

    fn boot_id(&self) -> Option<String> {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

#[derive(Debug)]
struct FileLock {
    /// `flock` is released when this closes.
    _file: File,
}

impl DiskLock for FileLock {}

#[derive(Debug)]
struct OpenFile {
    file: ClosedBy<File>,
    path: PathBuf,
}

impl OpenFile {
    fn fail(&self, operation: &'static str, error: impl Into<io::Error>) -> DiskError {
        DiskError::new(operation, &self.path, error.into())
    }
}

impl DiskFile for OpenFile {
    fn write_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> Result<(), DiskError> {
        let mut rest = slices;
        let mut position = position;
        // An empty slice at the front would make a write of 0 bytes look like "no progress".
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let count = rest.len().min(SLICES_PER_WRITE_MAX);
            match rustix::io::pwritev(&*self.file, &rest[..count], position) {
                Ok(0) => return Err(self.fail("write", io::ErrorKind::WriteZero)),
                Ok(written) => {
                    position += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.fail("write", error)),
            }
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, DiskError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match rustix::io::pread(&*self.file, &mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.fail("read", error)),
            }
        }
        Ok(filled)
    }

    fn read_at_once(&self, buffer: &mut [u8], position: u64) -> Result<Option<usize>, DiskError> {
        let slices = &mut [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&*self.file, slices, position, ReadWriteFlags::NOWAIT) {
            Ok(read) if read == buffer.len() => Ok(Some(read)),
            // The end of the file, or of what is in memory.
            Ok(_) | Err(Errno::AGAIN) if position + buffer.len() as u64 <= self.length()? => {
                Ok(None)
            }
            // At the end of the file, or on a file system that does not know the flag.
            _ => self.read_at(buffer, position).map(Some),
        }
    }

    fn sync_data(&self) -> Result<(), DiskError> {
        rustix::fs::fdatasync(&*self.file).map_err(|error| self.fail("fdatasync", error))
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        rustix::fs::ftruncate(&*self.file, length).map_err(|error| self.fail("truncate", error))
    }

    fn allocate(&self, position: u64, length: u64) -> Result<(), DiskError> {
        loop {
            let result =
                rustix::fs::fallocate(&*self.file, FallocateFlags::KEEP_SIZE, position, length);
            match result {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.fail("allocate", error)),
            }
        }
    }

    fn length(&self) -> Result<u64, DiskError> {
        match self.file.metadata() {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) => Err(self.fail("stat", error)),
        }
    }

    fn map_read_only(&self, length: usize) -> Result<Mapping, DiskError> {
        Mapping::of_file(&self.file, length, self.file.closer())
            .map_err(|error| self.fail("map", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::suite;

    #[test]
    fn the_disk_suite_passes_on_files() {
        let directory = suite::temporary_directory("file-disk");
        suite::run(&FileDisk::new(), directory.path());
    }

    #[test]
    fn the_last_reference_to_a_file_and_to_a_mapping_is_handed_to_who_closes() {
        let directory = suite::temporary_directory("file-closing");
        let (sender, closing) = std::sync::mpsc::channel();
        let disk = FileDisk::closing_with(move |one| sender.send(one).unwrap());
        let path = directory.path().join("f");
        let file = disk.open(&path, Open::Create).unwrap();
        file.write_at(&mut [IoSlice::new(b"hello")], 0).unwrap();
        let mapping = file.map_read_only(5).unwrap();
        let slice = mapping.slice(1..3);
        disk.remove_file(&path).unwrap();

        drop(Arc::clone(&file));
        assert_eq!(closing.try_iter().count(), 0);
        drop(file);
        assert_eq!(closing.try_iter().count(), 1, "the file");
        drop(mapping);
        assert_eq!(closing.try_iter().count(), 0, "it is still read");
        assert_eq!(slice, &b"el"[..]);
        drop(slice);
        assert_eq!(closing.try_iter().count(), 1, "the mapping");
    }

    /// A file of pages that are on the disk and not in memory; `None` where the file system keeps
    /// them all the same.
    fn evicted(path: &Path, length: usize) -> Option<Arc<dyn DiskFile>> {
        let file = FileDisk::new().open(path, Open::Create).unwrap();
        let bytes = vec![5; length];
        file.write_at(&mut [IoSlice::new(&bytes)], 0).unwrap();
        file.sync_data().unwrap();
        let handle = File::open(path).unwrap();
        rustix::fs::fadvise(&handle, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let mapping = file.map_read_only(length).unwrap();
        (!mapping.is_resident(0..length)).then_some(file)
    }

    #[test]
    fn what_left_memory_is_not_resident_and_comes_back_when_populated() {
        let directory = suite::temporary_directory("file-cold");
        let length = 3 << 20;
        let Some(file) = evicted(&directory.path().join("f"), length) else {
            return;
        };
        // Asking may already make the system read, and it may be quick.
        let mut buffer = vec![0; length];
        let read = file.read_at_once(&mut buffer, 0).unwrap();
        assert!(read.is_none_or(|read| read == length));
        let mapping = file.map_read_only(length + 100_000).unwrap();
        mapping.populate(0..length).unwrap();
        assert!(mapping.is_resident(0..length));
        assert_eq!(file.read_at_once(&mut [0], 5000).unwrap(), Some(1));
        assert!(mapping.slice(0..length).iter().all(|byte| *byte == 5));
    }

    #[test]
    fn a_page_that_cannot_be_had_is_an_error_and_not_a_signal() {
        let directory = suite::temporary_directory("file-sigbus");
        let file = FileDisk::new().open(&directory.path().join("f"), Open::Create);
        let file = file.unwrap();
        file.write_at(&mut [IoSlice::new(&[5; 10_000])], 0).unwrap();
        // Beyond the end of the file: what reads there is sent the same signal as by a failing disk.
        let mapping = file.map_read_only(1 << 20).unwrap();
        mapping.populate(0..10_000).unwrap();
        assert!(mapping.populate(0..1 << 20).is_err());
        assert!(mapping.populate(500_000..500_001).is_err());
    }

    #[test]
    fn files_are_the_owners_alone() {
        let directory = suite::temporary_directory("file-mode");
        let path = directory.path().join("secret");
        FileDisk::new().open(&path, Open::Create).unwrap();
        let mode = fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, MODE);
    }
}
