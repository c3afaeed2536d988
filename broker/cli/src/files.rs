//! Where files of the user are read and written.
#![expect(
    clippy::disallowed_methods,
    reason = "files that the user names: properties, records, results and reports; and those of brokers that a command starts"
)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use crate::error::CliError;

/// The whole text of a file.
pub(crate) fn read_text(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| CliError::File {
        path: path.to_owned(),
        error,
    })
}

/// The bytes of a file, `max` of them at most.
pub(crate) fn read_bytes(path: &Path, max: u64) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(max).read_to_end(&mut bytes);
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(CliError::File {
            path: path.to_owned(),
            error,
        }),
    }
}

/// A file to be read line by line.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, CliError> {
    match File::open(path) {
        Ok(file) => Ok(Box::new(BufReader::new(file))),
        Err(error) => Err(CliError::File {
            path: path.to_owned(),
            error,
        }),
    }
}

/// Writes a file, or replaces it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text).map_err(|error| CliError::File {
        path: path.to_owned(),
        error,
    })
}

/// Makes a folder, and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(path).map_err(|error| CliError::File {
        path: path.to_owned(),
        error,
    })
}

/// Removes a folder with all that is in it.
pub(crate) fn remove_folder(path: &Path) -> Result<(), CliError> {
    std::fs::remove_dir_all(path).map_err(|error| CliError::File {
        path: path.to_owned(),
        error,
    })
}

/// An empty file that a child process writes.
pub(crate) fn create(path: &Path) -> Result<File, CliError> {
    File::create(path).map_err(|error| CliError::File {
        path: path.to_owned(),
        error,
    })
}

/// Asks the kernel to wake this process when it asked to be woken, not up to 50 µs later. Where
/// that is not possible the report shows it as lateness.
pub(crate) fn ask_for_precise_timers() {
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
}

/// Which start of which kernel this process runs on: who has the same has the same clock. `None`
/// where the system does not say.
pub(crate) fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}
