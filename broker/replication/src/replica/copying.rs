//! Followers that lack what the leader has not as entries any more: they are to take a copy of its log.
//!
//! raft-rs would send a snapshot. It asks for one, is told each time that there is none yet, and goes on
//! as soon as the follower, which has begun anew with its copy, says how far it agrees.

use klamm_model::LogIndex;

use super::Replica;
use crate::envelope::{EntryId, Envelope, PeerMessage};
use crate::{Effect, ReplicaId};

impl Replica {
    /// Tells followers that are behind the log's beginning.
    pub(super) fn refer_to_copies(&mut self, effects: &mut Vec<Effect>) {
        for follower in self.consensus.take_behind() {
            let unless = self.consensus.before_first();
            effects.push(self.say(follower, PeerMessage::TakeCopy { unless }));
        }
    }

    /// The leader has said that it cannot give this replica what it lacks.
    pub(super) fn take_copy(
        &mut self,
        leader: ReplicaId,
        unless: EntryId,
        effects: &mut Vec<Effect>,
    ) {
        let term = self.consensus.term();
        // What was said before the logs agreed so far is out of date. Where they agree on less, the leader
        // has shortened its log since, and has nothing to go on with from there.
        let agrees = self.outbox.agreed(term) >= unless.index;
        if agrees || self.consensus.leader() != Some(leader) {
            return;
        }
        if self.consensus.has(unless) {
            return self.accept(leader, unless);
        }
        self.wants_copy = Some(unless);
        effects.push(Effect::TakeCopy { from: leader });
    }

    /// The log has an entry of the leader's, so it agrees up to there: it is a copy, and the leader does not
    /// know it yet.
    fn accept(&mut self, leader: ReplicaId, entry: EntryId) {
        let accepted = Envelope {
            from: self.id,
            to: leader,
            term: self.consensus.term(),
            visible: LogIndex::ZERO,
            message: PeerMessage::Accepted {
                through: entry.index,
                commit: self.consensus.committed(),
            },
        };
        let last = self.last().index;
        self.outbox
            .push(accepted, Some(leader), last, &self.persistence);
    }
}
