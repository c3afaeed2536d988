//! Adding at the end: room, rolls, one write.
//!
//! An append goes through three steps, so that an error leaves the log as it was: *plan* (which
//! batches go to which segment), *write* (new segments' files, then the batches), *take note*
//! (memory, indexes, journal).

use std::io::IoSlice;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use klamm_model::raft::DataEntry;
use klamm_model::{Offset, Timestamp};

use super::{AppendError, Appended, Log};
use crate::disk::{Disk, DiskError, Open};
use crate::segment::{self, Planned, RollRule, Segment, Spare};

/// Part of a segment, in percent, from which on the next is made ahead.
const PREPARE_PERCENT: u64 = 75;

/// Room asked for a segment made ahead.
const SPARE_BYTES: u64 = 1 << 20;

/// Smaller segments are made when they are needed.
const PREPARE_SEGMENT_BYTES_MIN: u64 = 16 << 20;

/// What goes to one segment of an append.
#[derive(Clone, Debug)]
struct Run {
    entries: Range<usize>,
    bytes: u64,
    /// Whether a segment begins with it.
    rolls: bool,
}

impl Log {
    /// Makes sure that `bytes` more bytes can be appended, in the active segment and, if they may
    /// not fit, in a next one. Call before Raft is touched: a full disk is a clean refusal here.
    pub fn reserve(&mut self, bytes: u64) -> Result<(), AppendError> {
        self.online()?;
        let disk = self.disk();
        let segment_bytes = u64::from(self.config.segment_bytes);
        let active = self.active_mut();
        let end = active.length() + bytes;
        let overflows = end > segment_bytes && !active.is_empty();
        let reserved = match overflows {
            true => self.reserve_spare(bytes),
            false => active.allocate(&*disk, end, segment_bytes),
        };
        reserved.map_err(|error| self.gave(AppendError::of(error)))
    }

    /// Room for `bytes` here, and as much in a next segment: which of them it will be is decided
    /// batch by batch.
    fn reserve_spare(&mut self, bytes: u64) -> Result<(), DiskError> {
        let disk = self.disk();
        let segment_bytes = u64::from(self.config.segment_bytes);
        let active = self.active_mut();
        let end = (active.length() + bytes).min(segment_bytes.max(active.length()));
        active.allocate(&*disk, end, segment_bytes)?;
        let mut spare = match self.spare.take() {
            Some(spare) => spare,
            None => make_spare(&*disk, self.next_spare_path())?,
        };
        let allocated = spare.allocate(bytes, segment_bytes);
        self.spare = Some(spare);
        allocated
    }

    fn next_spare_path(&mut self) -> PathBuf {
        self.spares_made += 1;
        let name = format!("next-{}.prepared", self.spares_made);
        self.place.directory.join(name)
    }

