//! What of a segment is in memory, and what to do about the rest.
//!
//! A page of a mapping that is not in memory makes whoever touches it wait for the disk, and if
//! the disk fails, ends the process. So nobody touches one before having asked: readers that may
//! wait have it populated on the spot, others are told that it is [`Cold`].

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{DiskError, DiskFile, Mapping};

/// Where a reader may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Where it is: what is not in memory is brought there.
    Here,
    /// On another thread: what is not in memory is [`Unread::Cold`].
    Elsewhere,
}

/// Why bytes have not been looked at.
#[derive(Debug)]
pub(crate) enum Unread {
    /// They are not in memory. Only for readers that wait [elsewhere](Waiting::Elsewhere).
    Cold(Cold),
    /// The disk does not give them.
    Failed(DiskError),
}

/// For readers that wait where they are.
impl From<Unread> for DiskError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Failed(error) => error,
            Unread::Cold(cold) => {
                Self::new("read", &cold.path, std::io::ErrorKind::WouldBlock.into())
            }
        }
    }
}

/// Bytes that are not in memory, as plain data for any thread.
#[derive(Clone, Debug)]
pub(crate) struct Cold {
    path: PathBuf,
    bytes: Bytes,
}

#[derive(Clone, Debug)]
enum Bytes {
    /// Of a segment.
    Mapped(Mapping, Range<usize>),
    /// The first so many of an index. A search goes all over it, and it is small.
    OfFile(Arc<dyn DiskFile>, u64),
}

/// What is read at once of an index.
const READ_BYTES: usize = 256 << 10;

impl Cold {
    pub(super) fn mapped(path: PathBuf, mapping: &Mapping, range: Range<usize>) -> Self {
        Self {
            path,
            bytes: Bytes::Mapped(mapping.clone(), range),
        }
    }

    pub(super) fn of_file(path: PathBuf, file: Arc<dyn DiskFile>, length: u64) -> Self {
        Self {
            path,
            bytes: Bytes::OfFile(file, length),
        }
    }

    /// Bytes that are to be brought into memory.
    pub(crate) fn size_bytes(&self) -> usize {
        match &self.bytes {
            Bytes::Mapped(_, range) => range.len(),
            Bytes::OfFile(_, length) => *length as usize,
        }
    }

    /// Brings them into memory, for as long as the disk takes.
    pub(crate) fn populate(&self) -> Result<(), DiskError> {
        match &self.bytes {
            Bytes::Mapped(mapping, range) => mapping
                .populate(range.clone())
                .map_err(|error| DiskError::new("populate", &self.path, error)),
            Bytes::OfFile(file, length) => read_through(&**file, *length),
        }
    }
}

fn read_through(file: &dyn DiskFile, length: u64) -> Result<(), DiskError> {
    let mut buffer = vec![0; READ_BYTES];
    let mut position = 0;
    while position < length {
        match file.read_at(&mut buffer, position)? {
            0 => break, // Shorter than it should be: whoever searches it will notice.
            read => position += read as u64,
        }
    }
    Ok(())
}
