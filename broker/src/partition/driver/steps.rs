//! What the replica wants done to log and journal, in its order: entries without records stand
//! behind the batches that came before them, and what is cut is cut before anything takes its place.
//!
//! Journal records are written at once, and durable with the fsync that the shard makes for all its
//! partitions together.

use std::collections::VecDeque;
use std::time::Duration;

use klamm_model::raft::{DataEntry, HardState, MetaEntry};
use klamm_model::{Instant, LogIndex, Offset};
use klamm_replication::JournalTicket;
use klamm_storage::{AppendError, Log};

use super::writes::Writes;

/// Steps that could not be taken yet, and what of the journal is not durable.
#[derive(Debug, Default)]
pub(super) struct Steps {
    waiting: VecDeque<Step>,
    unsynced: Option<JournalTicket>,
    /// So is something that nobody waits for.
    unsynced_hint: bool,
    retry_at: Option<Instant>,
}

/// One of them.
#[derive(Debug)]
pub(super) enum Step {
    Append(Vec<DataEntry>),
    Journal {
        ticket: JournalTicket,
        hard_state: Option<HardState>,
        metas: VecDeque<MetaEntry>,
    },
    Truncate {
        from: LogIndex,
        end: Offset,
    },
    /// The log is known to be committed up to there.
    Committed(LogIndex),
}

/// How long to wait for room on a full disk.
pub(super) const ROOM_RETRY: Duration = Duration::from_secs(1);

impl Steps {
    /// Takes a step, behind all others.
    pub(super) fn push(&mut self, step: Step, writes: &mut Writes) {
        match step {
            Step::Append(entries) if self.waiting.is_empty() => writes.push(entries),
            step => self.waiting.push_back(step),
        }
    }

    /// Takes what steps can be taken. A full disk puts the rest off.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        log: &mut Log,
        writes: &mut Writes,
    ) -> Result<(), AppendError> {
        self.retry_at = None;
        match self.take_all(log, writes) {
            Err(AppendError::NoSpace(error)) => {
                tracing::warn!(partition = %log.topic_partition(), %error, "the journal waits for room");
                self.retry_at = Some(now + ROOM_RETRY);
                Ok(())
            }
            done => done,
        }
    }

    fn take_all(&mut self, log: &mut Log, writes: &mut Writes) -> Result<(), AppendError> {
        while let Some(next) = self.waiting.front_mut() {
            match next {
                Step::Append(entries) => writes.push(std::mem::take(entries)),
                // Both concern the end of the log.
                _ if !writes.are_done() => break,
                Step::Journal {
                    ticket,
                    hard_state,
                    metas,
                } => {
                    if let Some(state) = *hard_state {
                        log.save_hard_state(state)?;
                        *hard_state = None;
                    }
                    while let Some(meta) = metas.front() {
                        log.append_meta(meta)?;
                        metas.pop_front();
                    }
                    self.unsynced = Some(*ticket);
                }
                Step::Committed(commit) => {
                    let hard_state = log.hard_state();
                    let commit = hard_state.commit.max(*commit);
                    log.save_hard_state(HardState {
                        commit,
                        ..hard_state
                    })?;
                    self.unsynced_hint = true;
                }
                Step::Truncate { from, end } => {
                    log.truncate_from(*from)?;
                    assert_eq!(log.log_end_offset(), *end, "replicas agree on what stays");
                }
            }
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Whether none waits.
    pub(super) fn are_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When to try again to write.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether something has been written that no fsync has covered yet.
    pub(super) fn is_unsynced(&self) -> bool {
        self.unsynced.is_some() || self.unsynced_hint
    }

    /// What an fsync that begins now covers.
    pub(super) fn take_unsynced(&mut self) -> Option<JournalTicket> {
        self.unsynced_hint = false;
        self.unsynced.take()
    }
}
