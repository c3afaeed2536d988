//! The log directories that a broker uses together. Each of them names all, so that one that is
//! missing at the next start (a disk that is not mounted) is missed, and its partitions are not
//! begun anew, empty.

use std::path::{Path, PathBuf};

use klamm_model::TopicId;

use super::{LogDir, LogDirError, read_text};
use crate::disk::{self, Disk, DiskError};

/// `<directory id> <path>` in each line.
const SIBLINGS_FILE: &str = "klamm.directories";

/// One log directory of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// Its `directory.id`.
    pub directory_id: TopicId,
    /// Where it was mounted last.
    pub path: PathBuf,
}

impl LogDir {
    /// The directories that were used together with `path` last, itself included; none if it is
    /// new. Lines that cannot be understood are left out.
    pub fn siblings_of(disk: &dyn Disk, path: &Path) -> Result<Vec<Sibling>, LogDirError> {
        let text = read_text(disk, &path.join(SIBLINGS_FILE))?.unwrap_or_default();
        let sibling = |line: &str| {
            let (id, path) = line.split_once(' ')?;
            Some(Sibling {
                directory_id: TopicId::parse(id)?,
                path: PathBuf::from(path),
            })
        };
        Ok(text.lines().filter_map(sibling).collect())
    }

    /// Writes down the directories that are used together from now on.
    pub fn remember_siblings(&self, siblings: &[Sibling]) -> Result<(), LogDirError> {
        if Self::siblings_of(&*self.disk, &self.path)? == siblings {
            return Ok(());
        }
        let lines = siblings
            .iter()
            .map(|sibling| format!("{} {}\n", sibling.directory_id, sibling.path.display()));
        let text: String = lines.collect();
        let path = self.path.join(SIBLINGS_FILE);
        let written: Result<(), DiskError> =
            disk::replace_small(&*self.disk, &path, text.as_bytes());
        Ok(written?)
    }
}
