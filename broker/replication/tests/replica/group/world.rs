//! Time, chance, the nodes and the network of one history.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use klamm_model::archive::{ArchivePlan, ArchiveState};
use klamm_model::raft::LogEntry;
use klamm_model::{Instant, LogIndex, Offset};
use klamm_replication::{
    Effect, EntryId, Envelope, Event, Members, PeerMessage, Position, Replica, ReplicaId,
    UncleanElection, frame,
};
use klamm_simulation::members::draw_group;
use klamm_simulation::network::News;
use klamm_simulation::{Network, Pace, Packet, Random, Step, Tally, Trace};

use super::disk;
use super::faults::{Counts, Cruelty, Faults, KINDS, Sabotage};
use super::node::{Node, Start, Work};
use super::oracle::Oracle;
use crate::batch;

pub(super) struct World<'a> {
    pub(super) faults: Faults,
    pub(super) random: Random,
    pub(super) trace: &'a Trace,
    pace: Pace,
    pub(super) cruelty: Cruelty,
    now: Instant,
    /// Whether one of the nodes should lead.
    preferred: bool,
    pub(super) nodes: Vec<Node>,
    /// The last entry that is known to have changed the members.
    changed: LogIndex,
    pub(super) network: Network<Bytes>,
    /// By the number of unclean elections that have been.
    pub(super) oracles: Vec<Oracle>,
    pub(super) elections: Vec<UncleanElection>,
    pub(super) counts: Counts,
    pub(super) tally: Tally,
}

impl<'a> World<'a> {
    pub(super) fn new(seed: u64, faults: Faults, trace: &'a Trace) -> Self {
        let mut random = Random::new(seed);
        let (ids, first) = draw_group(&mut random, faults.changes);
        let node = |id: &ReplicaId| match first.voters.contains(id) {
            true => Node::new(*id, first.clone()),
            false => Node::new(*id, Members::default()),
        };
        Self {
            faults,
            pace: Pace::draw(&mut random, KINDS, faults.changes),
            cruelty: Cruelty::draw(&mut random),
            preferred: random.one_in(2),
            random,
            trace,
            now: Instant::START,
            nodes: ids.iter().map(node).collect(),
            changed: LogIndex::ZERO,
            network: Network::new(ids.len()),
            oracles: vec![Oracle::default()],
            elections: Vec::new(),
            counts: Counts::default(),
            tally: Tally::default(),
        }
    }

    /// Lives it: so many steps, and then everything heals.
    pub(super) fn live(&mut self, steps: usize) {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        for _ in 0..steps {
            self.step();
        }
        self.heal();
        self.tally.ended(self.now.since_start());
    }

    fn step(&mut self) {
        self.strike_the_doomed();
        let node = self.random.place(&self.nodes);
        if self.faults.unclean {
            match self.random.below(1_000) {
                0 => return self.elect_uncleanly(node),
                1..=10 => return self.learn(node),
                _ => {}
            }
        }
        match self.pace.next(&mut self.random) {
            Step::Produce if self.random.one_in(8) => self.change_archive(node),
            Step::Produce => self.propose(node),
            Step::Deliver => self.deliver(),
            Step::Write => self.work(node),
            Step::Sync => self.sync(node),
            Step::SyncJournal => self.sync_journal(node),
            Step::Tick => self.tick(),
            Step::Fault => self.disturb(node),
            Step::ChangeMembers => self.change_members(),
            Step::Start => self.start(node),
            Step::Lull => self.live_through_a_lull(),
        }
    }

    // ---- What replicas are told, and what they want ----

    pub(super) fn handle(&mut self, node: usize, event: Event) {
        let Some(replica) = self.nodes[node].replica.as_mut() else {
            return;
        };
        let mut effects = Vec::new();
        let slept = replica.is_asleep();
        replica.handle(self.now, event, &mut effects);
        if !slept && replica.is_asleep() {
            self.counts.sleeps += 1;
            self.trace.note(format!("{}: sleeps", node + 1));
        }
        for effect in effects {
            self.note(node, &effect);
            self.perform(node, effect);
        }
    }

    fn note(&self, node: usize, effect: &Effect) {
        let mut line = String::new();
        write!(line, "{}: {effect}", node + 1).unwrap();
        self.trace.note(line);
    }

