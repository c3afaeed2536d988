//! Changes of the group's members.
//!
//! A change of voters is two entries: a joint configuration, in which the voters from before and those
//! to come decide together, and the one that leaves it. Whoever leads proposes the second when the
//! first is in force. One change at a time, and none before an entry of the leader's own term is
//! committed: two leaders could otherwise each change something that the other does not know of.

use klamm_model::LogIndex;
use klamm_model::raft::{LogEntry, MetaEntry, MetaKind};

use super::Replica;
use crate::standing::Turn;
use crate::{Configuration, Effect, Members};

impl Replica {
    /// The members in force: those of the last configuration that is known to be committed. None if
    /// this replica has not been told yet.
    pub fn members(&self) -> &Members {
        self.configurations.in_force()
    }

    /// The same, and the entry since which they are in force.
    pub fn configuration(&self) -> Configuration {
        Configuration {
            since: self.configurations.since(),
            members: self.members().clone(),
        }
    }

    /// Whether [`Event::ChangeMembers`](crate::Event::ChangeMembers) would be taken now.
    pub fn can_change_members(&self) -> bool {
        self.can_propose_members() && !self.members().is_joint()
    }

    /// Whether all voters have the members in force that are in force here, as far as a leader knows:
    /// before, the vote of one that was removed may be needed.
    pub fn members_are_known(&self) -> bool {
        let voters = &self.members().voters;
        let since = self.configurations.since();
        self.is_leading() && self.peers.all_know_commit(voters, since)
    }

    fn can_propose_members(&self) -> bool {
        let committed = self.consensus.committed();
        self.can_propose_meta()
            && !self.configurations.is_changing()
            && self.consensus.term_at(committed) == Some(self.consensus.term())
    }

    /// Whether this replica leads, and gives its place to nobody.
    pub(super) fn can_propose_meta(&self) -> bool {
        self.is_leading() && self.consensus.is_leader() && !self.consensus.is_transferring()
    }

    pub(super) fn change_members(&mut self, wanted: Members, effects: &mut Vec<Effect>) {
        assert!(!wanted.is_joint(), "whoever leads makes it joint");
        assert!(!wanted.voters.is_empty(), "somebody votes");
        let unclean_elections = self.members().unclean_elections;
        let mut wanted = Members::of_voters(wanted.voters)
            .with_learners(wanted.learners)
            .after_unclean_elections(unclean_elections);
        if !self.can_change_members() || wanted == *self.members() {
            return;
        }
        if wanted.voters != self.members().voters {
            wanted.outgoing = self.members().voters.clone();
        }
        self.propose_members(&wanted, effects);
    }

    /// Proposes to leave the joint configuration that is in force. Whether it did.
    pub(super) fn leave_joint(&mut self, effects: &mut Vec<Effect>) -> bool {
        if !self.members().is_joint() || !self.can_propose_members() {
            return false;
        }
        let members = Members {
            outgoing: Vec::new(),
            ..self.members().clone()
        };
        self.propose_members(&members, effects)
    }

    fn propose_members(&mut self, members: &Members, effects: &mut Vec<Effect>) -> bool {
        self.propose_meta(MetaKind::Membership(members.encode()), effects)
    }

    /// Appends an entry without records; whether it did: it is dropped when the disk has fallen behind.
    pub(super) fn propose_meta(&mut self, kind: MetaKind, effects: &mut Vec<Effect>) -> bool {
        if !self.positions.has_room_for(1) {
            return false;
        }
        let Some(index) = self.consensus.propose(1) else {
            return false;
        };
        self.push(LogEntry::Meta(MetaEntry {
            index,
            term: self.consensus.term(),
            at_offset: self.last().offset,
            kind,
        }));
        while let Some(ready) = self.consensus.next_ready() {
            self.take(ready, effects);
        }
        true
    }

    /// The log goes on with an entry.
    pub(super) fn note_membership(&mut self, entry: &LogEntry) {
        if let LogEntry::Meta(MetaEntry { index, kind, .. }) = entry
            && let MetaKind::Membership(bytes) = kind
        {
            let members = Members::decode(bytes).expect("what comes is looked at before");
            self.configurations.follow(*index, members);
        }
    }

    /// Puts the next configuration in force if it is committed. Whether it was.
    pub(super) fn enforce_members(&mut self, effects: &mut Vec<Effect>) -> bool {
        let committed: LogIndex = self.consensus.committed();
        let Some(index) = self.configurations.commit(committed) else {
            return false;
        };
        let members = self.configurations.in_force();
        self.consensus.set_members(members);
        self.peers.change(members);
        effects.push(Effect::Members {
            index,
            members: members.clone(),
        });
        self.replace_leader();
        true
    }

    /// A leader that votes no longer has stepped down; who has only itself need not wait for anybody.
    fn replace_leader(&mut self) {
        let members = self.configurations.in_force();
        match self.consensus.leader() {
            Some(leader) if !members.is_voter(leader) => self.leader_unreachable(leader, &[]),
            None if members.has_lone_voter(self.id) => self.standing.leader_is_gone(Turn::FIRST),
            _ => {}
        }
    }
}
