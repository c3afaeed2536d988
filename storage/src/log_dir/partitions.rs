//! The partitions of a log directory: found, created, opened, deleted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use klamm_model::{Offset, Timestamp, TopicId, TopicPartition};

use super::{LogDir, LogDirError};
use crate::checkpoint;
use crate::disk::{self, Disk, DiskError};
use crate::journal::{GroupId, Journal};
use crate::log::{AppendError, Log, LogConfig, OpenLog, OpenLogError, Place};

const METADATA_FILE: &str = "partition.metadata";
const METADATA_BYTES_MAX: usize = 4096;

/// What the name of a directory ends with whose partition is deleted, as Kafka has it.
const DELETE_SUFFIX: &str = "-delete";

/// And of one with a copy that is on its way.
pub(super) const COPY_SUFFIX: &str = "-copy";

/// A partition found on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPartition {
    /// Which.
    pub topic_partition: TopicPartition,
    /// Of which topic.
    pub topic_id: TopicId,
}

/// Which partitions there are. Shared by threads that open logs.
#[derive(Debug)]
pub(super) struct Partitions {
    by_name: Mutex<BTreeMap<TopicPartition, TopicId>>,
    /// Directories with records that do not say of which topic: their names do, and whoever opens
    /// them knows its id.
    nameless: Vec<TopicPartition>,
}

impl Partitions {
    /// Looks what is there; removes what was being deleted, created or copied when the process ended.
    pub(super) fn find(
        disk: &dyn Disk,
        root: &Path,
        journal: &Journal,
    ) -> Result<Self, LogDirError> {
        let mut by_name = BTreeMap::new();
        let mut nameless = Vec::new();
        for entry in disk.list(root)?.into_iter().filter(|entry| entry.is_dir) {
            let path = root.join(&entry.name);
            let set_aside = [DELETE_SUFFIX, COPY_SUFFIX];
            if set_aside.iter().any(|end| entry.name.ends_with(end)) {
                disk.remove_dir_all(&path)?;
                continue;
            }
            let Some(topic_partition) = TopicPartition::parse(&entry.name) else {
                continue;
            };
            match read_metadata(disk, &path)? {
                Some(topic_id) => {
                    by_name.insert(topic_partition, topic_id);
                }
                // It is written first: the directory was being made when the process ended.
                None if is_unfinished(disk, &path)? => disk.remove_dir_all(&path)?,
                None => {
                    tracing::error!(path = %path.join(METADATA_FILE).display(),
                        "the file is missing or damaged; it is made anew if there is such a topic");
                    nameless.push(topic_partition);
                }
            }
        }
        let partitions = Self {
            by_name: Mutex::new(by_name),
            nameless,
        };
        // A group whose directory does not say that it is there must not be taken for an orphan.
        if partitions.nameless.is_empty() {
            partitions.drop_orphans(journal)?;
        }
        Ok(partitions)
    }

