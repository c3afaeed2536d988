//! Journal records on their way: written to the journal at once, durable with the fsync that the
//! shard makes for all its partitions together.

use std::collections::VecDeque;
use std::time::Duration;

use klamm_model::Instant;
use klamm_model::raft::{HardState, MetaEntry};
use klamm_replication::JournalTicket;
use klamm_storage::{AppendError, Log};

/// What the replica wants journalled, until it is durable.
#[derive(Debug, Default)]
pub(super) struct Journaling {
    unwritten: VecDeque<Unwritten>,
    unsynced: Option<JournalTicket>,
    retry_at: Option<Instant>,
}

#[derive(Debug)]
struct Unwritten {
    ticket: JournalTicket,
    hard_state: Option<HardState>,
    metas: VecDeque<MetaEntry>,
}

/// How long to wait for room on a full disk.
const RETRY: Duration = Duration::from_secs(1);

impl Journaling {
    pub(super) fn push(
        &mut self,
        ticket: JournalTicket,
        hard_state: Option<HardState>,
        metas: Vec<MetaEntry>,
    ) {
        self.unwritten.push_back(Unwritten {
            ticket,
            hard_state,
            metas: metas.into(),
        });
    }

    /// Writes what is not yet written. A full disk puts the rest off.
    pub(super) fn write(&mut self, now: Instant, log: &mut Log) -> Result<(), AppendError> {
        self.retry_at = None;
        match self.write_all(log) {
            Err(AppendError::NoSpace(error)) => {
                tracing::warn!(partition = %log.topic_partition(), %error, "election waits for room");
                self.retry_at = Some(now + RETRY);
                Ok(())
            }
            done => done,
        }
    }

    fn write_all(&mut self, log: &mut Log) -> Result<(), AppendError> {
        while let Some(next) = self.unwritten.front_mut() {
            if let Some(hard_state) = next.hard_state {
                log.save_hard_state(hard_state)?;
                next.hard_state = None;
            }
            while let Some(meta) = next.metas.front() {
                log.append_meta(meta)?;
                next.metas.pop_front();
            }
            self.unsynced = Some(next.ticket);
            self.unwritten.pop_front();
        }
        Ok(())
    }

    /// Whether entries wait for room, or for those before them.
    pub(super) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// When to try again to write.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether something has been written that no fsync has covered yet.
    pub(super) fn is_unsynced(&self) -> bool {
        self.unsynced.is_some()
    }

    /// What an fsync that covers everything written has made durable.
    pub(super) fn take_synced(&mut self) -> Option<JournalTicket> {
        self.unsynced.take()
    }
}
