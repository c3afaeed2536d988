//! Copies of logs that come from other replicas, and how they take the place of what was there.
//!
//! 1. A [`LogCopy`] is complete, sound and durable in a directory whose name ends with `-copy`;
//!    whoever opens the log directory removes it.
//! 2. The journal gets one record ([`Copied`](crate::Copied)): all that it knew of the group goes,
//!    but for the vote, and what it knows of the copy comes. It is synced: from here on the copy is
//!    the log, and whoever finds that it is not in its place goes on with 3.
//! 3. The old log's directory, if there is one, gets a name that ends with `-delete`; the copy's
//!    gets that of the partition. Both names are synced.
//! 4. The journal says that this is done, and is synced.
//! 5. What is left of the old log goes, when the ticket is run.
//!
//! A crash before the record of step 2 is durable leaves the old log, after it the copy; no file
//! of one is ever among those of the other. The checkpoint files may speak of the old log for a
//! while: until one was written of the new log, they are not believed for this partition. Then it
//! is read from its start, and its indexes are made.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use klamm_model::{TopicId, TopicPartition};

use super::partitions::{COPY_SUFFIX, DeleteLogTicket, group_of, journal_or_disk, set_aside_name};
use super::unsynced::Mark;
use super::{LogDir, LogDirError};
use crate::copy::{CopyError, LogCopy, LogManifest, disk_failed, sync_failed};
use crate::disk::{Disk, DiskError};
use crate::journal::{CopyState, GroupId, Journal};
use crate::log::AppendError;

impl LogDir {
    /// Begins to take in a copy of a partition's log, which may be there or not, open or not. One
    /// copy of a partition at a time; what is left of an earlier one goes. Waits for the disk.
    pub fn begin_copy(
        &self,
        topic_partition: &TopicPartition,
        topic_id: TopicId,
        manifest: &LogManifest,
    ) -> Result<LogCopy, CopyError> {
        let found = self.partitions.group(topic_partition);
        if let Some(found) = found.filter(|found| found.topic_id != topic_id) {
            return Err(CopyError::ForeignTopic {
                path: self.path.join(topic_partition.to_string()),
                found: found.topic_id,
                expected: topic_id,
            });
        }
        let Some(turn) = self.copies.take(topic_partition) else {
            return Err(CopyError::InProgress(topic_partition.clone()));
        };
        // One that is the log already must not be taken for a leftover.
        self.place_copy(topic_partition, group_of(topic_partition, topic_id))?;
        let name = set_aside_name(topic_partition, topic_id, COPY_SUFFIX);
        let directory = self.path.join(name);
        let partition = (topic_partition, topic_id);
        let copy = LogCopy::create(&self.disk, directory, partition, manifest, turn);
        Ok(copy.map_err(disk_failed)?)
    }

    /// Puts a finished copy in the place of the partition's log, if it has one: all at once. The
    /// partition can be opened after that, as after a restart; the ticket removes the old log.
    /// Waits for the disk. After a refusal it may be tried again, or the partition be opened.
    ///
    /// The partition's log is closed or [retired](crate::Log::retire), and none of its tickets will run
    /// any more: they know files by their names. A [checkpoint](Self::write_checkpoints) of it that is being written is not to be
    /// reported as written.
    ///
    /// The term and vote of the group stay. If the copy has entries of a later term, the group is in
    /// that term, in which it has voted for nobody.
    pub fn install_copy(&self, copy: &mut LogCopy) -> Result<DeleteLogTicket, CopyError> {
        assert!(copy.is_finished(), "a copy is finished first");
        let topic_partition = copy.topic_partition().clone();
        let group = group_of(&topic_partition, copy.topic_id());
        if !matches!(self.journal.copy_state(group), Some(CopyState::Unplaced(_))) {
            let copied = copy.manifest().copied(topic_partition.topic.clone());
            let journaled = self.journal.copied(group, copied);
            journaled.map_err(AppendError::from)?;
        }
        self.partitions.insert(&topic_partition, copy.topic_id());
        self.checkpoints().forget(&topic_partition);
        self.replaced().insert(topic_partition.clone());
        let path = self.place_copy(&topic_partition, group)?;
        Ok(DeleteLogTicket::new(Arc::clone(&self.disk), path))
    }

