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

pub(crate) mod index_file;
pub(crate) mod mappings;
pub(crate) mod transaction_index;
pub(crate) mod walk;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use klamm_model::raft::DataEntry;
use klamm_model::record_batch::BatchHeader;
use klamm_model::{LogIndex, Offset, Timestamp};

use crate::disk::{Disk, DiskError, DiskFile, Mapping, Open};
use crate::log::LogConfig;
use index_file::IndexFile;
use mappings::{MappingKey, Mappings};
use transaction_index::TransactionIndex;
use walk::{Verified, Written};

/// First room asked of the disk for a segment: hundreds of small topics must not eat the disk.
const ALLOCATE_BYTES_MIN: u64 = 64 << 10;

/// Largest step in which a segment asks for room.
const ALLOCATE_BYTES_MAX: u64 = 16 << 20;

/// Room in the mapping beyond `segment.bytes`, for the last batch.
const MAPPING_SLACK_BYTES: u64 = 4 << 20;

/// The largest timestamp of a segment, and the last offset of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeMark {
    pub(crate) timestamp: Timestamp,
    pub(crate) offset: Offset,
}

/// What decides about a roll beside the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RollRule<'a> {
    pub(crate) config: &'a LogConfig,
    pub(crate) jitter_ms: i64,
    pub(crate) now: Timestamp,
}

/// Batches that are about to be written to a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planned {
    pub(crate) bytes: u64,
    pub(crate) first_timestamp: Option<Timestamp>,
    pub(crate) first_index: Option<LogIndex>,
}

/// How full a segment is.
#[derive(Clone, Copy, Debug)]
struct Fill {
    base_offset: Offset,
    base_index: Option<LogIndex>,
    length: u64,
    offset_entries: u64,
    time_entries: u64,
    first_timestamp: Option<Timestamp>,
    created: Timestamp,
}

impl Fill {
    fn is_full_for(
        &self,
        header: &BatchHeader,
        index: LogIndex,
        planned_bytes: u64,
        roll: &RollRule<'_>,
    ) -> bool {
        let config = roll.config;
        if self.length == 0 {
            return false;
        }
        let waited_ms = match self.first_timestamp {
            Some(first) if first.millis() >= 0 => {
                let newest = header.max_timestamp().millis();
                newest.saturating_sub(first.millis())
            }
            _ => roll.now.millis().saturating_sub(self.created.millis()),
        };
        let old = config.segment_ms >= 0 && waited_ms > config.segment_ms - roll.jitter_ms;
        let new_entries = planned_bytes / (u64::from(config.index_interval_bytes) + 1) + 1;
        let index_bytes = u64::from(config.segment_index_bytes);
        let index_full = (self.offset_entries + new_entries) * 8 > index_bytes
            // The last one is for when the segment is closed.
            || (self.time_entries + new_entries + 1) * 12 > index_bytes;
        let base_index = self.base_index.unwrap_or(index);
        self.length + header.size_bytes() as u64 > u64::from(config.segment_bytes)
            || old
            || index_full
            // Relative numbers in the indexes are as wide as Kafka's.
            || index.0 - base_index.0 > i32::MAX as u64
            || header.last_offset().since(self.base_offset) > i64::from(i32::MAX)
    }
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
        let path = |suffix| directory.join(file_name(base_offset, suffix));
        Self {
            directory: Arc::clone(directory),
            base_offset,
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
        segment.offset_index.create(disk)?;
        segment.time_index.create(disk)?;
        segment.max_time = Some(segment.no_time());
        segment.unsynced = true;
        Ok(segment)
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

    fn no_time(&self) -> TimeMark {
        TimeMark {
            timestamp: Timestamp::NONE,
            offset: self.base_offset,
        }
    }

    // ---- What it is ----

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(file_name(self.base_offset, "log"))
    }

    pub(crate) fn base_offset(&self) -> Offset {
        self.base_offset
    }

