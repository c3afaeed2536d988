//! What a leader knows of the other members.

use std::time::Duration;

use klamm_model::{Instant, LogIndex};

use crate::{Members, ReplicaId};

/// See the module.
#[derive(Debug)]
pub(super) struct Peers {
    own: ReplicaId,
    others: Vec<Peer>,
}

#[derive(Debug)]
struct Peer {
    id: ReplicaId,
    /// How far its log is known to agree with ours and to be written there.
    written: LogIndex,
    /// The last committed entry that it knew of when it said so last.
    committed: LogIndex,
    /// When it said something of the leader's term. raft-rs notes only whether it did since it was asked last.
    heard: Option<Instant>,
}

impl Peer {
    fn unknown(id: ReplicaId) -> Self {
        Self {
            id,
            written: LogIndex::ZERO,
            committed: LogIndex::ZERO,
            heard: None,
        }
    }
}

impl Peers {
    pub(super) fn new(own: ReplicaId, members: &Members) -> Self {
        let others = members.all().filter(|member| *member != own);
        Self {
            own,
            others: others.map(Peer::unknown).collect(),
        }
    }

    /// The group has other members; what is known of those that stay is kept.
    pub(super) fn change(&mut self, members: &Members) {
        let before = std::mem::replace(self, Self::new(self.own, members));
        for peer in before.others {
            if let Some(same) = self.of(peer.id) {
                *same = peer;
            }
        }
    }

    fn of(&mut self, peer: ReplicaId) -> Option<&mut Peer> {
        self.others.iter_mut().find(|other| other.id == peer)
    }

    pub(super) fn heard(&mut self, peer: ReplicaId, now: Instant) {
        if let Some(peer) = self.of(peer) {
            peer.heard = Some(now);
        }
    }

    /// All have been there until now.
    pub(super) fn heard_all(&mut self, now: Instant) {
        for peer in &mut self.others {
            peer.heard = Some(now);
        }
    }

    pub(super) fn wrote(&mut self, peer: ReplicaId, through: LogIndex) {
        if let Some(peer) = self.of(peer) {
            peer.written = through.max(peer.written);
        }
    }

    pub(super) fn knows_commit(&mut self, peer: ReplicaId, commit: LogIndex) {
        if let Some(peer) = self.of(peer) {
            peer.committed = commit;
        }
    }

    /// Whether all of these voters, but this replica, know that an entry is committed.
    pub(super) fn all_know_commit(&self, voters: &[ReplicaId], entry: LogIndex) -> bool {
        let mut voters = voters.iter().filter(|voter| **voter != self.own);
        voters.all(|voter| {
            let mut others = self.others.iter();
            let other = others.find(|other| other.id == *voter);
            other.is_some_and(|other| other.committed >= entry)
        })
    }

    pub(super) fn restarted(&mut self, peer: ReplicaId) {
        if let Some(peer) = self.of(peer) {
            peer.written = LogIndex::ZERO;
            // After a restart it may know less.
            peer.committed = LogIndex::ZERO;
        }
    }

    /// What was known was of another term.
    pub(super) fn forget(&mut self) {
        for peer in &mut self.others {
            *peer = Peer::unknown(peer.id);
        }
    }

    pub(super) fn was_heard(&self, peer: ReplicaId, now: Instant, within: Duration) -> bool {
        let mut others = self.others.iter();
        let peer = others.find(|other| other.id == peer);
        let heard = peer.and_then(|peer| peer.heard);
        heard.is_some_and(|heard| now <= heard + within)
    }

