//! Finding records by time and entries by Raft index.

use std::ops::Range;

use bytes::Bytes;
use klamm_model::record_batch::BatchHeader;
use klamm_model::{LogIndex, Offset, Timestamp};

use super::populate::Stop;
use super::read::{At, Found};
use super::{Attempt, EntryInfo, Log, ReadError, TimestampOffset, next_data_index};
use crate::producer_state::AbortedTransaction;
use crate::segment::residency::{Unread, Waiting};
use crate::segment::walk::Written;
use crate::segment::{Segment, TimeMark};

/// Largest batch that is inflated to look at the times of its records.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// Entries that were found, as many as were wanted.
struct Entries {
    entries: Vec<(EntryInfo, Bytes)>,
    count_max: usize,
    /// Bytes that may still be read; `None` if none are wanted.
    bytes_left: Option<usize>,
    is_full: bool,
}

impl Entries {
    fn up_to(count_max: usize, bytes_max: Option<usize>) -> Self {
        Self {
            entries: Vec::new(),
            count_max,
            bytes_left: bytes_max,
            is_full: count_max == 0,
        }
    }

    fn push(&mut self, info: EntryInfo, bytes: Bytes) {
        self.entries.push((info, bytes));
        self.is_full |= self.entries.len() == self.count_max;
    }

    /// Counts an entry's bytes, if there is room for them; if not, that was all.
    fn take_room(&mut self, info: &EntryInfo) -> bool {
        let size = info.size_bytes as usize;
        let is_first = self.entries.is_empty();
        if let Some(left) = &mut self.bytes_left {
            self.is_full |= size > *left && !is_first;
            *left = left.saturating_sub(size);
        }
        !self.is_full
    }
}

impl Log {
    /// The first record below `upper` whose timestamp is `timestamp` or later (ListOffsets).
    /// Waits for the disk where records are not in memory.
    pub fn offset_for_timestamp(
        &mut self,
        timestamp: Timestamp,
        upper: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        Ok(self.search_time(timestamp, upper, Waiting::Here)?)
    }

    /// As [`offset_for_timestamp`](Self::offset_for_timestamp), but does not wait for the disk.
    pub fn try_offset_for_timestamp(
        &mut self,
        timestamp: Timestamp,
        upper: Offset,
    ) -> Result<Attempt<Option<TimestampOffset>>, ReadError> {
        let result = self.search_time(timestamp, upper, Waiting::Elsewhere);
        self.attempt(result)
    }