    pub(crate) fn base_index(&self) -> Option<LogIndex> {
        self.base_index
    }

    pub(crate) fn set_base_index(&mut self, index: Option<LogIndex>) {
        self.base_index = index;
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

    // ---- Writing ----

    /// The file, open.
    pub(crate) fn file(&mut self, disk: &dyn Disk) -> Result<Arc<dyn DiskFile>, DiskError> {
        match &self.file {
            Some(file) => Ok(Arc::clone(file)),
            None => {
                let file = disk.open(&self.path(), Open::Existing)?;
                self.file = Some(Arc::clone(&file));
                Ok(file)
            }
        }
    }

    /// Asks the disk for room up to `end`, in steps that grow with the segment.
    pub(crate) fn allocate(
        &mut self,
        disk: &dyn Disk,
        end: u64,
        segment_bytes: u64,
    ) -> Result<(), DiskError> {
        if end <= self.allocated {
            return Ok(());
        }
        let target = allocation_target(self.allocated, end, segment_bytes);
        let file = self.file(disk)?;
        file.allocate(self.length, target - self.length)?;
        self.allocated = target;
        Ok(())
    }

    /// Whether a batch has to go to a new segment after the `planned` ones that are about to be
    /// written (Kafka's `LogSegment.shouldRoll`, and the limits of our own index).
    pub(crate) fn is_full_for(
        &self,
        header: &BatchHeader,
        index: LogIndex,
        planned: &Planned,
        roll: &RollRule<'_>,
    ) -> bool {
        let fill = Fill {
            base_offset: self.base_offset,
            base_index: self.base_index.or(planned.first_index),
            length: self.length + planned.bytes,
            offset_entries: self.offset_index.len() as u64,
            time_entries: self.time_index.len() as u64,
            first_timestamp: self.first_timestamp.or(planned.first_timestamp),
            created: self.created,
        };
        fill.is_full_for(header, index, planned.bytes, roll)
    }

    /// As [`is_full_for`](Self::is_full_for), of a segment that will be created for `planned`.
    pub(crate) fn new_is_full_for(
        base_offset: Offset,
        now: Timestamp,
        entry: &DataEntry,
        planned: &Planned,
        roll: &RollRule<'_>,
    ) -> bool {
        let fill = Fill {
            base_offset,
            base_index: planned.first_index,
            length: planned.bytes,
            offset_entries: 0,
            time_entries: 0,
            first_timestamp: planned.first_timestamp,
            created: now,
        };
        fill.is_full_for(entry.batch.header(), entry.index, planned.bytes, roll)
    }

    /// Takes note of a batch that has been written at the end.
    pub(crate) fn note(
        &mut self,
        disk: &dyn Disk,
        header: &BatchHeader,
        index: LogIndex,
        index_interval_bytes: u32,
    ) -> Result<(), DiskError> {
        let position = self.length;
        let base_index = *self.base_index.get_or_insert(index);
        if position == 0 {
            self.first_timestamp = Some(header.max_timestamp());
        }
        let time = self.max_time.unwrap_or(self.no_time());
        if header.max_timestamp() > time.timestamp {
            self.max_time = Some(TimeMark {
                timestamp: header.max_timestamp(),
                offset: header.last_offset(),
            });
        }
        if self.bytes_since_index > u64::from(index_interval_bytes) {
            let relative = self.relative(header.last_offset());
            let place = position as u32;
            self.offset_index.push(pair(relative, place));
            self.raft_index
                .push(pair((index.0 - base_index.0) as u32, place));
            self.note_time(disk)?;
            self.bytes_since_index = 0;
        }
        let size = header.size_bytes() as u64;
        self.bytes_since_index += size;
        self.length += size;
        self.end_offset = header.last_offset().plus(1);
        Ok(())
    }

    /// Adds the largest timestamp so far to the time index, unless it stands there already.
    pub(crate) fn note_time(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        let time = self.max_time(disk)?;
        let last = match self.time_index.last(disk)? {
            Some(entry) => parse_time(&entry).0,
            None => Timestamp::NONE,
        };
        if time.timestamp > last {
            let mut entry = [0; 12];
            entry[..8].copy_from_slice(&time.timestamp.millis().to_be_bytes());
            entry[8..].copy_from_slice(&self.relative(time.offset).to_be_bytes());
            self.time_index.push(entry);
        }
        Ok(())
    }

    fn relative(&self, offset: Offset) -> u32 {
        u32::try_from(offset.since(self.base_offset))
            .expect("checked before the segment was chosen")
    }

    /// Marks bytes beyond what the disk is known to hold.
    pub(crate) fn set_unsynced(&mut self) {
        self.unsynced = true;
    }

    /// The segment's files that have to be synced; they count as synced from now on. Index entries
    /// that wait in memory are written first.
    pub(crate) fn take_unsynced(
        &mut self,
        disk: &dyn Disk,
        with_indexes: bool,
        files: &mut Vec<Arc<dyn DiskFile>>,
    ) -> Result<(), DiskError> {
        self.flush_indexes(disk)?;
        if self.unsynced {
            files.push(self.file(disk)?);
            self.unsynced = false;
        }
        files.extend(self.transactions.take_unsynced());
        if with_indexes {
            files.extend(self.offset_index.take_unsynced());
            files.extend(self.time_index.take_unsynced());
            files.extend(self.raft_index.take_unsynced());
        }
        Ok(())
    }

    pub(crate) fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// Writes index entries that wait in memory.
    pub(crate) fn flush_indexes(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.offset_index.flush(disk)?;
        self.time_index.flush(disk)?;
        self.raft_index.flush(disk)
    }

    /// Becomes a closed segment: the last time index entry, room given back.
    pub(crate) fn seal(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.note_time(disk)?;
        self.flush_indexes(disk)?;
        self.trim(disk)
    }

    /// Gives back room that was asked for and not used.
    pub(crate) fn trim(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        if self.allocated > self.length {
            let length = self.length;
            self.file(disk)?.truncate(length)?;
            self.allocated = length;
        }
        Ok(())
    }

    /// Hands the mapping over to those of closed segments.
    pub(crate) fn retire_mapping(&mut self, mappings: &Mappings) {
        if let Some(mapping) = self.mapping.take() {
            mappings.put(self.mapping_key, mapping);
        }
    }

    /// Gives file handles back: reads go through mappings.
    pub(crate) fn close_files(&mut self) {
        self.file = None;
        self.offset_index.close();
        self.time_index.close();
        self.raft_index.close();
    }

    /// Forgets a batch that could not be written whole. If this fails, nobody knows what the file
    /// holds.
    pub(crate) fn undo_write(&mut self) -> Result<(), DiskError> {
        if let Some(file) = &self.file {
            file.truncate(self.length)?;
            self.allocated = self.length;
        }
        Ok(())
    }

    /// Drops everything from the batch at `position` on, which starts at `offset`.
    pub(crate) fn truncate(
        &mut self,
        disk: &dyn Disk,
        position: u64,
        offset: Offset,
    ) -> Result<(), DiskError> {
        self.cut_indexes(disk, position, offset)?;
        self.transactions.truncate(disk, offset)?;
        self.file(disk)?.truncate(position)?;
        self.length = position;
        self.allocated = position;
        self.end_offset = offset;
        self.verified.truncate(position);
        self.holes.retain(|hole| hole.position < position);
        self.unsynced = true;
        if position == 0 {
            self.base_index = None;
            self.first_timestamp = None;
            self.bytes_since_index = 0;
            self.max_time = Some(self.no_time());
        }
        Ok(())
    }

    /// Keeps the index entries of batches that lie before `position` and end before `offset`.
    /// What is not known any more (how far the next index entry is, the largest timestamp) is found
    /// by walking from [`resume`](Self::resume).
    pub(crate) fn cut_indexes(
        &mut self,
        disk: &dyn Disk,
        position: u64,
        offset: Offset,
    ) -> Result<(), DiskError> {
        let before = |entry: &[u8; 8]| u64::from(parse_pair(entry).1) < position;
        let kept = self.offset_index.partition_point(disk, before)?;
        self.offset_index.truncate(disk, kept)?;
        let kept = self.raft_index.partition_point(disk, before)?;
        self.raft_index.truncate(disk, kept)?;
        let base = self.base_offset;
        let kept = self.time_index.partition_point(disk, |entry| {
            base.plus(i64::from(parse_time(entry).1)) < offset
        })?;
        self.time_index.truncate(disk, kept)
    }

    /// Begins the indexes anew.
    pub(crate) fn reset_indexes(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.offset_index.create(disk)?;
        self.time_index.create(disk)?;
        self.raft_index.create(disk)?;
        self.bytes_since_index = 0;
        self.max_time = Some(self.no_time());
        Ok(())
    }

    /// Goes back to `position`, to [`note`](Self::note) again what follows it.
    pub(crate) fn rewind(&mut self, position: u64, offset: Offset, max_time: Option<TimeMark>) {
        self.length = position;
        self.end_offset = offset;
        self.bytes_since_index = 0;
        self.max_time = Some(max_time.unwrap_or(self.no_time()));
    }

    /// Sets the length after a stretch that holds no batch.
    pub(crate) fn skip_to(&mut self, position: u64, offset: Offset) {
        self.length = position;
        self.end_offset = offset;
    }

    // ---- Reading ----

    /// The written bytes, mapped. `active` segments keep a mapping of their own, as long as they
    /// may become.
    pub(crate) fn written(
        &mut self,
        disk: &dyn Disk,
        mappings: &Mappings,
        active: bool,
        segment_bytes: u64,
    ) -> Result<Written, DiskError> {
        let length = self.length;
        if let Some(mapping) = &self.mapping
            && mapping.len() as u64 >= length
        {
            return Ok(Written {
                mapping: mapping.clone(),
                length,
            });
        }
        let mapping = if active {
            let target = active_mapping_bytes(segment_bytes, length);
            let mapping = self.file(disk)?.map_read_only(target as usize)?;
            self.mapping = Some(mapping.clone());
            mapping
        } else {
            self.closed_mapping(disk, mappings)?
        };
        Ok(Written { mapping, length })
    }

    fn closed_mapping(
        &mut self,
        disk: &dyn Disk,
        mappings: &Mappings,
    ) -> Result<Mapping, DiskError> {
        if let Some(mapping) = mappings.get(self.mapping_key)
            && mapping.len() as u64 >= self.length
        {
            return Ok(mapping);
        }
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            // Not kept open: the mapping outlives the handle.
            None => disk.open(&self.path(), Open::Existing)?,
        };
        let mapping = file.map_read_only(self.length as usize)?;
        mappings.put(self.mapping_key, mapping.clone());
        Ok(mapping)
    }

