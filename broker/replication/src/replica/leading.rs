//! What only a leader does: it appends, and knows what a majority has written.

use std::time::Duration;

use klamm_model::raft::{DataEntry, LogEntry, Placement};
use klamm_model::{Instant, LogIndex, RecordBatch};

use super::{Leadership, Replica};
use crate::{Effect, Position, ReplicaId};

impl Replica {
    pub(super) fn propose(&mut self, batches: Vec<RecordBatch>, effects: &mut Vec<Effect>) {
        if batches.is_empty() {
            return;
        }
        let first = match self.leadership {
            Leadership::Leading if self.positions.has_room_for(batches.len()) => {
                self.consensus.propose(batches.len())
            }
            _ => None,
        };
        let Some(first) = first else {
            effects.push(Effect::ProposalDropped);
            return;
        };
        assert_eq!(first, self.last().index.next(), "indexes as predicted");
        let entries: Vec<_> = batches.into_iter().map(|b| self.stamp(b)).collect();
        let mut stamped = entries.iter().map(|entry| (entry.index, entry.term));
        while let Some(ready) = self.consensus.next_ready() {
            let as_stamped = |entry: &(LogIndex, _)| stamped.next() == Some(*entry);
            assert!(ready.entries.iter().all(as_stamped), "raft-rs agrees");
            self.take(ready, effects);
        }
        assert_eq!(stamped.next(), None, "raft-rs gave out every entry");
        self.sequence.push_batches(entries);
    }

    /// Gives a batch its place: the next index, the log end offset, the current term.
    fn stamp(&mut self, mut batch: RecordBatch) -> DataEntry {
        let (last, term) = (self.last(), self.consensus.term());
        batch.stamp(last.offset, term.leader_epoch());
        let index = last.index.next();
        let entry = LogEntry::Records(DataEntry {
            index,
            term,
            batch,
            placement: Placement::Undecided,
        });
        self.expect(&entry);
        match entry {
            LogEntry::Records(entry) => entry,
            LogEntry::Meta(_) => unreachable!("it was made of a batch"),
        }
    }

    /// Batches may follow once the no-op is in the journal.
    pub(super) fn begin_to_lead(&mut self, effects: &mut Vec<Effect>) {
        let Leadership::Elected { noop } = self.leadership else {
            return;
        };
        if self.written.reached() >= noop && self.consensus.is_leader() {
            self.leadership = Leadership::Leading;
            let Position { offset, .. } = self.positions.at(noop);
            effects.push(Effect::BecameLeader {
                term: self.consensus.term(),
                start_offset: offset,
            });
        }
    }

    pub(super) fn peer_wrote(&mut self, peer: ReplicaId, through: LogIndex) {
        self.peers.wrote(peer, through);
        self.consensus.peer_wrote(peer, through);
    }

    pub(super) fn peer_restarted(&mut self, peer: ReplicaId) {
        self.peers.restarted(peer);
        self.consensus.peer_restarted(peer);
    }

    /// Before its no-op is in the journal a leader has nothing to give.
    pub(super) fn transfer_leadership(&mut self, to: ReplicaId) {
        if self.is_leading() {
            self.consensus.transfer_leadership(to);
        }
    }

    /// Whether this replica leads and gives its place to another one: it takes nothing until that one
    /// leads, or an election's time has passed.
    pub fn is_giving_way(&self) -> bool {
        self.is_leading() && self.consensus.is_transferring()
    }

    /// The last entry that a majority is known to have written. Entries of older terms count only
    /// with one of the leader's own above them (Raft 5.4.2).
    pub(super) fn written_by_majority(&self) -> LogIndex {
        if !self.is_leading() {
            return LogIndex::ZERO;
        }
        let members = self.configurations.in_force();
        let by_majority = self.peers.by_majority(members, self.written.reached());
        match self.consensus.term_at(by_majority) == Some(self.consensus.term()) {
            true => by_majority,
            false => LogIndex::ZERO,
        }
    }

    /// The last entry that so many voters are known to have written, this replica among them; of a joint
    /// configuration those count that will stay. [`LogIndex::ZERO`] if there are not so many, or this
    /// replica does not lead.
    pub fn written_by(&self, count: usize) -> LogIndex {
        if !self.is_leading() {
            return LogIndex::ZERO;
        }
        let voters = &self.configurations.in_force().voters;
        self.peers.by_count(voters, count, self.written.reached())
    }

    /// How many voters could take part in a decision now, as far as a leader knows: itself, and those
    /// that were heard within a time. While it sleeps all are taken to be there. Of a joint configuration those count that will stay; 0 if this
    /// replica does not lead.
    pub fn responsive_voters(&self, now: Instant, within: Duration) -> usize {
        if !self.consensus.is_leader() {
            return 0;
        }
        let voters = self.configurations.in_force().voters.iter();
        let responds =
            |voter: &&ReplicaId| **voter == self.id || self.peers.was_heard(**voter, now, within);
        if self.is_asleep() {
            return voters.count();
        }
        voters.filter(responds).count()
    }

    /// The other members, and the last entry that each is known to have written; that is only known
    /// to a leader.
    pub fn followers(&self) -> impl Iterator<Item = (ReplicaId, LogIndex)> + '_ {
        self.peers.written()
    }
}
