//! The files of the cache: one for each chunk, in a directory of their own.
//!
//! They are of no use to the next process: names are numbers, and what they hold is known in memory only. So
//! nothing is synced, and the directory is cleared at the start.
#![expect(
    clippy::disallowed_methods,
    reason = "this is a cache of an archive, which may be lost, and not the disk of the log"
)]

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What the names of files begin with. Others in the directory are left alone: it may have been a mistake.
const PREFIX: &str = "chunk-";

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    /// Makes the directory, or clears it.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(PREFIX.as_bytes())
            {
                fs::remove_file(entry.path())?;
            }
        }
        let directory = directory.to_owned();
        Ok(Self { directory })
    }

    pub(super) fn write(&self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let written = fs::write(self.path(number), bytes);
        if written.is_err() {
            // Half of it would take room that nobody counts.
            let _ = fs::remove_file(self.path(number));
        }
        written
    }

    pub(super) fn read(&self, number: u64, range: Range<usize>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; range.len()];
        let file = File::open(self.path(number))?;
        file.read_exact_at(&mut bytes, range.start as u64)?;
        Ok(bytes)
    }

    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        fs::remove_file(self.path(number))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{PREFIX}{number}"))
    }
}