    /// Steps 3 and 4 of the [module](self), if they are yet to be done. Returns where the old log is
    /// now.
    pub(super) fn place_copy(
        &self,
        topic_partition: &TopicPartition,
        group: GroupId,
    ) -> Result<Option<PathBuf>, AppendError> {
        if !matches!(self.journal.copy_state(group), Some(CopyState::Unplaced(_))) {
            return Ok(None);
        }
        let number = self.copies_placed.fetch_add(1, Ordering::Relaxed);
        let place = Placing {
            disk: &*self.disk,
            root: &self.path,
            journal: &self.journal,
            mark: &self.mark,
        };
        place.place(topic_partition, group, number).map(Some)
    }
}

/// Finishes what a crash interrupted.
pub(super) fn place_all(
    disk: &dyn Disk,
    root: &Path,
    journal: &Journal,
    mark: &Mark,
) -> Result<(), LogDirError> {
    let placing = Placing {
        disk,
        root,
        journal,
        mark,
    };
    let unplaced = |group: GroupId| match journal.copy_state(group) {
        Some(CopyState::Unplaced(topic)) => Some((group, topic)),
        _ => None,
    };
    let unplaced: Vec<_> = journal.groups().into_iter().filter_map(unplaced).collect();
    if !unplaced.is_empty() {
        // After an fsync that failed another one would succeed without a reason.
        journal.rewrite()?;
    }
    for (group, topic) in unplaced {
        let topic_partition = TopicPartition::new(topic, group.partition);
        tracing::info!(%topic_partition, "a copy takes the place of the log");
        let placed = placing.place(&topic_partition, group, 0);
        placed.map_err(journal_or_disk)?;
    }
    Ok(())
}

struct Placing<'a> {
    disk: &'a dyn Disk,
    root: &'a Path,
    journal: &'a Journal,
    mark: &'a Mark,
}

impl Placing<'_> {
    /// `number` makes a name for the old log: tickets that are still to run may have others.
    fn place(
        &self,
        topic_partition: &TopicPartition,
        group: GroupId,
        number: u64,
    ) -> Result<PathBuf, AppendError> {
        self.journal.sync()?;
        let name = |suffix: &str| {
            let name = set_aside_name(topic_partition, group.topic_id, suffix);
            self.root.join(name)
        };
        let old = name(&format!(".{number}-delete"));
        let renamed = self.rename(&name(COPY_SUFFIX), topic_partition, &old);
        renamed.map_err(disk_failed)?;
        self.disk.sync_dir(self.root).map_err(sync_failed)?;
        if self.mark.has_failed() {
            // The names are not known to be durable, whatever the disk says.
            let source = std::io::Error::other("an fsync has failed before");
            return Err(sync_failed(DiskError::new("sync", self.root, source)));
        }
        // Durable before another copy may have the name that this one had.
        self.journal.copy_placed(group)?;
        self.journal.sync()?;
        Ok(old)
    }

    fn rename(
        &self,
        copy: &Path,
        topic_partition: &TopicPartition,
        old: &Path,
    ) -> Result<(), DiskError> {
        match self.disk.list(copy) {
            Ok(_) => {}
            // It has its name already.
            Err(DiskError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        let directory = self.root.join(topic_partition.to_string());
        if_there(self.disk.remove_dir_all(old))?;
        if_there(self.disk.rename(&directory, old))?;
        self.disk.rename(copy, &directory)
    }
}

fn if_there(result: Result<(), DiskError>) -> Result<(), DiskError> {
    match result {
        Err(DiskError::NotFound { .. }) => Ok(()),
        result => result,
    }
}
