//! What goes into a log and comes out of it: settings, results, errors.

use std::path::PathBuf;

use bytes::Bytes;
use klamm_model::raft::DataEntry;
use klamm_model::{LeaderEpoch, LogIndex, Offset, Term, Timestamp};

use crate::disk::DiskError;
use crate::journal::JournalError;

/// The settings of a log. Kafka's topic settings of the same names; times in milliseconds, -1 for
/// "no limit".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `retention.ms`; -1 keeps for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; -1 keeps all.
    pub retention_bytes: i64,
    /// Whether nothing is to be removed before it is archived. The log does not know what is: whoever drives
    /// it says how far it may remove.
    pub keeps_until_archived: bool,
    /// Whether `cleanup.policy` contains `delete`: without it retention deletes nothing.
    pub delete_old_segments: bool,
    /// `flush.messages`: records that may be unsynced.
    pub flush_messages: i64,
    /// `flush.ms`: how long a record may be unsynced.
    pub flush_ms: i64,
    /// `klamm.flush.bytes`: bytes that may be unsynced.
    pub flush_bytes: u64,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// `preallocate`: a new segment asks the disk for all of `segment_bytes` at once. Unlike
    /// Kafka's, its file is never longer than its batches.
    pub preallocate: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * 24 * 3_600_000,
            retention_bytes: -1,
            keeps_until_archived: false,
            delete_old_segments: true,
            flush_messages: i64::MAX,
            flush_ms: 1000,
            flush_bytes: u64::MAX,
            producer_id_expiration_ms: 24 * 3_600_000,
            preallocate: false,
        }
    }
}

/// Why the log takes nothing and gives nothing any more: a write or an fsync failed, so memory and
/// disk may differ. It has to be opened anew (or repaired from elsewhere).
#[derive(Clone, Debug, thiserror::Error)]
#[error("the log is offline: {cause}")]
pub struct Offline {
    /// The first failure.
    pub cause: DiskError,
}

/// Why nothing was appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk is full, or the process has no file descriptor left. Nothing has changed; try again
    /// later.
    #[error("no room for the log: {0}")]
    NoSpace(DiskError),
    /// The log has to be given up.
    #[error(transparent)]
    Offline(#[from] Offline),
}

/// An append that did not take place, and what was to be appended: with [`AppendError::NoSpace`] it can be
/// tried again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct AppendRefused {
    /// As they were given.
    pub entries: Vec<DataEntry>,
    /// Why.
    pub error: AppendError,
}

impl From<AppendRefused> for AppendError {
    fn from(refused: AppendRefused) -> Self {
        refused.error
    }
}

/// Why nothing was read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// Outside of what the log holds.
    #[error("offset is out of range offset={offset} log_start={log_start} log_end={log_end}")]
    OffsetOutOfRange {
        /// Asked for.
        offset: Offset,
        /// First that is there.
        log_start: Offset,
        /// After the last that is there.
        log_end: Offset,
    },
    /// The batch that holds the offset is damaged.
    #[error("records are damaged file={} position={} first_offset={} next_offset={}", .0.file.display(), .0.position, .0.first_offset, .0.next_offset)]
    Corrupt(Damage),
    /// The disk does not give the bytes. Others may be readable, and these at another time.
    #[error("records cannot be read from the disk: {0}")]
    Unreadable(DiskError),
    /// The log has to be given up.
    #[error(transparent)]
    Offline(#[from] Offline),
}

/// Bytes of a segment that are not the batches that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file.
    pub file: PathBuf,
    /// Its first byte in the file.
    pub position: u64,
    /// First offset that is lost.
    pub first_offset: Offset,
    /// First offset after it that can be read again.
    pub next_offset: Offset,
}

/// Why a log cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenLogError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another topic's files stand in its place.
    #[error("the partition directory belongs to another topic path={} found={found} expected={expected}", path.display())]
    ForeignTopic {
        /// The directory.
        path: PathBuf,
        /// Topic id it names.
        found: String,
        /// Topic id asked for.
        expected: String,
    },
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The log end offset now.
    pub log_end_offset: Offset,
    /// The index of the last entry now.
    pub last_index: LogIndex,
    /// Whether a segment was begun.
    pub rolled: bool,
}

/// Whole batches, as they lie in one segment.
#[derive(Clone, Debug)]
pub struct ReadResult {
    /// The batches, one after the other; shares the segment's mapping. May be empty.
    pub records: Bytes,
    /// First offset of the first batch: at or before the offset asked for.
    pub base_offset: Offset,
    /// Where to read on.
    pub next_offset: Offset,
}

/// What is known of one Raft entry without reading its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryInfo {
    /// Its place in the Raft log.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
    /// Its first offset; for an entry without records, the next record's.
    pub base_offset: Offset,
    /// The offset after it.
    pub next_offset: Offset,
    /// Bytes of its batch; 0 for an entry without records.
    pub size_bytes: u32,
}

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its offset.
    pub offset: Offset,
    /// The epoch of its batch.
    pub leader_epoch: LeaderEpoch,
}

impl AppendError {
    /// Sorts a failure of the disk by what it leaves behind; not for failed syncs.
    pub(crate) fn of(error: DiskError) -> Self {
        if error.is_refusal() {
            Self::NoSpace(error)
        } else {
            Self::Offline(Offline { cause: error })
        }
    }
}

impl From<JournalError> for AppendError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::NoSpace { path } => Self::NoSpace(DiskError::NoSpace {
                operation: "write",
                path,
            }),
            JournalError::Offline { cause } => Self::Offline(Offline { cause }),
            JournalError::Corrupt { path, .. } | JournalError::Foreign { path } => {
                // Only opening a journal finds these.
                Self::Offline(Offline {
                    cause: DiskError::NotFound { path },
                })
            }
        }
    }
}
