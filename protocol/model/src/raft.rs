//! What a partition's Raft log is made of, as seen from both sides of the consensus core: the
//! replica decides these, the storage keeps them.
//!
//! Data entries are record batches in the partition's `.log`. Entries that Kafka has no place for
//! ([`MetaEntry`]) live in the journal of the log directory and take no offset.

use bytes::Bytes;

use crate::archive::ArchiveState;
use crate::{LogIndex, Offset, RecordBatch, Term};

/// One Raft entry that holds records: its batch already carries its base offset and, as leader
/// epoch, its term.
#[derive(Clone, Debug)]
pub struct DataEntry {
    /// Its place in the Raft log.
    pub index: LogIndex,
    /// The term it was proposed in; equal to the batch's leader epoch.
    pub term: Term,
    /// The records.
    pub batch: RecordBatch,
    /// Among the log's segments.
    pub placement: Placement,
}

/// Where an entry with records goes. The leader decides it once, so that the segments of all replicas
/// are the same, byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Placement {
    /// Nobody has decided: whoever appends it does, by its own settings.
    #[default]
    Undecided,
    /// A segment begins with it.
    Begins,
    /// It goes to the segment of the entry before it.
    Continues,
}

/// One Raft entry that holds no record and takes no offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaEntry {
    /// Its place in the Raft log.
    pub index: LogIndex,
    /// The term it was proposed in.
    pub term: Term,
    /// The log end offset when it was appended: the next record gets this offset.
    pub at_offset: Offset,
    /// What it says.
    pub kind: MetaKind,
}

/// What an entry without records says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetaKind {
    /// A leader's first entry. Of term T at offset O it *is* Kafka's leader-epoch entry (T, O).
    Noop,
    /// A change of the group's members, encoded by the consensus core.
    Membership(Bytes),
    /// What of the partition is archived, and what is about to be.
    Archive(ArchiveState),
}

/// What Raft must remember across a restart, besides the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HardState {
    /// The latest term seen.
    pub term: Term,
    /// The replica voted for in that term; 0 for none.
    pub vote: u64,
    /// A hint: everything up to here was committed when this was written.
    pub commit: LogIndex,
}

/// One Raft entry of either kind, as it travels between replicas.
#[derive(Clone, Debug)]
pub enum LogEntry {
    /// With records.
    Records(DataEntry),
    /// Without.
    Meta(MetaEntry),
}

impl LogEntry {
    /// Its place in the Raft log.
    pub fn index(&self) -> LogIndex {
        match self {
            Self::Records(entry) => entry.index,
            Self::Meta(entry) => entry.index,
        }
    }

    /// The term it was proposed in.
    pub fn term(&self) -> Term {
        match self {
            Self::Records(entry) => entry.term,
            Self::Meta(entry) => entry.term,
        }
    }

    /// The log end offset before it.
    pub fn base_offset(&self) -> Offset {
        match self {
            Self::Records(entry) => entry.batch.base_offset(),
            Self::Meta(entry) => entry.at_offset,
        }
    }

    /// The log end offset after it.
    pub fn next_offset(&self) -> Offset {
        match self {
            Self::Records(entry) => entry.batch.next_offset(),
            Self::Meta(entry) => entry.at_offset,
        }
    }

    /// Bytes of its batch; 0 without records.
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Records(entry) => entry.batch.size_bytes(),
            Self::Meta(_) => 0,
        }
    }
}
