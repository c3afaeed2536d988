//! Time, chance and the network of one history.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use klamm_model::raft::LogEntry;
use klamm_model::{Instant, LogIndex};
use klamm_replication::{
    Effect, EntryId, Envelope, Event, Members, PeerMessage, Position, Replica, ReplicaId,
    UncleanElection, frame,
};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::links::Links;
use super::node::{Node, Start, Work};
use super::oracle::Oracle;
use crate::batch;

/// What may happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    /// Processes die; what they wrote stays.
    pub(super) kills: bool,
    /// Machines lose power: a minority of them may be without what they had not fsynced at a time, or
    /// any number when `strict`.
    pub(super) power: bool,
    /// All of them lose power at the same moment.
    pub(super) together: bool,
    /// Nothing is acknowledged before a majority has fsynced it.
    pub(super) strict: bool,
    /// Replicas join and leave the group.
    pub(super) changes: bool,
    /// A replica is told to go on alone, whoever else there is.
    pub(super) unclean: bool,
    /// A guard that is left out.
    pub(super) sabotage: Option<Sabotage>,
}

/// What a careless host would do to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// After a loss of power it is told that nothing can be missing.
    NoVoteBar,
    /// It is told of fsyncs of the log that were not made.
    SyncIsALie,
    /// It is told of fsyncs of the journal that were not made.
    JournalSyncIsALie,
    /// It is told that entries are written when they are not.
    WriteIsALie,
    /// After a restart it is not told of the changes of members in its log.
    MembersAreForgotten,
    /// It is not told that a connection has ended.
    LostLinksGoUnnoticed,
    /// It keeps a log that an unclean election has given up.
    GivenUpLogsGoOn,
}

/// How much has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) elections: u64,
    pub(super) truncations: u64,
    pub(super) recoveries: u64,
    /// Configurations that came into force, each once.
    pub(super) configurations: u64,
    /// How often a replica fell asleep.
    pub(super) sleeps: u64,
    /// Logs that unclean elections have given up.
    pub(super) given_up: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.elections += other.elections;
        self.truncations += other.truncations;
        self.recoveries += other.recoveries;
        self.configurations += other.configurations;
        self.sleeps += other.sleeps;
        self.given_up += other.given_up;
    }
}

impl Faults {
    pub(super) const NONE: Self = Self {
        kills: false,
        power: false,
        together: false,
        strict: false,
        changes: false,
        unclean: false,
        sabotage: None,
    };
}

pub(super) struct Random(ChaCha8Rng);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// How often what happens; another in each history, so that there are slow disks, slow networks and
/// quiet times.
struct Pace {
    propose: u64,
    deliver: u64,
    work: u64,
    sync: u64,
    journal: u64,
    ticks: u64,
    faults: u64,
    changes: u64,
    starts: u64,
    lulls: u64,
    unclean: u64,
}

impl Pace {
    fn draw(random: &mut Random, faults: Faults) -> Self {
        let changes = u64::from(faults.changes);
        Self {
            propose: 20 + random.below(150),
            deliver: 200 + random.below(500),
            work: 20 + random.below(300),
            sync: 3 + random.below(60) + changes * 60,
            journal: 20 + random.below(100) + changes * 60,
            ticks: 40 + random.below(100),
            faults: 1 + random.below(4),
            changes: changes * (10 + random.below(60)),
            starts: 10 + changes * 20,
            lulls: random.below(3),
            unclean: u64::from(faults.unclean),
        }
    }
}

/// More than a leader sends that is not acknowledged.
const MESSAGES_WITHOUT_FSYNC: usize = 300;

struct Packet {
    bytes: Bytes,
    /// The lives of sender and receiver that the connection is between.
    lives: (u64, u64),
}

pub(super) struct World {
    faults: Faults,
    pub(super) random: Random,
    pace: Pace,
    /// Whether leaders fall at the worst moments.
    cruel: bool,
    /// A leader that falls after so many steps.
    doomed: Option<(usize, u64)>,
    now: Instant,
    /// Whether one of the nodes should lead.
    preferred: bool,
    pub(super) nodes: Vec<Node>,
    /// The last entry that is known to have changed the members.
    changed: LogIndex,
    network: Vec<Packet>,
    /// Nodes that are cut off from the others.
    isolated: Option<usize>,
    /// What the first of two says does not come to the second.
    one_way: Option<(usize, usize)>,
    pub(super) links: Links,
    /// By the number of unclean elections that have been.
    pub(super) oracles: Vec<Oracle>,
    pub(super) elections: Vec<UncleanElection>,
    pub(super) trace: Vec<String>,
    pub(super) counts: Counts,
}

