//! What a replica knows on its way back from a loss of power that may have taken entries it had
//! acknowledged: up to where it must catch up, and what the others have.

use klamm_model::{LogIndex, Term};

use crate::envelope::{Configuration, EntryId};
use crate::{Members, ReplicaId};

/// See the module.
#[derive(Debug)]
pub(crate) struct Recovery {
    life: u64,
    /// Who agrees with the leader of this term up to there lacks nothing.
    target: Option<(Term, LogIndex)>,
    /// The last entries of the others, as they have said in this life.
    others: Vec<(ReplicaId, EntryId)>,
    /// The latest configuration in force that one of them knows.
    configuration: Configuration,
}

impl Recovery {
    pub(crate) fn new(life: u64) -> Self {
        Self {
            life,
            target: None,
            others: Vec::new(),
            configuration: Configuration::default(),
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

    /// What another replica has, and which configuration is in force as far as it knows.
    pub(crate) fn holds(
        &mut self,
        peer: ReplicaId,
        life: u64,
        last: EntryId,
        configuration: &Configuration,
    ) {
        if life != self.life {
            return;
        }
        self.others.retain(|(known, _)| *known != peer);
        self.others.push((peer, last));
        if configuration.since > self.configuration.since {
            self.configuration = configuration.clone();
        }
    }

    /// The members in force, if `own` are in force here since an entry: what was lost may have been the
    /// word of others. Of the voters of any configuration one at least knows of its successor once that
    /// has a successor of its own, so whoever asks them all is never behind by more than the one that
    /// might be committed.
    pub(crate) fn members<'a>(&'a self, own: &'a Members, since: LogIndex) -> &'a Members {
        match self.configuration.since > since || own.voters.is_empty() {
            true => &self.configuration.members,
            false => own,
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
        members: &Members,
    ) -> Option<ReplicaId> {
        let mut best = None;
        for voter in members.all_voters() {
            let last = match voter == own {
                true => last,
                false => self.others.iter().find(|(peer, _)| *peer == voter)?.1,
            };
            best = best.max(Some((last.term, last.index, voter)));
        }
        best.map(|(_, _, voter)| voter)
    }
}