    /// Gives the mapping of a closed segment up.
    pub(crate) fn unmap(&mut self, mappings: &Mappings) {
        self.mapping = None;
        mappings.remove(self.mapping_key);
    }

    /// Where to begin to look for the batch that holds `offset`: the position of a batch at or
    /// before it, and the offset it ends with (`None` at the start of the segment).
    pub(crate) fn position_before(
        &mut self,
        disk: &dyn Disk,
        offset: Offset,
    ) -> Result<(u64, Option<Offset>), DiskError> {
        let base = self.base_offset;
        let count = self.offset_index.partition_point(disk, |entry| {
            base.plus(i64::from(parse_pair(entry).0)) <= offset
        })?;
        self.index_entry(disk, count)
    }

    /// The last batch with an index entry that starts at or before a position, and the offset it
    /// ends with (`None` at the start of the segment).
    pub(crate) fn last_entry_before(
        &mut self,
        disk: &dyn Disk,
        limit: u64,
    ) -> Result<(u64, Option<Offset>), DiskError> {
        let count = self
            .offset_index
            .partition_point(disk, |entry| u64::from(parse_pair(entry).1) <= limit)?;
        self.index_entry(disk, count)
    }

    fn index_entry(
        &mut self,
        disk: &dyn Disk,
        count: usize,
    ) -> Result<(u64, Option<Offset>), DiskError> {
        let Some(at) = count.checked_sub(1) else {
            return Ok((0, None));
        };
        let (relative, position) = parse_pair(&self.offset_index.entry(disk, at)?);
        let ends_with = self.base_offset.plus(i64::from(relative));
        Ok((u64::from(position), Some(ends_with)))
    }

