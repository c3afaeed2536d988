//! The one module that knows raft-rs. It sees headers only: index, term, kind. Offsets, batches and
//! durability are the replica's.
//!
//! Settings that are not raft-rs' defaults, and why, stand in [`config`]. What raft-rs holds on to
//! is bounded: entries leave it with the ready that carries them, and the store beside it answers
//! from a term table.

#[cfg(test)]
mod allocations;
mod store;

use std::fmt;

use klamm_model::raft::HardState;
use klamm_model::{LogIndex, Term};
use raft::eraftpb;
use raft::prelude::{Entry, Message, MessageType};
use raft::{Config, RawNode, StateRole};

use crate::election::{ELECTION_TICKS, HEARTBEAT_TICKS};
use crate::terms::Terms;
use crate::{ReplicaId, election};
use store::Store;

/// raft-rs with our store and our settings.
pub(crate) struct Consensus {
    node: RawNode<Store>,
    /// As last handed out in [`Ready::hard_state`].
    term_and_vote: (u64, u64),
    /// Room for [`Ready::entries`], given back by [`Consensus::recycle`].
    spare: Vec<(LogIndex, Term)>,
}

/// What a new [`Consensus`] starts from.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) id: ReplicaId,
    pub(crate) voters: Vec<ReplicaId>,
    pub(crate) seed: u64,
    pub(crate) hard_state: HardState,
    pub(crate) terms: Terms,
    pub(crate) last_index: LogIndex,
}

/// One step's outcome; entries have been handed over to the store already.
#[derive(Debug)]
pub(crate) struct Ready {
    /// To be given to [`Consensus::persisted`] when all of this is durable.
    pub(crate) number: u64,
    /// If term or vote have changed.
    pub(crate) hard_state: Option<HardState>,
    /// New entries, in order.
    pub(crate) entries: Vec<(LogIndex, Term)>,
    /// For other replicas.
    pub(crate) messages: Vec<Envelope>,
}

/// A message between replicas of one group. Opaque: only raft-rs reads what is inside.
#[derive(Clone, Debug)]
pub struct Envelope {
    message: Message,
}

/// What a message must wait for is decided by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Asks for a vote, or whether one would be given.
    VoteRequest,
    /// Says that the log is durable up to an index.
    AppendAccepted {
        /// The index.
        through: LogIndex,
    },
    /// Anything else.
    Other,
}

impl Consensus {
    /// An idle partition does not keep the memory of its busiest second.
    const SPARE_MAX: usize = 64;

    pub(crate) fn new(setup: Setup) -> Self {
        let config = config(setup.id, setup.seed);
        let hard_state = loaded_hard_state(&setup);
        let config = Config {
            // Nothing is ever applied but changes of membership: applied follows commit.
            applied: hard_state.commit,
            ..config
        };
        let term_and_vote = (hard_state.term, hard_state.vote);
        let store = Store::new(setup.terms, setup.last_index, hard_state, &setup.voters);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, store, &logger)
            .expect("the settings are constants and the store answers from memory");
        Self {
            node,
            term_and_vote,
            spare: Vec::new(),
        }
    }

    pub(crate) fn campaign(&mut self) {
        // A candidate that must not campaign (a change of membership is pending) stays as it is.
        let _ = self.node.campaign();
    }

    pub(crate) fn tick(&mut self) {
        self.node.tick();
    }

    pub(crate) fn receive(&mut self, envelope: Envelope) {
        // raft-rs answers messages of strangers and of the past with an error: they are dropped.
        let _ = self.node.step(envelope.message);
    }

    /// Proposes `count` entries in one message; the first index they get, or `None` if they were
    /// dropped. Only for a leader: raft-rs would forward what anyone else proposes.
    pub(crate) fn propose(&mut self, count: usize) -> Option<LogIndex> {
        assert!(self.is_leader() && count > 0, "only a leader proposes");
        let before = self.node.raft.raft_log.last_index();
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries(vec![Entry::default(); count].into());
        self.node.step(message).ok()?;
        let after = self.node.raft.raft_log.last_index();
        assert_eq!(after, before + count as u64, "raft-rs took all of them");
        Some(LogIndex(before + 1))
    }

    /// What raft-rs wants done next; `None` when it is quiet.
    pub(crate) fn next_ready(&mut self) -> Option<Ready> {
        if !self.node.has_ready() {
            return None;
        }
        let mut ready = self.node.ready();
        let messages = [ready.take_messages(), ready.take_persisted_messages()].concat();
        let mut entries = std::mem::take(&mut self.spare);
        entries.extend(ready.entries().iter().map(header));
        for &(index, term) in &entries {
            self.node.mut_store().append(index, term);
        }
        let number = ready.number();
        self.node.advance_append_async(ready);
        self.node.advance_apply();
        Some(Ready {
            number,
            hard_state: self.changed_hard_state(),
            entries,
            messages: messages.into_iter().map(Envelope::from).collect(),
        })
    }

    /// Takes back the entries of a ready, of which nobody needs more than a look: the next ones
    /// need not allocate.
    pub(crate) fn recycle(&mut self, mut entries: Vec<(LogIndex, Term)>) {
        if entries.capacity() <= Self::SPARE_MAX {
            entries.clear();
            self.spare = entries;
        }
    }

    /// Everything up to this ready survives the loss of power.
    pub(crate) fn persisted(&mut self, number: u64) {
        self.node.on_persist_ready(number);
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    pub(crate) fn term(&self) -> Term {
        Term::new(self.node.raft.term)
    }

    pub(crate) fn committed(&self) -> LogIndex {
        LogIndex(self.node.raft.raft_log.committed)
    }

    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        self.node.store().term_at(index)
    }

    /// A changed commit alone is not worth an fsync: it is a hint.
    fn changed_hard_state(&mut self) -> Option<HardState> {
        let state = self.node.raft.hard_state();
        let term_and_vote = (state.term, state.vote);
        if term_and_vote == self.term_and_vote {
            return None;
        }
        self.term_and_vote = term_and_vote;
        Some(HardState {
            term: Term::new(state.term),
            vote: state.vote,
            commit: LogIndex(state.commit),
        })
    }
}

