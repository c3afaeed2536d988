//! One log directory: the root of everything this broker keeps on one disk.
//!
//! ```text
//! .lock                              held while a broker runs
//! meta.properties                    whose directory it is (Kafka's format)
//! recovery-point-offset-checkpoint   how far each log is durable        (Kafka's format)
//! replication-offset-checkpoint      high watermarks                    (Kafka's format)
//! log-start-offset-checkpoint        log start offsets                  (Kafka's format)
//! .kafka_cleanshutdown               there if it was closed in good order
//! klamm.boot                         which boot of the kernel used it last, and whether an fsync failed
//! klamm.journal                      the Raft journal
//! klamm.directories                  which directories are used together
//! klamm.ballast                      room that can be given back on a full disk
//! <topic>-<partition>/               one log each
//! <topic>-<partition>.<id>-copy/     a copy of another replica's log, on its way
//! <topic>-<partition>.<id>-delete/   a log that is being deleted; also .<id>.<number>-delete/
//! ```

mod boot;
mod copies;
mod partitions;
mod siblings;
mod unsynced;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use klamm_model::{BrokerId, Offset, TopicId, TopicPartition};

use crate::checkpoint::{self, Offsets};
use crate::copy::Turns;
use crate::disk::{self, Disk, DiskError, DiskLock, Open, Space};
use crate::journal::{Journal, JournalError};
use crate::log::AppendedBytes;
use crate::segment::mappings::Mappings;
use partitions::Partitions;
pub(crate) use partitions::write_metadata;
pub use partitions::{DeleteLogTicket, FoundPartition};
pub use siblings::Sibling;
use unsynced::{Mark, MarkingDisk};

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
    /// The kernel has started since (or it cannot be told), or an fsync failed: what was not synced
    /// may be lost.
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
    /// A directory that was used together with this one is not there.
    #[error(
        "a log directory is missing, its partitions would be lost: mount it, or name it in log.dirs; if it is gone for good, remove its line from klamm.directories missing={} path={}", missing.display(), path.display()
    )]
    Missing {
        /// A directory that is there.
        path: PathBuf,
        /// Where the other one was.
        missing: PathBuf,
    },
    /// A partition lies in two directories, and which is the right one cannot be told.
    #[error("a partition lies in two log directories, move one of them away partition={partition} path={} other={}", path.display(), other.display())]
    Twice {
        /// The partition.
        partition: TopicPartition,
        /// One directory.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// An fsync failed in an earlier life, and what it may have lost cannot be made durable.
    #[error(
        "an fsync failed in the log directory, and what it may have lost cannot be written again, check the disk: {cause} path={}", path.display()
    )]
    CannotWriteAgain {
        /// The directory.
        path: PathBuf,
        /// What failed now.
        cause: DiskError,
    },
    /// An fsync has failed since it was opened: it is not in good order.
    #[error("an fsync has failed in the log directory path={}", path.display())]
    SyncFailed {
        /// The directory.
        path: PathBuf,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
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
    /// Everything before was compacted; `None` for a log that never was.
    pub cleaned_to: Option<Offset>,
}

const LOCK_FILE: &str = ".lock";
const IDENTITY_FILE: &str = "meta.properties";
const RECOVERY_POINTS_FILE: &str = "recovery-point-offset-checkpoint";
const HIGH_WATERMARKS_FILE: &str = "replication-offset-checkpoint";
const LOG_STARTS_FILE: &str = "log-start-offset-checkpoint";
const CLEANED_FILE: &str = "cleaner-offset-checkpoint";
const JOURNAL_FILE: &str = "klamm.journal";
const BALLAST_FILE: &str = "klamm.ballast";

/// Largest small file that is read: a checkpoint of a hundred thousand partitions.
const SMALL_FILE_BYTES_MAX: usize = 64 << 20;

