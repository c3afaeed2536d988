//! A copy of a log: how a replica comes by entries that no other replica has as entries any more.
//!
//! Retention, DeleteRecords and compaction take entries from a log that a follower may still need.
//! It gets the log's files instead. The [`LogManifest`] says what they are; a [`LogCopy`] takes
//! them in, in a directory beside the partition's; [`LogDir::install_copy`] puts it in the place of
//! whatever log the partition had, and the partition is opened as after a restart.
//!
//! Only what is committed is copied, so nothing of it is ever taken back. Bytes are copied as they
//! lie in the file; indexes are not, they are made anew where the copy is.
//!
//! What it is not: it knows no transport. Who reads parts on one side and writes them on the other
//! decides how they travel.
//!
//! [`LogDir::install_copy`]: crate::LogDir::install_copy

mod check;
mod manifest;
mod writing;

use std::path::PathBuf;

use klamm_model::raft::MetaEntry;
use klamm_model::{LogIndex, Offset, Term, TopicId, TopicPartition};

use crate::disk::DiskError;
use crate::journal::Anchor;
use crate::log::{AppendError, Damage, Offline};
pub(crate) use manifest::MANIFEST_BYTES_MAX;
pub use manifest::MalformedManifest;
pub use writing::LogCopy;
pub(crate) use writing::Turns;

/// What a copy of a log consists of. Holds together by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogManifest {
    /// The log directory it lies in.
    directory_id: TopicId,
    anchor: Anchor,
    metas: Vec<MetaEntry>,
    segments: Vec<CopiedSegment>,
    end: CopyEnd,
}

/// A segment of a copy. All but the last are closed, and copied as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopiedSegment {
    /// Its first offset, which names its files.
    pub base_offset: Offset,
    /// The index of its first batch; `None` if it was compacted, or has none.
    pub base_index: Option<LogIndex>,
    /// Names the segment within its log directory, for good: one that took its place has another.
    pub generation: u64,
    /// Bytes of its `.log` that belong to the copy.
    pub log_bytes: u64,
    /// Bytes of the `.snapshot` of producers where it begins, if there is one.
    pub snapshot_bytes: Option<u64>,
}

/// The last entry of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyEnd {
    /// Its index.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
    /// The offset after it.
    pub offset: Offset,
}

/// Bytes of a copy, named so that the log they are of finds them without its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedPart {
    /// The log directory.
    pub directory_id: TopicId,
    /// The segment, as the manifest lists it.
    pub segment: CopiedSegment,
    /// Of it.
    pub part: Part,
    /// Where they begin in the part.
    pub position: u64,
    /// How many at most.
    pub length_max: u32,
}

/// What is copied of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Its batches.
    Log,
    /// Its producers.
    ProducerSnapshot,
}

impl Part {
    /// How the names of such files end.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::ProducerSnapshot => "snapshot",
        }
    }
}

impl CopiedSegment {
    /// Bytes of one of its parts; `None` if it has none of that kind.
    pub fn part_bytes(&self, part: Part) -> Option<u64> {
        match part {
            Part::Log => Some(self.log_bytes),
            Part::ProducerSnapshot => self.snapshot_bytes,
        }
    }
}

