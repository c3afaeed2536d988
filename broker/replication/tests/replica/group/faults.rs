//! What may happen to the nodes of a history, and to what binds them.

use klamm_replication::{Event, Members, ReplicaId};
use klamm_simulation::Random;
use klamm_simulation::members::{are_too_lossy, draw_change};

use super::node::Node;
use super::oracle::Oracle;
use super::world::World;

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
    /// States of the archive that replicas have heard to be agreed on.
    pub(super) archives: u64,
}

/// Of the faults that [`World::disturb`] knows; some are more likely than others.
pub(super) const KINDS: u64 = 6;

/// Leaders that fall at the worst moments. Raft's hard cases are rare where faults come at any time.
#[derive(Debug)]
pub(super) struct Cruelty {
    is_there: bool,
    /// A leader that falls after so many steps.
    doomed: Option<(usize, u64)>,
    /// A leader that has shown nothing yet.
    fresh: Option<usize>,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.elections += other.elections;
        self.truncations += other.truncations;
        self.recoveries += other.recoveries;
        self.configurations += other.configurations;
        self.sleeps += other.sleeps;
        self.given_up += other.given_up;
        self.archives += other.archives;
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

impl Cruelty {
    pub(super) fn draw(random: &mut Random) -> Self {
        Self {
            is_there: random.one_in(3),
            doomed: None,
            fresh: None,
        }
    }
}

impl World<'_> {
    pub(super) fn disturb(&mut self, node: usize) {
        match self.random.below(KINDS) {
            0 => self.transfer(node),
            1 => self.miss_leader(node),
            2 | 3 => self.change_cuts(node),
            4 if self.faults.kills => self.kill(node),
            _ => self.lose_power(node),
        }
    }

    /// A leader is asked to give its place to somebody.
    fn transfer(&mut self, to: usize) {
        if let Some(leader) = self.leader() {
            self.tally.count("leaderships handed over");
            self.trace
                .note(format!("{}: transfers to {}", leader + 1, to + 1));
            let to = self.id_as_known_by(to, leader);
            self.handle(leader, Event::TransferLeadership(to));
        }
    }

    pub(super) fn change_cuts(&mut self, node: usize) {
        self.tally.count("cuts");
        let leader = self.leader();
        self.network.change_cuts(&mut self.random, node, leader);
        self.trace.note(self.network.to_string());
    }

    pub(super) fn kill(&mut self, node: usize) {
        if self.nodes[node].replica.is_none() {
            return;
        }
        self.end(node);
        self.tally.count("kills");
        self.trace.note(format!("{}: killed", node + 1));
        for other in 0..self.nodes.len() {
            if self.random.one_in(3) {
                self.miss(other, node);
            }
        }
    }

    /// A node takes another for gone. Who has just come is seldom known to all in the same way.
    pub(super) fn miss(&mut self, at: usize, gone: usize) {
        let leader = self.id_as_known_by(gone, at);
        let newcomer = self.random.below(4 * self.nodes.len() as u64) as usize;
        let newcomer = self.nodes.get(newcomer).map(|node| node.id);
        let newcomers = newcomer.into_iter().collect();
        self.trace
            .note(format!("{}: misses {}", at + 1, leader.get()));
        self.handle(at, Event::LeaderUnreachable { leader, newcomers });
    }

    /// A node takes the leader for gone, and need not be right.
    fn miss_leader(&mut self, at: usize) {
        if let Some(leader) = self.leader() {
            self.tally.count("leaders taken for gone");
            self.miss(at, leader);
        }
    }

    // ---- Cruelty ----

    /// A leader falls before anybody has its first entry, or soon after.
    pub(super) fn doom_new_leader(&mut self, at: usize) {
        self.cruelty.fresh = Some(at);
        if self.cruelty.is_there && self.random.one_in(2) {
            self.cruelty.doomed = Some((at, self.random.below(30)));
        }
    }

    /// Or when a bare majority has what was just acknowledged, and most of all what it shows first: that
    /// others began it is where leaders of several terms differ.
    pub(super) fn doom_leader_that_shows(&mut self, at: usize) {
        if self.leader() != Some(at) {
            return;
        }
        let is_first = self.cruelty.fresh.take_if(|fresh| *fresh == at).is_some();
        let one_in = if is_first { 3 } else { 20 };
        if self.cruelty.is_there && self.random.one_in(one_in) {
            self.cruelty.doomed = Some((at, 0));
        }
    }

    /// A doomed leader is killed or cut off; one that followed it may lose what it had not fsynced, and one
    /// that was down may be back.
    pub(super) fn strike_the_doomed(&mut self) {
        let Some((leader, steps)) = self.cruelty.doomed else {
            return;
        };
        self.cruelty.doomed = steps.checked_sub(1).map(|steps| (leader, steps));
        if self.cruelty.doomed.is_some() {
            // It has something of its own by then.
            return self.propose(leader);
        }
        match self.faults.kills && self.random.one_in(2) {
            true => self.kill(leader),
            false => {
                self.network.isolate(leader);
                self.tally.count("cuts");
                self.trace.note(self.network.to_string());
            }
        }
        let follower = self.random.place(&self.nodes);
        if follower != leader && self.random.one_in(2) {
            self.lose_power(follower);
        }
        let other = self.random.place(&self.nodes);
        if other != leader && other != follower {
            self.start(other);
        }
    }

    // ---- Members ----

    /// A leader is asked for other members.
    pub(super) fn change_members(&mut self) {
        let Some(leader) = self.leader().filter(|_| self.faults.changes) else {
            return;
        };
        let seats = 0..self.nodes.len();
        let ids: Vec<ReplicaId> = seats
            .map(|seat| self.id_as_known_by(seat, leader))
            .collect();
        let replica = self.nodes[leader].replica.as_ref().unwrap();
        let members = replica.members().clone();
        let wanted = draw_change(&mut self.random, &ids, &members);
        if wanted.voters.is_empty() || !self.faults.strict && self.is_too_lossy(&wanted, None) {
            return;
        }
        self.trace.note(format!("{}: wants {wanted}", leader + 1));
        self.handle(leader, Event::ChangeMembers(wanted));
    }

    /// Whether more than a minority of those who decide lack what they had not fsynced, with one more.
    fn is_too_lossy(&self, members: &Members, more: Option<usize>) -> bool {
        are_too_lossy(members, |id| {
            let at = self.seat_of(id);
            self.nodes[at].recovering || more == Some(at)
        })
    }

    // ---- Power ----

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
        self.end(at);
        self.tally.count("power losses");
        let node = &mut self.nodes[at];
        node.disk.lose_power(&mut self.random);
        let barred = self.faults.sabotage != Some(Sabotage::NoVoteBar);
        node.recovering = barred && !self.faults.strict;
        self.trace.note(format!("{}: lost power", at + 1));
    }
}
