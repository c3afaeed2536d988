//! Taking away: the end after a Raft conflict, the beginning when it is too old or no longer
//! wanted.

use std::sync::Arc;

use bytes::Bytes;
use klamm_model::raft::MetaEntry;
use klamm_model::{LogIndex, Offset, Term, Timestamp};

use super::{AppendError, Log, Place, ReadError, is_noop};
use crate::EpochEntry;
use crate::disk::DiskError;
use crate::journal::{Anchor, Compacted};
use crate::segment::residency::Waiting;
use crate::segment::{Segment, file_name};

impl Log {
    /// Drops every entry from `index` on, with and without records (Raft conflict). Durable after
    /// the next sync. The caller has made sure that nobody reads there any more.
    pub fn truncate_from(&mut self, index: LogIndex) -> Result<(), AppendError> {
        self.online()?;
        assert!(
            !self.is_appending(),
            "the end does not move under an append"
        );
        assert!(
            index >= self.first_index(),
            "what is behind the anchor is committed index={index} first={}",
            self.first_index()
        );
        if index >= self.next_index {
            return Ok(());
        }
        let (at, position, offset) = self.place_of(index)?;
        let journal = Arc::clone(&self.place.journal);
        let journaled = journal.truncate_from(self.place.group, index, offset);
        self.journaled(journaled)?;
        // Before anything takes the place of what is cut: an entry without records of the old
        // leader must not be found among those of the new one.
        self.journaled(journal.sync())?;
        self.raft = journal.group(self.place.group);
        let cut = self
            .cut_end(at, position, offset, index)
            .and_then(|()| self.reopen());
        cut.map_err(|error| self.failed(error).into())
    }

    /// Where the first batch at or after an index begins: segment, position, offset.
    fn place_of(&mut self, index: LogIndex) -> Result<(usize, u64, Offset), AppendError> {
        for at in self.segment_of_index(index)..self.segments.len() {
            let written = self.written(at, Waiting::Here)?;
            match self
                .seek_index(at, &written, index)
                .map_err(ReadError::from)
            {
                Ok(Some((_, found))) => {
                    return Ok((at, found.position, found.header.base_offset()));
                }
                Ok(None) => {}
                Err(ReadError::Offline(offline)) => return Err(offline.into()),
                Err(ReadError::Unreadable(error)) => return Err(self.failed(error).into()),
                // Looking up by index steps over damage and knows no range.
                Err(ReadError::Corrupt(_) | ReadError::OffsetOutOfRange { .. }) => {}
            }
        }
        let last = self.segments.len() - 1;
        Ok((last, self.active().length(), self.log_end_offset()))
    }

    fn cut_end(
        &mut self,
        at: usize,
        position: u64,
        offset: Offset,
        index: LogIndex,
    ) -> Result<(), DiskError> {
        let place = self.place.clone();
        while self.segments.len() > at + 1 {
            let mut segment = self.segments.pop().expect("there are more than one");
            segment.unmap(&place.mappings);
            let base = segment.base_offset();
            Segment::remove_files(&*place.disk, &place.directory, base)?;
            self.durable.directory_changed();
        }
        self.next_index = index;
        self.placed = None;
        self.cursors.clear();
        self.tail.cut();
        self.cuts += 1;
        let active = self.active_mut();
        if position < active.length() {
            active.truncate(&*place.disk, position, offset)?;
            active.unmap(&place.mappings);
            self.reindex_end()?;
        }
        self.durable.cut(self.end());
        let beyond: Vec<Offset> = self.snapshots.range(offset..).copied().collect();
        for snapshot in beyond.into_iter().filter(|snapshot| *snapshot > offset) {
            self.remove_snapshot(snapshot)?;
        }
        // Snapshots that came back with a power loss would speak of records that are not there.
        place.disk.sync_dir(&place.directory)?;
        self.reload_producers()?;
        self.rebuild_epochs();
        match super::write_epochs(&place, &self.epochs) {
            Err(error) if error.is_refusal() => Ok(()),
            result => result,
        }
    }