    /// A batch at or before a Raft index: its position and index, and the offset it ends with
    /// (`None` at the start of the segment). `None` if the segment has no batch.
    pub(crate) fn position_before_index(
        &mut self,
        disk: &dyn Disk,
        index: LogIndex,
    ) -> Result<Option<(u64, LogIndex, Option<Offset>)>, DiskError> {
        let Some(base) = self.base_index else {
            return Ok(None);
        };
        let count = self.raft_index.partition_point(disk, |entry| {
            base.0 + u64::from(parse_pair(entry).0) <= index.0
        })?;
        self.raft_entry(disk, base, count).map(Some)
    }

    fn raft_entry(
        &mut self,
        disk: &dyn Disk,
        base: LogIndex,
        count: usize,
    ) -> Result<(u64, LogIndex, Option<Offset>), DiskError> {
        // The two indexes have their entries at the same batches; if they do not, one is damaged
        // and the segment's start is always right.
        let Some(at) = count
            .checked_sub(1)
            .filter(|at| *at < self.offset_index.len())
        else {
            return Ok((0, base, None));
        };
        let (relative, position) = parse_pair(&self.raft_index.entry(disk, at)?);
        let (offset_position, ends_with) = self.index_entry(disk, at + 1)?;
        if offset_position != u64::from(position) {
            return Ok((0, base, None));
        }
        let index = LogIndex(base.0 + u64::from(relative));
        Ok((u64::from(position), index, ends_with))
    }

