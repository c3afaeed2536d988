//! Which files there are, and what is in them.

use std::path::{Path, PathBuf};

use klamm_storage::inspect;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Log,
    Index,
    TimeIndex,
    TransactionIndex,
    RaftIndex,
    Snapshot,
    Journal,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Index => "index",
            Self::TimeIndex => "timeindex",
            Self::TransactionIndex => "txnindex",
            Self::RaftIndex => "raftindex",
            Self::Snapshot => "snapshot",
            Self::Journal => "journal",
        }
    }

    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if name == "klamm.journal" {
            return Some(Self::Journal);
        }
        let (_, kind) = inspect::segment_file(name)?;
        let all = [
            Self::Log,
            Self::Index,
            Self::TimeIndex,
            Self::TransactionIndex,
            Self::RaftIndex,
            Self::Snapshot,
        ];
        all.into_iter().find(|known| known.name() == kind)
    }
}

/// A file, or all known files below a directory, in order. The error says why there is nothing.
pub(super) fn below(path: &Path) -> Result<Vec<(PathBuf, Kind)>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        let mut found = Vec::new();
        collect(path, &mut found).map_err(|error| error.to_string())?;
        return match found.is_empty() {
            true => Err("no file in it is a broker's".to_owned()),
            false => Ok(found),
        };
    }
    match Kind::of(path) {
        Some(kind) => Ok(vec![(path.to_owned(), kind)]),
        None => Err("its name does not tell what is in it: see --help".to_owned()),
    }
}

fn collect(directory: &Path, found: &mut Vec<(PathBuf, Kind)>) -> std::io::Result<()> {
    let entries = std::fs::read_dir(directory)?;
    let mut paths: Vec<_> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, found)?;
        } else if let Some(kind) = Kind::of(&path) {
            found.push((path, kind));
        }
    }
    Ok(())
}
