//! Which of raft-rs' readies are durable: each waits for its entries, and for the journal record of
//! its term and vote.

use std::collections::VecDeque;

use klamm_model::LogIndex;

use crate::JournalTicket;
use crate::reach::{Kind, Reach};

/// What one ready waits for.
#[derive(Clone, Copy, Debug)]
struct Unpersisted {
    number: u64,
    through: LogIndex,
    journal: JournalTicket,
}

/// Readies not yet durable, oldest first, and how far log and journal have come.
#[derive(Debug)]
pub(crate) struct Persistence {
    unpersisted: VecDeque<Unpersisted>,
    /// Entries that are durable.
    durable: Reach,
    journal_issued: JournalTicket,
    journal_synced: JournalTicket,
}

impl Persistence {
    /// `last` is the last entry found on the disk, which has been fsynced.
    pub(crate) fn new(last: LogIndex) -> Self {
        Self {
            unpersisted: VecDeque::new(),
            durable: Reach::new(last),
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

    /// The next entry of the log.
    pub(crate) fn expect(&mut self, kind: Kind, index: LogIndex) {
        self.durable.expect(kind, index);
    }

    /// Notes a ready whose last entry is `through`. All tickets issued so far count as its own:
    /// waiting for an older one as well is waiting for nothing more.
    pub(crate) fn push(&mut self, number: u64, through: LogIndex) {
        self.unpersisted.push_back(Unpersisted {
            number,
            through,
            journal: self.journal_issued,
        });
    }

    /// Entries of a kind are durable up to `through`.
    pub(crate) fn entries_synced(&mut self, kind: Kind, through: LogIndex) {
        self.durable.arrived(kind, through);
    }

    pub(crate) fn journal_synced(&mut self, ticket: JournalTicket) {
        assert!(ticket <= self.journal_issued, "an unknown ticket");
        self.journal_synced = self.journal_synced.max(ticket);
    }

    /// The last entry up to which all are durable.
    pub(crate) fn durable(&self) -> LogIndex {
        self.durable.reached()
    }

    /// Whether a journal record is durable.
    pub(crate) fn has_journaled(&self, ticket: JournalTicket) -> bool {
        ticket <= self.journal_synced
    }

    /// The log ends at `last` now, and a ready with what follows is about to come: that one stands
    /// for those whose entries are gone. They must not be reported by themselves, because the same
    /// entries may come a second time and not be durable then.
    pub(crate) fn cut(&mut self, last: LogIndex) {
        self.durable.cut(last);
        self.unpersisted.retain(|ready| ready.through <= last);
    }

    /// The newest ready that is durable with all before it, if there is one that was not yet taken.
    pub(crate) fn take_persisted(&mut self) -> Option<u64> {
        let mut persisted = None;
        while let Some(&oldest) = self.unpersisted.front() {
            if oldest.through > self.durable() || !self.has_journaled(oldest.journal) {
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
    fn a_ready_waits_for_its_entries_and_its_journal_and_for_those_before_it() {
        let mut persistence = Persistence::new(LogIndex(3));
        let ticket = persistence.issue_ticket();
        persistence.push(1, LogIndex::ZERO);
        for index in 4..=6 {
            persistence.expect(Kind::Batch, LogIndex(index));
        }
        persistence.push(2, LogIndex(5));
        persistence.push(3, LogIndex(6));
        persistence.entries_synced(Kind::Batch, LogIndex(5));
        assert_eq!(persistence.take_persisted(), None);
        persistence.journal_synced(ticket);
        assert_eq!(persistence.take_persisted(), Some(2));
        assert_eq!(persistence.take_persisted(), None);
        persistence.entries_synced(Kind::Batch, LogIndex(6));
        assert_eq!(persistence.take_persisted(), Some(3));
        assert_eq!(persistence.len(), 0);
    }

    #[test]
    fn a_ready_whose_entries_were_cut_goes_with_the_one_that_replaced_them() {
        let mut persistence = Persistence::new(LogIndex(3));
        let append = |persistence: &mut Persistence, ready| {
            for index in 4..=5 {
                persistence.expect(Kind::Batch, LogIndex(index));
            }
            persistence.push(ready, LogIndex(5));
        };
        append(&mut persistence, 1);
        persistence.cut(LogIndex(3));
        append(&mut persistence, 2);
        assert_eq!(persistence.take_persisted(), None);
        persistence.entries_synced(Kind::Batch, LogIndex(5));
        assert_eq!(persistence.take_persisted(), Some(2));
    }
}