    /// Drops the oldest segments that `retention.ms` and `retention.bytes` no longer keep, or that
    /// lie below the log start; only segments that end at or before `bound` (what is committed).
    /// They are gone from the log at once, and from the disk when the ticket has run.
    ///
    /// The active segment goes only if `rolls`, which is for the leader: where it ends, the leader's next
    /// segment begins.
    pub fn apply_retention(
        &mut self,
        now: Timestamp,
        bound: Offset,
        rolls: bool,
    ) -> Result<Option<DeleteTicket>, AppendError> {
        self.online()?;
        let mut count = match self.count_deletable(now, bound) {
            Ok(count) => count,
            Err(error) => return Err(self.unreadable(error).into()),
        };
        // If more is on its way, the active segment is about to get younger records.
        if count == self.segments.len() && (!rolls || self.is_ahead()) {
            count -= 1;
        }
        count = count.min(self.before_swap());
        if count == 0 {
            return Ok(None);
        }
        if count == self.segments.len() {
            self.roll(now)?;
        }
        let start = self.log_start.max(self.segments[count].base_offset());
        self.drop_front(count, start).map(Some)
    }

    /// Kafka's `UnifiedLog.deleteOldSegments`.
    fn count_deletable(&mut self, now: Timestamp, bound: Offset) -> Result<usize, DiskError> {
        let disk = self.disk();
        let config = self.config.clone();
        let mut excess = match u64::try_from(config.retention_bytes) {
            Ok(keep) if config.delete_old_segments => self.size_bytes().saturating_sub(keep),
            _ => 0,
        };
        let mut count = 0;
        for segment in &mut self.segments {
            // An empty segment is the active one: there is nothing to delete in it.
            if segment.end_offset() > bound || segment.end_offset() == segment.base_offset() {
                break;
            }
            let below_start = segment.end_offset() <= self.log_start;
            let too_much = excess > 0 && excess >= segment.length();
            let too_old = config.delete_old_segments
                && config.retention_ms >= 0
                && age_ms(segment, &*disk, now)? > config.retention_ms;
            if !below_start && !too_much && !too_old {
                break;
            }
            excess = excess.saturating_sub(segment.length());
            count += 1;
        }
        Ok(count)
    }

    /// Raises the log start offset (DeleteRecords); segments wholly below it go, if they end at or before
    /// `bound` (what is committed), others with retention. Nothing happens if it is not above. Panics
    /// beyond the log end.
    pub fn delete_records(
        &mut self,
        before: Offset,
        bound: Offset,
    ) -> Result<Option<DeleteTicket>, AppendError> {
        self.online()?;
        assert!(before <= self.log_end_offset(), "only what is there can go");
        if before <= self.log_start {
            return Ok(None);
        }
        let count = self.segment_of(before.min(bound)).min(self.before_swap());
        self.drop_front(count, before).map(Some)
    }

    /// Lets the log begin with segment `count`, and clients with `log_start`.
    fn drop_front(&mut self, count: usize, log_start: Offset) -> Result<DeleteTicket, AppendError> {
        let anchor = self.anchor_at(count, count.max(self.first_whole()), log_start);
        let journaled = self.place.journal.anchor(self.place.group, &anchor);
        self.journaled(journaled)?;
        self.raft = self.place.journal.group(self.place.group);
        let segments: Vec<Segment> = self.segments.drain(..count).collect();
        self.log_start = log_start;
        let first = self.segments[0].base_offset();
        let snapshots: Vec<Offset> = self.snapshots.range(..first).copied().collect();
        self.snapshots = self.snapshots.split_off(&first);
        self.durable.directory_changed();
        if self.epochs.truncate_from_start(log_start) {
            self.write_epochs()?;
        }
        Ok(DeleteTicket {
            place: self.place.clone(),
            segments,
            snapshots,
        })
    }

    /// Remembers the members of the group before any change of them that is in the log, as the
    /// consensus core encodes them. Durable after the journal is synced. Panics if they are known.
    pub fn set_first_members(&mut self, members: Bytes) -> Result<(), AppendError> {
        self.online()?;
        assert!(
            self.anchored_members().is_empty(),
            "members change by entries only"
        );
        let anchor = Anchor {
            members,
            ..self.anchor_at(0, self.first_whole(), self.log_start)
        };
        let journaled = self.place.journal.anchor(self.place.group, &anchor);
        self.journaled(journaled)?;
        self.raft = self.place.journal.group(self.place.group);
        Ok(())
    }

