//! The one module that knows raft-rs. It sees headers only: index, term, kind. Offsets, batches and
//! durability are the replica's.
//!
//! Settings that are not raft-rs' defaults, and why, stand in [`config`]. What raft-rs holds on to
//! is bounded: entries leave it with the ready that carries them, and the store beside it answers
//! from a term table.

#[cfg(test)]
mod allocations;
mod members;
mod store;
mod translate;

use std::fmt;

use klamm_model::raft::HardState;
use klamm_model::{LogIndex, Term};
use raft::eraftpb;
use raft::prelude::{Entry, Message, MessageType};
use raft::{Config, ProgressState, RawNode, StateRole};

use crate::election::{ELECTION_TICKS, HEARTBEAT_TICKS};
use crate::envelope::{EntryId, Envelope};
use crate::terms::Terms;
use crate::{Members, ReplicaId, election};
use store::Store;

/// Messages to a replica that it has not acknowledged.
const INFLIGHT_MESSAGES_MAX: usize = 256;

/// raft-rs with our store and our settings.
pub(crate) struct Consensus {
    node: RawNode<Store>,
    election: ElectionTimeout,
    /// As last handed out in [`Ready::hard_state`].
    term_and_vote: (u64, u64),
    /// Room for [`Ready::entries`], given back by [`Consensus::recycle`].
    spare: Vec<(LogIndex, Term)>,
}

/// When this replica stands for election if it hears from no leader.
#[derive(Debug)]
struct ElectionTimeout {
    seed: u64,
    /// How often it was drawn.
    draws: u64,
    ticks: usize,
    /// What it was drawn for.
    role: StateRole,
    term: u64,
}

/// What a new [`Consensus`] starts from.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) id: ReplicaId,
    /// Those in force, which may be without it.
    pub(crate) members: Members,
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

impl Consensus {
    /// An idle partition does not keep the memory of its busiest second.
    const SPARE_MAX: usize = 64;

