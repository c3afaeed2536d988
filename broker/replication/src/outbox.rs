//! Messages that wait until what they depend on is durable.
//!
//! | message | waits for |
//! |---|---|
//! | a vote asked for | journal, and the fsync of the whole log: a candidate's tail must stay |
//! | an append acknowledged | journal, and the fsync of the log up to the index it names |
//! | everything else | journal: it may carry a new term or a vote |

use std::collections::VecDeque;

use klamm_model::LogIndex;

use crate::consensus::{Envelope, MessageKind};
use crate::persistence::Persistence;
use crate::{Effect, JournalTicket};

/// Held messages, in order: none overtakes another.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    held: VecDeque<Held>,
}

#[derive(Debug)]
struct Held {
    envelope: Envelope,
    batches_through: LogIndex,
    journal: JournalTicket,
}

impl Outbox {
    /// Beyond this a message is dropped, which Raft takes as a lossy network.
    const HELD_MAX: usize = 1_024;

    /// Takes a message given out when the log ended at `last`.
    pub(crate) fn push(&mut self, envelope: Envelope, last: LogIndex, persistence: &Persistence) {
        if self.held.len() == Self::HELD_MAX {
            return;
        }
        let batches_through = match envelope.kind() {
            MessageKind::VoteRequest => last,
            MessageKind::AppendAccepted { through } => through,
            MessageKind::Other => LogIndex::ZERO,
        };
        self.held.push_back(Held {
            envelope,
            batches_through,
            journal: persistence.journal_issued(),
        });
    }

    /// Sends what waits no longer.
    pub(crate) fn release(&mut self, persistence: &Persistence, effects: &mut Vec<Effect>) {
        while let Some(oldest) = self.held.front() {
            if !persistence.covers(oldest.batches_through, oldest.journal) {
                break;
            }
            let held = self.held.pop_front().expect("there is a front");
            effects.push(Effect::Send(held.envelope));
        }
    }
}