    fn search_time(
        &mut self,
        timestamp: Timestamp,
        upper: Offset,
        waiting: Waiting,
    ) -> Result<Option<TimestampOffset>, Stop> {
        self.check_readable(self.log_start)?;
        for at in 0..self.segments.len() {
            if self.segments[at].base_offset() >= upper {
                break;
            }
            let disk = self.disk();
            let newest = self.segments[at].try_max_time(&*disk, waiting);
            let newest = newest.map_err(|unread| self.index_unread(unread))?;
            if newest.timestamp < timestamp {
                continue;
            }
            let start = self.segments[at].offset_before_timestamp(&*disk, timestamp, waiting);
            let start = start.map_err(|unread| self.index_unread(unread))?;
            let start = start.max(self.log_start);
            let written = self.written(at, waiting)?;
            if let Some(found) = self.search_segment(at, &written, timestamp, start..upper)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn search_segment(
        &mut self,
        at: usize,
        written: &Written,
        timestamp: Timestamp,
        offsets: Range<Offset>,
    ) -> Result<Option<TimestampOffset>, Stop> {
        let mut next = self.first_from(at, written, offsets.start)?;
        while let Some(found) = next {
            if found.header.base_offset() >= offsets.end {
                break;
            }
            if found.header.max_timestamp() >= timestamp {
                let wanted = |time: Timestamp, offset: Offset| {
                    time >= timestamp && offsets.contains(&offset)
                };
                if let Some(record) = first_record(written, &found, wanted)? {
                    return Ok(Some(record));
                }
            }
            next = self.next_batch(at, written, found)?;
        }
        Ok(None)
    }

    /// The first record with the largest timestamp (ListOffsets -3). Waits for the disk where
    /// records are not in memory.
    pub fn max_timestamp(&mut self) -> Result<Option<TimestampOffset>, ReadError> {
        Ok(self.search_max_time(Waiting::Here)?)
    }

    /// As [`max_timestamp`](Self::max_timestamp), but does not wait for the disk.
    pub fn try_max_timestamp(&mut self) -> Result<Attempt<Option<TimestampOffset>>, ReadError> {
        let result = self.search_max_time(Waiting::Elsewhere);
        self.attempt(result)
    }

    fn search_max_time(&mut self, waiting: Waiting) -> Result<Option<TimestampOffset>, Stop> {
        self.check_readable(self.log_start)?;
        let disk = self.disk();
        let mut newest: Option<(usize, TimeMark)> = None;
        for at in 0..self.segments.len() {
            let mark = self.segments[at].try_max_time(&*disk, waiting);
            let mark = mark.map_err(|unread| self.index_unread(unread))?;
            let later = newest.is_none_or(|(_, best)| mark.timestamp > best.timestamp);
            if mark.timestamp.millis() >= 0 && later {
                newest = Some((at, mark));
            }
        }
        let Some((at, mark)) = newest else {
            return Ok(None);
        };
        let written = self.written(at, waiting)?;
        let Some(found) = self.first_from(at, &written, mark.offset.max(self.log_start))? else {
            return Ok(None);
        };
        Ok(first_record(&written, &found, |time, _| {
            time >= mark.timestamp
        })?)
    }

    /// The batch that holds `start`, or the first readable one after it in the segment.
    fn first_from(
        &mut self,
        at: usize,
        written: &Written,
        start: Offset,
    ) -> Result<Option<Found>, Stop> {
        let mut start = start.max(self.segments[at].base_offset());
        loop {
            match self.seek(at, written, start) {
                Err(Stop::Failed(ReadError::Corrupt(damage))) => start = damage.next_offset,
                other => return other,
            }
        }
    }

    /// The next readable batch of the segment.
    fn next_batch(
        &mut self,
        at: usize,
        written: &Written,
        found: Found,
    ) -> Result<Option<Found>, Unread> {
        let (mut position, mut expected) = (found.end_position(), found.next_offset());
        loop {
            match self.at(at, written, position, expected)? {
                At::Batch(found) => return Ok(Some(found)),
                At::Hole(hole) => (position, expected) = (hole.end_position, hole.next_offset),
                At::End => return Ok(None),
            }
        }
    }

    /// The aborted transactions that a reader of committed records must know for
    /// `from..upper`, by first offset (Kafka's `collectAbortedTxns`).
    pub fn aborted_transactions(
        &mut self,
        from: Offset,
        upper: Offset,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        let disk = self.disk();
        let mut aborted = Vec::new();
        'segments: for at in self.segment_of(from)..self.segments.len() {
            let entries = match self.segments[at].transactions().entries(&*disk) {
                Ok(entries) => entries,
                Err(error) => return Err(self.unreadable(error).into()),
            };
            for entry in entries {
                if entry.last_offset >= from && entry.first_offset < upper {
                    aborted.push(*entry);
                }
                if entry.last_stable_offset >= upper {
                    break 'segments;
                }
            }
        }
        aborted.sort_by_key(|entry| entry.first_offset);
        Ok(aborted)
    }

    /// Raft entries from `from` on, with and without records, at most `count_max`. Damaged batches
    /// are left out. Waits for the disk where batches are not in memory.
    pub fn entries(
        &mut self,
        from: LogIndex,
        count_max: usize,
    ) -> Result<Vec<EntryInfo>, ReadError> {
        let mut found = Entries::up_to(count_max, None);
        self.find_entries(from, &mut found)?;
        Ok(found.entries.into_iter().map(|(info, _)| info).collect())
    }

    /// As [`entries`](Self::entries), with the bytes of their batches: at most `bytes_max` together, but
    /// one at least. Also of records below the log start, as long as they are there: followers need
    /// them.
    pub fn read_entries(
        &mut self,
        from: LogIndex,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<(EntryInfo, Bytes)>, ReadError> {
        let mut found = Entries::up_to(count_max, Some(bytes_max));
        self.find_entries(from, &mut found)?;
        Ok(found.entries)
    }

    fn find_entries(&mut self, from: LogIndex, found: &mut Entries) -> Result<(), Stop> {
        self.check_readable(self.log_start)?;
        let mut expected = from.max(self.first_index());
        while !found.is_full && expected < self.next_index {
            if let Some(meta) = self.meta(expected) {
                found.push(meta, Bytes::new());
                expected = expected.next();
                continue;
            }
            let at = self.segment_of_index(expected);
            let reached = self.entries_of(at, expected, found)?;
            if found.is_full {
                break;
            }
            if reached == expected {
                // The segment's end is damaged: go on with the next.
                let next = self.segments.get(at + 1).and_then(Segment::base_index);
                let Some(next) = next.filter(|next| *next > expected) else {
                    break;
                };
                expected = next;
            } else {
                expected = reached;
            }
        }
        Ok(())
    }

    fn meta(&self, index: LogIndex) -> Option<EntryInfo> {
        let metas = &self.raft.metas;
        let at = metas.binary_search_by_key(&index, |meta| meta.index).ok()?;
        let meta = &metas[at];
        Some(EntryInfo {
            index,
            term: meta.term,
            base_offset: meta.at_offset,
            next_offset: meta.at_offset,
            size_bytes: 0,
        })
    }

    /// Adds entries with records from one segment, as long as nothing stands between them.
    /// Returns the index to go on with.
    fn entries_of(
        &mut self,
        at: usize,
        from: LogIndex,
        found: &mut Entries,
    ) -> Result<LogIndex, Stop> {
        let written = self.written(at, Waiting::Here)?;
        let mut next = from;
        let mut cursor = self.seek_index(at, &written, from)?;
        while let Some((index, batch)) = cursor {
            let info = info(index, &batch.header);
            if index > next && self.meta(next).is_some() || !found.take_room(&info) {
                return Ok(next);
            }
            let bytes = match found.bytes_left {
                Some(_) => written.slice(batch.position, batch.end_position())?,
                None => Bytes::new(),
            };
            found.push(info, bytes);
            next = index.next();
            let following = next_data_index(&self.raft.metas, index);
            cursor = self
                .next_batch(at, &written, batch)?
                .map(|batch| (following, batch));
        }
        Ok(next)
    }

    /// The first batch of a segment at or after an index.
    pub(super) fn seek_index(
        &mut self,
        at: usize,
        written: &Written,
        target: LogIndex,
    ) -> Result<Option<(LogIndex, Found)>, Stop> {
        let disk = self.disk();
        let entry = self.segments[at].position_before_index(&*disk, target);
        let Some((position, index, ends_with)) = entry.map_err(|error| self.unreadable(error))?
        else {
            return Ok(None);
        };
        let base = self.segments[at].base_offset();
        let believed = self.believe(at, written, position, ends_with)?;
        let base_index = self.segments[at].base_index().unwrap_or(index);
        let ((mut position, mut expected), mut index) = match believed {
            Some(place) => (place, index),
            None => ((0, base), base_index),
        };
        loop {
            match self.at(at, written, position, expected)? {
                At::Batch(found) if index >= target => return Ok(Some((index, found))),
                At::Batch(found) => {
                    (position, expected) = (found.end_position(), found.next_offset());
                    index = self.next_data_index(index);
                }
                // How many entries were in it is not known; one is the least.
                At::Hole(hole) => {
                    (position, expected) = (hole.end_position, hole.next_offset);
                    index = self.next_data_index(index);
                }
                At::End => return Ok(None),
            }
        }
    }

    /// Which segment an entry with records of that index would be in.
    pub(super) fn segment_of_index(&self, index: LogIndex) -> usize {
        let first = self.first_whole();
        let after = self.segments[first..]
            .partition_point(|segment| segment.base_index().is_some_and(|base| base <= index));
        first + after.saturating_sub(1)
    }

    /// The first segment in which no batch is missing: the entries of Raft begin there.
    pub(super) fn first_whole(&self) -> usize {
        self.segments.partition_point(Segment::is_sparse)
    }
}

fn info(index: LogIndex, header: &BatchHeader) -> EntryInfo {
    EntryInfo {
        index,
        term: header.leader_epoch().term().unwrap_or_default(),
        base_offset: header.base_offset(),
        next_offset: header.last_offset().plus(1),
        size_bytes: header.size_bytes() as u32,
    }
}

/// The first record of a batch that is wanted, by its time and offset. A batch that cannot be
/// inflated counts as a whole.
fn first_record(
    written: &Written,
    found: &Found,
    wanted: impl Fn(Timestamp, Offset) -> bool,
) -> Result<Option<TimestampOffset>, Unread> {
    let leader_epoch = found.header.leader_epoch();
    let whole = TimestampOffset {
        timestamp: found.header.max_timestamp(),
        offset: found.header.base_offset(),
        leader_epoch,
    };
    let Some(batch) = written.batch(found.position, &found.header)? else {
        return Ok(None);
    };
    let Ok(records) = batch.records(INFLATED_BYTES_MAX) else {
        return Ok(Some(whole));
    };
    for record in records {
        let Ok(record) = record else {
            return Ok(Some(whole));
        };
        if wanted(record.timestamp, record.offset) {
            return Ok(Some(TimestampOffset {
                timestamp: record.timestamp,
                offset: record.offset,
                leader_epoch,
            }));
        }
    }
    Ok(None)
}