    /// The last batch with index entries that ends before `offset`, from which a walk can begin
    /// that makes the indexes anew. Entries after it are dropped.
    pub(crate) fn resume(
        &mut self,
        disk: &dyn Disk,
        offset: Offset,
    ) -> Result<Option<Resume>, DiskError> {
        let (Some(base_index), Some(before)) = (self.base_index, Offset::checked(offset.get() - 1))
        else {
            return Ok(None);
        };
        let base = self.base_offset;
        let count = self.offset_index.partition_point(disk, |entry| {
            base.plus(i64::from(parse_pair(entry).0)) <= before
        })?;
        if self.raft_index.len() < count {
            return Ok(None);
        }
        let (position, index, Some(ends_with)) = self.raft_entry(disk, base_index, count)? else {
            return Ok(None);
        };
        self.offset_index.truncate(disk, count)?;
        self.raft_index.truncate(disk, count)?;
        let kept = self.time_index.partition_point(disk, |entry| {
            base.plus(i64::from(parse_time(entry).1)) <= ends_with
        })?;
        self.time_index.truncate(disk, kept)?;
        let max_time = self
            .time_index
            .last(disk)?
            .map(|entry| self.time_mark(&entry));
        Ok(Some(Resume {
            position,
            index,
            ends_with,
            max_time,
        }))
    }

    fn time_mark(&self, entry: &[u8; 12]) -> TimeMark {
        let (timestamp, relative) = parse_time(entry);
        TimeMark {
            timestamp,
            offset: self.base_offset.plus(i64::from(relative)),
        }
    }

    /// The largest timestamp; of a closed segment, what its time index says at its end.
    pub(crate) fn max_time(&mut self, disk: &dyn Disk) -> Result<TimeMark, DiskError> {
        if let Some(time) = self.max_time {
            return Ok(time);
        }
        let time = match self.time_index.last(disk)? {
            Some(entry) => self.time_mark(&entry),
            None => self.no_time(),
        };
        self.max_time = Some(time);
        Ok(time)
    }