/// See the [module](self).
#[derive(Debug)]
pub struct LogDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    identity: LogDirIdentity,
    boot: Mutex<Boot>,
    journal: Arc<Journal>,
    mappings: Arc<Mappings>,
    appended: AppendedBytes,
    partitions: Partitions,
    checkpoints: Mutex<Checkpoints>,
    /// Of which a copy is on its way.
    copies: Turns,
    copies_placed: AtomicU64,
    /// Partitions whose log a copy has replaced and that were not opened since: what is said of them
    /// is said of another log.
    replaced: Mutex<BTreeSet<TopicPartition>>,
    ballast_bytes: u64,
    mark: Arc<Mark>,
    /// Last: released when everything else is done.
    _lock: Box<dyn DiskLock>,
}

/// The checkpoints as they were when the directory was opened, or written last since.
#[derive(Debug, Default)]
struct Checkpoints {
    recovery_points: Offsets,
    high_watermarks: Offsets,
    log_starts: Offsets,
    cleaned: Offsets,
}

impl LogDir {
    /// Reads whose directory `path` is without opening it; `None` if it is new.
    pub fn identity_of(
        disk: &dyn Disk,
        path: &Path,
    ) -> Result<Option<LogDirIdentity>, LogDirError> {
        let file = path.join(IDENTITY_FILE);
        match read_text(disk, &file)? {
            None => Ok(None),
            Some(text) => match checkpoint::decode_identity(&text) {
                Ok(identity) => Ok(Some(identity)),
                Err(reason) => Err(LogDirError::Damaged { path: file, reason }),
            },
        }
    }

