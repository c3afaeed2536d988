//! The one door to the disk. Everything this crate does with files goes through [`Disk`] and
//! [`DiskFile`], so that a test or a simulated world can lose, tear, refuse and reorder.
//!
//! Two implementations, [`FileDisk`](crate::FileDisk) and [`MemDisk`](crate::MemDisk), pass one
//! suite. Both traits are object safe: a virtual call per system call costs nothing.

mod closing;
mod mapping;
#[cfg(test)]
pub(crate) mod suite;

use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use closing::Closing;
pub(crate) use closing::{ClosedBy, Closer};
pub use mapping::Mapping;
pub(crate) use mapping::Memory;
use rustix::io::Errno;

/// A file system, as far as a log needs one.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a directory and those above it; fine if they exist.
    fn create_dir_all(&self, path: &Path) -> Result<(), DiskError>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &Path, open: Open) -> Result<Arc<dyn DiskFile>, DiskError>;

    /// Moves a file or directory over another name, atomically. Durable after
    /// [`sync_dir`](Self::sync_dir) of the directory (of both, if they differ).
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError>;

    /// Removes a file; [`DiskError::NotFound`] if there is none.
    fn remove_file(&self, path: &Path) -> Result<(), DiskError>;

    /// Removes a directory and all that is in it; [`DiskError::NotFound`] if there is none.
    fn remove_dir_all(&self, path: &Path) -> Result<(), DiskError>;

    /// What a directory holds, sorted by name. Names that are not UTF-8 are left out: nothing of
    /// ours has one.
    fn list(&self, path: &Path) -> Result<Vec<DirEntry>, DiskError>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> Result<(), DiskError>;

    /// Room on the disk that holds `path`.
    fn space(&self, path: &Path) -> Result<Space, DiskError>;

    /// Takes an exclusive lock on a file, creating it; held until the guard is dropped or the
    /// process ends. [`DiskError::Locked`] if another process (or guard) holds it.
    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, DiskError>;

    /// Names this run of the operating system's kernel: as long as it stays the same, what was
    /// written is in the page cache even if it was never synced. `None` if unknown.
    fn boot_id(&self) -> Option<String>;
}

/// An open file. Positions and lengths are bytes.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Writes all of `slices`, one after the other, at a position. After an error any part of them
    /// may have been written.
    fn write_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> Result<(), DiskError>;

    /// Fills `buffer` from a position; returns fewer bytes than it holds only at the end of the
    /// file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, DiskError>;

    /// As [`read_at`](Self::read_at), but without waiting for the disk: `None` if some of the
    /// bytes are not in memory. Where that cannot be known beforehand, it waits.
    fn read_at_once(&self, buffer: &mut [u8], position: u64) -> Result<Option<usize>, DiskError>;

    /// Makes content and length durable (`fdatasync`). Never to be retried after an error.
    fn sync_data(&self) -> Result<(), DiskError>;

    /// Sets the length; also gives back what was allocated beyond it.
    fn truncate(&self, length: u64) -> Result<(), DiskError>;

    /// Reserves room for `length` bytes from `position` on without changing the file's length
    /// (`FALLOC_FL_KEEP_SIZE`). A file system that cannot do it says `Ok`: then a full disk shows
    /// at the write.
    fn allocate(&self, position: u64, length: u64) -> Result<(), DiskError>;

    /// The length in bytes.
    fn length(&self) -> Result<u64, DiskError>;

    /// Maps the first `length` bytes for reading. `length` may exceed the file's: the caller reads
    /// no byte that has not been written.
    fn map_read_only(&self, length: usize) -> Result<Mapping, DiskError>;
}

/// Holds a lock while it lives.
pub trait DiskLock: fmt::Debug + Send + Sync {}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It must exist.
    Existing,
    /// Create it (mode 0600) unless it exists.
    Create,
    /// Create it (mode 0600), or empty it.
    Truncate,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The last part of its path.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Bytes, for a file; 0 for a directory.
    pub length: u64,
}

/// Room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes it has.
    pub total_bytes: u64,
    /// Bytes left for us.
    pub available_bytes: u64,
}

/// Why the disk did not do it. The variants are those after which a caller goes on differently.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DiskError {
    /// There is no such file or directory.
    #[error("no such file or directory path={}", path.display())]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
    /// The disk (or the quota) is full. Nothing is wrong with what is on it; try again later.
    #[error("no space left on device operation={operation} path={}", path.display())]
    NoSpace {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// The process (or the system) has no file descriptor left. Nothing is wrong with the disk; try
    /// again later.
    #[error("no file descriptor left operation={operation} path={}", path.display())]
    NoFiles {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// Someone else holds the lock.
    #[error("locked by another process path={}", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Anything else: the disk is not to be trusted with this file any more.
    #[error("{operation} failed: {source} path={}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's words.
        source: Arc<io::Error>,
    },
}

impl DiskError {
    /// Sorts an operating system's error.
    pub fn new(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        let no_files = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
        match source.kind() {
            _ if no_files.contains(&source.raw_os_error()) => Self::NoFiles { operation, path },
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { operation, path }
            }
            _ => Self::Io {
                operation,
                path,
                source: Arc::new(source),
            },
        }
    }

    /// Whether it is [`DiskError::NotFound`].
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether it is [`DiskError::NoSpace`].
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }

    /// Whether it is [`DiskError::NoFiles`].
    pub fn is_no_files(&self) -> bool {
        matches!(self, Self::NoFiles { .. })
    }

    /// Whether the disk refused and nothing is wrong with what is on it: a later try may succeed.
    pub fn is_refusal(&self) -> bool {
        self.is_no_space() || self.is_no_files()
    }
}

/// Reads a whole small file, up to `bytes_max`; a longer one is an error of the caller's limit.
pub(crate) fn read_small(
    disk: &dyn Disk,
    path: &Path,
    bytes_max: usize,
) -> Result<Vec<u8>, DiskError> {
    let file = disk.open(path, Open::Existing)?;
    let length = usize::try_from(file.length()?).unwrap_or(usize::MAX);
    if length > bytes_max {
        let source = io::Error::new(io::ErrorKind::FileTooLarge, "larger than it can be");
        return Err(DiskError::new("read", path, source));
    }
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Replaces a small file so that a crash leaves the old or the new one, never a mixture: writes
/// beside it, syncs, renames. The new name is durable when this returns.
pub(crate) fn replace_small(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let beside = temporary_name(path);
    let file = disk.open(&beside, Open::Truncate)?;
    file.write_at(&mut [IoSlice::new(bytes)], 0)?;
    file.sync_data()?;
    drop(file);
    disk.rename(&beside, path)?;
    match path.parent() {
        Some(parent) => disk.sync_dir(parent),
        None => Ok(()),
    }
}

/// Where [`replace_small`] writes first; Kafka also uses `.tmp` and ignores leftovers.
pub(crate) fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_failures() {
        let check = |errno: Errno, refusal, no_files| {
            let error = DiskError::new("open", Path::new("f"), errno.into());
            assert_eq!(error.is_refusal(), refusal, "{errno:?}");
            assert_eq!(error.is_no_files(), no_files, "{errno:?}");
        };
        check(Errno::MFILE, true, true);
        check(Errno::NFILE, true, true);
        check(Errno::NOSPC, true, false);
        check(Errno::DQUOT, true, false);
        check(Errno::IO, false, false);
        check(Errno::NOENT, false, false);
    }
}
