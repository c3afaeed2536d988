//! The vote bar: a replica that may have lost what it had acknowledged neither votes nor stands for
//! election before it has caught up with a leader.
//!
//! An acknowledged entry was held by a majority. A candidate needs the votes of a majority, so one
//! of its voters held the entry: either that one still has it, and Raft's rule about logs protects
//! it, or lost it and is barred until it has copied the log of a leader, which has it. If so many
//! are barred that no leader can be elected, all voters say what they have, and those who are barred
//! vote for the one that has most. Who the voters are may be among what was lost: whoever answers says
//! that, too, and the latest configuration that anybody knows is the one whose voters are asked.

use klamm_model::LogIndex;

use super::Replica;
use crate::envelope::{Configuration, EntryId, Envelope, PeerMessage};
use crate::recovery::Recovery;
use crate::{Effect, Members, ReplicaId};

impl Replica {
    /// Whether this replica takes no part in elections, because it may lack what it acknowledged.
    pub fn is_recovering(&self) -> bool {
        self.recovery.is_some()
    }

    /// Whether its election timer runs.
    pub(super) fn may_stand(&self) -> bool {
        self.recovery.is_none() || self.chosen() == Some(self.id)
    }

    /// Whether a message may reach raft-rs.
    pub(super) fn may_hear(&self, envelope: &Envelope) -> bool {
        match envelope.message {
            PeerMessage::VoteRequest { .. } => {
                self.recovery.is_none() || self.chosen() == Some(envelope.from)
            }
            PeerMessage::TimeoutNow => self.recovery.is_none(),
            // Nobody can hold what was never sent; raft-rs would believe it.
            PeerMessage::Accepted { through, .. } | PeerMessage::Written { through } => {
                through <= self.last().index
            }
            _ => true,
        }
    }

    fn chosen(&self) -> Option<ReplicaId> {
        let recovery = self.recovery.as_ref()?;
        let members = self.known_members(recovery);
        recovery.chosen(self.id, self.last_entry(), members)
    }

    fn known_members<'a>(&'a self, recovery: &'a Recovery) -> &'a Members {
        recovery.members(self.members(), self.configurations.since())
    }

    /// Says to all others that it is recovering.
    pub(super) fn announce_recovery(&self, effects: &mut Vec<Effect>) {
        let Some(recovery) = &self.recovery else {
            return;
        };
        let life = recovery.life();
        let message = PeerMessage::Recovering { life };
        let voters = self.known_members(recovery).all_voters();
        // One that joins may not know who votes, but it hears from who leads.
        let leader = self.consensus.leader();
        let leader = leader.filter(|leader| !self.known_members(recovery).is_voter(*leader));
        for to in voters.chain(leader).filter(|to| *to != self.id) {
            effects.push(self.say(to, message.clone()));
        }
    }

    /// Somebody whose vote request is not heard may know better who votes. Who has lost the whole log
    /// would not know whom to ask otherwise.
    pub(super) fn ask_candidate(&self, envelope: &Envelope, effects: &mut Vec<Effect>) {
        let PeerMessage::VoteRequest { .. } = envelope.message else {
            return;
        };
        if let Some(recovery) = &self.recovery
            && !self.known_members(recovery).is_voter(envelope.from)
        {
            let life = recovery.life();
            effects.push(self.say(envelope.from, PeerMessage::Recovering { life }));
        }
    }

    /// Another replica is recovering. A leader that has committed an entry of its own says what it
    /// has to catch up with.
    pub(super) fn answer_recovering(
        &mut self,
        from: ReplicaId,
        life: u64,
        effects: &mut Vec<Effect>,
    ) {
        let term = self.consensus.term();
        let own_committed = self.consensus.term_at(self.consensus.committed()) == Some(term);
        let message = match self.consensus.is_leader() {
            true if self.is_leading() && own_committed => PeerMessage::CatchUpTo {
                life,
                through: self.last().index,
            },
            true => return,
            false => PeerMessage::Holds {
                life,
                last: self.last_entry(),
                commit: self.committed_entry(),
                configuration: Box::new(self.configuration()),
            },
        };
        effects.push(self.say(from, message));
    }

    pub(super) fn note_holds(
        &mut self,
        peer: ReplicaId,
        life: u64,
        last: EntryId,
        configuration: &Configuration,
    ) {
        if let Some(recovery) = &mut self.recovery {
            recovery.holds(peer, life, last, configuration);
        }
    }

    /// The leader has said how far to catch up.
    pub(super) fn catch_up_to(&mut self, life: u64, through: LogIndex) {
        let term = self.consensus.term();
        if let Some(recovery) = &mut self.recovery {
            recovery.catch_up_to(life, term, through);
        }
    }

    pub(super) fn notice_recovery(&mut self, effects: &mut Vec<Effect>) {
        let term = self.consensus.term();
        let agreed = self.outbox.agreed(term).min(self.written.reached());
        let over = |recovery: &Recovery| recovery.is_over(term, agreed);
        if self.recovery.as_ref().is_some_and(over) || self.is_leading() && self.is_recovering() {
            self.recovery = None;
            effects.push(Effect::Recovered);
        }
    }

    pub(super) fn say(&self, to: ReplicaId, message: PeerMessage) -> Effect {
        Effect::Send(Envelope {
            from: self.id,
            to,
            term: self.consensus.term(),
            visible: LogIndex::ZERO,
            message,
        })
    }
}
