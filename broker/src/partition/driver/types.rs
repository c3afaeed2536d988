//! What goes into a partition's driver and what comes out of it.

use klamm_model::archive::ArchiveState;
use klamm_model::{LeaderEpoch, LogIndex, Offset, Term, Timestamp};
use klamm_replication::{Configuration, EntryId, Members, MembersError, ReplicaId, RestoreError};
use klamm_storage::{AppendError, JournalError, Offline, ProducerRefusal};

/// Who wants a batch appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer.
    Client,
    /// A coordinator of ours, which decided while the partition was led in this epoch: in another
    /// one its decision may be out of date ([`StageError::NotLeader`]).
    Coordinator {
        /// The epoch it was loaded in.
        leader_epoch: LeaderEpoch,
    },
}

/// Where a batch will stand after the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staged {
    /// It will be appended here. `acks=1` is answered after the turn, `acks=all` once the high
    /// watermark is above `last_offset`.
    Appended {
        /// Its place in the Raft log.
        index: LogIndex,
        /// Of its first record.
        base_offset: Offset,
        /// Of its last record.
        last_offset: Offset,
    },
    /// A producer repeats itself: the original stands (or will stand after the turn) here, and
    /// the same waits apply to it.
    Duplicate {
        /// Of the original's first record.
        base_offset: Offset,
        /// Of the original's last record.
        last_offset: Offset,
        /// The latest timestamp of the original.
        timestamp: Timestamp,
    },
}

/// Why a batch is not taken; nothing of it is kept.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StageError {
    /// Another replica leads, or none does, or this one does not yet:
    /// `NOT_LEADER_OR_FOLLOWER`.
    #[error("not the leader of the partition")]
    NotLeader,
    /// Sequence or epoch of an idempotent producer do not fit.
    #[error(transparent)]
    Producer(#[from] ProducerRefusal),
    /// The batch is larger than a segment: `RECORD_BATCH_TOO_LARGE`.
    #[error("batch is larger than a segment size_bytes={size_bytes} segment_bytes={segment_bytes}")]
    BatchTooLarge {
        /// Of the batch.
        size_bytes: u64,
        /// `segment.bytes`.
        segment_bytes: u64,
    },
    /// The disk is full, or the process has no file descriptor left; reads go on, and appends do when
    /// there is room again: `KAFKA_STORAGE_ERROR`.
    #[error("no room for the log: the disk is full, or no file descriptor is left")]
    NoSpace,
    /// Too much waits for its fsync: the disk has fallen behind. To be retried.
    #[error("too many entries wait for their fsync")]
    Overloaded,
    /// See [`PartitionDriver::offline`](super::PartitionDriver::offline): `KAFKA_STORAGE_ERROR`.
    #[error("the partition is offline")]
    Offline,
}

/// What a replica says of itself when nobody leads its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Which one it is.
    pub replica: ReplicaId,
    /// The last entry in its log.
    pub last: EntryId,
    /// The offset behind it.
    pub end_offset: Offset,
    /// The latest term that it knows.
    pub term: Term,
    /// Whether it leads.
    pub leads: bool,
    /// Whether it takes part in elections.
    pub may_vote: bool,
    /// The members in force, as far as it knows, and since when.
    pub configuration: Configuration,
}

/// What has happened to the partition, in order.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Consumers may read, and producers with `acks=all` be answered, below `offset`.
    HighWatermarkMoved {
        /// The high watermark.
        offset: Offset,
        /// The last entry below it.
        index: LogIndex,
        /// How many bytes of batches it has passed; for consumers that wait for so many.
        bytes: usize,
    },
    /// Below `offset` records survive the loss of power (of a minority): they may be archived,
    /// compacted, deleted.
    CommitMoved {
        /// The offset after the last committed record.
        offset: Offset,
        /// The last committed entry.
        index: LogIndex,
    },
    /// Batches may be staged. Producers of older epochs are told to look for the leader anew.
    BecameLeader {
        /// The term, as clients know it.
        epoch: LeaderEpoch,
        /// Where the epoch's records begin.
        start_offset: Offset,
    },
    /// Batches are no longer accepted, and those that are not below the high watermark may be
    /// lost: who waits is told `NOT_LEADER_OR_FOLLOWER`.
    LostLeadership,
    /// What was staged for this turn has not been appended: who waits for an offset from this one
    /// on is told `NOT_LEADER_OR_FOLLOWER`.
    StagedDropped {
        /// The log end offset.
        from_offset: Offset,
    },
    /// The log ends at `end_offset` now: what came behind did not agree with the leader's.
    Truncated {
        /// The log end offset.
        end_offset: Offset,
        /// Whether records below the high watermark were among it. They are lost.
        lost_visible: bool,
    },
    /// What the replica may have lost with power it has again: it takes part in elections.
    Recovered,
    /// The leader cannot give this replica what it lacks entry by entry: a copy of the log is to take the
    /// place of this one, as long as
    /// [`PartitionDriver::wants_copy`](super::PartitionDriver::wants_copy). Comes again until then.
    CopyWanted {
        /// Who leads, and so has a log to copy.
        from: ReplicaId,
    },
    /// The group has agreed on another state of its archive.
    ArchiveMoved {
        /// What is archived, and what is about to be.
        state: ArchiveState,
    },
    /// The group has other members.
    MembersChanged {
        /// All of them, from now on.
        members: Members,
    },
    /// The partition has gone offline: who waits is told `KAFKA_STORAGE_ERROR`. Comes once.
    Offline {
        /// Why.
        error: OfflineReason,
    },
}

/// Why a partition has gone offline. It stays so until the broker is restarted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OfflineReason {
    /// A write or an fsync of the log failed; also a write for which space had been reserved.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// The journal of the log directory failed; so has every partition in it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A copy of another replica's log takes its place.
    #[error("another log takes its place")]
    Replaced,
    /// The replica found its own state impossible; a fault of ours.
    #[error("the replica gave up: {0}")]
    Replica(String),
}

/// Why a partition cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// Journal and log do not fit together.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The log names members that it cannot have named.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// What was found in the log could not be made durable.
    #[error(transparent)]
    Log(#[from] Offline),
    /// The journal could not be told how the group goes on.
    #[error(transparent)]
    Journal(#[from] AppendError),
}