    /// Appends entries with records in one write (one per segment, if a segment fills up). All of
    /// them or, after an error, none. `now` is for the age of segments. Panics if offsets, indexes
    /// or terms do not follow on.
    pub fn append(
        &mut self,
        entries: &[DataEntry],
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.online()?;
        self.assert_follows(entries);
        let runs = self.plan(entries, now);
        let mut begun = Vec::new();
        if let Err(error) = self.write(entries, &runs, &mut begun, now) {
            return Err(self.undo(&begun, error));
        }
        let rolled = !begun.is_empty();
        if let Err(error) = self.take_note(entries, runs, begun) {
            // The records are there and the memory does not know: only opening anew helps.
            return Err(self.failed(error).into());
        }
        Ok(Appended {
            log_end_offset: self.log_end_offset(),
            last_index: self.last_index(),
            rolled,
        })
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

    fn plan(&self, entries: &[DataEntry], now: Timestamp) -> Vec<Run> {
        let active = self.active();
        // Damage stays in a closed segment: nothing is written behind it.
        let mut fresh = !active.holes().is_empty();
        let mut base_offset = active.base_offset();
        let mut planned = Planned::default();
        let mut runs: Vec<Run> = Vec::with_capacity(1);
        for (at, entry) in entries.iter().enumerate() {
            let header = entry.batch.header();
            let rule = self.roll_rule(base_offset, now);
            let full = match runs.iter().any(|run| run.rolls) {
                false => active.is_full_for(header, entry.index, &planned, &rule),
                true => Segment::new_is_full_for(base_offset, now, entry, &planned, &rule),
            };
            let rolls = full || fresh;
            fresh = false;
            if rolls {
                base_offset = header.base_offset();
                planned = Planned::default();
            }
            let size = header.size_bytes() as u64;
            match runs.last_mut() {
                Some(run) if !rolls => {
                    run.entries.end = at + 1;
                    run.bytes += size;
                }
                _ => runs.push(Run {
                    entries: at..at + 1,
                    bytes: size,
                    rolls,
                }),
            }
            planned.bytes += size;
            planned
                .first_timestamp
                .get_or_insert(header.max_timestamp());
            planned.first_index.get_or_insert(entry.index);
        }
        runs
    }

    fn roll_rule(&self, base_offset: Offset, now: Timestamp) -> RollRule<'_> {
        RollRule {
            config: &self.config,
            jitter_ms: self.jitter_ms(base_offset),
            now,
        }
    }

    /// Spreads rolls by time. Kafka draws at random; a sum over the partition and the offset is as
    /// good and the same on every replica.
    pub(super) fn jitter_ms(&self, base_offset: Offset) -> i64 {
        let jitter_ms = self.config.segment_jitter_ms.min(self.config.segment_ms);
        if jitter_ms <= 0 {
            return 0;
        }
        let mut sum = crc32fast::Hasher::new();
        sum.update(self.place.group.topic_id.as_bytes());
        sum.update(&self.place.group.partition.0.to_be_bytes());
        sum.update(&base_offset.get().to_be_bytes());
        i64::from(sum.finalize()) % jitter_ms
    }

    fn write(
        &mut self,
        entries: &[DataEntry],
        runs: &[Run],
        begun: &mut Vec<Segment>,
        now: Timestamp,
    ) -> Result<(), DiskError> {
        let disk = self.disk();
        for run in runs.iter().filter(|run| run.rolls) {
            let base_offset = entries[run.entries.start].batch.base_offset();
            begun.push(self.create_segment(base_offset, now)?);
        }
        let segment_bytes = u64::from(self.config.segment_bytes);
        let mut fresh = begun.iter_mut();
        for run in runs {
            let segment = match run.rolls {
                true => fresh.next().expect("created for this run"),
                false => self.segments.last_mut().expect("a log has a segment"),
            };
            let position = segment.length();
            segment.allocate(&*disk, position + run.bytes, segment_bytes)?;
            let file = segment.file(&*disk)?;
            let mut slices: Vec<IoSlice<'_>> = entries[run.entries.clone()]
                .iter()
                .flat_map(|entry| entry.batch.as_slices().map(IoSlice::new))
                .collect();
            file.write_at(&mut slices, position)?;
        }
        Ok(())
    }

    fn create_segment(
        &mut self,
        base_offset: Offset,
        now: Timestamp,
    ) -> Result<Segment, DiskError> {
        let spare = self.spare.take();
        let place = &self.place;
        let (disk, directory) = (&*place.disk, &place.directory);
        Segment::create(disk, directory, base_offset, spare, &place.mappings, now).inspect_err(
            |_| {
                // If even this fails, an empty file is left, which the next start removes.
                let _ = Segment::remove_files(disk, directory, base_offset);
            },
        )
    }

