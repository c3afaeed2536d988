//! The Raft journal: one per log directory, for all partitions in it.
//!
//! It holds what Raft must remember and Kafka's files have no place for: hard states, entries
//! without records, where segments start in Raft's count, and where logs begin. No record bytes,
//! so it is small; when most of it is out of date it is written anew.
//!
//! Appending makes a change visible here and leaves it in the page cache; it is durable after
//! [`sync`](Journal::sync) (or a [`JournalSyncTicket`] run elsewhere). One journal may be used
//! from several threads; each call holds its lock for a write at most, never for an fsync.

mod frame;
mod group;
mod record;
mod sync;

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use klamm_model::raft::{HardState, MetaEntry};
use klamm_model::{LogIndex, Offset, PartitionIndex, TopicId};

use crate::disk::{Disk, DiskError, DiskFile, Open};
pub(crate) use frame::PAYLOAD_BYTES_MAX;
use frame::Scan;
pub use group::{Anchor, Compacted, Copied, CopyState, GroupState};
pub(crate) use record::{
    Record, put_metas, put_sized_anchor, take_all, take_index, take_metas, take_offset,
    take_sized_anchor, take_term,
};
pub use sync::{JournalSyncDone, JournalSyncTicket};

/// Hands every record up to the first damage to `each`, and says where that is, in bytes. An error
/// says why the bytes are no journal.
pub(crate) fn scan_records(
    bytes: &[u8],
    mut each: impl FnMut(&Record),
) -> Result<Option<u64>, &'static str> {
    let scan = frame::scan(bytes, |payload| match Record::decode(payload) {
        Some(record) => {
            each(&record);
            true
        }
        None => false,
    });
    match scan {
        Scan::Empty | Scan::Whole => Ok(None),
        Scan::Damaged { position, .. } => Ok(Some(position)),
        Scan::Foreign => Err("not a journal, or one of another version"),
    }
}

/// Names a Raft group: a partition of a topic that lives once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition's number within it.
    pub partition: PartitionIndex,
}

/// Why the journal did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// Full disk, or no file descriptor left; nothing was written, try again later.
    #[error("no room for the journal path={}", path.display())]
    NoSpace {
        /// The journal.
        path: PathBuf,
    },
    /// A write or an fsync failed: the log directory is to be given up until it is opened anew.
    #[error("the journal is offline: {cause}")]
    Offline {
        /// The first failure.
        cause: DiskError,
    },
    /// Bytes that were durable are damaged. To cut them could undo a vote: nothing is changed.
    #[error("the journal is damaged: records after the damage exist position={position} path={}", path.display())]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// Where the first damaged byte lies, at the earliest.
        position: u64,
    },
    /// Not a journal, or one of another version.
    #[error("not a Klamm journal of a version this program knows path={}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// See the [module](self).
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Arc<dyn DiskFile>,
    /// Counts rewrites; a sync of an older file says nothing about this one.
    generation: u64,
    length: u64,
    synced: u64,
    allocated: u64,
    /// Length from which on a rewrite is worth its fsync.
    rewrite_at: u64,
    groups: BTreeMap<GroupId, GroupState>,
    offline: Option<DiskError>,
    buffer: Vec<u8>,
}

/// Below this length nobody minds the garbage.
const REWRITE_BYTES_MIN: u64 = 256 << 10;

/// Room asked of the disk ahead of need: votes must be possible on a disk that records have filled.
const ALLOCATE_STEP_BYTES: u64 = 64 << 10;

/// Largest journal that is read; far beyond what tens of thousands of groups need.
const JOURNAL_BYTES_MAX: u64 = 1 << 30;

