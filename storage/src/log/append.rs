//! Adding at the end: room, rolls, one write.
//!
//! An append goes through three steps, so that an error leaves the log as it was: *plan* (which
//! batches go to which segment), *write* (new segments' files, then the batches; on any thread),
//! *take note* (memory, indexes, journal). Until the last step the log ends where it did before:
//! nobody reads, syncs or rolls what is being written.

use std::sync::Arc;

use klamm_model::Timestamp;
use klamm_model::raft::{DataEntry, Placement};

use super::plan::Run;
use super::write::{ActiveEnd, AppendDone, AppendTicket, Rolling};
use super::{AppendError, AppendRefused, Appended, Log};
use crate::disk::DiskError;
use crate::segment::Segment;

impl Log {
    /// Makes sure that `bytes` more bytes can be appended, in the active segment and, if they may
    /// not fit, in a next one, and that the files for it are open; bytes of an append that is on its
    /// way count. Call before Raft is touched: a full disk, and a process without a file descriptor
    /// left, are clean refusals here.
    pub fn reserve(&mut self, bytes: u64) -> Result<(), AppendError> {
        self.online()?;
        let disk = self.disk();
        let segment_bytes = u64::from(self.config.segment_bytes);
        let active = self.active_mut();
        let end = active.length() + bytes;
        let overflows = end > segment_bytes && !active.is_empty();
        let reserved = active.open_files(&*disk).and_then(|()| match overflows {
            true => self.reserve_spare(bytes),
            false => self.allocate_active(end),
        });
        reserved.map_err(|error| self.gave(AppendError::of(error)))
    }

    /// Room in the active segment up to `end`.
    pub(super) fn allocate_active(&mut self, end: u64) -> Result<(), DiskError> {
        let disk = self.disk();
        let segment_bytes = u64::from(self.config.segment_bytes);
        let preallocate = self.config.preallocate;
        self.active_mut()
            .allocate(&*disk, end, segment_bytes, preallocate)
    }

    /// As [`begin_append`](Self::begin_append), with the writes on this thread. All of the entries
    /// or, after an error, none.
    pub fn append(
        &mut self,
        entries: &[DataEntry],
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let ticket = self.begin_append(entries.to_vec(), now)?;
        Ok(self.append_done(ticket.run())?)
    }

    /// Takes entries with records, to be written when the ticket is run: one write, or one per
    /// segment. The log ends where it did until [`append_done`](Self::append_done). Segments begin where
    /// the entries say so; where they do not say, the log decides, and `now` is for the age of segments.
    /// Panics if offsets, indexes or terms do not follow on, or if another append is on its way.
    pub fn begin_append(
        &mut self,
        entries: Vec<DataEntry>,
        now: Timestamp,
    ) -> Result<AppendTicket, AppendRefused> {
        match self.prepare_append(&entries, now) {
            Ok((runs, active)) => {
                let rolls = runs.iter().any(|run| run.rolls);
                self.appending = true;
                Ok(AppendTicket {
                    entries,
                    runs,
                    active,
                    rolling: rolls.then(|| self.rolling(now)),
                })
            }
            Err(error) => Err(AppendRefused { entries, error }),
        }
    }

    /// Which entries go to which segment, and the active one's file and end.
    fn prepare_append(
        &mut self,
        entries: &[DataEntry],
        now: Timestamp,
    ) -> Result<(Vec<Run>, ActiveEnd), AppendError> {
        self.online()?;
        assert!(!self.appending, "one append at a time");
        self.assert_follows(entries);
        let first = entries.first().map(|entry| entry.placement);
        if first == Some(Placement::Continues) {
            self.reopen().map_err(|error| self.failed(error))?;
        }
        let room = std::mem::take(&mut self.spare_runs);
        let runs = self.plan(entries, now, room);
        match self.active_end(&runs) {
            Ok(active) => Ok((runs, active)),
            Err(error) => Err(self.gave(AppendError::of(error))),
        }
    }

    /// Where the active segment ends, with room for the run that goes there.
    fn active_end(&mut self, runs: &[Run]) -> Result<ActiveEnd, DiskError> {
        let disk = self.disk();
        let position = self.active().length();
        if let Some(run) = runs.first().filter(|run| !run.rolls) {
            let end = position + run.bytes;
            self.allocate_active(end)
                .or_else(|error| self.allocate_instead_of_spare(error, end))?;
        }
        let file = self.active_mut().file(&*disk)?;
        Ok(ActiveEnd { file, position })
    }

    fn rolling(&mut self, now: Timestamp) -> Rolling {
        Rolling {
            place: self.place.clone(),
            spare: self.spare.take(),
            segment_bytes: u64::from(self.config.segment_bytes),
            preallocate: self.config.preallocate,
            now,
        }
    }

    /// Whether an append is on its way.
    pub fn is_appending(&self) -> bool {
        self.appending
    }

    /// Takes note of an append whose writes have run: the log ends behind it, or, after an error,
    /// is as it was.
    pub fn append_done(&mut self, done: AppendDone) -> Result<Appended, AppendRefused> {
        assert!(self.appending, "an append was begun");
        self.appending = false;
        let AppendDone {
            entries,
            runs,
            begun,
            result,
        } = done;
        let rolled = !begun.is_empty();
        match self.settle_append(&entries, runs, begun, result) {
            Ok(()) => Ok(Appended {
                log_end_offset: self.log_end_offset(),
                last_index: self.last_index(),
                rolled,
            }),
            Err(error) => Err(AppendRefused { entries, error }),
        }
    }

