//! Messages that wait until what they depend on is durable.
//!
//! | message | waits for |
//! |---|---|
//! | a vote asked for | journal, and the fsync of the whole log: a candidate's tail must stay |
//! | `Written` | journal, and the write of the log up to the index it names |
//! | `Accepted` | journal, and the fsync of the log up to the index it names |
//! | entries | journal, and that they have been given out: a batch waits for what the journal holds before it |
//! | everything else | journal: it may carry a new term or a vote |
//!
//! Of acknowledgements only the furthest matters: there is one, which says more as log and disk
//! come further.

use std::collections::VecDeque;

use klamm_model::{LogIndex, Term};

use crate::envelope::{Envelope, PeerMessage};
use crate::persistence::Persistence;
use crate::{Effect, JournalTicket, ReplicaId};

/// Held messages. Those of a kind do not overtake each other.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    held: VecDeque<Held>,
    acknowledgement: Option<Acknowledgement>,
}

#[derive(Debug)]
struct Held {
    envelope: Envelope,
    durable_through: LogIndex,
    /// The last entry that it speaks of.
    given_through: LogIndex,
    journal: JournalTicket,
}

/// How far the log agrees with the leader's, and what the leader has been told of that.
#[derive(Debug)]
struct Acknowledgement {
    /// As it is when all of it is durable.
    envelope: Envelope,
    through: LogIndex,
    commit: LogIndex,
    journal: JournalTicket,
    written_sent: LogIndex,
    durable_sent: LogIndex,
    /// Whether the leader waits for an answer, even one that says nothing new.
    owed: bool,
}

impl Outbox {
    /// Beyond this a message is dropped, which Raft takes as a lossy network.
    const HELD_MAX: usize = 1_024;

    /// Takes a message given out when the log ended at `last`, by a follower of `leader`.
    pub(crate) fn push(
        &mut self,
        envelope: Envelope,
        leader: Option<ReplicaId>,
        last: LogIndex,
        persistence: &Persistence,
    ) {
        let journal = persistence.journal_issued();
        // To a deposed leader raft-rs answers in the same words, only to show it the new term.
        if let PeerMessage::Accepted { through, commit } = envelope.message
            && leader == Some(envelope.to)
        {
            self.acknowledge(envelope, through, commit, journal);
        } else if self.held.len() < Self::HELD_MAX {
            let is_vote_request = matches!(envelope.message, PeerMessage::VoteRequest { .. });
            self.held.push_back(Held {
                given_through: last_of(&envelope),
                envelope,
                durable_through: if is_vote_request {
                    last
                } else {
                    LogIndex::ZERO
                },
                journal,
            });
        }
    }

    fn acknowledge(
        &mut self,
        envelope: Envelope,
        through: LogIndex,
        commit: LogIndex,
        journal: JournalTicket,
    ) {
        let same_leader = |own: &&mut Acknowledgement| {
            (own.envelope.term, own.envelope.to) == (envelope.term, envelope.to)
        };
        match self.acknowledgement.as_mut().filter(same_leader) {
            Some(own) => {
                own.through = own.through.max(through);
                own.commit = own.commit.max(commit);
                own.journal = journal;
                own.owed = true;
            }
            None => {
                self.acknowledgement = Some(Acknowledgement {
                    envelope,
                    through,
                    commit,
                    journal,
                    written_sent: LogIndex::ZERO,
                    durable_sent: LogIndex::ZERO,
                    owed: true,
                });
            }
        }
    }

    /// How far the log agrees with that of the leader of a term, as far as that is known.
    pub(crate) fn agreed(&self, term: Term) -> LogIndex {
        let own = self.acknowledgement.as_ref();
        own.filter(|own| own.envelope.term == term)
            .map_or(LogIndex::ZERO, |own| own.through)
    }

    /// Whether a message waits for an fsync of the log.
    pub(crate) fn wants_flush(&self, persistence: &Persistence) -> bool {
        let waits = |held: &Held| held.durable_through > persistence.durable();
        self.held.iter().any(waits)
    }

    /// Sends what waits no longer; `given` is the last entry that was given out, `written` the last that
    /// can be read back. What was said in an older term than `term` would be ignored, and may speak of
    /// entries that are gone.
    pub(crate) fn release(
        &mut self,
        term: Term,
        (given, written): (LogIndex, LogIndex),
        persistence: &Persistence,
        effects: &mut Vec<Effect>,
    ) {
        while let Some(oldest) = self.held.front() {
            let is_of_today = oldest.envelope.term >= term;
            let waits = oldest.durable_through > persistence.durable()
                || oldest.given_through > given
                || !persistence.has_journaled(oldest.journal);
            if is_of_today && waits {
                break;
            }
            let held = self.held.pop_front().expect("there is a front");
            if is_of_today {
                effects.push(Effect::Send(held.envelope));
            }
        }
        self.acknowledgement.take_if(|own| own.envelope.term < term);
        if let Some(own) = &mut self.acknowledgement
            && persistence.has_journaled(own.journal)
        {
            own.release(written, persistence.durable(), effects);
        }
    }

    /// The log ends at `last` now. Who stood for election with what is gone has a leader now.
    pub(crate) fn cut(&mut self, last: LogIndex) {
        self.held.retain(|held| held.durable_through <= last);
    }
}

impl Acknowledgement {
    fn release(&mut self, written: LogIndex, durable: LogIndex, effects: &mut Vec<Effect>) {
        let durable = durable.min(self.through);
        let written = written.min(self.through);
        if durable > self.durable_sent || self.owed && durable == self.through {
            self.durable_sent = durable;
            self.written_sent = self.written_sent.max(durable);
            self.owed = durable < self.through;
            effects.push(self.say(PeerMessage::Accepted {
                through: durable,
                commit: self.commit,
            }));
        }
        if written > self.written_sent {
            self.written_sent = written;
            effects.push(self.say(PeerMessage::Written { through: written }));
        }
    }

    fn say(&self, message: PeerMessage) -> Effect {
        Effect::Send(Envelope {
            message,
            ..self.envelope.clone()
        })
    }
}
/// The last entry that comes with a message.
fn last_of(envelope: &Envelope) -> LogIndex {
    match envelope.message {
        PeerMessage::Append {
            previous, count, ..
        } if count > 0 => LogIndex(previous.index.0 + u64::from(count)),
        _ => LogIndex::ZERO,
    }
}