impl Journal {
    /// Opens or creates the journal at `path`. After a boot in which the page cache was lost
    /// (`page_cache_lost`), bytes that were never synced may be torn and are cut; otherwise only
    /// an unfinished last write is.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        page_cache_lost: bool,
    ) -> Result<Self, JournalError> {
        let mut journal = Self {
            state: Mutex::new(State::empty(Arc::new(frame::NoFile))),
            path: path.to_owned(),
            disk,
        };
        let opened = match journal.disk.open(path, Open::Existing) {
            Ok(file) => journal.load(file, page_cache_lost)?,
            Err(DiskError::NotFound { .. }) => None,
            Err(error) => return Err(journal.failed(error)),
        };
        let mut state = match opened {
            Some(state) => state,
            None => State::empty(Arc::new(frame::NoFile)),
        };
        // A fresh file has one layout, whatever state the old one was left in; and everything in
        // it is durable before anybody relies on it.
        if state.length == 0 {
            journal.rewrite_locked(&mut state)?;
        } else {
            state
                .file
                .sync_data()
                .map_err(|error| journal.failed(error))?;
            state.synced = state.length;
        }
        journal.state = Mutex::new(state);
        Ok(journal)
    }

    /// `None` for a file that was created but never written.
    fn load(
        &self,
        file: Arc<dyn DiskFile>,
        page_cache_lost: bool,
    ) -> Result<Option<State>, JournalError> {
        let length = file.length().map_err(|error| self.failed(error))?;
        if length > JOURNAL_BYTES_MAX {
            return Err(self.foreign());
        }
        let mut bytes = vec![0; length as usize];
        let read = file
            .read_at(&mut bytes, 0)
            .map_err(|error| self.failed(error))?;
        bytes.truncate(read);
        let mut state = State::empty(file);
        let scan = frame::scan(&bytes, |payload| match Record::decode(payload) {
            Some(record) => {
                state.apply(&record);
                true
            }
            None => false,
        });
        let valid = match scan {
            Scan::Empty => return Ok(None),
            Scan::Foreign => return Err(self.foreign()),
            Scan::Whole => length,
            Scan::Damaged {
                position,
                durable,
                unfinished,
            } => {
                if position < durable || !(page_cache_lost || unfinished) {
                    return Err(JournalError::Corrupt {
                        path: self.path.clone(),
                        position,
                    });
                }
                state
                    .file
                    .truncate(position)
                    .map_err(|error| self.failed(error))?;
                position
            }
        };
        state.length = valid;
        state.allocated = valid;
        state.rewrite_at = REWRITE_BYTES_MIN.max(valid);
        Ok(Some(state))
    }

    fn failed(&self, cause: DiskError) -> JournalError {
        match cause {
            cause if cause.is_refusal() => JournalError::NoSpace {
                path: self.path.clone(),
            },
            cause => JournalError::Offline { cause },
        }
    }

    fn foreign(&self) -> JournalError {
        JournalError::Foreign {
            path: self.path.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held left at worst an unwritten buffer behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the journal knows of a group; empty for a new one.
    pub fn group(&self, group: GroupId) -> GroupState {
        self.lock().groups.get(&group).cloned().unwrap_or_default()
    }

    /// All groups in it.
    pub fn groups(&self) -> Vec<GroupId> {
        self.lock().groups.keys().copied().collect()
    }

    /// Bytes of the file.
    pub fn length_bytes(&self) -> u64 {
        self.lock().length
    }

    /// Remembers term and vote. To be synced before any message that depends on it leaves.
    pub fn save_hard_state(
        &self,
        group: GroupId,
        hard_state: HardState,
    ) -> Result<(), JournalError> {
        self.append(Record::HardState { group, hard_state })
    }

    /// Appends an entry without records. To be synced before the first batch of its term is
    /// written.
    pub fn append_meta(&self, group: GroupId, entry: &MetaEntry) -> Result<(), JournalError> {
        self.append(Record::Meta {
            group,
            entry: entry.clone(),
        })
    }

    /// Drops entries without records, and segments, from `index` on; the log ends at `end_offset`
    /// then. To be synced before anything is appended at `index`.
    pub fn truncate_from(
        &self,
        group: GroupId,
        index: LogIndex,
        end_offset: Offset,
    ) -> Result<(), JournalError> {
        self.append(Record::TruncateFrom {
            group,
            index,
            end_offset,
        })
    }

    /// Says that a recovery point was checkpointed after the last cut.
    pub fn checkpointed(&self, group: GroupId) -> Result<(), JournalError> {
        self.append(Record::Checkpointed { group })
    }

    /// Says at which index a segment starts. Durable with whatever is synced next: until then the
    /// index is found by counting on from the segment before.
    pub fn segment(
        &self,
        group: GroupId,
        base_offset: Offset,
        base_index: LogIndex,
    ) -> Result<(), JournalError> {
        self.append(Record::Segment {
            group,
            base_offset,
            base_index,
        })
    }

    /// Says where the log begins. To be synced before the files below are deleted.
    pub fn anchor(&self, group: GroupId, anchor: &Anchor) -> Result<(), JournalError> {
        self.append(Record::Anchor {
            group,
            anchor: anchor.clone(),
        })
    }

    /// Says where the log ended when it was closed in good order.
    pub fn closed_at(
        &self,
        group: GroupId,
        end_offset: Offset,
        next_index: LogIndex,
    ) -> Result<(), JournalError> {
        self.append(Record::ClosedAt {
            group,
            end_offset,
            next_index,
        })
    }

    /// Says that a copy is the log from now on: forgets what was known of the group, except its
    /// vote. To be synced before the copy's directory gets the name of the log's.
    pub fn copied(&self, group: GroupId, copied: Copied) -> Result<(), JournalError> {
        let copied = Box::new(copied);
        self.append(Record::Copied { group, copied })
    }

    /// Says that the directory of a copy has its name.
    pub fn copy_placed(&self, group: GroupId) -> Result<(), JournalError> {
        self.append(Record::CopyPlaced { group })
    }

    /// What is left to do about a copy that is the log of a group.
    pub fn copy_state(&self, group: GroupId) -> Option<CopyState> {
        let state = self.lock();
        state
            .groups
            .get(&group)
            .and_then(|state| state.copy.clone())
    }

    /// Forgets a group whose partition is deleted.
    pub fn drop_group(&self, group: GroupId) -> Result<(), JournalError> {
        self.append(Record::DropGroup { group })
    }

    fn append(&self, record: Record) -> Result<(), JournalError> {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(cause) = &state.offline {
            return Err(JournalError::Offline {
                cause: cause.clone(),
            });
        }
        state.buffer.clear();
        frame::encode(&mut state.buffer, state.synced, |bytes| {
            record.encode(bytes);
        });
        let end = state.length + state.buffer.len() as u64;
        let written = state.make_room(end).and_then(|()| {
            let slices = &mut [IoSlice::new(&state.buffer)];
            state.file.write_at(slices, state.length)
        });
        if let Err(error) = written {
            return Err(self.write_failed(state, error));
        }
        state.length = end;
        state.apply(&record);
        Ok(())
    }

    /// A full disk leaves the file as it was; if even that cannot be had, the journal is offline.
    fn write_failed(&self, state: &mut State, error: DiskError) -> JournalError {
        let cause = if error.is_no_space() {
            match state.file.truncate(state.length) {
                Ok(()) => {
                    state.allocated = state.length;
                    return self.failed(error);
                }
                Err(worse) => worse,
            }
        } else {
            error
        };
        state.offline = Some(cause.clone());
        JournalError::Offline { cause }
    }
}

impl State {
    fn empty(file: Arc<dyn DiskFile>) -> Self {
        Self {
            file,
            generation: 0,
            length: 0,
            synced: 0,
            allocated: 0,
            rewrite_at: REWRITE_BYTES_MIN,
            groups: BTreeMap::new(),
            offline: None,
            buffer: Vec::new(),
        }
    }

    fn encode_whole(&self, durable: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::start(&mut bytes);
        for (group, group_state) in &self.groups {
            for record in group_state.records(*group) {
                frame::encode(&mut bytes, durable, |bytes| record.encode(bytes));
            }
        }
        bytes
    }

    fn make_room(&mut self, end: u64) -> Result<(), DiskError> {
        if end > self.allocated {
            let length = (end - self.length).max(ALLOCATE_STEP_BYTES);
            self.file.allocate(self.length, length)?;
            self.allocated = self.length + length;
        }
        Ok(())
    }

    fn apply(&mut self, record: &Record) {
        let group = record.group();
        if matches!(record, Record::DropGroup { .. }) {
            self.groups.remove(&group);
        } else {
            self.groups.entry(group).or_default().apply(record);
        }
    }
}

#[cfg(test)]
mod tests;