    /// The anchor of a log that begins with segment `first`; `whole` is the first of its segments
    /// in which no batch is missing.
    pub(super) fn anchor_at(&self, first: usize, whole: usize, log_start: Offset) -> Anchor {
        let (first_index, prev_term) = match whole == self.first_whole() {
            true => (self.first_index(), self.prev_term()),
            false => self.entry_of(whole),
        };
        let first_offset = self.segments[first].base_offset();
        Anchor {
            first_index,
            prev_term,
            first_offset,
            log_start_offset: log_start,
            compacted: (whole > first).then(|| Compacted {
                end_offset: self.segments[whole].base_offset(),
                epochs: self.epochs_until(first_offset, prev_term),
            }),
            members: self.anchored_members(),
        }
    }

    /// The first entry of a segment, and the term of the one before. Entries without records that stand
    /// where the segment begins are among its own: they may not be committed when all before it is.
    fn entry_of(&self, at: usize) -> (LogIndex, Term) {
        let base_offset = self.segments[at].base_offset();
        let first_batch = self.segments[at].base_index().unwrap_or(self.next_index);
        let at_its_beginning = |meta: &&MetaEntry| meta.at_offset >= base_offset;
        let first_meta = self.raft.metas.iter().find(at_its_beginning);
        let first_index = first_meta.map_or(first_batch, |meta| meta.index.min(first_batch));
        let before = |meta: &&MetaEntry| is_noop(meta) && meta.index < first_index;
        let noop = self.raft.metas.iter().rfind(before);
        let prev_term = noop.map_or(self.prev_term(), |noop| noop.term);
        (first_index, prev_term)
    }

    /// The epochs of batches from an offset on, as far as the entries go that Raft loses.
    fn epochs_until(&self, first_offset: Offset, last: Term) -> Vec<EpochEntry> {
        let mut epochs = self.epochs.clone();
        epochs.truncate_from_start(first_offset);
        let rows = epochs.entries().iter().copied();
        rows.filter(|row| row.epoch <= last.leader_epoch())
            .collect()
    }
}

/// How long ago the newest record of a segment was written, by its own word; without one, how
/// long the segment has been known.
fn age_ms(segment: &mut Segment, disk: &dyn crate::Disk, now: Timestamp) -> Result<i64, DiskError> {
    let newest = segment.max_time(disk)?.timestamp;
    let newest = match newest.millis() {
        ..0 => segment.created(),
        _ => newest,
    };
    Ok(now.millis().saturating_sub(newest.millis()))
}

/// Files to be deleted, on any thread.
#[derive(Debug)]
#[must_use = "the files stay until it is run"]
pub struct DeleteTicket {
    place: Place,
    segments: Vec<Segment>,
    snapshots: Vec<Offset>,
}

impl DeleteTicket {
    /// How many segments have left the log.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Syncs the journal, so that the log's new beginning is durable. [`run`](Self::run) does it
    /// too; this is for files that are to stay for a while longer.
    pub fn make_durable(&self) -> Result<(), AppendError> {
        Ok(self.place.journal.sync()?)
    }

    /// Syncs the journal, so that the log's new beginning is durable, then deletes.
    pub fn run(self) -> Result<(), AppendError> {
        self.make_durable()?;
        self.delete().map_err(AppendError::of)
    }

    fn delete(self) -> Result<(), DiskError> {
        let place = self.place;
        for snapshot in self.snapshots {
            let path = place.directory.join(file_name(snapshot, "snapshot"));
            match place.disk.remove_file(&path) {
                Ok(()) | Err(DiskError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for mut segment in self.segments {
            segment.unmap(&place.mappings);
            let base = segment.base_offset();
            Segment::remove_files(&*place.disk, &place.directory, base)?;
        }
        Ok(())
    }
}
