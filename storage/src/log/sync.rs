//! Making a log durable, with the fsyncs on another thread.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use klamm_model::{Instant, LogIndex, Offset};

use super::{Log, LogConfig, Offline};
use crate::disk::{Disk, DiskError, DiskFile};
use crate::segment::Segment;

/// Files to be synced, on any thread.
#[derive(Debug)]
pub struct SyncTicket {
    files: Vec<Arc<dyn DiskFile>>,
    directory: Option<(Arc<dyn Disk>, Arc<Path>)>,
    through: Synced,
}

/// A sync that has run; to be handed to [`Log::sync_done`].
#[derive(Debug)]
#[must_use = "the log has to learn of it"]
pub struct SyncDone {
    result: Result<(), DiskError>,
    through: Synced,
}

/// How long to wait for a file descriptor.
const PUT_OFF: Duration = Duration::from_millis(100);

/// How far a log is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Everything before is durable.
    pub offset: Offset,
    /// Everything up to it is durable.
    pub index: LogIndex,
}

impl SyncTicket {
    /// Syncs. Blocks for as long as the disk takes.
    pub fn run(self) -> SyncDone {
        SyncDone {
            result: self.sync(),
            through: self.through,
        }
    }

    fn sync(&self) -> Result<(), DiskError> {
        for file in &self.files {
            file.sync_data()?;
        }
        match &self.directory {
            Some((disk, path)) => disk.sync_dir(path),
            None => Ok(()),
        }
    }
}

/// What a log knows about its own durability.
#[derive(Debug)]
pub(super) struct Durable {
    synced: Synced,
    /// A ticket that has not come back.
    ticket_out: bool,
    /// Its files, which may or may not have been synced.
    out: Vec<Arc<dyn DiskFile>>,
    /// The lowest end the log was cut to while a ticket was out.
    cut_to: Option<Synced>,
    /// Whether names in the directory changed since the last sync was begun.
    directory_changed: bool,
    records: u64,
    bytes: u64,
    since: Option<Instant>,
    /// The last ticket came back without having begun.
    put_off: bool,
    /// Files to sync beside those of the segments.
    extra: Vec<Arc<dyn DiskFile>>,
}

impl Durable {
    pub(super) fn new(synced: Synced) -> Self {
        Self {
            synced,
            ticket_out: false,
            out: Vec::new(),
            cut_to: None,
            directory_changed: false,
            records: 0,
            bytes: 0,
            since: None,
            put_off: false,
            extra: Vec::new(),
        }
    }

    pub(super) fn synced(&self) -> Synced {
        self.synced
    }

    pub(super) fn unsynced_records(&self) -> u64 {
        self.records
    }

