//! Adding to a segment, cutting its end, and what has to be synced.

use std::sync::Arc;

use klamm_model::record_batch::BatchHeader;
use klamm_model::{LogIndex, Offset, Timestamp};

use super::entry::{pair, parse_pair, parse_time};
use super::mappings::Mappings;
use super::{Segment, TimeMark};
use crate::disk::{Disk, DiskError, DiskFile, Open};

/// First room asked of the disk for a segment: hundreds of small topics must not eat the disk.
const ALLOCATE_BYTES_MIN: u64 = 64 << 10;

/// Largest step in which a segment asks for room.
const ALLOCATE_BYTES_MAX: u64 = 16 << 20;

impl Segment {
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

    /// Opens the files that an append uses: it could not go back if one of them cannot be opened.
    pub(crate) fn open_files(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.file(disk)?;
        self.time_index.keep_open(disk)
    }

    /// Asks the disk for room up to `end`, in steps that grow with the segment; with
    /// `preallocate`, for all that the segment may become.
    pub(crate) fn allocate(
        &mut self,
        disk: &dyn Disk,
        end: u64,
        segment_bytes: u64,
        preallocate: bool,
    ) -> Result<(), DiskError> {
        if end <= self.allocated {
            return Ok(());
        }
        let target = allocation_target(self.allocated, end, segment_bytes, preallocate);
        let file = self.file(disk)?;
        file.allocate(self.length, target - self.length)?;
        self.allocated = target;
        Ok(())
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
        if !self.sparse {
            self.base_index.get_or_insert(index);
        }
        if position == 0 {
            self.first_timestamp = Some(header.max_timestamp());
        }
        let time = self.max_time.unwrap_or(self.no_time());
        if header.max_timestamp() > time.timestamp && header.record_count() > 0 {
            self.max_time = Some(TimeMark {
                timestamp: header.max_timestamp(),
                offset: header.last_offset(),
            });
        }
        if self.bytes_since_index > u64::from(index_interval_bytes) {
            let relative = self.relative(header.last_offset());
            let place = position as u32;
            self.offset_index.push(pair(relative, place));
            if let Some(base) = self.base_index {
                let relative = (index.0 - base.0) as u32;
                self.raft_index.push(pair(relative, place));
            }
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

    /// As [`set_unsynced`](Self::set_unsynced), of the indexes too: what an earlier life wrote to
    /// them is not known to be on the disk.
    pub(crate) fn set_wholly_unsynced(&mut self) {
        self.unsynced = true;
        self.offset_index.set_unsynced();
        self.time_index.set_unsynced();
        if !self.sparse {
            self.raft_index.set_unsynced();
        }
    }

    /// The segment's files that have to be synced; they count as synced from now on. Index entries
    /// that still wait in memory are not among them.
    pub(crate) fn take_unsynced(
        &mut self,
        disk: &dyn Disk,
        with_indexes: bool,
        files: &mut Vec<Arc<dyn DiskFile>>,
    ) -> Result<(), DiskError> {
        if self.unsynced {
            files.push(self.file(disk)?);
            self.unsynced = false;
        }
        files.extend(self.transactions.take_unsynced());
        if with_indexes {
            files.extend(self.offset_index.take_unsynced(disk)?);
            files.extend(self.time_index.take_unsynced(disk)?);
            files.extend(self.raft_index.take_unsynced(disk)?);
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
            let something_written = file.length()? > self.length;
            file.truncate(self.length)?;
            self.allocated = self.length;
            if something_written {
                // Now, for the reason that `truncate` has.
                file.sync_data()?;
            }
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
        let file = self.file(disk)?;
        file.truncate(position)?;
        // Now, not with the next sync: what is written here next may reach the disk in part only,
        // and base offset and epoch of a batch lie outside of its checksum. The first sector of a
        // new batch and the rest of the old one could make a batch that nobody wrote.
        file.sync_data()?;
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
        self.offset_index.create_anew(disk)?;
        self.time_index.create_anew(disk)?;
        if !self.sparse {
            self.raft_index.create_anew(disk)?;
        }
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
}

/// How far to ask for room, so that there is room up to `end`: steps double with what is there,
/// or, with `preallocate`, all at once.
pub(crate) fn allocation_target(
    allocated: u64,
    end: u64,
    segment_bytes: u64,
    preallocate: bool,
) -> u64 {
    if preallocate {
        return segment_bytes.max(end);
    }
    let step = allocated.clamp(ALLOCATE_BYTES_MIN, ALLOCATE_BYTES_MAX);
    // Not beyond where the segment will end, unless a batch is larger than that.
    (allocated + step).min(segment_bytes).max(end)
}