impl World {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let mut random = Random(ChaCha8Rng::seed_from_u64(seed));
        let (size, members) = match faults.changes {
            true => (5 + random.below(2), 1 + random.below(5)),
            false if random.one_in(4) => (5, 5),
            false => (3, 3),
        };
        let id = |id| ReplicaId::new(id).unwrap();
        let first = Members::of_voters((1..=members).map(id));
        let node = |nth: u64| match nth <= members {
            true => Node::new(id(nth), size, first.clone()),
            false => Node::new(id(nth), size, Members::default()),
        };
        Self {
            faults,
            pace: Pace::draw(&mut random, faults),
            cruel: random.one_in(3),
            doomed: None,
            preferred: random.one_in(2),
            random,
            now: Instant::START,
            nodes: (1..=size).map(node).collect(),
            changed: LogIndex::ZERO,
            network: Vec::new(),
            isolated: None,
            one_way: None,
            links: Links::new(size),
            oracles: vec![Oracle::default()],
            elections: Vec::new(),
            trace: Vec::new(),
            counts: Counts::default(),
        }
    }

    pub(super) fn run(&mut self, steps: usize) {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        for _ in 0..steps {
            self.step();
        }
        self.heal();
    }

    fn step(&mut self) {
        self.strike_the_doomed();
        let node = self.random.below(self.nodes.len() as u64) as usize;
        let Pace {
            propose,
            deliver,
            work,
            sync,
            journal,
            ticks,
            faults,
            changes,
            starts,
            lulls,
            unclean,
        } = self.pace;
        let mut choice = self.random.below(
            propose
                + deliver
                + work
                + sync
                + journal
                + ticks
                + 6 * faults
                + changes
                + starts
                + lulls
                + 11 * unclean,
        );
        let mut is = |weight: u64| match choice.checked_sub(weight) {
            Some(rest) => {
                choice = rest;
                false
            }
            None => true,
        };
        match () {
            () if is(propose) => self.propose(node),
            () if is(deliver) => self.deliver(),
            () if is(work) => self.work(node),
            () if is(sync) => self.sync(node),
            () if is(journal) => self.sync_journal(node),
            () if is(ticks) => self.tick(),
            () if is(faults) => self.transfer(node),
            () if is(faults) => self.miss_leader(node),
            () if is(changes) => self.change_members(),
            () if is(2 * faults) => self.change_partition(node),
            () if is(faults) && self.faults.kills => self.kill(node),
            () if is(faults) => self.lose_power(node),
            () if is(lulls) => self.live_through_a_lull(),
            () if is(unclean) => self.elect_uncleanly(node),
            () if is(10 * unclean) => self.learn(node),
            () => self.start(node),
        }
    }

    pub(super) fn handle(&mut self, node: usize, event: Event) {
        let Some(replica) = self.nodes[node].replica.as_mut() else {
            return;
        };
        let mut effects = Vec::new();
        let slept = replica.is_asleep();
        replica.handle(self.now, event, &mut effects);
        if !slept && replica.is_asleep() {
            self.counts.sleeps += 1;
            self.trace.push(format!("{}: sleeps", node + 1));
        }
        for effect in effects {
            self.note(node, &effect);
            self.perform(node, effect);
        }
    }

    /// How many entries were shown that were not given up.
    pub(super) fn shown(&self) -> u64 {
        let known = self.oracles.iter().map(Oracle::visible);
        known.max().unwrap_or(0)
    }

    pub(super) fn sabotages(&self, sabotage: Sabotage) -> bool {
        self.faults.sabotage == Some(sabotage)
    }

    fn note(&mut self, node: usize, effect: &Effect) {
        let mut line = String::new();
        write!(line, "{}: {effect}", node + 1).unwrap();
        self.trace.push(line);
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
            Effect::TakeCopy { .. } => unreachable!("no log is shortened"),
            Effect::LostLeadership { .. } | Effect::ProposalDropped => {}
        }
    }

    /// Adds the entries that a message speaks of; sometimes not all of them.
    fn send(&mut self, at: usize, mut envelope: Envelope) {
        let to = self.seat_of(envelope.to);
        if self.id_as_known_by(to, at) != envelope.to {
            return;
        }
        let node = &self.nodes[at];
        let lives = (node.life, node.known_lives[to]);
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
            entries = node.log[from..from + *count as usize].to_vec();
        }
        let to = envelope.to;
        let bytes = frame::encode(&envelope, &entries, frame::Format::Two)
            .concat()
            .into();
        self.network.push(Packet { bytes, lives });
        if let Some(through) = cut {
            self.handle(at, Event::SentThrough { to, through });
        }
    }

    fn propose(&mut self, node: usize) {
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

    fn deliver(&mut self) {
        if self.network.is_empty() {
            return;
        }
        // Mostly the oldest; connections overtake each other, and break.
        let at = match self.random.one_in(4) {
            true => self.random.below(self.network.len() as u64) as usize,
            false => 0,
        };
        let packet = self.network.remove(at);
        if !self.random.one_in(40) {
            self.arrive(packet);
        }
    }

    fn arrive(&mut self, packet: Packet) {
        let Packet { bytes, lives, .. } = packet;
        let (envelope, entries) = frame::decode(bytes).unwrap();
        let from = self.seat_of(envelope.from);
        let to = self.seat_of(envelope.to);
        if self.is_cut(from, to) {
            return;
        }
        let peer = self.id_as_known_by(from, to);
        let receiver = &mut self.nodes[to];
        let (sent_in, for_life) = lives;
        if receiver.replica.is_none() || sent_in < receiver.known_lives[from] {
            return;
        }
        if sent_in > receiver.known_lives[from] {
            receiver.known_lives[from] = sent_in;
            self.handle(to, Event::PeerRestarted(peer));
        }
        let is_known = envelope.from == peer && envelope.to == self.nodes[to].id;
        if for_life == self.nodes[to].life {
            if !is_known {
                return;
            }
            self.trace.push(format!("{}: got {envelope}", to + 1));
            self.handle(to, Event::Received(envelope, entries));
        } else {
            // A new connection: the sender learns whom it talks to.
            let life = self.nodes[to].life;
            let peer = self.id_as_known_by(to, from);
            if self.nodes[from].life == sent_in && self.nodes[from].known_lives[to] < life {
                self.nodes[from].known_lives[to] = life;
                self.handle(from, Event::PeerRestarted(peer));
            }
        }
    }

    fn work(&mut self, at: usize) {
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

    fn sync(&mut self, at: usize) {
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

    fn sync_journal(&mut self, at: usize) {
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

    fn tick(&mut self) {
        self.now = self.now + Duration::from_millis(50);
        for node in 0..self.nodes.len() {
            self.handle(node, Event::Tick);
            if std::mem::take(&mut self.nodes[node].flush_wanted) {
                self.sync(node);
            }
        }
        if !self.sabotages(Sabotage::LostLinksGoUnnoticed) {
            self.watch_links();
        }
    }

    /// Whether nothing comes to one node from another.
    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        let is_isolated = |node| self.isolated == Some(node);
        is_isolated(from) || is_isolated(to) || self.one_way == Some((from, to))
    }

    /// A leader is asked to give its place to somebody.
    fn transfer(&mut self, to: usize) {
        if let Some(leader) = self.leader() {
            self.trace
                .push(format!("{}: transfers to {}", leader + 1, to + 1));
            let to = self.id_as_known_by(to, leader);
            self.handle(leader, Event::TransferLeadership(to));
        }
    }

    /// One node, most of the time the leader, is cut off for a while.
    fn change_partition(&mut self, node: usize) {
        let leader = self.leader();
        self.isolated = match self.isolated {
            Some(node) if self.random.one_in(2) => Some(node),
            Some(_) => None,
            None if self.random.one_in(3) => Some(node),
            None => leader,
        };
        self.one_way = match (leader, self.isolated) {
            (Some(leader), None) if self.random.one_in(2) && leader != node => {
                match self.random.one_in(2) {
                    true => Some((leader, node)),
                    false => Some((node, leader)),
                }
            }
            _ => None,
        };
        let Self {
            isolated, one_way, ..
        } = self;
        self.trace
            .push(format!("isolated: {isolated:?}, not heard: {one_way:?}"));
    }

    fn kill(&mut self, node: usize) {
        if self.nodes[node].replica.take().is_some() {
            self.trace.push(format!("{}: killed", node + 1));
            for other in 0..self.nodes.len() {
                if self.random.one_in(3) {
                    self.miss(other, node);
                }
            }
        }
    }

    /// Raft's hard cases need leaders that fall before anybody has their first entry, or soon after.
    fn doom_new_leader(&mut self, at: usize) {
        if self.cruel && self.random.one_in(2) {
            self.doomed = Some((at, self.random.below(30)));
        }
    }

    /// Or when a bare majority has what was just acknowledged.
    fn doom_leader_that_shows(&mut self, at: usize) {
        let leads = self.leader() == Some(at);
        if self.cruel && leads && self.random.one_in(20) {
            self.doomed = Some((at, 0));
        }
    }

    /// A doomed leader is killed or cut off, and one that followed it may lose what it had not fsynced.
    fn strike_the_doomed(&mut self) {
        let Some((leader, steps)) = self.doomed else {
            return;
        };
        self.doomed = steps.checked_sub(1).map(|steps| (leader, steps));
        if self.doomed.is_some() {
            // It has something of its own by then.
            return self.propose(leader);
        }
        match self.faults.kills && self.random.one_in(2) {
            true => self.kill(leader),
            false => {
                self.isolated = Some(leader);
                self.trace.push(format!("{}: cut off", leader + 1));
            }
        }
        let follower = self.random.below(self.nodes.len() as u64) as usize;
        if follower != leader && self.random.one_in(2) {
            self.lose_power(follower);
        }
    }

    /// A node takes another for gone.
    fn miss(&mut self, at: usize, gone: usize) {
        let gone = self.id_as_known_by(gone, at);
        self.trace
            .push(format!("{}: misses {}", at + 1, gone.get()));
        self.leader_unreachable(at, gone);
    }

    /// Who has just come is seldom known to all in the same way.
    pub(super) fn leader_unreachable(&mut self, at: usize, leader: ReplicaId) {
        let newcomer = self.random.below(4 * self.nodes.len() as u64) as usize;
        let newcomer = self.nodes.get(newcomer).map(|node| node.id);
        let newcomers = newcomer.into_iter().collect();
        self.handle(at, Event::LeaderUnreachable { leader, newcomers });
    }

    /// Of those who know most of the unclean elections.
    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |node: &Node| node.replica.as_ref().is_some_and(Replica::is_leading);
        let leading = (0..self.nodes.len()).filter(|at| leads(&self.nodes[*at]));
        leading.max_by_key(|at| (self.nodes[*at].known, std::cmp::Reverse(*at)))
    }

    /// A node takes the leader for gone, and need not be right.
    fn miss_leader(&mut self, at: usize) {
        if let Some(leader) = self.leader() {
            self.miss(at, leader);
        }
    }

    /// A leader is asked for other members: a learner more, a learner made a voter, one less, or
    /// quite different ones.
    fn change_members(&mut self) {
        let Some(leader) = self.leader().filter(|_| self.faults.changes) else {
            return;
        };
        let replica = self.nodes[leader].replica.as_ref().unwrap();
        let members = replica.members().clone();
        let wanted = self.draw_members(leader, &members);
        if wanted.voters.is_empty() || !self.faults.strict && self.is_too_lossy(&wanted, None) {
            return;
        }
        self.trace.push(format!("{}: wants {wanted}", leader + 1));
        self.handle(leader, Event::ChangeMembers(wanted));
    }

    fn draw_members(&mut self, leader: usize, now: &Members) -> Members {
        let any = self.random.below(self.nodes.len() as u64) as usize;
        let any = self.id_as_known_by(any, leader);
        let without = |list: &[ReplicaId]| -> Vec<_> {
            list.iter().copied().filter(|id| *id != any).collect()
        };
        let (mut voters, mut learners) = (without(&now.voters), without(&now.learners));
        match self.random.below(6) {
            0 => {}
            1 => learners.push(any),
            2 | 3 => voters.push(any),
            4 => voters = vec![any],
            _ => {
                let seats = 0..self.nodes.len();
                voters = seats
                    .map(|seat| self.id_as_known_by(seat, leader))
                    .collect();
                voters.retain(|_| self.random.one_in(2));
                learners.retain(|id| !voters.contains(id));
            }
        }
        voters.truncate(5);
        learners.retain(|id| !voters.contains(id));
        Members::of_voters(voters).with_learners(learners)
    }

    /// Whether more than a minority of those who decide lack what they had not fsynced, with one more.
    fn is_too_lossy(&self, members: &Members, more: Option<usize>) -> bool {
        let lossy = |id: &&ReplicaId| {
            let at = self.seat_of(**id);
            self.nodes[at].recovering || more == Some(at)
        };
        let too_many = |voters: &[ReplicaId]| {
            let lossy = voters.iter().filter(lossy).count();
            lossy > 0 && lossy > (voters.len() - 1) / 2
        };
        too_many(&members.voters) || too_many(&members.outgoing)
    }

    /// What a leader shows is written where its configuration says, unless power took it and the leader
    /// could not know.
    fn check_held(&self, at: usize, shown: Position) {
        let replica = self.nodes[at].replica.as_ref().unwrap();
        if !replica.is_leading() || shown.index <= replica.commit().index {
            return;
        }
        let entry = EntryId::of(&self.nodes[at].log[shown.index.0 as usize - 1]);
        let known_lives = &self.nodes[at].known_lives;
        let holds = |id: &&ReplicaId| {
            let node = &self.nodes[self.seat_of(**id)];
            // It has gone on as another one, and given up what it held.
            let has_gone = node.id != **id;
            let is_known = known_lives[self.seat_of(**id)] == node.life;
            has_gone
                || node.recovering && !(is_known && node.replica.is_some())
                || node
                    .disk
                    .entries()
                    .iter()
                    .any(|own| EntryId::of(own) == entry)
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

    fn lose_power(&mut self, node: usize) {
        if !self.faults.power {
            return;
        }
        if self.faults.together {
            if self.random.one_in(4) {
                (0..self.nodes.len()).for_each(|node| self.lose_power_of(node));
                self.oracles
                    .iter_mut()
                    .for_each(Oracle::lost_power_as_a_whole);
            }
            return;
        }
        let mut configurations = self.nodes.iter().flat_map(Node::configurations);
        if self.faults.strict || !configurations.any(|one| self.is_too_lossy(&one, Some(node))) {
            self.lose_power_of(node);
        }
    }

    fn lose_power_of(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.replica = None;
        node.disk.lose_power(&mut self.random);
        let barred = self.faults.sabotage != Some(Sabotage::NoVoteBar);
        node.recovering = barred && !self.faults.strict;
        self.trace.push(format!("{}: lost power", at + 1));
    }

    pub(super) fn start(&mut self, at: usize) {
        if self.nodes[at].replica.is_some() || !self.settle(at) {
            return;
        }
        let start = Start {
            strict: self.faults.strict,
            preferred: at == 0 && self.preferred,
            seed: self.random.below(1 << 32),
            forgets_members: self.sabotages(Sabotage::MembersAreForgotten),
        };
        self.nodes[at].start(start);
        self.trace.push(format!("{}: started", at + 1));
        self.handle(at, Event::Start);
    }

    /// Faults end; the group must come to rest, with one leader and one log.
    fn heal(&mut self) {
        self.trace.push("healed".to_owned());
        self.isolated = None;
        self.one_way = None;
        for node in 0..self.nodes.len() {
            self.learn(node);
            while self.nodes[node].replica.is_none() {
                self.start(node);
            }
        }
        match self.faults.unclean {
            true => self.restore_members(),
            false => self.rest(300),
        }
        self.close_those_who_left();
        self.rest(100);
        if !self.faults.strict && self.random.one_in(8) {
            self.go_on_without_fsyncs();
        }
        self.rest(100);
        self.check_rest();
        self.outlive_the_leader();
    }

    /// As their brokers do. They would go on asking the others for what they may have lost.
    fn close_those_who_left(&mut self) {
        let leader = self.leader().expect("one leads");
        let replica = self.nodes[leader].replica.as_ref().unwrap();
        let members: Vec<_> = replica.members().all().collect();
        for node in &mut self.nodes {
            if !members.contains(&node.id) {
                node.replica = None;
            }
        }
    }

    /// So many ticks in which everything arrives and is written.
    pub(super) fn rest(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.tick();
            for _ in 0..12 {
                for packet in std::mem::take(&mut self.network) {
                    self.arrive(packet);
                }
                self.finish_work();
            }
        }
    }

    fn finish_work(&mut self) {
        for node in 0..self.nodes.len() {
            self.finish_writes(node);
            self.sync_journal(node);
            self.sync(node);
        }
    }

    fn finish_writes(&mut self, node: usize) {
        let has_work = |node: &Node| node.replica.is_some() && !node.work.is_empty();
        while has_work(&self.nodes[node]) {
            self.work(node);
        }
    }

    /// What is written is shown, however long no fsync is made.
    fn go_on_without_fsyncs(&mut self) {
        self.trace.push("no fsyncs".to_owned());
        let leader = self.leader().expect("one leads");
        for _ in 0..MESSAGES_WITHOUT_FSYNC {
            self.propose(leader);
            (0..self.nodes.len()).for_each(|node| self.finish_writes(node));
            while !self.network.is_empty() {
                for packet in std::mem::take(&mut self.network) {
                    self.arrive(packet);
                }
                (0..self.nodes.len()).for_each(|node| self.finish_writes(node));
            }
        }
        let replica = self.nodes[leader].replica.as_ref().unwrap();
        assert_eq!(replica.visible(), replica.last(), "written is not shown");
    }

    /// Nobody proposes anything, and the group may fall asleep; whatever happens then finds it so.
    fn live_through_a_lull(&mut self) {
        self.trace.push("a lull".to_owned());
        for _ in 0..60 + self.random.below(60) {
            self.tick();
            for packet in std::mem::take(&mut self.network) {
                if !self.random.one_in(60) {
                    self.arrive(packet);
                }
            }
            self.finish_work();
            let node = self.random.below(self.nodes.len() as u64) as usize;
            match self.random.below(200) {
                0 if self.faults.kills => self.kill(node),
                1 => self.change_partition(node),
                2 => self.propose(node),
                3..10 => self.start(node),
                _ => {}
            }
        }
    }

    /// Whoever led the sleeping group is gone, and those that are left notice.
    fn outlive_the_leader(&mut self) {
        let leader = self.leader().unwrap();
        let replica = self.nodes[leader].replica.as_ref().unwrap();
        let voters = replica.members().voters.clone();
        if voters.len() < 3 {
            return;
        }
        self.trace.push(format!("{}: gone", leader + 1));
        self.nodes[leader].replica = None;
        self.rest(150);
        let heir = self.leader().expect("another leads");
        self.propose(heir);
        self.rest(40);
        let replica = self.nodes[heir].replica.as_ref().unwrap();
        assert_eq!(replica.commit(), replica.last(), "the group goes on");
    }

    fn check_rest(&self) {
        let leading = |node: &Node| node.replica.as_ref().is_some_and(Replica::is_leading);
        let leaders = self.nodes.iter().filter(|node| leading(node));
        let leaders: Vec<_> = leaders.collect();
        assert_eq!(leaders.len(), 1, "one leader in the end");
        let leader = leaders[0].replica.as_ref().unwrap();
        let (last, members) = (leader.last(), leader.members());
        assert!(!members.is_joint(), "every joint configuration is left");
        for id in members.all() {
            let node = &self.nodes[self.seat_of(id)];
            assert_eq!(node.id, id, "nobody is who it was before");
            let replica = node.replica.as_ref().unwrap();
            assert_eq!(replica.last(), last, "one log in the end");
            assert_eq!(replica.commit(), last, "all of it committed");
            assert_eq!(replica.visible(), last, "all of it shown");
            assert_eq!(replica.members(), members, "one configuration");
            assert!(!replica.is_recovering(), "nobody is barred for ever");
            let is_alone = members.all().count() == 1;
            assert!(is_alone || replica.is_asleep(), "{} is awake", id.get());
            assert_eq!(node.disk.entries().len() as u64, last.index.0);
        }
    }
}

/// The places of what is new in a log since something was known of it up to an entry, as it is up to
/// another one from now on.
fn between(known: &mut LogIndex, through: LogIndex) -> std::ops::Range<usize> {
    let before = std::mem::replace(known, through.max(*known));
    before.0 as usize..known.0 as usize
}