    fn settle_append(
        &mut self,
        entries: &[DataEntry],
        runs: Vec<Run>,
        begun: Vec<Segment>,
        result: Result<(), DiskError>,
    ) -> Result<(), AppendError> {
        self.online()?;
        if let Err(error) = result {
            return Err(self.undo(&begun, error));
        }
        // On an error the records are there and the memory does not know: only opening anew helps.
        self.take_note(entries, runs, begun)
            .map_err(|error| self.failed(error))?;
        self.note_arrived();
        Ok(())
    }

    /// Our own mistakes, found before they reach the disk.
    fn assert_follows(&self, entries: &[DataEntry]) {
        let term = self.last_term();
        let mut offset = self.log_end_offset();
        let mut index = self.next_index;
        for entry in entries {
            let header = entry.batch.header();
            assert_eq!(header.base_offset(), offset, "batches follow each other");
            assert_eq!(entry.index, index, "entries follow each other");
            assert!(
                entry.term == term && header.leader_epoch() == term.leader_epoch(),
                "a batch is of the term whose no-op came last term={} last={}",
                entry.term.get(),
                term.get()
            );
            offset = entry.batch.next_offset();
            index = entry.index.next();
        }
    }

    /// Takes back what was written, the last first: a segment that is left must not begin behind a
    /// gap. If even that fails, the log is offline.
    fn undo(&mut self, begun: &[Segment], error: DiskError) -> AppendError {
        let place = &self.place;
        let removed = begun.iter().rev().try_for_each(|segment| {
            Segment::remove_files(&*place.disk, &place.directory, segment.base_offset())
        });
        let undone = removed.and_then(|()| self.active_mut().undo_write());
        match undone {
            Ok(()) => self.gave(AppendError::of(error)),
            Err(worse) => self.failed(worse).into(),
        }
    }

    fn take_note(
        &mut self,
        entries: &[DataEntry],
        runs: Vec<Run>,
        begun: Vec<Segment>,
    ) -> Result<(), DiskError> {
        let disk = self.disk();
        let interval_bytes = self.config.index_interval_bytes;
        let mut begun = begun.into_iter();
        for run in &runs {
            if run.rolls {
                let segment = begun.next().expect("created for this run");
                self.push_segment(segment)?;
            }
            if self.active().base_index().is_none() {
                self.journal_segment(&entries[run.entries.start])?;
            }
            let active = self.active_mut();
            let from = active.length();
            active.set_unsynced();
            for entry in &entries[run.entries.clone()] {
                active.note(&*disk, entry.batch.header(), entry.index, interval_bytes)?;
            }
            // We have just summed or verified these.
            let to = active.length();
            active.verified().add(from, to);
            self.bytes_since_snapshot += run.bytes;
            self.tail.appended(run.bytes);
            for entry in &entries[run.entries.clone()] {
                self.next_index = entry.index.next();
                let records = entry.batch.next_offset().since(entry.batch.base_offset());
                self.durable
                    .appended(records.unsigned_abs(), entry.batch.size_bytes() as u64);
                self.note_producer(entry)?;
            }
        }
        self.spare_runs = runs;
        Ok(())
    }

    fn note_producer(&mut self, entry: &DataEntry) -> Result<(), DiskError> {
        if let Some(aborted) = self.producers.record(&entry.batch) {
            let disk = self.disk();
            self.active_mut().transactions().append(&*disk, aborted)?;
        }
        Ok(())
    }

    /// Says in the journal at which index the active segment starts. A full disk is no harm: until
    /// it is there, the index is found by counting.
    fn journal_segment(&mut self, first: &DataEntry) -> Result<(), DiskError> {
        let base_offset = self.active().base_offset();
        let journal = &self.place.journal;
        match journal.segment(self.place.group, base_offset, first.index) {
            Ok(()) | Err(crate::JournalError::NoSpace { .. }) => {
                self.raft.segments.insert(base_offset, first.index);
                Ok(())
            }
            Err(error) => match AppendError::from(error) {
                AppendError::NoSpace(cause) => Err(cause),
                AppendError::Offline(offline) => Err(offline.cause),
            },
        }
    }

    /// Ends the active segment and begins another, unless it is empty or more is on its way to it.
    pub fn roll(&mut self, now: Timestamp) -> Result<(), AppendError> {
        self.online()?;
        if self.is_ahead() || self.active().is_empty() && self.active().holes().is_empty() {
            return Ok(());
        }
        let base_offset = self.log_end_offset();
        let segment = match self.rolling(now).create(base_offset, 0) {
            Ok(segment) => segment,
            Err(error) => return Err(self.gave(AppendError::of(error))),
        };
        self.push_segment(segment)
            .map_err(|error| self.failed(error).into())
    }

    /// Closes the active segment and makes another active. The producers are saved as of here.
    fn push_segment(&mut self, segment: Segment) -> Result<(), DiskError> {
        let disk = self.disk();
        let active = self.active_mut();
        match active.seal(&*disk) {
            // What waits in memory is written when there is room; nothing counts as synced before.
            Ok(()) => {}
            Err(error) if error.is_refusal() => {}
            Err(error) => return Err(error),
        }
        let mappings = Arc::clone(&self.place.mappings);
        let active = self.active_mut();
        // Synced once more, now with its indexes: from here on they are believed.
        active.set_unsynced();
        active.retire_mapping(&mappings);
        self.segments.push(segment);
        self.spare_wanted = true;
        self.durable.directory_changed();
        self.take_snapshot()
    }
}
