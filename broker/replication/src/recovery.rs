//! What a replica knows on its way back from a loss of power that may have taken entries it had
//! acknowledged: up to where it must catch up, and what the others have.

use klamm_model::{LogIndex, Term};

use crate::ReplicaId;
use crate::envelope::EntryId;

/// See the module.
#[derive(Debug)]
pub(crate) struct Recovery {
    life: u64,
    /// Who agrees with the leader of this term up to there lacks nothing.
    target: Option<(Term, LogIndex)>,
    /// The last entries of the others, as they have said in this life.
    others: Vec<(ReplicaId, EntryId)>,
}

impl Recovery {
    pub(crate) fn new(life: u64) -> Self {
        Self {
            life,
            target: None,
            others: Vec::new(),
        }
    }

    /// Tells this life of the replica from others.
    pub(crate) fn life(&self) -> u64 {
        self.life
    }

    /// A leader has said how far to catch up with it.
    pub(crate) fn catch_up_to(&mut self, life: u64, term: Term, through: LogIndex) {
        if life == self.life && self.target.is_none_or(|(known, _)| term > known) {
            self.target = Some((term, through));
        }
    }

    /// Whether a log that agrees with the leader of `term` up to `agreed` lacks nothing.
    pub(crate) fn is_over(&self, term: Term, agreed: LogIndex) -> bool {
        self.target
            .is_some_and(|(of, through)| of == term && agreed >= through)
    }

    /// What another replica has.
    pub(crate) fn holds(&mut self, peer: ReplicaId, life: u64, last: EntryId) {
        if life == self.life {
            self.others.retain(|(known, _)| *known != peer);
            self.others.push((peer, last));
        }
    }

    /// Who may lead if there is no leader to catch up with: of *all* voters the one that has most.
    /// Whatever was acknowledged and survives anywhere is in that log, since each log is a prefix of
    /// a leader's, and a higher last term implies all that was acknowledged before it. `None` while
    /// not all have been heard in this life.
    pub(crate) fn chosen(
        &self,
        own: ReplicaId,
        last: EntryId,
        voters: &[ReplicaId],
    ) -> Option<ReplicaId> {
        let mut best = (last.term, last.index, own);
        for voter in voters.iter().filter(|voter| **voter != own) {
            let (_, last) = self.others.iter().find(|(peer, _)| peer == voter)?;
            best = best.max((last.term, last.index, *voter));
        }
        Some(best.2)
    }
}
