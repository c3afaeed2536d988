//! Followers that lack what the leader has not as entries any more: they are to take a copy of its log.
//!
//! raft-rs would send a snapshot. It asks for one, is told each time that there is none yet, and goes on
//! as soon as the follower, which has begun anew with its copy, agrees with the log again.

use klamm_model::LogIndex;

use super::Replica;
use crate::envelope::{EntryId, PeerMessage};
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
        // What was said before this log began, or began anew, or before it agreed, is out of date.
        let agrees = self.outbox.agreed(term) > LogIndex::ZERO;
        if agrees || self.consensus.has(unless) || self.consensus.is_leader() {
            return;
        }
        self.wants_copy = Some(unless);
        effects.push(Effect::TakeCopy { from: leader });
    }
}