    /// Takes back what was written. If even that fails, the log is offline.
    fn undo(&mut self, begun: &[Segment], error: DiskError) -> AppendError {
        let undone = self.active_mut().undo_write().and_then(|()| {
            begun.iter().try_for_each(|segment| {
                let place = &self.place;
                Segment::remove_files(&*place.disk, &place.directory, segment.base_offset())
            })
        });
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
        for run in runs {
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
            for entry in &entries[run.entries] {
                self.next_index = entry.index.next();
                let records = entry.batch.next_offset().since(entry.batch.base_offset());
                self.durable
                    .appended(records.unsigned_abs(), entry.batch.size_bytes() as u64);
                self.note_producer(entry)?;
            }
        }
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

    /// Ends the active segment and begins another, unless it is empty.
    pub fn roll(&mut self, now: Timestamp) -> Result<(), AppendError> {
        self.online()?;
        if self.active().is_empty() && self.active().holes().is_empty() {
            return Ok(());
        }
        let base_offset = self.log_end_offset();
        let segment = match self.create_segment(base_offset, now) {
            Ok(segment) => segment,
            Err(error) => return Err(self.undo(&[], error)),
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
            Ok(()) | Err(DiskError::NoSpace { .. }) => {}
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

    /// Asks for the next segment's file to be made ahead, when the active one is nearly full.
    pub fn prepare(&mut self) -> Option<PrepareTicket> {
        let segment_bytes = u64::from(self.config.segment_bytes);
        let nearly_full = self.active().length() * 100 >= segment_bytes * PREPARE_PERCENT;
        if !self.spare_wanted
            || self.spare.is_some()
            || !nearly_full
            || segment_bytes < PREPARE_SEGMENT_BYTES_MIN
        {
            return None;
        }
        self.spare_wanted = false;
        Some(PrepareTicket {
            disk: self.disk(),
            path: self.next_spare_path(),
            segment_bytes,
        })
    }

    /// Takes what a [`PrepareTicket`] made.
    pub fn prepared(&mut self, prepared: Prepared) {
        let Some(spare) = prepared.spare else {
            return;
        };
        if self.spare.is_none() && self.offline.is_none() && !self.closed {
            self.spare = Some(spare);
        } else {
            // One was made on the spot meanwhile. A leftover is removed at the next start.
            let _ = self.place.disk.remove_file(&spare.path);
        }
    }
}

impl Spare {
    fn allocate(&mut self, bytes: u64, segment_bytes: u64) -> Result<(), DiskError> {
        if self.allocated < bytes {
            let target = segment::allocation_target(self.allocated, bytes, segment_bytes);
            self.file.allocate(0, target)?;
            self.allocated = target;
        }
        Ok(())
    }
}

fn make_spare(disk: &dyn Disk, path: PathBuf) -> Result<Spare, DiskError> {
    let file = disk.open(&path, Open::Truncate)?;
    Ok(Spare {
        path,
        file,
        mapping: None,
        allocated: 0,
    })
}

/// A next segment to be made, on any thread.
#[derive(Debug)]
pub struct PrepareTicket {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    segment_bytes: u64,
}

/// A next segment that was made (or not: a full disk is no harm yet).
#[derive(Debug)]
pub struct Prepared {
    spare: Option<Spare>,
}

impl PrepareTicket {
    /// Creates, allocates and maps the file.
    pub fn run(self) -> Prepared {
        let path = self.path.clone();
        match self.make() {
            Ok(spare) => Prepared { spare: Some(spare) },
            Err(error) => {
                tracing::debug!(%error, "the next segment could not be made ahead");
                let _ = self.disk.remove_file(&path);
                Prepared { spare: None }
            }
        }
    }

    fn make(&self) -> Result<Spare, DiskError> {
        let mut spare = make_spare(&*self.disk, self.path.clone())?;
        spare.allocate(SPARE_BYTES, self.segment_bytes)?;
        let length = segment::active_mapping_bytes(self.segment_bytes, 0);
        spare.mapping = Some(spare.file.map_read_only(length as usize)?);
        Ok(spare)
    }
}
