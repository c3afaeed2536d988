//! One segment: a file of batches and its indexes.
//!
//! | file | entry | says |
//! |---|---|---|
//! | `.log` | batches | the records |
//! | `.index` | relative offset u32, position u32 | the batch at this position *ends* with this offset |
//! | `.timeindex` | timestamp i64, relative offset u32 | the largest timestamp so far, and the end of its batch |
//! | `.txnindex` | version i16, producer id, first, last, last stable offset i64 | an aborted transaction |
//! | `.raftindex` | relative index u32, position u32 | the batch at this position is this Raft entry |
//!
//! All but the last are Kafka's (`LogSegment`, `OffsetIndex`, `TimeIndex`, `AbortedTxn`); the last
//! is ours and has an entry wherever `.index` has one. Numbers are big-endian.

mod entry;
pub(crate) mod index_file;
pub(crate) mod mappings;
mod read;
pub(crate) mod residency;
mod roll;
pub(crate) mod transaction_index;
pub(crate) mod walk;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use klamm_model::{LogIndex, Offset, Timestamp};

use crate::compaction::Source;
use crate::disk::{Disk, DiskError, DiskFile, Mapping, Open};
pub(crate) use entry::{parse_pair, parse_time};
use index_file::IndexFile;
use mappings::{MappingKey, Mappings};
pub(crate) use read::active_mapping_bytes;
pub(crate) use roll::Filling;
use transaction_index::TransactionIndex;
use walk::Verified;
pub(crate) use write::allocation_target;

/// The largest timestamp of a segment, and the last offset of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeMark {
    pub(crate) timestamp: Timestamp,
    pub(crate) offset: Offset,
}

/// A stretch of a segment that holds no valid batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) position: u64,
    pub(crate) end_position: u64,
    pub(crate) first_offset: Offset,
    pub(crate) next_offset: Offset,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Segment {
    directory: Arc<Path>,
    base_offset: Offset,
    /// Behind the names of its files; empty but for a copy in the making.
    suffix: &'static str,
    /// Index of the first batch; unknown while there is none.
    base_index: Option<LogIndex>,
    /// Offset after the last record.
    end_offset: Offset,
    /// Bytes of batches.
    length: u64,
    /// Open while batches are appended or a sync is due.
    file: Option<Arc<dyn DiskFile>>,
    /// Of the active segment; closed ones are in [`Mappings`].
    mapping: Option<Mapping>,
    mapping_key: MappingKey,
    allocated: u64,
    offset_index: IndexFile<8>,
    time_index: IndexFile<12>,
    raft_index: IndexFile<8>,
    transactions: TransactionIndex,
    bytes_since_index: u64,
    /// `None` until read from the index of a closed segment.
    max_time: Option<TimeMark>,
    /// Largest timestamp of the first batch; the age of the segment counts from it.
    first_timestamp: Option<Timestamp>,
    created: Timestamp,
    unsynced: bool,
    verified: Verified,
    holes: Vec<Hole>,
    /// Whether batches may be missing, except the last: compaction took them. It is closed and
    /// synced, and its batches have no Raft index.
    sparse: bool,
}

/// Lengths of a segment's files as found on disk; `None` for one that is missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FoundFiles {
    pub(crate) log: Option<u64>,
    pub(crate) offset_index: Option<u64>,
    pub(crate) time_index: Option<u64>,
    pub(crate) raft_index: Option<u64>,
    pub(crate) transaction_index: Option<u64>,
}

/// A file name of Kafka's: the offset with 20 digits.
pub(crate) fn file_name(offset: Offset, suffix: &str) -> String {
    format!("{:020}.{suffix}", offset.get())
}

/// Behind the names of a copy that compaction makes, as Kafka's.
pub(crate) const CLEANED: &str = ".cleaned";

/// A file made ahead, to become the next segment's `.log`.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) mapping: Option<Mapping>,
    pub(crate) allocated: u64,
}

impl Segment {
    /// A segment of which `found` is on disk. Nothing is read yet.
    pub(crate) fn found(
        directory: &Arc<Path>,
        base_offset: Offset,
        found: FoundFiles,
        mappings: &Mappings,
        now: Timestamp,
    ) -> Self {
        Self::named(directory, base_offset, "", found, mappings, now)
    }

    fn named(
        directory: &Arc<Path>,
        base_offset: Offset,
        suffix: &'static str,
        found: FoundFiles,
        mappings: &Mappings,
        now: Timestamp,
    ) -> Self {
        let path = |kind| directory.join(file_name(base_offset, kind) + suffix);
        Self {
            directory: Arc::clone(directory),
            base_offset,
            suffix,
            base_index: None,
            end_offset: base_offset,
            length: found.log.unwrap_or(0),
            file: None,
            mapping: None,
            mapping_key: mappings.new_key(),
            allocated: found.log.unwrap_or(0),
            offset_index: IndexFile::new(path("index"), found.offset_index.unwrap_or(0)),
            time_index: IndexFile::new(path("timeindex"), found.time_index.unwrap_or(0)),
            raft_index: IndexFile::new(path("raftindex"), found.raft_index.unwrap_or(0)),
            transactions: TransactionIndex::new(path("txnindex"), found.transaction_index),
            bytes_since_index: 0,
            max_time: None,
            first_timestamp: None,
            created: now,
            unsynced: false,
            verified: Verified::default(),
            holes: Vec::new(),
            sparse: false,
        }
    }