    /// A group whose directory is gone was deleted: the directory goes first.
    fn drop_orphans(&self, journal: &Journal) -> Result<(), LogDirError> {
        let groups: Vec<GroupId> = {
            let by_name = self.lock();
            by_name
                .iter()
                .map(|(name, id)| group_of(name, *id))
                .collect()
        };
        for group in journal.groups() {
            if !groups.contains(&group) {
                journal.drop_group(group)?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, TopicId>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, topic_partition: &TopicPartition, topic_id: TopicId) {
        self.lock().insert(topic_partition.clone(), topic_id);
    }

    /// The partitions of these groups.
    pub(super) fn of_groups(&self, wanted: impl Fn(GroupId) -> bool) -> Vec<TopicPartition> {
        let by_name = self.lock();
        let of = by_name
            .iter()
            .filter(|(name, id)| wanted(group_of(name, **id)));
        of.map(|(name, _)| name.clone()).collect()
    }

    /// The Raft group of a partition that is there.
    pub(super) fn group(&self, topic_partition: &TopicPartition) -> Option<GroupId> {
        let topic_id = self.lock().get(topic_partition).copied()?;
        Some(group_of(topic_partition, topic_id))
    }
}

pub(super) fn group_of(topic_partition: &TopicPartition, topic_id: TopicId) -> GroupId {
    GroupId {
        topic_id,
        partition: topic_partition.partition,
    }
}

/// Whether nothing but the beginnings of [`METADATA_FILE`] is in a directory.
fn is_unfinished(disk: &dyn Disk, directory: &Path) -> Result<bool, DiskError> {
    let entries = disk.list(directory)?;
    Ok(entries
        .iter()
        .all(|entry| entry.name.starts_with(METADATA_FILE)))
}

/// `None` if the file is not there, or says nothing.
fn read_metadata(disk: &dyn Disk, directory: &Path) -> Result<Option<TopicId>, LogDirError> {
    let path = directory.join(METADATA_FILE);
    let bytes = match disk::read_small(disk, &path, METADATA_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(DiskError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&bytes);
    match checkpoint::decode_partition_metadata(&text) {
        Ok(topic_id) => Ok(Some(topic_id)),
        Err(reason) => {
            tracing::error!(path = %path.display(), reason, "file cannot be understood");
            Ok(None)
        }
    }
}

impl LogDir {
    /// The partitions found when it was opened, and those created since, less those deleted.
    pub fn partitions(&self) -> Vec<FoundPartition> {
        let by_name = self.partitions.lock();
        let found = |(name, id): (&TopicPartition, &TopicId)| FoundPartition {
            topic_partition: name.clone(),
            topic_id: *id,
        };
        by_name.iter().map(found).collect()
    }

    /// Partitions with records that were found without saying of which topic they are.
    pub fn nameless(&self) -> &[TopicPartition] {
        &self.partitions.nameless
    }

    /// Opens the log of a partition, recovering what needs it; creates it if it is not there.
    /// May run on several threads for different partitions.
    pub fn open_log(
        &self,
        topic_partition: &TopicPartition,
        topic_id: TopicId,
        config: LogConfig,
        now: Timestamp,
    ) -> Result<Log, OpenLogError> {
        let directory = self.path.join(topic_partition.to_string());
        let found = self.partitions.lock().get(topic_partition).copied();
        match found {
            Some(found) if found != topic_id => {
                return Err(OpenLogError::ForeignTopic {
                    path: directory,
                    found: found.to_string(),
                    expected: topic_id.to_string(),
                });
            }
            Some(_) => {}
            None => self.create(&directory, topic_partition, topic_id)?,
        }
        let group = group_of(topic_partition, topic_id);
        // What is left of it goes at the next start.
        let _old = self
            .place_copy(topic_partition, group)
            .map_err(journal_or_disk)?;
        self.replaced().remove(topic_partition);
        let checkpoint = self.checkpoint(topic_partition).filter(|_| found.is_some());
        let open = OpenLog {
            place: Place {
                disk: Arc::clone(&self.disk),
                directory_id: self.identity.directory_id,
                directory: directory.into(),
                group,
                journal: Arc::clone(&self.journal),
                mappings: Arc::clone(&self.mappings),
                appended: self.appended.clone(),
            },
            topic_partition: topic_partition.clone(),
            config,
            boot: self.boot().kind,
            recovery_point: checkpoint.map_or(Offset::ZERO, |checkpoint| checkpoint.recovery_point),
            log_start: checkpoint.map_or(Offset::ZERO, |checkpoint| checkpoint.log_start_offset),
            cleaned_to: checkpoint
                .and_then(|checkpoint| checkpoint.cleaned_to)
                .unwrap_or(Offset::ZERO),
            now,
        };
        open.open()
    }

    /// Makes the directory durable before anything relies on it: the journal must not know a group
    /// whose directory a power loss can take.
    fn create(
        &self,
        directory: &Path,
        topic_partition: &TopicPartition,
        topic_id: TopicId,
    ) -> Result<(), DiskError> {
        self.disk.create_dir_all(directory)?;
        write_metadata(&*self.disk, directory, topic_id)?;
        self.disk.sync_dir(&self.path)?;
        self.partitions.insert(topic_partition, topic_id);
        Ok(())
    }

    /// Takes a partition out of sight (its directory gets another name, the journal forgets its
    /// group); its files go when the ticket is run. Fine if it is not there.
    pub fn delete_log(
        &self,
        topic_partition: &TopicPartition,
        topic_id: TopicId,
    ) -> Result<DeleteLogTicket, OpenLogError> {
        let disk = Arc::clone(&self.disk);
        if self.partitions.lock().get(topic_partition) != Some(&topic_id) {
            return Ok(DeleteLogTicket { disk, path: None });
        }
        // Its directory must not come after all that of the partition is gone.
        let group = group_of(topic_partition, topic_id);
        let _old = self
            .place_copy(topic_partition, group)
            .map_err(journal_or_disk)?;
        let directory = self.path.join(topic_partition.to_string());
        let deleted = set_aside_name(topic_partition, topic_id, DELETE_SUFFIX);
        let deleted = self.path.join(deleted);
        match disk.rename(&directory, &deleted) {
            Ok(()) | Err(DiskError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        disk.sync_dir(&self.path)?;
        self.partitions.lock().remove(topic_partition);
        // Another topic may get the name.
        self.checkpoints().forget(topic_partition);
        // Not synced: a group without a directory is dropped at the next start.
        self.journal.drop_group(group)?;
        self.replaced().remove(topic_partition);
        Ok(DeleteLogTicket {
            disk,
            path: Some(deleted),
        })
    }
}

/// Of a directory, durable.
pub(crate) fn write_metadata(
    disk: &dyn Disk,
    directory: &Path,
    topic_id: TopicId,
) -> Result<(), DiskError> {
    let text = checkpoint::encode_partition_metadata(topic_id);
    disk::replace_small(disk, &directory.join(METADATA_FILE), text.as_bytes())
}

/// As Kafka's `logDeleteDirName`: unique, and short enough for a file system.
pub(super) fn set_aside_name(
    topic_partition: &TopicPartition,
    topic_id: TopicId,
    suffix: &str,
) -> String {
    const NAME_BYTES_MAX: usize = 255;
    let id = u128::from_be_bytes(*topic_id.as_bytes());
    let partition = topic_partition.partition.0;
    let suffix = format!("-{partition}.{id:032x}{suffix}");
    let topic = topic_partition.topic.as_str();
    let kept = topic.len().min(NAME_BYTES_MAX - suffix.len());
    format!("{}{suffix}", &topic[..kept])
}

/// What the disk said.
pub(super) fn journal_or_disk(error: AppendError) -> DiskError {
    match error {
        AppendError::NoSpace(cause) => cause,
        AppendError::Offline(offline) => offline.cause,
    }
}

/// Files of a deleted partition, or of a log that a copy has replaced, to be removed on any thread.
#[derive(Debug)]
#[must_use = "the files stay until it is run"]
pub struct DeleteLogTicket {
    disk: Arc<dyn Disk>,
    path: Option<PathBuf>,
}

impl DeleteLogTicket {
    pub(super) fn new(disk: Arc<dyn Disk>, path: Option<PathBuf>) -> Self {
        Self { disk, path }
    }

    /// Removes them.
    pub fn run(self) -> Result<(), DiskError> {
        match self.path {
            None => Ok(()),
            Some(path) => match self.disk.remove_dir_all(&path) {
                Ok(()) | Err(DiskError::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            },
        }
    }
}
