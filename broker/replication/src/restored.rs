//! What a replica is built from: the journal and the log as they were found on the disk.

use klamm_model::archive::ArchiveState;
use klamm_model::raft::HardState;
use klamm_model::{LogIndex, Term};

use crate::terms::Terms;
use crate::{Members, Position};

/// The past of a replica. All of it has been fsynced before the replica is built, because raft-rs
/// takes the whole log it finds as persisted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// From the journal.
    pub hard_state: HardState,
    /// The first entry that is still there; 1 for a whole log.
    pub first_index: LogIndex,
    /// The term of the entry before it; 0 for a whole log.
    pub previous_term: Term,
    /// Where each term begins, ascending: the no-ops from `first_index` on.
    pub terms: Vec<(Term, LogIndex)>,
    /// The last entry and the log end offset.
    pub last: Position,
    /// The members before any membership entry of the log; none if this replica has not been told.
    pub members: Members,
    /// The membership entries, ascending; also those that stood before `first_index`.
    pub memberships: Vec<(LogIndex, Members)>,
    /// The entries about the archive, ascending; from before `first_index` the last at least.
    pub archives: Vec<(LogIndex, ArchiveState)>,
}

/// Why a past is impossible: journal and log do not belong together, or one of them is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The log ends before it begins.
    #[error("log ends before its first entry first_index={first_index} last_index={last_index}")]
    EndBeforeStart {
        /// As given.
        first_index: LogIndex,
        /// As given.
        last_index: LogIndex,
    },
    /// A term starts outside the log or not after the one before it.
    #[error("terms are out of order term={term} start_index={start_index}", term = .term.get())]
    TermOutOfOrder {
        /// The offending term.
        term: Term,
        /// Where it claims to start.
        start_index: LogIndex,
    },
    /// A membership entry stands outside the log or not after the one before it.
    #[error("membership entries are out of order index={index}")]
    MembershipOutOfOrder {
        /// Where it claims to stand.
        index: LogIndex,
    },
    /// The journal has forgotten a term that the log knows: a vote could be given twice.
    #[error("journal is older than the log journal_term={} log_term={}", .journal.get(), .log.get())]
    JournalBehindLog {
        /// The hard state's term.
        journal: Term,
        /// The term of the log's last entry.
        log: Term,
    },
}

impl Restored {
    /// The past of a replica that has none, and knows of no members.
    pub fn empty() -> Self {
        Self {
            hard_state: HardState::default(),
            first_index: LogIndex(1),
            previous_term: Term::ZERO,
            terms: Vec::new(),
            last: Position::START,
            members: Members::default(),
            memberships: Vec::new(),
            archives: Vec::new(),
        }
    }

    /// The term table, if the past is possible.
    pub(crate) fn check(&self) -> Result<Terms, RestoreError> {
        let (first_index, last_index) = (self.first_index, self.last.index);
        if first_index == LogIndex::ZERO || last_index.next() < first_index {
            return Err(RestoreError::EndBeforeStart {
                first_index,
                last_index,
            });
        }
        let mut terms = Terms::new(self.previous_term, first_index);
        let mut free_from = first_index;
        for &(term, start_index) in &self.terms {
            let rises = term > terms.last_term() && start_index >= free_from;
            if !rises || start_index > last_index {
                return Err(RestoreError::TermOutOfOrder { term, start_index });
            }
            terms.note(start_index, term);
            free_from = start_index.next();
        }
        let mut before = LogIndex::ZERO;
        for &(index, _) in &self.memberships {
            if index <= before || index > last_index {
                return Err(RestoreError::MembershipOutOfOrder { index });
            }
            before = index;
        }
        let (journal, log) = (self.hard_state.term, terms.last_term());
        if journal < log {
            return Err(RestoreError::JournalBehindLog { journal, log });
        }
        Ok(terms)
    }
}
