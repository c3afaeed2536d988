//! Appends on their way to the disk: one write at a time, in the order in which the replica gave
//! them. What comes while a write is out waits, and goes with the next one.

use klamm_model::Timestamp;
use klamm_model::raft::DataEntry;
use klamm_storage::{AppendDone, AppendError, AppendTicket, Appended, Log};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Writes {
    waiting: Vec<DataEntry>,
    waiting_bytes: u64,
    /// Bytes of the write that is out; `None` if none is.
    out: Option<u64>,
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
        !self.waiting.is_empty() && self.out.is_none()
    }

    /// Bytes that are not in the log yet.
    pub(super) fn bytes(&self) -> u64 {
        self.waiting_bytes + self.out.unwrap_or(0)
    }

    /// Hands everything that waits to the log, unless a write is out.
    pub(super) fn begin(
        &mut self,
        log: &mut Log,
        wall: Timestamp,
    ) -> Result<Option<AppendTicket>, AppendError> {
        if !self.are_ready() {
            return Ok(None);
        }
        let ticket = log.begin_append(std::mem::take(&mut self.waiting), wall)?;
        self.out = Some(std::mem::take(&mut self.waiting_bytes));
        Ok(Some(ticket))
    }

    /// Takes a write back; the bytes that it added to the log.
    pub(super) fn finish(
        &mut self,
        log: &mut Log,
        done: AppendDone,
    ) -> Result<(Appended, u64), AppendError> {
        let bytes = self.out.take().expect("a write was begun");
        let appended = log.append_done(done)?;
        Ok((appended, bytes))
    }
}