    fn perform(&mut self, at: usize, effect: Effect) {
        let node = &mut self.nodes[at];
        match effect {
            Effect::Journal {
                ticket,
                hard_state,
                metas,
            } => {
                node.extend(metas.iter().cloned().map(LogEntry::Meta));
                node.work
                    .push_back(Work::Journal(ticket, hard_state, metas));
            }
            Effect::Append(entries) => {
                let entries: Vec<_> = entries.into_iter().map(LogEntry::Records).collect();
                node.extend(entries.clone());
                let last = entries.last().map(EntryId::of);
                node.work.push_back(Work::Append(entries));
                if self.sabotages(Sabotage::WriteIsALie)
                    && let Some(through) = last
                {
                    self.handle(at, Event::Written { through });
                }
            }
            Effect::Truncate {
                from,
                end,
                lost_visible,
            } => {
                assert!(!lost_visible, "what was shown is cut");
                self.counts.truncations += 1;
                node.log.truncate(from.0 as usize - 1);
                node.work.push_back(Work::Truncate(from, end));
            }
            Effect::Flush => node.flush_wanted = true,
            Effect::Send(envelope) => self.send(at, envelope),
            Effect::BecameLeader { term, .. } => {
                self.counts.elections += 1;
                self.oracles[node.known].leads(at, term, &node.log);
                self.doom_new_leader(at);
            }
            Effect::Recovered => {
                self.counts.recoveries += 1;
                node.recovering = false;
            }
            Effect::Members { index, .. } => {
                if index > self.changed {
                    self.changed = index;
                    self.counts.configurations += 1;
                }
                node.work.push_back(Work::Hint(index));
            }
            Effect::Visible(position) => {
                self.check_held(at, position);
                let node = &mut self.nodes[at];
                let new = between(&mut node.shown, position.index);
                self.oracles[node.known].shows(node.term(), &node.log[new]);
                self.doom_leader_that_shows(at);
            }
            Effect::Commit(position) => {
                let new = between(&mut node.committed, position.index);
                self.oracles[node.known].commits(node.term(), &node.log[new]);
            }
            Effect::Archive(state) => self.check_archive(at, state),
            Effect::TakeCopy { .. } => unreachable!("no log is shortened"),
            Effect::LostLeadership { .. } | Effect::ProposalDropped => {}
        }
    }

    /// What a replica says was agreed on stands last among what is committed.
    fn check_archive(&mut self, at: usize, agreed: ArchiveState) {
        let node = &self.nodes[at];
        let committed = &node.log[..node.committed.0 as usize];
        let last = committed.iter().rev().find_map(|entry| match entry {
            LogEntry::Meta(meta) => disk::archive(meta),
            LogEntry::Records(_) => None,
        });
        assert_eq!(last.map(|(_, state)| state), Some(agreed));
        self.counts.archives += 1;
    }

    /// A leader plans an object of the archive, or says that the last one is there.
    fn change_archive(&mut self, at: usize) {
        let Some(replica) = self.nodes[at].replica.as_ref() else {
            return;
        };
        let state = replica.archive();
        let state = state.unwrap_or(ArchiveState::beginning_at(Offset::ZERO));
        let (end, epoch) = (replica.commit().offset, replica.term().leader_epoch());
        let next = match state.plan() {
            Some(_) => state.carried_out(),
            None if end > state.end() => state.planned(ArchivePlan { end, epoch }),
            None => return,
        };
        // One that may not is to refuse by itself.
        self.handle(at, Event::Archive(next));
    }

    /// What a leader shows is written where its configuration says, unless power took it and the leader
    /// could not know.
    fn check_held(&self, at: usize, shown: Position) {
        let replica = self.nodes[at].replica.as_ref().unwrap();
        if !replica.is_leading() || shown.index <= replica.commit().index {
            return;
        }
        let entry = EntryId::of(&self.nodes[at].log[shown.index.0 as usize - 1]);
        let holds = |id: &&ReplicaId| {
            let seat = self.seat_of(**id);
            let node = &self.nodes[seat];
            // It has gone on as another one, and given up what it held.
            let has_gone = node.id != **id;
            let is_known = node.replica.is_some() && self.network.knows_life(at, seat);
            has_gone || node.recovering && !is_known || node.disk.holds(entry)
        };
        let members = replica.members();
        for voters in [&members.voters, &members.outgoing] {
            let holding = voters.iter().filter(holds).count();
            assert!(
                voters.is_empty() || holding > voters.len() / 2,
                "{entry} is shown and not held"
            );
        }
    }

    pub(super) fn propose(&mut self, node: usize) {
        let Some(replica) = self.nodes[node].replica.as_ref() else {
            return;
        };
        if replica.is_leading() {
            let count = 1 + self.random.below(3);
            let batches = (0..count).map(|_| batch(1 + self.random.below(3) as usize));
            let batches = batches.collect();
            self.handle(node, Event::Propose(batches));
        }
    }

    // ---- Messages ----

    /// Adds the entries that a message speaks of; sometimes not all of them.
    fn send(&mut self, at: usize, mut envelope: Envelope) {
        let to = self.seat_of(envelope.to);
        if self.id_as_known_by(to, at) != envelope.to {
            return;
        }
        let mut entries = Vec::new();
        let mut cut = None;
        if let PeerMessage::Append {
            previous, count, ..
        } = &mut envelope.message
        {
            if *count > 1 && self.random.one_in(4) {
                *count = 1 + self.random.below(u64::from(*count) - 1) as u32;
                cut = Some(LogIndex(previous.index.0 + u64::from(*count)));
            }
            let from = previous.index.0 as usize;
            entries = self.nodes[at].log[from..from + *count as usize].to_vec();
        }
        let bytes = frame::encode(&envelope, &entries, frame::Format::Three).concat();
        self.network.send(at, to, bytes.into());
        if let Some(through) = cut {
            let to = envelope.to;
            self.handle(at, Event::SentThrough { to, through });
        }
    }