    /// Opens or creates the directory: takes the lock, checks whose it is, learns how it was left,
    /// opens the journal, removes leftovers. On a full disk, the ballast goes for it.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: LogDirOptions,
    ) -> Result<Self, LogDirError> {
        match Self::try_open(Arc::clone(&disk), path, options.clone()) {
            Err(LogDirError::Disk(DiskError::NoSpace { .. })) if drop_ballast(&*disk, path)? => {
                Self::try_open(disk, path, options)
            }
            result => result,
        }
    }

    fn try_open(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: LogDirOptions,
    ) -> Result<Self, LogDirError> {
        // Before anything is written: a directory of someone else stays as it is.
        let found = Self::identity_of(&*disk, path)?;
        match &found {
            Some(found) => check_owner(path, found, &options.identity)?,
            None => check_empty(&*disk, path)?,
        }
        let journal_path = path.join(JOURNAL_FILE);
        if found.is_some() && !exists(&*disk, &journal_path)? {
            return Err(LogDirError::ForeignDirectory {
                path: path.to_owned(),
                reason: format!("it has no {JOURNAL_FILE}"),
            });
        }
        disk.create_dir_all(path)?;
        if found.is_none() {
            sync_parents(&*disk, path)?;
        }
        let lock = match disk.lock(&path.join(LOCK_FILE)) {
            Ok(lock) => lock,
            Err(DiskError::Locked { .. }) => {
                return Err(LogDirError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let (marking, mark) = MarkingDisk::new(disk, path);
        let disk: Arc<dyn Disk> = Arc::new(marking);
        let is_new = found.is_none();
        let (boot, unsynced) = boot::begin(&*disk, path, is_new)?;
        mark.renew()?;
        let lossy = boot.kind == BootKind::Lossy;
        let journal = Arc::new(Journal::open(Arc::clone(&disk), &journal_path, lossy)?);
        let identity = found.unwrap_or(options.identity);
        if is_new {
            // Last of what makes a directory ours: without it, the next start begins again.
            let text = checkpoint::encode_identity(&identity);
            disk::replace_small(&*disk, &path.join(IDENTITY_FILE), text.as_bytes())?;
        }
        let mut checkpoints = Checkpoints::read(&*disk, path)?;
        copies::place_all(&*disk, path, &journal, &mark)?;
        let partitions = Partitions::find(&*disk, path, &journal)?;
        for copied in partitions.of_groups(|group| journal.copy_state(group).is_some()) {
            checkpoints.forget(&copied);
        }
        if unsynced {
            unsynced::write_again(&*disk, path, &journal, &partitions, &checkpoints)?;
            boot::update(&*disk, path, &boot, mark.has_failed())?;
            mark.renew()?;
        }
        let directory = Self {
            path: path.to_owned(),
            identity,
            boot: Mutex::new(boot),
            journal,
            mappings: Arc::new(Mappings::new(options.mappings_max, boot.incarnation)),
            appended: AppendedBytes::default(),
            partitions,
            checkpoints: Mutex::new(checkpoints),
            copies: Turns::default(),
            copies_placed: AtomicU64::new(0),
            replaced: Mutex::default(),
            ballast_bytes: options.ballast_bytes,
            mark,
            disk,
            _lock: lock,
        };
        directory.restore_ballast()?;
        Ok(directory)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    pub fn identity(&self) -> &LogDirIdentity {
        &self.identity
    }

    /// How it was left.
    pub fn boot(&self) -> Boot {
        *self.boot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the losses of a lossy boot are made good. Waits for the disk.
    ///
    /// # Errors
    /// If it cannot be written down; it is still recovering then.
    pub fn recovery_finished(&self) -> Result<(), DiskError> {
        let mut boot = self.boot.lock().unwrap_or_else(PoisonError::into_inner);
        let recovered = Boot {
            recovering: false,
            ..*boot
        };
        loop {
            let unsynced = self.mark.has_failed();
            boot::update(&*self.disk, &self.path, &recovered, unsynced)?;
            self.mark.renew()?;
            // An fsync may have failed meanwhile: its mark must not be written over.
            if self.mark.has_failed() == unsynced {
                *boot = recovered;
                return Ok(());
            }
        }
    }

    /// The Raft journal.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Room on the disk.
    pub fn space(&self) -> Result<Space, DiskError> {
        self.disk.space(&self.path)
    }

    fn checkpoints(&self) -> MutexGuard<'_, Checkpoints> {
        self.checkpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn replaced(&self) -> MutexGuard<'_, BTreeSet<TopicPartition>> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the checkpoints say of a partition: as they were when the directory was opened, or as
    /// they were [written](Self::checkpoints_written) last since. `None` for a log that came as a
    /// copy, until then.
    pub fn checkpoint(&self, topic_partition: &TopicPartition) -> Option<LogCheckpoint> {
        let checkpoints = self.checkpoints();
        let Checkpoints {
            recovery_points,
            high_watermarks,
            log_starts,
            cleaned,
        } = &*checkpoints;
        let of = |offsets: &Offsets| offsets.get(topic_partition).copied();
        let known = of(recovery_points)
            .or(of(high_watermarks))
            .or(of(log_starts));
        known.map(|_| LogCheckpoint {
            recovery_point: of(recovery_points).unwrap_or(Offset::ZERO),
            high_watermark: of(high_watermarks).unwrap_or(Offset::ZERO),
            log_start_offset: of(log_starts).unwrap_or(Offset::ZERO),
            cleaned_to: of(cleaned),
        })
    }

    /// Writes the four checkpoints and takes note of it: for whoever may wait for the disk, and
    /// nobody cuts a log meanwhile.
    pub fn write_checkpoints(
        &self,
        checkpoints: &[(TopicPartition, LogCheckpoint)],
    ) -> Result<(), DiskError> {
        self.write_checkpoint_files(checkpoints)?;
        self.checkpoints_written(checkpoints);
        Ok(())
    }

    /// Writes the four checkpoints, on any thread; partitions not named are left out. After an
    /// fsync that failed, those written before it stay: a later fsync of the same file succeeds
    /// without a reason, and the next start has to know from where on to write again.
    pub fn write_checkpoint_files(
        &self,
        checkpoints: &[(TopicPartition, LogCheckpoint)],
    ) -> Result<(), DiskError> {
        if self.mark.has_failed() {
            return Ok(());
        }
        let write = |name: &str, offset: fn(&LogCheckpoint) -> Option<Offset>| {
            let rows = checkpoints.iter();
            let offsets = rows
                .filter_map(|(topic_partition, checkpoint)| {
                    Some((topic_partition.clone(), offset(checkpoint)?))
                })
                .collect();
            let text = checkpoint::encode_offsets(&offsets);
            disk::replace_small(&*self.disk, &self.path.join(name), text.as_bytes())
        };
        write(RECOVERY_POINTS_FILE, |it| Some(it.recovery_point))?;
        write(HIGH_WATERMARKS_FILE, |it| Some(it.high_watermark))?;
        write(LOG_STARTS_FILE, |it| Some(it.log_start_offset))?;
        write(CLEANED_FILE, |it| it.cleaned_to)
    }

    /// The checkpoints with these recovery points are durable, and none of the logs was cut below
    /// its own since, or replaced by a copy: the journal need not remember earlier cuts, nor that a
    /// log was a copy. If it cannot write, it goes on remembering.
    pub fn checkpoints_written(&self, checkpoints: &[(TopicPartition, LogCheckpoint)]) {
        // They may have been left as they were.
        if self.mark.has_failed() {
            return;
        }
        for (topic_partition, checkpoint) in checkpoints {
            let Some(group) = self.partitions.group(topic_partition) else {
                continue;
            };
            if self.replaced().contains(topic_partition) {
                continue;
            }
            self.checkpoints().note(topic_partition, checkpoint);
            let state = self.journal.group(group);
            let reaches = |(end, _)| checkpoint.recovery_point >= end;
            if state.cut_to.is_some_and(reaches) || state.cut_to.is_none() && state.copy.is_some() {
                let _ = self.journal.checkpointed(group);
            }
        }
    }

    /// Gives the ballast back to a full disk; `false` if there is none.
    pub fn drop_ballast(&self) -> Result<bool, DiskError> {
        drop_ballast(&*self.disk, &self.path)
    }

    /// Takes the ballast again, if there is room: at least as much must be left.
    pub fn restore_ballast(&self) -> Result<(), DiskError> {
        let bytes = self.ballast_bytes;
        let path = self.path.join(BALLAST_FILE);
        if bytes == 0 || exists(&*self.disk, &path)? {
            return Ok(());
        }
        if self.space()?.available_bytes < 2 * bytes {
            return Ok(());
        }
        let file = self.disk.open(&path, Open::Create)?;
        match file.allocate(0, bytes) {
            Err(DiskError::NoSpace { .. }) => self.disk.remove_file(&path),
            result => result,
        }
    }

    /// Marks the directory as closed in good order. All logs have been closed and the checkpoints
    /// are what they say. Nothing may be done with it after that but dropping it, which releases
    /// the lock. Refused with [`LogDirError::SyncFailed`] if an fsync has failed, wherever.
    pub fn close(
        &self,
        checkpoints: &[(TopicPartition, LogCheckpoint)],
    ) -> Result<(), LogDirError> {
        self.journal.sync()?;
        self.write_checkpoints(checkpoints)?;
        self.journal.sync()?;
        if self.mark.has_failed() {
            return Err(LogDirError::SyncFailed {
                path: self.path.clone(),
            });
        }
        boot::mark_clean(&*self.disk, &self.path, self.boot().incarnation)?;
        Ok(())
    }
}

impl Checkpoints {
    /// They speak of another log.
    fn forget(&mut self, topic_partition: &TopicPartition) {
        self.recovery_points.remove(topic_partition);
        self.high_watermarks.remove(topic_partition);
        self.log_starts.remove(topic_partition);
        self.cleaned.remove(topic_partition);
    }

    fn note(&mut self, topic_partition: &TopicPartition, checkpoint: &LogCheckpoint) {
        self.forget(topic_partition);
        let LogCheckpoint {
            recovery_point,
            high_watermark,
            log_start_offset,
            cleaned_to,
        } = *checkpoint;
        let key = || topic_partition.clone();
        self.recovery_points.insert(key(), recovery_point);
        self.high_watermarks.insert(key(), high_watermark);
        self.log_starts.insert(key(), log_start_offset);
        if let Some(cleaned_to) = cleaned_to {
            self.cleaned.insert(key(), cleaned_to);
        }
    }

    fn read(disk: &dyn Disk, root: &Path) -> Result<Self, LogDirError> {
        let read = |name: &str| {
            let path = root.join(name);
            let decoded = match read_text(disk, &path) {
                Ok(None) => Ok(Offsets::new()),
                Ok(Some(text)) => checkpoint::decode_offsets(&text),
                Err(LogDirError::Damaged { reason, .. }) => Err(reason),
                Err(error) => return Err(error),
            };
            // They only save time, and where logs start is in the journal as well.
            Ok(decoded.unwrap_or_else(|reason| {
                tracing::error!(path = %path.display(), reason,
                    "a checkpoint is damaged; the logs are read from their start");
                Offsets::new()
            }))
        };
        Ok(Self {
            recovery_points: read(RECOVERY_POINTS_FILE)?,
            high_watermarks: read(HIGH_WATERMARKS_FILE)?,
            log_starts: read(LOG_STARTS_FILE)?,
            cleaned: read(CLEANED_FILE)?,
        })
    }
}

fn drop_ballast(disk: &dyn Disk, path: &Path) -> Result<bool, DiskError> {
    match disk.remove_file(&path.join(BALLAST_FILE)) {
        Ok(()) => Ok(true),
        Err(DiskError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn read_text(disk: &dyn Disk, path: &Path) -> Result<Option<String>, LogDirError> {
    match disk::read_small(disk, path, SMALL_FILE_BYTES_MAX) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(LogDirError::Damaged {
                path: path.to_owned(),
                reason: "it is not text".to_owned(),
            }),
        },
        Err(DiskError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn exists(disk: &dyn Disk, path: &Path) -> Result<bool, DiskError> {
    match disk.open(path, Open::Existing) {
        Ok(_) => Ok(true),
        Err(DiskError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a new directory, and those above it that may be new, durable. Not ours to open are only
/// those that were there before.
fn sync_parents(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    for parent in path.ancestors().skip(1) {
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        match disk.sync_dir(parent) {
            Err(DiskError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                break;
            }
            result => result?,
        }
    }
    Ok(())
}

fn check_owner(
    path: &Path,
    found: &LogDirIdentity,
    expected: &LogDirIdentity,
) -> Result<(), LogDirError> {
    let foreign = |what, found: String, expected: String| LogDirError::ForeignOwner {
        path: path.to_owned(),
        what,
        found,
        expected,
    };
    if found.cluster_id != expected.cluster_id {
        let (found, expected) = (found.cluster_id.clone(), expected.cluster_id.clone());
        return Err(foreign("cluster", found, expected));
    }
    if found.node_id != expected.node_id {
        let (found, expected) = (found.node_id.0, expected.node_id.0);
        return Err(foreign("broker", found.to_string(), expected.to_string()));
    }
    Ok(())
}

/// A directory without `meta.properties` must be new, or one whose first start was cut short.
fn check_empty(disk: &dyn Disk, path: &Path) -> Result<(), LogDirError> {
    let entries = match disk.list(path) {
        Ok(entries) => entries,
        Err(DiskError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let ours = |name: &str| {
        name == LOCK_FILE
            // What a file system puts there by itself.
            || name == "lost+found"
            || name.starts_with("klamm.")
            || name.starts_with(IDENTITY_FILE)
    };
    match entries.into_iter().find(|entry| !ours(&entry.name)) {
        None => Ok(()),
        Some(entry) => Err(LogDirError::ForeignDirectory {
            path: path.to_owned(),
            reason: format!("it has {} but no {IDENTITY_FILE}", entry.name),
        }),
    }
}

#[cfg(test)]
mod tests;
