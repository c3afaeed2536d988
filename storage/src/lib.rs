//! The log on the local disk: synchronous, every byte through one trait, [`Disk`].
//!
//! What it is: a [`LogDir`] (one directory on one disk, locked, with its identity, checkpoints and
//! Raft [`Journal`]) that holds [`Log`]s (one partition each: segments in Kafka's own formats, so
//! that Kafka's dump tool reads them).
//!
//! What it is not: it knows no socket, clock, thread or Raft. Time comes in as an argument; what
//! is slow (fsync, deleting, preparing a segment, bringing records into memory) comes out as a
//! *ticket* that any thread may run. It knows no replicas, but how a log becomes a copy of another
//! one (`copy`).
//!
//! Invariants:
//! - Bytes reach a segment by `pwritev` only, at its end; mappings are read-only and no reader
//!   sees a byte beyond the written length.
//! - No byte of a mapping is touched before it is known to be in memory, or has been brought there:
//!   a disk that fails is an error, never a signal, and who must not wait for one does not.
//! - Nothing below the recovery point is ever cut: damage there is reported and served around.
//! - An fsync that failed is never tried again: the log (or the journal) is offline until reopened.
//!
//! Start with [`log`], then [`disk`].

pub mod checkpoint;
mod compaction;
mod copy;
pub mod disk;
mod file_disk;
pub mod inspect;
pub mod journal;
mod leader_epochs;
pub mod log;
pub mod log_dir;
mod mem_disk;
mod producer_state;
mod segment;
#[cfg(test)]
mod testing;

pub use compaction::{
    CleanedGroup, CleanerConfig, Compaction, CompactionError, CompactionStats, Pace,
};
pub use copy::{
    CopiedSegment, CopyEnd, CopyError, LogCopy, LogManifest, MalformedManifest, ManifestError,
    Part, PartError, WantedPart,
};
pub use disk::{Closing, Disk, DiskError, DiskFile, Mapping};
pub use file_disk::FileDisk;
pub use journal::{
    Anchor, Compacted, Copied, CopyState, GroupId, GroupState, Journal, JournalError,
    JournalSyncDone, JournalSyncTicket,
};
pub use leader_epochs::{EpochEntry, LeaderEpochs};
pub use log::{
    AppendDone, AppendError, AppendRefused, AppendTicket, Appended, Attempt, Cleanable,
    CompactionRule, Damage, DeleteTicket, EntryInfo, Export, ExportError, ExportTicket, Log,
    LogConfig, ManifestTicket, Offline, OpenLogError, PartRead, PartTicket, PopulateTicket,
    Populated, PrepareTicket, Prepared, ReadError, ReadResult, SwapTicket, Swapped, SyncDone,
    SyncTicket, Synced, TimestampOffset,
};
pub use log_dir::{
    Boot, BootKind, DeleteLogTicket, FoundPartition, LogCheckpoint, LogDir, LogDirError,
    LogDirIdentity, LogDirOptions, Sibling,
};
pub use mem_disk::{Crash, Fault, MemDisk};
pub use producer_state::{
    AbortedTransaction, BatchRange, ProducerCheck, ProducerEntry, ProducerRefusal, ProducerState,
    StagedProducers,
};
