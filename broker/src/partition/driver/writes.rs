//! Appends on their way to the disk: one write at a time, in the order in which the replica gave
//! them. What comes while a write is out waits, and goes with the next one. So does what a full disk
//! refuses: to others this replica is one that lags, until there is room again.

use klamm_model::raft::DataEntry;
use klamm_model::{Instant, Timestamp};
use klamm_storage::{AppendDone, AppendError, AppendRefused, AppendTicket, Appended, Log, Offline};

use super::steps::ROOM_RETRY;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Writes {
    waiting: Vec<DataEntry>,
    waiting_bytes: u64,
    /// Bytes of the write that is out; `None` if none is.
    out: Option<u64>,
    /// When a full disk is asked again.
    retry_at: Option<Instant>,
}

impl Writes {
    pub(super) fn push(&mut self, mut entries: Vec<DataEntry>) {
        let sizes = entries.iter().map(|entry| entry.batch.size_bytes() as u64);
        self.waiting_bytes += sizes.sum::<u64>();
        if self.waiting.is_empty() {
            self.waiting = entries;
        } else {
            self.waiting.append(&mut entries);
        }
    }

    /// Whether all that was given is in the log.
    pub(super) fn are_done(&self) -> bool {
        self.waiting.is_empty() && self.out.is_none()
    }

    /// Whether a write can begin.
    pub(super) fn are_ready(&self) -> bool {
        !self.waiting.is_empty() && self.out.is_none() && self.retry_at.is_none()
    }

    /// Whether a write is out, or will be as soon as somebody asks.
    pub(super) fn are_going_on(&self) -> bool {
        self.out.is_some() || self.are_ready()
    }

    /// When to [try again](Self::retry), if the disk was full.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Lets what a full disk refused be tried again when its time has come.
    pub(super) fn retry(&mut self, now: Instant) {
        self.retry_at = self.retry_at.filter(|at| *at > now);
    }

    /// Bytes that are not in the log yet.
    pub(super) fn bytes(&self) -> u64 {
        self.waiting_bytes + self.out.unwrap_or(0)
    }

    /// Hands everything that waits to the log, unless a write is out.
    pub(super) fn begin(
        &mut self,
        log: &mut Log,
        now: Instant,
        wall: Timestamp,
    ) -> Result<Option<AppendTicket>, Offline> {
        if !self.are_ready() {
            return Ok(None);
        }
        match log.begin_append(std::mem::take(&mut self.waiting), wall) {
            Ok(ticket) => {
                self.out = Some(std::mem::take(&mut self.waiting_bytes));
                Ok(Some(ticket))
            }
            Err(refused) => self.put_off(refused, log, now).map(|()| None),
        }
    }

    /// Takes a write back; the bytes that it added to the log, or `None` if they wait for room.
    pub(super) fn finish(
        &mut self,
        log: &mut Log,
        now: Instant,
        done: AppendDone,
    ) -> Result<Option<(Appended, u64)>, Offline> {
        let bytes = self.out.take().expect("a write was begun");
        match log.append_done(done) {
            Ok(appended) => Ok(Some((appended, bytes))),
            Err(refused) => {
                self.waiting_bytes += bytes;
                self.put_off(refused, log, now).map(|()| None)
            }
        }
    }

    /// What was refused stands before what has come meanwhile.
    fn put_off(&mut self, refused: AppendRefused, log: &Log, now: Instant) -> Result<(), Offline> {
        let AppendRefused { mut entries, error } = refused;
        let error = match error {
            AppendError::NoSpace(error) => error,
            AppendError::Offline(offline) => return Err(offline),
        };
        let (partition, bytes) = (log.topic_partition(), self.waiting_bytes);
        tracing::warn!(%partition, %error, bytes, "appends wait for room");
        entries.append(&mut self.waiting);
        self.waiting = entries;
        self.retry_at = Some(now + ROOM_RETRY);
        Ok(())
    }
}
