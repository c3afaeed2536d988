//! The disks of this broker (`log.dirs`), and which partition lies on which.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use klamm_model::{BrokerId, Offset, Timestamp, TopicId, TopicPartition};
use klamm_storage::log_dir::{DeleteLogTicket, LogCheckpoint};
use klamm_storage::{
    Disk, FoundPartition, Log, LogConfig, LogDir, LogDirError, LogDirIdentity, LogDirOptions,
    OpenLogError, Sibling,
};

use crate::background::Background;
use crate::controller::METADATA_TOPIC;
use crate::entropy;
use crate::writer::Writer;

/// Room kept back on each disk, so that the broker's own book-keeping goes on when it is full.
const BALLAST_BYTES: u64 = 16 << 20;
/// Closed segments that stay mapped on each disk at most.
pub(crate) const MAPPINGS_MAX: usize = 4096;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct LogDirs {
    dirs: Vec<Arc<LogDir>>,
    /// One for each directory.
    writers: Vec<Rc<Writer>>,
    placed: RefCell<BTreeMap<TopicPartition, usize>>,
    /// Partitions that may lack what was acknowledged, since the machine lost power.
    recovering: RefCell<BTreeSet<TopicPartition>>,
    checkpointing: tokio::sync::Mutex<()>,
}

/// Of one directory.
type Checkpoints = Vec<(TopicPartition, LogCheckpoint)>;

/// Who the broker is, as far as it is known before its disks are opened.
pub(crate) struct Owner {
    pub(crate) cluster_id: String,
    pub(crate) node_id: BrokerId,
}

/// Before anything is written: all that were used together are here.
fn check_complete(disk: &dyn Disk, paths: &[PathBuf]) -> Result<(), LogDirError> {
    let mut present = Vec::with_capacity(paths.len());
    for path in paths {
        present.extend(LogDir::identity_of(disk, path)?.map(|identity| identity.directory_id));
    }
    for path in paths {
        let siblings = LogDir::siblings_of(disk, path)?;
        let missing = siblings
            .into_iter()
            .find(|sibling| !present.contains(&sibling.directory_id));
        if let Some(missing) = missing {
            return Err(LogDirError::Missing {
                path: path.clone(),
                missing: missing.path,
            });
        }
    }
    Ok(())
}

fn remember_all(dirs: &[Arc<LogDir>]) -> Result<(), LogDirError> {
    let siblings: Vec<_> = dirs
        .iter()
        .map(|dir| Sibling {
            directory_id: dir.identity().directory_id,
            path: dir.path().to_owned(),
        })
        .collect();
    dirs.iter()
        .try_for_each(|dir| dir.remember_siblings(&siblings))
}

impl LogDirs {
    /// Who owns the directories, as the first that is not new says.
    pub(crate) fn owner_of(
        disk: &dyn Disk,
        paths: &[PathBuf],
    ) -> Result<Option<LogDirIdentity>, LogDirError> {
        for path in paths {
            if let Some(identity) = LogDir::identity_of(disk, path)? {
                return Ok(Some(identity));
            }
        }
        Ok(None)
    }