    pub(crate) fn new(setup: Setup) -> Self {
        let config = config(setup.id);
        let hard_state = loaded_hard_state(&setup);
        let config = Config {
            // Nothing is ever applied but changes of membership: applied follows commit.
            applied: hard_state.commit,
            ..config
        };
        let term_and_vote = (hard_state.term, hard_state.vote);
        let store = Store::new(setup.terms, setup.last_index, hard_state, &setup.members);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, store, &logger)
            .expect("the settings are constants and the store answers from memory");
        let mut consensus = Self {
            election: ElectionTimeout {
                seed: setup.seed,
                draws: 0,
                ticks: election::timeout_ticks(setup.seed, 0),
                role: node.raft.state,
                term: node.raft.term,
            },
            node,
            term_and_vote,
            spare: Vec::new(),
        };
        consensus.time_elections(false);
        consensus
    }

    /// Stands for election, unless it must not or does already.
    pub(crate) fn campaign(&mut self) {
        if self.may_campaign() && self.node.raft.state != StateRole::Candidate {
            // raft-rs refuses to a leader only.
            let _ = self.node.campaign();
        }
        self.time_elections(false);
    }

    /// Who is no voter does not stand. A lone voter is elected the moment it stands, and raft-rs
    /// panics if its log is not durable by then; others ask for votes, which waits for that.
    fn may_campaign(&self) -> bool {
        let raft = &self.node.raft;
        let durable = raft.raft_log.persisted == raft.raft_log.last_index();
        raft.promotable() && (durable || !raft.prs().is_singleton())
    }

    pub(crate) fn tick(&mut self) {
        if !self.is_leader() && !self.may_campaign() {
            return self.tick_without_standing();
        }
        self.node.tick();
        let stood = !self.is_leader() && self.node.raft.election_elapsed == 0;
        self.time_elections(stood);
    }

    /// As [`tick`](Self::tick), for a replica that must not stand for election: only what it has heard
    /// from a leader grows old, or it would refuse its vote to a new one for ever.
    pub(crate) fn tick_without_standing(&mut self) {
        let elapsed = &mut self.node.raft.election_elapsed;
        *elapsed = ELECTION_TICKS.min(*elapsed + 1);
    }

    /// Overrules raft-rs, which draws time-outs by itself whenever its role or term changes; ours
    /// are drawn anew then, and with each election.
    fn time_elections(&mut self, stood: bool) {
        let (role, term) = (self.node.raft.state, self.node.raft.term);
        let election = &mut self.election;
        if stood || (role, term) != (election.role, election.term) {
            election.draws += 1;
            election.ticks = election::timeout_ticks(election.seed, election.draws);
            (election.role, election.term) = (role, term);
        }
        let ticks = election.ticks;
        self.node.raft.set_randomized_election_timeout(ticks);
    }

    /// Takes a message, with the entries that came with it, by index and term.
    pub(crate) fn receive(
        &mut self,
        envelope: &Envelope,
        entries: impl Iterator<Item = (LogIndex, Term)>,
    ) {
        let entries = entries.map(|(index, term)| Entry {
            index: index.0,
            term: term.get(),
            ..Entry::default()
        });
        let Some(mut message) = translate::to_message(envelope, entries.collect()) else {
            return;
        };
        if message.get_msg_type() == MessageType::MsgTimeoutNow && !self.may_campaign() {
            return;
        }
        if message.get_msg_type() == MessageType::MsgHeartbeat {
            // What a leader knows this replica to have is fsynced and cannot be gone; if the disk
            // lied, raft-rs would panic.
            message.commit = message.commit.min(self.last_index().0);
        }
        // raft-rs answers messages of strangers and of the past with an error: they are dropped.
        let _ = self.node.step(message);
        self.time_elections(false);
    }

    /// A follower holds the entries up to `through`, though it may lose them with power: what is
    /// under way to it counts up to there no longer. raft-rs itself waits for the fsync, and would
    /// stop sending once its window is full.
    pub(crate) fn peer_wrote(&mut self, peer: ReplicaId, through: LogIndex) {
        let last_index = self.last_index().0;
        let Some(progress) = self.progress(peer) else {
            return;
        };
        progress.ins.free_to(through.0);
        if progress.state == ProgressState::Replicate && progress.next_idx <= last_index {
            self.node.raft.send_append(peer.get());
        }
    }

    /// What was sent last to a follower ended at `through` already.
    pub(crate) fn sent_through(&mut self, peer: ReplicaId, through: LogIndex) {
        if let Some(progress) = self.progress(peer)
            && progress.state == ProgressState::Replicate
            && progress.next_idx > through.0 + 1
        {
            progress.optimistic_update(through.0);
        }
    }

    /// A follower may have less than it had: it is asked how far its log agrees.
    pub(crate) fn peer_restarted(&mut self, peer: ReplicaId) {
        let next = self.last_index().next().0;
        if let Some(progress) = self.progress(peer) {
            progress.become_probe();
            progress.matched = 0;
            progress.next_idx = next;
        }
    }

    /// A heartbeat for everybody, if this replica leads.
    pub(crate) fn announce(&mut self) {
        self.node.ping();
    }

    /// raft-rs ignores strangers, learners and the leader itself.
    pub(crate) fn transfer_leadership(&mut self, to: ReplicaId) {
        self.node.transfer_leader(to.get());
    }

    /// How far a follower's log is known to agree and to be fsynced; `None` unless this replica leads and
    /// sends to it what comes, or of a stranger.
    pub(crate) fn matched(&self, peer: ReplicaId) -> Option<LogIndex> {
        let progress = self.node.raft.prs().get(peer.get())?;
        let is_sent_to = self.is_leader() && progress.state == ProgressState::Replicate;
        is_sent_to.then_some(LogIndex(progress.matched))
    }

    /// Time has stood still: whoever is to be heard from has a whole time-out for that.
    pub(crate) fn begin_anew_to_listen(&mut self) {
        self.node.raft.election_elapsed = 0;
    }

    /// Whether proposals are dropped because another replica is about to lead.
    pub(crate) fn is_transferring(&self) -> bool {
        self.node.raft.lead_transferee.is_some()
    }

    /// `None` unless this replica leads, or of a stranger.
    fn progress(&mut self, peer: ReplicaId) -> Option<&mut raft::Progress> {
        if !self.is_leader() {
            return None;
        }
        self.node.raft.mut_prs().get_mut(peer.get())
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

    /// Entries before this one, which is left or comes next, have been taken from the log.
    pub(crate) fn log_begins(&mut self, first: LogIndex) {
        let committed = self.committed();
        assert!(first.0 - 1 <= committed.0, "only what is committed goes");
        self.node.mut_store().begin_with(first);
    }

    /// The entry before the first of the log.
    pub(crate) fn before_first(&self) -> EntryId {
        let index = self.node.store().before_first();
        let term = self.term_at(index).expect("its term is kept");
        EntryId { index, term }
    }

    /// Followers that need entries from before the log's beginning, since the last call.
    pub(crate) fn take_behind(&mut self) -> Vec<ReplicaId> {
        self.node.mut_store().take_behind()
    }

    /// What raft-rs wants done next; `None` when it is quiet.
    pub(crate) fn next_ready(&mut self) -> Option<Ready> {
        if !self.node.has_ready() {
            return None;
        }
        let mut ready = self.node.ready();
        let messages = ready.take_messages();
        let persisted_messages = ready.take_persisted_messages();
        let messages = messages.iter().chain(&persisted_messages);
        let messages = messages.filter_map(|message| {
            let flush = self.wants_flush(message);
            translate::to_envelope(message, flush)
        });
        let messages = messages.collect();
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
            messages,
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

    /// A follower that is asked how far it agrees, is given the first entry of a term, or is to lead, is
    /// waited for: nothing goes on before it has fsynced.
    fn wants_flush(&self, message: &Message) -> bool {
        let is_to_lead = self.node.raft.lead_transferee == Some(message.to);
        let new_term = message.entries.last().map(|entry| entry.term) > Some(message.log_term);
        let probed = || {
            let progress = self.node.raft.prs().get(message.to);
            progress.is_some_and(|progress| progress.state == ProgressState::Probe)
        };
        message.get_msg_type() == MessageType::MsgAppend && (is_to_lead || new_term || probed())
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

    pub(crate) fn last_index(&self) -> LogIndex {
        self.node.store().last_index()
    }

    /// Whom this replica follows.
    pub(crate) fn leader(&self) -> Option<ReplicaId> {
        ReplicaId::new(self.node.raft.leader_id)
    }

    /// The leader that this replica follows is gone: it keeps its vote from nobody on its account.
    /// Whether it was the leader.
    pub(crate) fn forget_leader(&mut self, gone: ReplicaId) -> bool {
        let follows = !self.is_leader() && self.leader() == Some(gone);
        if follows {
            self.node.raft.leader_id = raft::INVALID_ID;
        }
        follows
    }

    /// What another replica knows to be committed, if it is in this log.
    pub(crate) fn learn_commit(&mut self, entry: EntryId) {
        if !self.is_leader() && self.has(entry) {
            self.node.raft.raft_log.commit_to(entry.index.0);
        }
    }

    /// Whether this very entry is in the log.
    pub(crate) fn has(&self, entry: EntryId) -> bool {
        self.term_at(entry.index) == Some(entry.term)
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

fn config(id: ReplicaId) -> Config {
    Config {
        id: id.get(),
        heartbeat_tick: HEARTBEAT_TICKS,
        election_tick: ELECTION_TICKS,
        // What may be drawn: see `election`.
        min_election_tick: ELECTION_TICKS,
        max_election_tick: 2 * ELECTION_TICKS,
        // Terms stay small (they are 31 bits wide on disk), and a leader without followers stops.
        pre_vote: true,
        check_quorum: true,
        // The default, 0, means one entry per message.
        max_size_per_msg: 64 << 10,
        max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
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
    let commit = if setup.members.has_lone_voter(setup.id) {
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

impl fmt::Debug for Consensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consensus")
            .field("role", &self.node.raft.state)
            .field("term", &self.node.raft.term)
            .field("committed", &self.node.raft.raft_log.committed)
            .finish_non_exhaustive()
    }
}