    pub(super) fn written(&self) -> impl Iterator<Item = (ReplicaId, LogIndex)> + '_ {
        self.others.iter().map(|peer| (peer.id, peer.written))
    }

    /// The last entry that a majority has written, with `own` of it here; of either set of voters if
    /// there are two.
    pub(super) fn by_majority(&self, members: &Members, own: LogIndex) -> LogIndex {
        let by_voters = self.by_majority_of(&members.voters, own);
        match members.is_joint() {
            true => by_voters.min(self.by_majority_of(&members.outgoing, own)),
            false => by_voters,
        }
    }

    fn by_majority_of(&self, voters: &[ReplicaId], own: LogIndex) -> LogIndex {
        self.by_count(voters, voters.len() / 2 + 1, own)
    }

    /// The last entry that so many of these voters have written; [`LogIndex::ZERO`] if they are fewer.
    pub(super) fn by_count(&self, voters: &[ReplicaId], count: usize, own: LogIndex) -> LogIndex {
        if voters == [self.own] && count <= 1 {
            return own;
        }
        let written = |voter: &ReplicaId| {
            let mut others = self.others.iter();
            let other = others.find(|other| other.id == *voter);
            // Every voter is a member, and the only one that is not among the others is this one.
            other.map_or(own, |other| other.written)
        };
        let mut all: Vec<LogIndex> = voters.iter().map(written).collect();
        all.sort_unstable();
        let at = all.len().checked_sub(count.max(1));
        at.map_or(LogIndex::ZERO, |at| all[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u64) -> ReplicaId {
        ReplicaId::new(id).expect("not 0")
    }

    #[test]
    fn a_joint_configuration_takes_a_majority_of_either_set_and_learners_do_not_count() {
        let mut members = Members::of_voters([1, 4, 5].map(id)).with_learners([id(6)]);
        members.outgoing = [1, 2, 3].map(id).to_vec();
        let mut peers = Peers::new(id(1), &members);
        let check = |peers: &Peers, own, expected| {
            assert_eq!(
                peers.by_majority(&members, LogIndex(own)),
                LogIndex(expected)
            );
        };
        check(&peers, 9, 0);
        peers.wrote(id(4), LogIndex(8));
        peers.wrote(id(6), LogIndex(9));
        check(&peers, 9, 0);
        peers.wrote(id(3), LogIndex(7));
        check(&peers, 9, 7);
        peers.restarted(id(4));
        check(&peers, 9, 0);
        peers.wrote(id(5), LogIndex(6));
        peers.change(&Members::of_voters([1, 5, 7].map(id)));
        let kept = [(id(5), LogIndex(6)), (id(7), LogIndex::ZERO)];
        assert_eq!(peers.written().collect::<Vec<_>>(), kept);
    }

    #[test]
    fn all_voters_know_what_each_has_said_that_it_knows_in_this_life() {
        let voters = [1, 2, 3].map(id);
        let members = Members::of_voters(voters).with_learners([id(4)]);
        let mut peers = Peers::new(id(1), &members);
        peers.knows_commit(id(2), LogIndex(7));
        assert!(!peers.all_know_commit(&voters, LogIndex(7)));
        peers.knows_commit(id(3), LogIndex(8));
        assert!(peers.all_know_commit(&voters, LogIndex(7)));
        assert!(!peers.all_know_commit(&voters, LogIndex(8)));
        peers.restarted(id(3));
        assert!(!peers.all_know_commit(&voters, LogIndex(7)));
        assert!(
            peers.all_know_commit(&[id(1)], LogIndex(9)),
            "there is nobody else"
        );
    }

    #[test]
    fn what_so_many_have_written_sinks_with_their_number() {
        let voters = [1, 2, 3, 4, 5].map(id);
        let mut peers = Peers::new(id(1), &Members::of_voters(voters));
        for (peer, written) in [(2, 8), (3, 6), (4, 4)] {
            peers.wrote(id(peer), LogIndex(written));
        }
        let by_count = |count| peers.by_count(&voters, count, LogIndex(9)).0;
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(by_count), [9, 9, 8, 6, 4, 0, 0]);
        let alone = Peers::new(id(1), &Members::of_voters([id(1)]));
        let by_count = |count| alone.by_count(&[id(1)], count, LogIndex(9)).0;
        assert_eq!([1, 2].map(by_count), [9, 0]);
    }
}