    pub(super) fn appended(&mut self, records: u64, bytes: u64) {
        self.records = self.records.saturating_add(records);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(super) fn directory_changed(&mut self) {
        self.directory_changed = true;
    }

    pub(super) fn also(&mut self, file: Arc<dyn DiskFile>) {
        self.extra.push(file);
    }

    /// Files to sync beside those of the segments: also those of a ticket that may never be run.
    pub(super) fn take_extra(&mut self) -> Vec<Arc<dyn DiskFile>> {
        let mut files = std::mem::take(&mut self.extra);
        files.append(&mut self.out);
        files
    }

    /// Everything up to `end` has been synced, and nothing follows.
    pub(super) fn closed(&mut self, end: Synced) {
        *self = Self::new(end);
    }

    /// The log ends at `end` now; what was durable beyond does not count any more.
    pub(super) fn cut(&mut self, end: Synced) {
        self.synced = lower(self.synced, end);
        if self.ticket_out {
            self.cut_to = Some(self.cut_to.map_or(end, |cut| lower(cut, end)));
        }
    }

    pub(super) fn deadline(&mut self, now: Instant, config: &LogConfig) -> Option<Instant> {
        if self.records == 0 && !self.put_off {
            return None;
        }
        let since = *self.since.get_or_insert(now);
        if self.put_off {
            return Some(since + PUT_OFF);
        }
        if i64::try_from(self.records).unwrap_or(i64::MAX) >= config.flush_messages
            || self.bytes >= config.flush_bytes
        {
            return Some(since);
        }
        let wait_ms = u64::try_from(config.flush_ms).unwrap_or(0);
        Some(since + Duration::from_millis(wait_ms))
    }

    /// A ticket could not open what it was to sync: nothing is lost, all of it is still to be done.
    fn put_off(&mut self) {
        self.ticket_out = false;
        self.extra.append(&mut self.out);
        self.directory_changed = true;
        self.cut_to = None;
        self.since = None;
        self.put_off = true;
    }

    fn done(&mut self, through: Synced) {
        self.ticket_out = false;
        self.out.clear();
        let through = match self.cut_to.take() {
            Some(cut) => lower(through, cut),
            None => through,
        };
        if through.index > self.synced.index || through.offset > self.synced.offset {
            self.synced = through;
        }
    }
}

fn lower(a: Synced, b: Synced) -> Synced {
    Synced {
        offset: a.offset.min(b.offset),
        index: a.index.min(b.index),
    }
}

impl Log {
    /// What has to be synced; `None` if all is durable or a ticket is still out.
    pub fn begin_sync(&mut self) -> Result<Option<SyncTicket>, Offline> {
        if let Some(offline) = &self.offline {
            return Err(offline.clone());
        }
        if self.durable.ticket_out || !self.is_dirty() {
            return Ok(None);
        }
        match self.collect_unsynced() {
            Ok(ticket) => Ok(Some(ticket)),
            // The index of a closed segment could not be written: there is time until there is
            // room, but what counts as synced must not run ahead of it.
            Err(error) if error.is_refusal() => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn is_dirty(&self) -> bool {
        self.end() != self.durable.synced
            || self.durable.directory_changed
            || self.segments.iter().rev().any(Segment::is_unsynced)
    }

    fn collect_unsynced(&mut self) -> Result<SyncTicket, DiskError> {
        self.snapshot_if_due()?;
        self.flush_indexes()?;
        let disk = self.disk();
        let mut files = Vec::new();
        let last = self.segments.len() - 1;
        for (at, segment) in self.segments.iter_mut().enumerate().rev() {
            let closed = at < last;
            if closed && !segment.is_unsynced() {
                // Older ones were synced with their indexes when they were closed.
                break;
            }
            if let Err(error) = segment.take_unsynced(&*disk, closed, &mut files) {
                // Those that were taken count as synced with their segments: not yet.
                segment.set_unsynced();
                self.durable.extra.append(&mut files);
                return Err(error);
            }
            if closed {
                segment.close_files();
            }
        }
        files.append(&mut self.durable.extra);
        let directory = std::mem::take(&mut self.durable.directory_changed)
            .then(|| (disk, Arc::clone(&self.place.directory)));
        self.durable.put_off = false;
        self.durable.ticket_out = true;
        self.durable.out.clone_from(&files);
        self.durable.records = 0;
        self.durable.bytes = 0;
        self.durable.since = None;
        Ok(SyncTicket {
            files,
            directory,
            through: self.end(),
        })
    }

    /// Writes index entries that wait in memory. On a full disk those of the active segment go on
    /// waiting: what they would say is found by walking. Closed segments are believed without a
    /// walk, so they must have theirs before anything counts as synced.
    fn flush_indexes(&mut self) -> Result<(), DiskError> {
        let disk = self.disk();
        let last = self.segments.len() - 1;
        for (at, segment) in self.segments.iter_mut().enumerate().rev() {
            match segment.flush_indexes(&*disk) {
                Err(error) if error.is_refusal() && at == last => {}
                result => result?,
            }
            if at < last && !segment.is_unsynced() {
                break;
            }
        }
        Ok(())
    }

    /// The end of the log, as what a sync now would make durable.
    pub(super) fn end(&self) -> Synced {
        Synced {
            offset: self.log_end_offset(),
            index: self.last_index(),
        }
    }

    /// Takes note of a ticket that has run. After a failure the log is offline; but a ticket for which
    /// there was no file descriptor is only put off ([`sync_deadline`](Self::sync_deadline)).
    pub fn sync_done(&mut self, done: SyncDone) -> Result<Synced, Offline> {
        match done.result {
            Ok(()) => {
                self.durable.done(done.through);
                Ok(self.durable.synced)
            }
            Err(cause) if cause.is_no_files() => {
                self.durable.put_off();
                Ok(self.durable.synced)
            }
            Err(cause) => Err(self.failed(cause)),
        }
    }

    /// Begins and runs a sync on this thread.
    pub fn sync(&mut self) -> Result<Synced, Offline> {
        match self.begin_sync()? {
            Some(ticket) => match ticket.run() {
                // Whoever waits for it cannot be put off.
                SyncDone { result, .. } if result.is_err() => result
                    .map(|()| self.durable.synced)
                    .map_err(|cause| self.failed(cause)),
                done => self.sync_done(done),
            },
            None => Ok(self.durable.synced),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_bytes_are_synced_without_waiting() {
        let at = |ms| Instant::after_start(Duration::from_millis(ms));
        let config = LogConfig {
            flush_bytes: 1000,
            ..LogConfig::default()
        };
        let start = Synced {
            offset: Offset::ZERO,
            index: LogIndex(0),
        };
        let mut durable = Durable::new(start);
        durable.appended(1, 999);
        assert_eq!(durable.deadline(at(10), &config), Some(at(1010)));
        durable.appended(1, 1);
        assert_eq!(durable.deadline(at(20), &config), Some(at(10)));
    }
}
