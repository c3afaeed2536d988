//! Changing who raft-rs thinks belongs to the group.
//!
//! raft-rs would take changes out of entries of its own kind, one step at a time, and turn those that it
//! refuses into empty entries. It never sees such entries: when ours are committed, the whole
//! configuration is set.

use std::cmp::Reverse;

use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfState};
use raft::{Changer, INVALID_ID, ProgressTracker, StateRole};

use super::{Consensus, INFLIGHT_MESSAGES_MAX};
use crate::{Members, ReplicaId};

/// The same in raft-rs' words: a voter that becomes a learner is not one before it has ceased to vote.
pub(super) fn conf_state(members: &Members) -> ConfState {
    let numbers = |ids: &[ReplicaId]| -> Vec<u64> { ids.iter().map(|id| id.get()).collect() };
    let is_outgoing = |id: &ReplicaId| members.outgoing.contains(id);
    let (later, now): (Vec<_>, Vec<_>) = members.learners.iter().partition(|id| is_outgoing(id));
    let mut state = ConfState::from((numbers(&members.voters), numbers(&now)));
    state.set_voters_outgoing(numbers(&members.outgoing));
    state.set_learners_next(numbers(&later));
    state
}

impl Consensus {
    /// Puts a configuration in force. What is known of those that stay is kept.
    ///
    /// A candidate starts over, since it has asked the wrong voters. A leader that votes no longer
    /// would go on leading; it steps down instead.
    pub(crate) fn set_members(&mut self, members: &Members) {
        let own = ReplicaId::new(self.node.raft.id).expect("it was one");
        match self.node.raft.state {
            StateRole::Follower => {}
            StateRole::Leader if members.is_voter(own) => {}
            StateRole::Leader => {
                self.take_leave(members);
                self.step_down();
            }
            StateRole::PreCandidate | StateRole::Candidate => self.step_down(),
        }
        let next_index = self.node.raft.raft_log.last_index();
        let mut tracker = tracker(members, next_index);
        let old = self.node.raft.mut_prs();
        for (id, progress) in tracker.iter_mut() {
            if let Some(known) = old.get_mut(*id) {
                std::mem::swap(progress, known);
            }
        }
        *old = tracker;
        self.node.raft.post_conf_change();
        self.time_elections(false);
    }

    /// Tells all what is committed, so that those who are left know that they are by themselves, and
    /// the one that has most to stand for election.
    fn take_leave(&mut self, members: &Members) {
        self.node.raft.ping();
        let matched = |id: &ReplicaId| {
            let progress = self.node.raft.prs().get(id.get());
            progress.map(|progress| progress.matched)
        };
        let voters = members.voters.iter();
        if let Some(heir) = voters.max_by_key(|id| (matched(id), Reverse(**id))) {
            self.node.raft.send_timeout_now(heir.get());
        }
    }

    fn step_down(&mut self) {
        let term = self.node.raft.term;
        self.node.raft.become_follower(term, INVALID_ID);
    }
}

/// Nothing is known of anybody yet, but that entries from `next_index` on may be tried.
///
/// raft-rs changes one voter at a time, or any number on the way into a joint configuration.
fn tracker(members: &Members, next_index: u64) -> ProgressTracker {
    use ConfChangeType::{AddLearnerNode, AddNode, RemoveNode};
    let added = changes(&members.voters, AddNode);
    let learning = changes(&members.learners, AddLearnerNode);
    let mut tracker = ProgressTracker::new(INFLIGHT_MESSAGES_MAX);
    if members.is_joint() {
        for before in changes(&members.outgoing, AddNode) {
            change(&mut tracker, &before, next_index);
        }
        let gone = changes(&members.outgoing, RemoveNode);
        let all: Vec<_> = gone.chain(added).chain(learning).collect();
        let changed = Changer::new(&tracker).enter_joint(false, &all);
        let (configuration, changes) = changed.expect("somebody votes");
        tracker.apply_conf(configuration, changes, next_index);
    } else {
        for one in added.chain(learning) {
            change(&mut tracker, &one, next_index);
        }
    }
    tracker
}

fn changes(ids: &[ReplicaId], kind: ConfChangeType) -> impl Iterator<Item = ConfChangeSingle> + '_ {
    ids.iter().map(move |id| {
        let mut change = ConfChangeSingle {
            node_id: id.get(),
            ..ConfChangeSingle::default()
        };
        change.set_change_type(kind);
        change
    })
}

fn change(tracker: &mut ProgressTracker, change: &ConfChangeSingle, next_index: u64) {
    let changed = Changer::new(tracker).simple(std::slice::from_ref(change));
    let (configuration, changes) = changed.expect("one more, and voters come first");
    tracker.apply_conf(configuration, changes, next_index);
}