    fn deliver(&mut self) {
        if let Some(packet) = self.network.next(&mut self.random) {
            self.arrive(packet);
        }
    }

    pub(super) fn arrive(&mut self, packet: Packet<Bytes>) {
        let arrival = self.network.arrive(&packet);
        for (at, peer) in arrival.greetings {
            self.greet(at, peer);
        }
        if !arrival.is_heard {
            return;
        }
        let (from, to) = (packet.from, packet.to);
        let (envelope, entries) = frame::decode(packet.message).unwrap();
        let peer = self.id_as_known_by(from, to);
        if envelope.from == peer && envelope.to == self.nodes[to].id {
            self.trace.note(format!("{}: got {envelope}", to + 1));
            self.handle(to, Event::Received(envelope, entries));
        }
    }

    fn greet(&mut self, at: usize, peer: usize) {
        let peer = self.id_as_known_by(peer, at);
        self.handle(at, Event::PeerRestarted(peer));
    }

    // ---- Disks and time ----

    pub(super) fn work(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.replica.is_none() {
            return;
        }
        match node.work.pop_front() {
            Some(Work::Append(entries)) => {
                node.disk.append(entries);
                let through = node.disk.last_batch().unwrap();
                self.handle(at, Event::Written { through });
            }
            Some(Work::Truncate(from, end)) => node.disk.truncate(from, end),
            Some(Work::Hint(commit)) => node.disk.hint(commit),
            Some(Work::Journal(ticket, hard_state, metas)) => {
                node.disk.journal(ticket, hard_state, metas);
            }
            None => {}
        }
    }

    pub(super) fn sync(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.replica.is_none() {
            return;
        }
        let synced = match self.faults.sabotage {
            Some(Sabotage::SyncIsALie) => node.disk.last_batch(),
            _ => node.disk.sync(),
        };
        if let Some(through) = synced {
            self.handle(at, Event::Synced { through });
        }
    }

    pub(super) fn sync_journal(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.replica.is_none() {
            return;
        }
        let synced = match self.faults.sabotage {
            Some(Sabotage::JournalSyncIsALie) => node.disk.last_journaled(),
            _ => node.disk.sync_journal(),
        };
        if let Some(ticket) = synced {
            self.handle(at, Event::JournalSynced(ticket));
        }
    }

    pub(super) fn tick(&mut self) {
        self.now = self.now + Duration::from_millis(50);
        for node in 0..self.nodes.len() {
            self.handle(node, Event::Tick);
            if std::mem::take(&mut self.nodes[node].flush_wanted) {
                self.sync(node);
            }
        }
        if self.sabotages(Sabotage::LostLinksGoUnnoticed) {
            return;
        }
        for news in self.network.tick() {
            match news {
                News::Lost { at, of } => self.miss(at, of),
                News::Anew { at, of } => self.greet(at, of),
            }
        }
    }

    pub(super) fn start(&mut self, at: usize) {
        if self.nodes[at].replica.is_some() || !self.settle(at) {
            return;
        }
        self.network.started(at);
        let start = Start {
            life: self.network.life(at),
            strict: self.faults.strict,
            preferred: at == 0 && self.preferred,
            seed: self.random.below(1 << 32),
            forgets_members: self.sabotages(Sabotage::MembersAreForgotten),
        };
        self.nodes[at].start(start);
        self.trace.note(format!("{}: started", at + 1));
        self.handle(at, Event::Start);
    }

    /// A node's process is gone.
    pub(super) fn end(&mut self, at: usize) {
        self.nodes[at].replica = None;
        self.network.stopped(at);
    }

    // ---- What is asked ----

    /// Of those who know most of the unclean elections.
    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |node: &Node| node.replica.as_ref().is_some_and(Replica::is_leading);
        let leading = (0..self.nodes.len()).filter(|at| leads(&self.nodes[*at]));
        leading.max_by_key(|at| (self.nodes[*at].known, std::cmp::Reverse(*at)))
    }

    /// How many entries were shown that were not given up.
    pub(super) fn shown(&self) -> u64 {
        let known = self.oracles.iter().map(Oracle::visible);
        known.max().unwrap_or(0)
    }

    pub(super) fn sabotages(&self, sabotage: Sabotage) -> bool {
        self.faults.sabotage == Some(sabotage)
    }
}

/// The places of what is new in a log since something was known of it up to an entry, as it is up to
/// another one from now on.
fn between(known: &mut LogIndex, through: LogIndex) -> std::ops::Range<usize> {
    let before = std::mem::replace(known, through.max(*known));
    before.0 as usize..known.0 as usize
}
