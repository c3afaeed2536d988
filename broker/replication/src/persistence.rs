//! Which of raft-rs' readies are durable: each waits for the fsync of its batches, of its journal
//! records, or of both.

use std::collections::VecDeque;

use klamm_model::LogIndex;

use crate::JournalTicket;

/// What one ready waits for.
#[derive(Clone, Copy, Debug)]
struct Unpersisted {
    number: u64,
    batches_through: LogIndex,
    journal: JournalTicket,
}

/// Readies not yet durable, oldest first, and how far the two fsyncs have come.
#[derive(Debug)]
pub(crate) struct Persistence {
    unpersisted: VecDeque<Unpersisted>,
    batches_synced: LogIndex,
    journal_issued: JournalTicket,
    journal_synced: JournalTicket,
}

impl Persistence {
    /// `last` is the last entry found on the disk, which has been fsynced.
    pub(crate) fn new(last: LogIndex) -> Self {
        Self {
            unpersisted: VecDeque::new(),
            batches_synced: last,
            journal_issued: JournalTicket::default(),
            journal_synced: JournalTicket::default(),
        }
    }

    /// The next ticket for the journal.
    pub(crate) fn issue_ticket(&mut self) -> JournalTicket {
        self.journal_issued.0 += 1;
        self.journal_issued
    }

    /// The last ticket given out.
    pub(crate) fn journal_issued(&self) -> JournalTicket {
        self.journal_issued
    }

    /// Notes a ready whose last batch, if any, is `batches_through`. All tickets issued so far
    /// count as its own: waiting for an older one as well is waiting for nothing more.
    pub(crate) fn push(&mut self, number: u64, batches_through: LogIndex) {
        self.unpersisted.push_back(Unpersisted {
            number,
            batches_through,
            journal: self.journal_issued,
        });
    }

    pub(crate) fn batches_synced(&mut self, through: LogIndex) {
        self.batches_synced = self.batches_synced.max(through);
    }

    pub(crate) fn journal_synced(&mut self, ticket: JournalTicket) {
        assert!(ticket <= self.journal_issued, "an unknown ticket");
        self.journal_synced = self.journal_synced.max(ticket);
    }

    /// Whether both fsyncs have come that far.
    pub(crate) fn covers(&self, batches_through: LogIndex, journal: JournalTicket) -> bool {
        batches_through <= self.batches_synced && journal <= self.journal_synced
    }

    /// The newest ready that is durable with all before it, if there is one that was not yet taken.
    pub(crate) fn take_persisted(&mut self) -> Option<u64> {
        let mut persisted = None;
        while let Some(&oldest) = self.unpersisted.front() {
            if !self.covers(oldest.batches_through, oldest.journal) {
                break;
            }
            persisted = Some(oldest.number);
            self.unpersisted.pop_front();
        }
        if self.unpersisted.is_empty() && self.unpersisted.capacity() > 64 {
            self.unpersisted = VecDeque::new();
        }
        persisted
    }

    /// How many readies wait.
    pub(crate) fn len(&self) -> usize {
        self.unpersisted.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_waits_for_its_batches_and_its_journal_and_for_those_before_it() {
        let mut persistence = Persistence::new(LogIndex(3));
        let ticket = persistence.issue_ticket();
        persistence.push(1, LogIndex::ZERO);
        persistence.push(2, LogIndex(5));
        persistence.push(3, LogIndex(6));
        persistence.batches_synced(LogIndex(5));
        assert_eq!(persistence.take_persisted(), None);
        persistence.journal_synced(ticket);
        assert_eq!(persistence.take_persisted(), Some(2));
        assert_eq!(persistence.take_persisted(), None);
        persistence.batches_synced(LogIndex(6));
        assert_eq!(persistence.take_persisted(), Some(3));
        assert_eq!(persistence.len(), 0);
    }
}