    /// Creates the files of a new segment, out of a spare one if there is.
    pub(crate) fn create(
        disk: &dyn Disk,
        directory: &Arc<Path>,
        base_offset: Offset,
        spare: Option<Spare>,
        mappings: &Mappings,
        now: Timestamp,
    ) -> Result<Self, DiskError> {
        let mut segment = Self::found(directory, base_offset, FoundFiles::default(), mappings, now);
        let path = segment.path();
        match spare {
            Some(spare) => {
                disk.rename(&spare.path, &path)?;
                segment.file = Some(spare.file);
                segment.mapping = spare.mapping;
                segment.allocated = spare.allocated;
            }
            None => segment.file = Some(disk.open(&path, Open::Truncate)?),
        }
        segment.offset_index.create_new(disk)?;
        segment.time_index.create_new(disk)?;
        segment.max_time = Some(segment.no_time());
        segment.unsynced = true;
        Ok(segment)
    }

    /// Creates the files of a copy in the making: batches may be missing, and the names end with
    /// [`CLEANED`].
    pub(crate) fn create_cleaned(
        disk: &dyn Disk,
        directory: &Arc<Path>,
        base_offset: Offset,
        mappings: &Mappings,
        now: Timestamp,
    ) -> Result<Self, DiskError> {
        let found = FoundFiles::default();
        let mut segment = Self::named(directory, base_offset, CLEANED, found, mappings, now);
        segment.set_sparse();
        segment.file = Some(disk.open(&segment.path(), Open::Truncate)?);
        segment.reset_indexes(disk)?;
        Ok(segment)
    }

    /// The lengths of its files, all of which have been written.
    pub(crate) fn found_files(&mut self, disk: &dyn Disk) -> Result<FoundFiles, DiskError> {
        let transactions = match self.transactions.exists() {
            true => Some(self.transactions.length(disk)?),
            false => None,
        };
        Ok(FoundFiles {
            log: Some(self.length),
            offset_index: Some(self.offset_index.length()),
            time_index: Some(self.time_index.length()),
            raft_index: (!self.sparse).then(|| self.raft_index.length()),
            transaction_index: transactions,
        })
    }

    /// Removes the files of a segment, as many as there are. The `.log` goes last: whatever is
    /// left without it is known to be left over.
    pub(crate) fn remove_files(
        disk: &dyn Disk,
        directory: &Path,
        base_offset: Offset,
    ) -> Result<(), DiskError> {
        for suffix in ["index", "timeindex", "txnindex", "raftindex", "log"] {
            match disk.remove_file(&directory.join(file_name(base_offset, suffix))) {
                Ok(()) | Err(DiskError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes sure that it can be read although its files get other names or go: compaction is
    /// about to put a copy in its place.
    pub(crate) fn pin(&mut self, disk: &dyn Disk, mappings: &Mappings) -> Result<(), DiskError> {
        self.offset_index.keep_open(disk)?;
        self.time_index.keep_open(disk)?;
        self.transactions.entries(disk)?;
        self.mapping = Some(self.closed_mapping(disk, mappings)?);
        Ok(())
    }

    /// Takes back [`pin`](Self::pin).
    pub(crate) fn unpin(&mut self) {
        self.mapping = None;
        self.close_files();
    }

    /// The segment as compaction sees it.
    pub(crate) fn source(&self) -> Source {
        Source {
            base_offset: self.base_offset,
            end_offset: self.end_offset,
            length: self.length,
            index_bytes: self.offset_index.length().max(self.time_index.length()),
            is_sparse: self.sparse,
            has_transactions: self.transactions.exists(),
        }
    }

    fn no_time(&self) -> TimeMark {
        TimeMark {
            timestamp: Timestamp::NONE,
            offset: self.base_offset,
        }
    }

    // ---- What it is ----

    pub(crate) fn path(&self) -> PathBuf {
        self.directory
            .join(file_name(self.base_offset, "log") + self.suffix)
    }

    pub(crate) fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Names it within its log directory, for good: a copy that takes its place has another.
    pub(crate) fn generation(&self) -> u64 {
        self.mapping_key.0
    }

    pub(crate) fn base_index(&self) -> Option<LogIndex> {
        self.base_index
    }

    pub(crate) fn set_base_index(&mut self, index: Option<LogIndex>) {
        self.base_index = index;
    }

    pub(crate) fn is_sparse(&self) -> bool {
        self.sparse
    }

    pub(crate) fn set_sparse(&mut self) {
        self.sparse = true;
        self.base_index = None;
    }

    pub(crate) fn end_offset(&self) -> Offset {
        self.end_offset
    }

    pub(crate) fn set_end_offset(&mut self, offset: Offset) {
        self.end_offset = offset;
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn created(&self) -> Timestamp {
        self.created
    }

    pub(crate) fn set_first_timestamp(&mut self, timestamp: Timestamp) {
        self.first_timestamp = Some(timestamp);
    }

    pub(crate) fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// The hole that an offset lies in.
    pub(crate) fn hole_of(&self, offset: Offset) -> Option<Hole> {
        self.holes
            .iter()
            .find(|hole| hole.first_offset <= offset && offset < hole.next_offset)
            .copied()
    }

    pub(crate) fn add_hole(&mut self, hole: Hole) {
        let at = self
            .holes
            .partition_point(|other| other.first_offset < hole.first_offset);
        self.holes.insert(at, hole);
    }

    pub(crate) fn forget_holes(&mut self) {
        self.holes.clear();
    }

    pub(crate) fn verified(&mut self) -> &mut Verified {
        &mut self.verified
    }
}
