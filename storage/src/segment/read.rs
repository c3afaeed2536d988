//! Looking into a segment: its bytes, and where its indexes point.

use std::sync::Arc;

use klamm_model::{LogIndex, Offset, Timestamp};

use super::entry::{parse_pair, parse_time};
use super::mappings::Mappings;
use super::residency::{Unread, Waiting};
use super::transaction_index::TransactionIndex;
use super::walk::Written;
use super::{FoundFiles, Segment, TimeMark};
use crate::disk::{Disk, DiskError, Mapping, Open};

/// Room in the mapping beyond `segment.bytes`, for the last batch.
const MAPPING_SLACK_BYTES: u64 = 4 << 20;

impl Segment {
    /// The written bytes, mapped. `active` segments keep a mapping of their own, as long as they
    /// may become.
    pub(crate) fn mapping(
        &mut self,
        disk: &dyn Disk,
        mappings: &Mappings,
        active: bool,
        segment_bytes: u64,
    ) -> Result<Mapping, DiskError> {
        if let Some(mapping) = &self.mapping
            && mapping.len() as u64 >= self.length
        {
            return Ok(mapping.clone());
        }
        if !active {
            return self.closed_mapping(disk, mappings);
        }
        let target = active_mapping_bytes(segment_bytes, self.length);
        let mapping = self.file(disk)?.map_read_only(target as usize)?;
        self.mapping = Some(mapping.clone());
        Ok(mapping)
    }

    /// The written bytes; the last `tail_bytes` of them are known to be in memory.
    pub(crate) fn written(&self, mapping: Mapping, tail_bytes: u64, waiting: Waiting) -> Written {
        let resident_from = self.length.saturating_sub(tail_bytes);
        let place = (Arc::clone(&self.directory), self.base_offset);
        let written = Written::new(mapping, self.length, resident_from, waiting, place);
        match self.sparse {
            true => written.sparse(self.end_offset),
            false => written,
        }
    }

    pub(super) fn closed_mapping(
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
        waiting: Waiting,
    ) -> Result<(u64, Option<Offset>), Unread> {
        let base = self.base_offset;
        // Who reads on from the segment before needs no index.
        if offset <= base {
            return Ok((0, None));
        }
        let count = self
            .offset_index
            .try_partition_point(disk, waiting, |entry| {
                base.plus(i64::from(parse_pair(entry).0)) <= offset
            })?;
        self.index_entry(disk, count, waiting)
    }

    /// The last batch with an index entry that starts at or before a position, and the offset it
    /// ends with (`None` at the start of the segment).
    pub(crate) fn last_entry_before(
        &mut self,
        disk: &dyn Disk,
        limit: u64,
        waiting: Waiting,
    ) -> Result<(u64, Option<Offset>), Unread> {
        let count = self
            .offset_index
            .try_partition_point(disk, waiting, |entry| {
                u64::from(parse_pair(entry).1) <= limit
            })?;
        self.index_entry(disk, count, waiting)
    }

    fn index_entry(
        &mut self,
        disk: &dyn Disk,
        count: usize,
        waiting: Waiting,
    ) -> Result<(u64, Option<Offset>), Unread> {
        let Some(at) = count.checked_sub(1) else {
            return Ok((0, None));
        };
        let (relative, position) = parse_pair(&self.offset_index.try_entry(disk, at, waiting)?);
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
        let (offset_position, ends_with) = self.index_entry(disk, at + 1, Waiting::Here)?;
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

    /// About when its first record was written: the first time its index tells.
    pub(crate) fn first_time(&mut self, disk: &dyn Disk) -> Result<Timestamp, DiskError> {
        if let Some(first) = self.first_timestamp {
            return Ok(first);
        }
        let first = match self.time_index.len() {
            0 => self.created,
            _ => parse_time(&self.time_index.entry(disk, 0)?).0,
        };
        self.first_timestamp = Some(first);
        Ok(first)
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
        Ok(self.try_max_time(disk, Waiting::Here)?)
    }

    /// As [`max_time`](Self::max_time), for readers that may wait elsewhere.
    pub(crate) fn try_max_time(
        &mut self,
        disk: &dyn Disk,
        waiting: Waiting,
    ) -> Result<TimeMark, Unread> {
        if let Some(time) = self.max_time {
            return Ok(time);
        }
        let time = match self.time_index.try_last(disk, waiting)? {
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
        waiting: Waiting,
    ) -> Result<Offset, Unread> {
        // Strictly earlier: records with the same timestamp may lie before the entry's batch.
        let count = self
            .time_index
            .try_partition_point(disk, waiting, |entry| parse_time(entry).0 < timestamp)?;
        match count.checked_sub(1) {
            Some(at) => {
                let entry = self.time_index.try_entry(disk, at, waiting)?;
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
        let raft_ok = self.sparse || Some(raft_length) == found.offset_index;
        if !whole(found.offset_index, 8) || !whole(found.time_index, 12) || !raft_ok {
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
            None => self.length == 0 || self.sparse,
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

/// How much of a segment to map that may still grow.
pub(crate) fn active_mapping_bytes(segment_bytes: u64, length: u64) -> u64 {
    segment_bytes.max(length) + MAPPING_SLACK_BYTES
}
