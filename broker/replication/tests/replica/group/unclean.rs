//! Unclean elections: what a cluster's metadata say of them, and how nodes learn it, some late.
//!
//! A node that has not heard of an election goes on as before, with others that have not either. What
//! those show from then on is given up; so there is an oracle for each number of elections.

use klamm_model::Term;
use klamm_replication::{EntryId, Event, LogFate, Members, Replica, ReplicaId, UncleanElection};

use super::disk::Disk;
use super::faults::Sabotage;
use super::node::Node;
use super::oracle::Oracle;
use super::world::World;

/// How far the term goes ahead.
const TERMS_AHEAD: u64 = 1_000;

impl World<'_> {
    /// The node that has a replica, whatever has become of it.
    pub(super) fn seat_of(&self, id: ReplicaId) -> usize {
        (id.get() as usize - 1) % self.nodes.len()
    }

    /// The replica that a node has for whoever knows so many elections: after each but the survivor has
    /// another one.
    pub(super) fn id_of(&self, seat: usize, known: usize) -> ReplicaId {
        let nodes = self.nodes.len() as u64;
        let mut id = seat as u64 + 1;
        for election in &self.elections[..known] {
            if self.seat_of(election.survivor) != seat {
                id = seat as u64 + 1 + election.number * nodes;
            }
        }
        ReplicaId::new(id).unwrap()
    }

    /// The replica that a node has, as another one knows.
    pub(super) fn id_as_known_by(&self, seat: usize, at: usize) -> ReplicaId {
        self.id_of(seat, self.nodes[at].known)
    }

    /// The controller reaches some of the nodes, and lets the one go on alone that has most.
    pub(super) fn elect_uncleanly(&mut self, first: usize) {
        let mut reached: Vec<_> = (0..self.nodes.len()).collect();
        reached.retain(|seat| *seat == first || self.random.one_in(2));
        reached.retain(|seat| self.can_go_on_alone(*seat));
        let rank = |seat: &&usize| {
            let EntryId { index, term } = last_written(&self.nodes[**seat]);
            (term, index)
        };
        let Some(&survivor) = reached.iter().max_by_key(rank) else {
            return;
        };
        let is_about_to = |last: &UncleanElection| {
            reached.iter().any(|seat| {
                let node = &self.nodes[*seat];
                node.id == last.survivor && been_through(node) < last.number
            })
        };
        if self.elections.last().is_some_and(is_about_to) {
            return;
        }
        let terms = reached.iter().map(|seat| self.nodes[*seat].term().get());
        let latest = terms.max().unwrap_or(0);
        let node = &self.nodes[survivor];
        let election = UncleanElection {
            number: self.elections.len() as u64 + 1,
            survivor: node.id,
            last: last_written(node),
            end_offset: node.disk.last().offset,
            term: Term::new(latest + TERMS_AHEAD),
        };
        self.trace.note(format!("{election:?}"));
        self.elections.push(election);
        self.tally.count("unclean elections");
        self.oracles.push(Oracle::default());
    }

    fn can_go_on_alone(&self, seat: usize) -> bool {
        let node = &self.nodes[seat];
        let decided = self.elections.len();
        node.replica.is_some()
            && node.id == self.id_of(seat, decided)
            && been_through(node) + 1 >= decided as u64
    }

    /// A broker that runs hears what was decided: it closes its replica, and opens the one that it has now.
    pub(super) fn learn(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.replica.is_none() || node.known == self.elections.len() {
            return;
        }
        let disk = &mut self.nodes[at].disk;
        disk.sync();
        disk.sync_journal();
        self.end(at);
        self.trace.note(format!("{}: closed", at + 1));
        self.start(at);
    }

    /// What has been decided is known before a node starts; whether it could be written down.
    pub(super) fn settle(&mut self, at: usize) -> bool {
        let decided = self.elections.len();
        let id = self.id_of(at, decided);
        let is_careless = self.sabotages(Sabotage::GivenUpLogsGoOn);
        let node = &mut self.nodes[at];
        node.known = decided;
        node.id = id;
        let Some(election) = self.elections.last() else {
            return true;
        };
        let mut past = node.disk.recover();
        match election.fate_of(id, &past) {
            LogFate::GoesOn => {}
            LogFate::IsGivenUp if is_careless => {}
            LogFate::IsGivenUp => {
                self.trace.note(format!("{}: its log is given up", at + 1));
                self.counts.given_up += 1;
                node.disk = Disk::of_group(Members::default());
                node.recovering = false;
            }
            LogFate::GoesOnAlone => {
                self.trace.note(format!("{}: goes on alone", at + 1));
                let before = past.unclean_elections() as usize;
                let log = node.disk.entries();
                let after = self.oracles[before].as_far_as(&log);
                self.oracles[decided] = after;
                let forced = past.go_on_alone(id, election);
                let durable = self.random.below(6);
                return node.disk.force(&forced, durable);
            }
        }
        true
    }

    /// What leaders do in the end: all nodes are to vote again.
    pub(super) fn restore_members(&mut self) {
        self.rest(300);
        let leader = self.leader().expect("the survivor leads");
        let all = (0..self.nodes.len()).map(|seat| self.id_as_known_by(seat, leader));
        let all: Vec<_> = all.collect();
        let voters = &self.nodes[leader]
            .replica
            .as_ref()
            .unwrap()
            .members()
            .voters;
        let late = all.iter().copied().filter(|id| !voters.contains(id));
        let learning = Members::of_voters(voters.clone()).with_learners(late);
        for wanted in [learning, Members::of_voters(all)] {
            let leader = self.leader().expect("one leads");
            self.handle(leader, Event::ChangeMembers(wanted));
            self.rest(100);
        }
    }
}

fn last_written(node: &Node) -> EntryId {
    let last = node.disk.entries().last().map(EntryId::of);
    last.unwrap_or_default()
}

fn been_through(node: &Node) -> u64 {
    let members = node.replica.as_ref().map(Replica::members);
    members.map_or(0, |members| members.unclean_elections)
}
