//! One log directory: the root of everything this broker keeps on one disk.
//!
//! ```text
//! .lock                              held while a broker runs
//! meta.properties                    whose directory it is (Kafka's format)
//! recovery-point-offset-checkpoint   how far each log is durable        (Kafka's format)
//! replication-offset-checkpoint      high watermarks                    (Kafka's format)
//! log-start-offset-checkpoint        log start offsets                  (Kafka's format)
//! .kafka_cleanshutdown               there if it was closed in good order
//! klamm.boot                         which boot of the kernel used it last
//! klamm.journal                      the Raft journal
//! klamm.ballast                      room that can be given back on a full disk
//! <topic>-<partition>/               one log each
//! <topic>-<partition>.<id>-delete/   a log that is being deleted
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use klamm_model::{BrokerId, Offset, TopicId, TopicPartition};

use crate::disk::{Disk, DiskError, Space};
use crate::journal::{Journal, JournalError};
use crate::log::{Log, LogConfig, OpenLogError};

/// Whose directory it is: the content of `meta.properties`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirIdentity {
    /// `cluster.id`.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: BrokerId,
    /// `directory.id`: names the disk, wherever it is mounted (KIP-858).
    pub directory_id: TopicId,
}

/// How to open a log directory.
#[derive(Clone, Debug)]
pub struct LogDirOptions {
    /// Who opens it. `directory_id` is used only if the directory is new.
    pub identity: LogDirIdentity,
    /// Bytes kept back on the disk, given up to keep the broker working when it is full.
    pub ballast_bytes: u64,
    /// Closed segments that stay mapped at most.
    pub mappings_max: usize,
}

/// What happened before this start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootKind {
    /// The directory is new.
    First,
    /// It was closed in good order.
    Clean,
    /// The process ended without closing it, but the kernel ran on: what was written is there.
    Killed,
    /// The kernel has started since (or it cannot be told): what was not synced may be lost.
    Lossy,
}

/// Book-keeping of starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// What happened before.
    pub kind: BootKind,
    /// Rises with every start.
    pub incarnation: u64,
    /// A lossy boot happened whose losses are not yet made good: replicas must not vote.
    pub recovering: bool,
}

/// Why a log directory cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogDirError {
    /// Another process uses it.
    #[error("another klamm runs here path={}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It belongs to another cluster or broker.
    #[error("the log directory belongs to another {what} path={} found={found} expected={expected}", path.display())]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Which of `cluster` and `node` differs.
        what: &'static str,
        /// As `meta.properties` has it.
        found: String,
        /// As the settings have it.
        expected: String,
    },
    /// It is neither empty nor a log directory of Klamm.
    #[error("the directory is not empty and not a log directory of Klamm: {reason} path={}", path.display())]
    ForeignDirectory {
        /// The directory.
        path: PathBuf,
        /// How it can be told.
        reason: String,
    },
    /// A file of it cannot be understood.
    #[error("file cannot be read: {reason} path={}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A partition found on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPartition {
    /// Which.
    pub topic_partition: TopicPartition,
    /// Of which topic.
    pub topic_id: TopicId,
}

/// What the checkpoints say of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCheckpoint {
    /// Everything before is durable.
    pub recovery_point: Offset,
    /// Everything before could be consumed.
    pub high_watermark: Offset,
    /// First offset clients may read.
    pub log_start_offset: Offset,
}

/// See the [module](self).
#[derive(Debug)]
pub struct LogDir {
    path: PathBuf,
}

impl LogDir {
    /// Reads whose directory `path` is without opening it; `None` if it is new.
    pub fn identity_of(
        disk: &dyn Disk,
        path: &Path,
    ) -> Result<Option<LogDirIdentity>, LogDirError> {
        todo!()
    }

    /// Opens or creates the directory: takes the lock, checks whose it is, learns how it was left,
    /// opens the journal, removes leftovers.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: LogDirOptions,
    ) -> Result<Self, LogDirError> {
        todo!()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    pub fn identity(&self) -> &LogDirIdentity {
        todo!()
    }

    /// How it was left.
    pub fn boot(&self) -> Boot {
        todo!()
    }

    /// Says that the losses of a lossy boot are made good.
    pub fn recovery_finished(&mut self) -> Result<(), DiskError> {
        todo!()
    }

    /// The Raft journal.
    pub fn journal(&self) -> &Arc<Journal> {
        todo!()
    }

    /// Room on the disk.
    pub fn space(&self) -> Result<Space, DiskError> {
        todo!()
    }

    /// The partitions found when it was opened, and those created since, less those deleted.
    pub fn partitions(&self) -> Vec<FoundPartition> {
        todo!()
    }

    /// What the checkpoints said of a partition when the directory was opened.
    pub fn checkpoint(&self, topic_partition: &TopicPartition) -> Option<LogCheckpoint> {
        todo!()
    }

    /// Opens the log of a partition, recovering what needs it; creates it if it is not there.
    /// May run on several threads for different partitions.
    pub fn open_log(
        &self,
        topic_partition: &TopicPartition,
        topic_id: TopicId,
        config: LogConfig,
        now: klamm_model::Timestamp,
    ) -> Result<Log, OpenLogError> {
        todo!()
    }

    /// Takes a partition out of sight (its directory gets another name, the journal forgets its
    /// group); its files go when the ticket is run. Fine if it is not there.
    pub fn delete_log(
        &self,
        topic_partition: &TopicPartition,
        topic_id: TopicId,
    ) -> Result<DeleteLogTicket, OpenLogError> {
        todo!()
    }

    /// Writes the three checkpoints; partitions not named are left out.
    pub fn write_checkpoints(
        &self,
        checkpoints: &[(TopicPartition, LogCheckpoint)],
    ) -> Result<(), DiskError> {
        todo!()
    }

    /// Gives the ballast back to a full disk; `false` if there is none.
    pub fn drop_ballast(&self) -> Result<bool, DiskError> {
        todo!()
    }

    /// Takes the ballast again, if there is room.
    pub fn restore_ballast(&self) -> Result<(), DiskError> {
        todo!()
    }

    /// Marks the directory as closed in good order. All logs have been closed and the checkpoints
    /// are what they say.
    pub fn close(
        &self,
        checkpoints: &[(TopicPartition, LogCheckpoint)],
    ) -> Result<(), LogDirError> {
        todo!()
    }
}

/// Files of a deleted partition, to be removed on any thread.
#[derive(Debug)]
#[must_use = "the files stay until it is run"]
pub struct DeleteLogTicket {
    disk: Arc<dyn Disk>,
    path: Option<PathBuf>,
}

impl DeleteLogTicket {
    /// Removes them.
    pub fn run(self) -> Result<(), DiskError> {
        todo!()
    }
}