fn config(id: ReplicaId, seed: u64) -> Config {
    let election_ticks = election::timeout_ticks(seed);
    Config {
        id: id.get(),
        heartbeat_tick: HEARTBEAT_TICKS,
        election_tick: ELECTION_TICKS,
        // One value to draw from: see `election`.
        min_election_tick: election_ticks,
        max_election_tick: election_ticks + 1,
        // Terms stay small (they are 31 bits wide on disk), and a leader without followers stops.
        pre_vote: true,
        check_quorum: true,
        // The default, 0, means one entry per message.
        max_size_per_msg: 64 << 10,
        max_inflight_msgs: 256,
        // Watermarks travel with our own frames, so raft-rs need not announce each commit.
        skip_bcast_commit: true,
        batch_append: true,
        ..Config::default()
    }
}

/// The hard state as raft-rs may load it: it panics at a commit outside the log, and the stored one
/// is a hint of another time than the log. What a lone voter has on its disk is committed.
fn loaded_hard_state(setup: &Setup) -> eraftpb::HardState {
    let before_first = setup.terms.first_index().0 - 1;
    let last = setup.last_index.0;
    let lone_voter = setup.voters == [setup.id];
    let commit = if lone_voter {
        last
    } else {
        setup.hard_state.commit.0.clamp(before_first, last)
    };
    eraftpb::HardState {
        term: setup.hard_state.term.get(),
        vote: setup.hard_state.vote,
        commit,
        ..Default::default()
    }
}

fn header(entry: &Entry) -> (LogIndex, Term) {
    (LogIndex(entry.index), Term::new(entry.term))
}

impl Envelope {
    /// Who is to read it; `None` if it names nobody.
    pub fn to(&self) -> Option<ReplicaId> {
        ReplicaId::new(self.message.to)
    }

    /// What it is.
    pub fn kind(&self) -> MessageKind {
        match self.message.get_msg_type() {
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => {
                MessageKind::VoteRequest
            }
            MessageType::MsgAppendResponse if !self.message.reject => MessageKind::AppendAccepted {
                through: LogIndex(self.message.index),
            },
            _ => MessageKind::Other,
        }
    }

    /// Whether it brings entries, whose batches would have to come beside it.
    pub(crate) fn carries_entries(&self) -> bool {
        !self.message.entries.is_empty() || self.message.has_snapshot()
    }
}

impl From<Message> for Envelope {
    fn from(message: Message) -> Self {
        Self { message }
    }
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message { from, to, term, .. } = self.message;
        let kind = self.message.get_msg_type();
        write!(f, "{kind:?} {from}->{to} term={term}")?;
        if self.message.reject {
            f.write_str(" rejected")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Consensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consensus")
            .field("role", &self.node.raft.state)
            .field("term", &self.node.raft.term)
            .field("committed", &self.node.raft.raft_log.committed)
            .finish_non_exhaustive()
    }
}