    /// The offset from which on records may be `timestamp` or later: everything up to it is
    /// earlier, or at the latest is the first such record itself.
    pub(crate) fn offset_before_timestamp(
        &mut self,
        disk: &dyn Disk,
        timestamp: Timestamp,
    ) -> Result<Offset, DiskError> {
        // Strictly earlier: records with the same timestamp may lie before the entry's batch.
        let count = self
            .time_index
            .partition_point(disk, |entry| parse_time(entry).0 < timestamp)?;
        match count.checked_sub(1) {
            Some(at) => {
                let entry = self.time_index.entry(disk, at)?;
                Ok(self.time_mark(&entry).offset)
            }
            None => Ok(self.base_offset),
        }
    }

    pub(crate) fn transactions(&mut self) -> &mut TransactionIndex {
        &mut self.transactions
    }

    /// Whether the sizes of the index files are possible, and their last entries point into the
    /// segment.
    pub(crate) fn indexes_look_right(
        &mut self,
        disk: &dyn Disk,
        found: FoundFiles,
    ) -> Result<bool, DiskError> {
        let whole =
            |length: Option<u64>, entry: u64| length.is_some_and(|length| length % entry == 0);
        let raft_length = found.raft_index.unwrap_or(0);
        if !whole(found.offset_index, 8)
            || !whole(found.time_index, 12)
            || Some(raft_length) != found.offset_index
        {
            return Ok(false);
        }
        let offset_ok = match self.offset_index.last(disk)? {
            Some(entry) => {
                let (relative, position) = parse_pair(&entry);
                relative > 0 && position > 0 && u64::from(position) < self.length
            }
            None => true,
        };
        let time_ok = match self.time_index.last(disk)? {
            Some(entry) => parse_time(&entry).0.millis() >= 0,
            // Every batch with a time leaves an entry when its segment is closed.
            None => self.length == 0,
        };
        self.offset_index.close();
        self.time_index.close();
        Ok(offset_ok && time_ok)
    }
}

/// Where a walk can begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resume {
    pub(crate) position: u64,
    pub(crate) index: LogIndex,
    /// Last offset of the batch at `position`.
    pub(crate) ends_with: Offset,
    /// The largest timestamp before it.
    pub(crate) max_time: Option<TimeMark>,
}

/// How far to ask for room, so that there is room up to `end`: steps double with what is there.
pub(crate) fn allocation_target(allocated: u64, end: u64, segment_bytes: u64) -> u64 {
    let step = allocated.clamp(ALLOCATE_BYTES_MIN, ALLOCATE_BYTES_MAX);
    // Not beyond where the segment will end, unless a batch is larger than that.
    (allocated + step).min(segment_bytes).max(end)
}

/// How much of a segment to map that may still grow.
pub(crate) fn active_mapping_bytes(segment_bytes: u64, length: u64) -> u64 {
    segment_bytes.max(length) + MAPPING_SLACK_BYTES
}

fn pair(first: u32, second: u32) -> [u8; 8] {
    (u64::from(first) << 32 | u64::from(second)).to_be_bytes()
}

fn parse_pair(entry: &[u8; 8]) -> (u32, u32) {
    let both = u64::from_be_bytes(*entry);
    // As in Kafka, the numbers are signed and never negative.
    ((both >> 32) as u32 & i32::MAX as u32, both as u32)
}

fn parse_time(entry: &[u8; 12]) -> (Timestamp, u32) {
    let (timestamp, relative) = entry.split_at(8);
    let timestamp = i64::from_be_bytes(timestamp.try_into().expect("8 bytes"));
    let relative = u32::from_be_bytes(relative.try_into().expect("4 bytes"));
    (Timestamp(timestamp), relative & i32::MAX as u32)
}