/// Why there is no manifest.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ManifestError {
    /// The log does not reach to that entry, or begins behind it.
    #[error("the log has no such entry index={through} first={first_index} last={last_index}")]
    NotThere {
        /// Asked for.
        through: LogIndex,
        /// First that is there.
        first_index: LogIndex,
        /// Last that is there.
        last_index: LogIndex,
    },
    /// Some of it cannot be read, so there is nothing whole to copy.
    #[error("records are damaged file={} position={}", .0.file.display(), .0.position)]
    Damaged(Damage),
    /// Retention or compaction is changing the log: try again.
    #[error("the log is changing")]
    Gone,
    /// More than one record of the journal can hold.
    #[error("the log has too many leader epochs or segments bytes={bytes} max={max}")]
    TooLarge {
        /// Of the manifest.
        bytes: usize,
        /// Largest.
        max: usize,
    },
    /// What the log knows of itself does not hold together.
    #[error("the log cannot be copied: {0}")]
    Unsound(&'static str),
    /// The disk does not give the bytes.
    #[error("the log cannot be read from the disk: {0}")]
    Unreadable(DiskError),
    /// The log has to be given up.
    #[error(transparent)]
    Offline(#[from] Offline),
}

/// Why a part was not read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PartError {
    /// Retention or compaction took the segment away, or the log is another one: the manifest is
    /// out of date.
    #[error("the segment is not there any more base_offset={base_offset}")]
    Gone {
        /// The segment.
        base_offset: Offset,
    },
    /// The manifest lists no such bytes.
    #[error("no such part of a copy base_offset={base_offset} position={position}")]
    NotListed {
        /// The segment.
        base_offset: Offset,
        /// In the part.
        position: u64,
    },
    /// The disk does not give the bytes.
    #[error("the segment cannot be read from the disk: {0}")]
    Unreadable(DiskError),
    /// The log has to be given up.
    #[error(transparent)]
    Offline(#[from] Offline),
}

/// Why a copy was not taken in. After [`NoSpace`](Self::NoSpace) the same may be tried again, after
/// [`Offline`](Self::Offline) the log directory is to be given up. After all others the copy is
/// worth nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CopyError {
    /// Another copy of the partition is on its way.
    #[error("a copy is on its way already partition={0}")]
    InProgress(TopicPartition),
    /// Another topic's files stand in its place.
    #[error("the partition directory belongs to another topic path={} found={found} expected={expected}", path.display())]
    ForeignTopic {
        /// The directory.
        path: PathBuf,
        /// Topic id it names.
        found: TopicId,
        /// Topic id asked for.
        expected: TopicId,
    },
    /// The manifest has no such part.
    #[error("the copy has no such part base_offset={base_offset} part={part:?}")]
    NotListed {
        /// The segment.
        base_offset: Offset,
        /// Of it.
        part: Part,
    },
    /// Bytes that do not follow those written before, or go beyond what the manifest says.
    #[error(
        "bytes do not belong there base_offset={base_offset} part={part:?} position={position} end={end} written={written} size={size}"
    )]
    OutOfOrder {
        /// The segment.
        base_offset: Offset,
        /// Of it.
        part: Part,
        /// Where the bytes were to go.
        position: u64,
        /// Where they would end.
        end: u64,
        /// What is there.
        written: u64,
        /// What belongs there.
        size: u64,
    },
    /// Bytes are missing.
    #[error(
        "the copy is not complete base_offset={base_offset} part={part:?} written={written} size={size}"
    )]
    Incomplete {
        /// The segment.
        base_offset: Offset,
        /// Of it.
        part: Part,
        /// What is there.
        written: u64,
        /// What belongs there.
        size: u64,
    },
    /// The bytes are not the log that the manifest speaks of.
    #[error("the copy is not sound: {reason} file={} position={position}", file.display())]
    Unsound {
        /// What is wrong.
        reason: &'static str,
        /// In which file.
        file: PathBuf,
        /// Where in it.
        position: u64,
    },
    /// The disk is full, or the process has no file descriptor left.
    #[error("no room for the copy: {0}")]
    NoSpace(DiskError),
    /// The disk failed.
    #[error(transparent)]
    Offline(#[from] Offline),
}

impl From<AppendError> for CopyError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NoSpace(cause) => Self::NoSpace(cause),
            AppendError::Offline(offline) => Self::Offline(offline),
        }
    }
}

/// Of anything but a sync.
pub(crate) fn disk_failed(error: DiskError) -> AppendError {
    AppendError::of(error)
}

/// A sync is not tried again, unless it could not be begun.
pub(crate) fn sync_failed(error: DiskError) -> AppendError {
    match error.is_no_files() {
        true => AppendError::NoSpace(error),
        false => Offline { cause: error }.into(),
    }
}

#[cfg(test)]
mod tests;