    /// Opens all of them, creating those that are new. None that was used together with them may
    /// be missing.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        paths: &[PathBuf],
        owner: &Owner,
        writers: Vec<Rc<Writer>>,
    ) -> Result<Self, LogDirError> {
        assert_eq!(writers.len(), paths.len(), "a writer for each directory");
        check_complete(disk.as_ref(), paths)?;
        let mut dirs = Vec::with_capacity(paths.len());
        let mut placed: BTreeMap<TopicPartition, usize> = BTreeMap::new();
        for (number, path) in paths.iter().enumerate() {
            let identity = LogDirIdentity {
                cluster_id: owner.cluster_id.clone(),
                node_id: owner.node_id,
                directory_id: entropy::uuid(),
            };
            let options = LogDirOptions {
                identity,
                ballast_bytes: BALLAST_BYTES,
                mappings_max: MAPPINGS_MAX,
            };
            let dir = LogDir::open(disk.clone(), path, options)?;
            let named = dir.partitions().into_iter();
            let found = named.map(
                |FoundPartition {
                     topic_partition, ..
                 }| topic_partition,
            );
            for topic_partition in found.chain(dir.nameless().iter().cloned()) {
                if let Some(other) = placed.insert(topic_partition.clone(), number) {
                    return Err(LogDirError::Twice {
                        partition: topic_partition,
                        path: path.clone(),
                        other: paths[other].clone(),
                    });
                }
            }
            dirs.push(Arc::new(dir));
        }
        remember_all(&dirs)?;
        Ok(Self {
            dirs,
            writers,
            placed: RefCell::new(placed),
            recovering: RefCell::default(),
            checkpointing: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LogDir> {
        self.dirs.iter().map(Arc::as_ref)
    }

    /// The directory with this number, in the order of [`iter`](Self::iter).
    pub(crate) fn dir(&self, number: usize) -> &LogDir {
        &self.dirs[number]
    }

    /// Who writes to them, in the order of [`iter`](Self::iter).
    pub(crate) fn writers(&self) -> impl Iterator<Item = &Rc<Writer>> {
        self.writers.iter()
    }

    /// The directory that holds the cluster's metadata.
    pub(crate) fn metadata(&self) -> &LogDir {
        let placed = self.placed.borrow();
        let metadata = placed
            .iter()
            .find(|(partition, _)| partition.topic.as_str() == METADATA_TOPIC);
        let (_, number) = metadata.expect("the metadata is the first that is opened");
        &self.dirs[*number]
    }

    /// Whether the partition lies in this directory.
    pub(crate) fn holds(&self, dir: &LogDir, partition: &TopicPartition) -> bool {
        self.dir_of(partition)
            .is_some_and(|found| std::ptr::eq(found, dir))
    }

    fn dir_of(&self, partition: &TopicPartition) -> Option<&LogDir> {
        self.placed
            .borrow()
            .get(partition)
            .map(|number| &*self.dirs[*number])
    }

    /// The directory that holds an opened partition, for other threads.
    pub(crate) fn shared_dir_of(&self, partition: &TopicPartition) -> Arc<LogDir> {
        self.dirs[self.number_of(partition)].clone()
    }

    /// Every partition with files, wherever they lie.
    pub(crate) fn partitions(&self) -> Vec<(TopicPartition, TopicId)> {
        let found = self.iter().flat_map(LogDir::partitions);
        found
            .map(|partition| (partition.topic_partition, partition.topic_id))
            .collect()
    }

    /// Settles where the log of a partition lies; a new one goes where the fewest are.
    pub(crate) fn opening(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
        config: LogConfig,
    ) -> OpeningLog {
        let mut placed = self.placed.borrow_mut();
        let number = match placed.get(partition) {
            Some(number) => *number,
            None => self.emptiest(&placed),
        };
        placed.insert(partition.clone(), number);
        OpeningLog {
            dir: self.dirs[number].clone(),
            partition: partition.clone(),
            topic_id,
            config,
        }
    }

    /// The number of the directory that holds an opened partition, in the order of [`iter`](Self::iter).
    pub(crate) fn number_of(&self, partition: &TopicPartition) -> usize {
        *self
            .placed
            .borrow()
            .get(partition)
            .expect("an open partition lies in a directory")
    }

    // ---- After a loss of power ----

    /// Whether records that were acknowledged may be missing from an opened partition.
    pub(crate) fn is_recovering(&self, partition: &TopicPartition) -> bool {
        self.dirs[self.number_of(partition)].boot().recovering
    }

    /// A partition takes no part in elections before it has caught up.
    pub(crate) fn note_recovering(&self, partition: &TopicPartition) {
        self.recovering.borrow_mut().insert(partition.clone());
    }

    /// A partition has caught up; another start begins without it.
    pub(crate) fn note_recovered(&self, partition: &TopicPartition) {
        self.recovering.borrow_mut().remove(partition);
    }

    /// The directories whose partitions have all caught up, or need not, and that do not say so yet.
    pub(crate) fn recovered(&self) -> Vec<Arc<LogDir>> {
        let recovering = self.recovering.borrow();
        let waits = |dir: &LogDir| {
            recovering
                .iter()
                .any(|partition| self.holds(dir, partition))
        };
        let dirs = self.dirs.iter();
        dirs.filter(|dir| dir.boot().recovering && !waits(dir))
            .cloned()
            .collect()
    }

    /// Who writes to the directory that holds an opened partition.
    pub(crate) fn writer_of(&self, partition: &TopicPartition) -> Rc<Writer> {
        self.writers[self.number_of(partition)].clone()
    }

    fn emptiest(&self, placed: &BTreeMap<TopicPartition, usize>) -> usize {
        if self.dirs.len() == 1 {
            return 0;
        }
        let held = |number: usize| placed.values().filter(|other| **other == number).count();
        (0..self.dirs.len())
            .min_by_key(|number| held(*number))
            .expect("there is a directory")
    }

    /// Takes a partition's files out of sight; running the ticket removes them.
    pub(crate) fn delete_log(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
    ) -> Result<Option<DeleteLogTicket>, OpenLogError> {
        // Nobody waits any more for what it may lack, whoever bears its name next.
        self.note_recovered(partition);
        let Some(number) = self.placed.borrow_mut().remove(partition) else {
            return Ok(None);
        };
        self.dirs[number].delete_log(partition, topic_id).map(Some)
    }

    /// The checkpoints, sorted by directory.
    fn by_dir(&self, checkpoints: &[(TopicPartition, LogCheckpoint)]) -> Vec<Checkpoints> {
        let mut sorted = vec![Vec::new(); self.dirs.len()];
        let placed = self.placed.borrow();
        for (partition, checkpoint) in checkpoints {
            if let Some(number) = placed.get(partition) {
                sorted[*number].push((partition.clone(), *checkpoint));
            }
        }
        sorted
    }

    /// The turn to write checkpoints: who writes later must not be overtaken by who began earlier.
    pub(crate) async fn checkpointing(&self) -> impl Drop + '_ {
        self.checkpointing.lock().await
    }

    /// Has the checkpoints of all directories written, and room kept back again where it was given
    /// up and there is enough. Returns what was written; a failure is logged, since checkpoints
    /// only save time.
    pub(crate) async fn write_checkpoints(
        &self,
        background: &Background,
        checkpoints: &[(TopicPartition, LogCheckpoint)],
    ) -> Vec<Checkpoints> {
        let sorted = self.by_dir(checkpoints);
        let writing: Vec<_> = self
            .dirs
            .iter()
            .zip(sorted)
            .map(|(dir, checkpoints)| {
                let dir = Arc::clone(dir);
                background.start_work(move || keep_up(&dir, checkpoints))
            })
            .collect();
        let mut written = Vec::with_capacity(writing.len());
        for one in writing {
            written.push(one.await);
        }
        written
    }

    /// Tells the directories what was written, but for partitions that were cut since.
    pub(crate) fn checkpoints_written(
        &self,
        mut written: Vec<Checkpoints>,
        now: &[(TopicPartition, LogCheckpoint)],
    ) {
        let now = recovery_points(now);
        for (dir, written) in self.dirs.iter().zip(&mut written) {
            leave_out_cut(written, &now);
            dir.checkpoints_written(written);
        }
    }

    /// Gives back the room that is kept back in the directory of the metadata; `false` if there is
    /// none.
    pub(crate) fn drop_ballast(&self) -> bool {
        self.metadata().drop_ballast().unwrap_or_else(|error| {
            tracing::error!(%error, "the ballast cannot be given back");
            false
        })
    }

    /// Marks the directories as closed in good order. All logs have been closed.
    pub(crate) fn close(
        &self,
        checkpoints: &[(TopicPartition, LogCheckpoint)],
    ) -> Result<(), LogDirError> {
        let sorted = self.by_dir(checkpoints);
        for (dir, checkpoints) in self.dirs.iter().zip(sorted) {
            dir.close(&checkpoints)?;
        }
        Ok(())
    }
}

/// A log to be opened, on any thread.
pub(crate) struct OpeningLog {
    dir: Arc<LogDir>,
    partition: TopicPartition,
    topic_id: TopicId,
    config: LogConfig,
}

impl OpeningLog {
    /// Opens the log, recovering it or creating it if need be.
    pub(crate) fn run(self, now: Timestamp) -> Result<Log, OpenLogError> {
        self.dir
            .open_log(&self.partition, self.topic_id, self.config, now)
    }
}

fn recovery_points(
    checkpoints: &[(TopicPartition, LogCheckpoint)],
) -> BTreeMap<&TopicPartition, Offset> {
    let rows = checkpoints.iter();
    rows.map(|(partition, checkpoint)| (partition, checkpoint.recovery_point))
        .collect()
}

/// A log that was cut after its checkpoint was taken has a lower recovery point now. It may have
/// been cut and synced up to there again: then what the file says is true.
fn leave_out_cut(written: &mut Checkpoints, now: &BTreeMap<&TopicPartition, Offset>) {
    written.retain(|(partition, written)| {
        now.get(partition)
            .is_some_and(|now| *now >= written.recovery_point)
    });
}

/// Waits for the disk. Returns the checkpoints that were written.
fn keep_up(dir: &LogDir, checkpoints: Checkpoints) -> Checkpoints {
    if let Err(error) = dir.restore_ballast() {
        tracing::error!(%error, "no room can be kept back");
    }
    match dir.write_checkpoint_files(&checkpoints) {
        Ok(()) => checkpoints,
        Err(error) => {
            tracing::error!(%error, "checkpoints cannot be written");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use klamm_model::{PartitionIndex, TopicName};

    use super::*;

    fn checkpoint(partition: i32, recovery_point: i64) -> (TopicPartition, LogCheckpoint) {
        let topic = TopicName::new("t").unwrap();
        let checkpoint = LogCheckpoint {
            recovery_point: Offset::new(recovery_point),
            high_watermark: Offset::ZERO,
            log_start_offset: Offset::ZERO,
            cleaned_to: None,
        };
        let partition = TopicPartition::new(topic, PartitionIndex(partition));
        (partition, checkpoint)
    }

    #[test]
    fn nobody_waits_for_what_a_partition_lacked_that_was_removed() {
        let dirs = LogDirs {
            dirs: Vec::new(),
            writers: Vec::new(),
            placed: RefCell::default(),
            recovering: RefCell::default(),
            checkpointing: tokio::sync::Mutex::default(),
        };
        let (partition, _) = checkpoint(0, 0);
        dirs.note_recovering(&partition);
        let deleted = dirs.delete_log(&partition, TopicId::from_bytes([1; 16]));
        assert!(deleted.expect("no files are there").is_none());
        assert!(dirs.recovering.borrow().is_empty());
    }

    #[test]
    fn a_checkpoint_that_was_overtaken_by_a_cut_lets_nobody_forget_the_cut() {
        let mut written = vec![
            checkpoint(0, 100),
            checkpoint(1, 100),
            checkpoint(2, 100),
            checkpoint(3, 100),
        ];
        // Cut; unchanged; synced further; deleted.
        let now = [checkpoint(0, 50), checkpoint(1, 100), checkpoint(2, 150)];
        leave_out_cut(&mut written, &recovery_points(&now));
        assert_eq!(written, [checkpoint(1, 100), checkpoint(2, 100)]);
    }
}
