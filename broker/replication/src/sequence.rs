//! Entries on their way to the disk, in order: a batch is given out only when the no-op of its term
//! is durable, or a crash could leave it without the term that it is of.

use std::collections::VecDeque;

use klamm_model::LogIndex;
use klamm_model::raft::{DataEntry, LogEntry, MetaEntry};

use crate::{Effect, JournalTicket};

/// What has not been given out yet, and what the rest waits for.
#[derive(Debug)]
pub(crate) struct Sequence {
    waiting: VecDeque<Step>,
    /// Entries without records that are on their way into the journal, by the last of them.
    in_journal: Option<(JournalTicket, LogIndex)>,
    /// The last entry given out.
    given: LogIndex,
}

/// Entries of one kind that follow each other.
#[derive(Debug)]
enum Step {
    Batches(Vec<DataEntry>),
    Metas(Vec<MetaEntry>),
}

impl Sequence {
    pub(crate) fn new(last: LogIndex) -> Self {
        Self {
            waiting: VecDeque::new(),
            in_journal: None,
            given: last,
        }
    }

    /// Takes entries with records, behind all others.
    pub(crate) fn push_batches(&mut self, entries: Vec<DataEntry>) {
        match self.waiting.back_mut() {
            Some(Step::Batches(batches)) => batches.extend(entries),
            _ if entries.is_empty() => {}
            _ => self.waiting.push_back(Step::Batches(entries)),
        }
    }

    /// Takes an entry, behind all others.
    pub(crate) fn push(&mut self, entry: LogEntry) {
        match (entry, self.waiting.back_mut()) {
            (LogEntry::Records(entry), Some(Step::Batches(batches))) => batches.push(entry),
            (LogEntry::Records(entry), _) => {
                self.waiting.push_back(Step::Batches(vec![entry]));
            }
            (LogEntry::Meta(entry), Some(Step::Metas(metas))) => metas.push(entry),
            (LogEntry::Meta(entry), _) => self.waiting.push_back(Step::Metas(vec![entry])),
        }
    }

    /// What may go into the journal now. The caller says by [`journaled`](Self::journaled) under
    /// which ticket it did.
    pub(crate) fn take_metas(&mut self) -> Vec<MetaEntry> {
        if self.in_journal.is_some() {
            return Vec::new();
        }
        match self
            .waiting
            .pop_front_if(|step| matches!(step, Step::Metas(_)))
        {
            Some(Step::Metas(metas)) => metas,
            _ => Vec::new(),
        }
    }

    /// What [`take_metas`](Self::take_metas) gave is in the journal, not yet durable.
    pub(crate) fn journaled(&mut self, ticket: JournalTicket, last: LogIndex) {
        self.in_journal = Some((ticket, last));
        self.given = last;
    }

    /// The journal is durable up to a ticket; the last entry without records that is by that.
    pub(crate) fn journal_synced(&mut self, ticket: JournalTicket) -> Option<LogIndex> {
        let (_, last) = self.in_journal.take_if(|(own, _)| *own <= ticket)?;
        Some(last)
    }

    /// Gives out the batches that wait for nothing.
    pub(crate) fn release_batches(&mut self, effects: &mut Vec<Effect>) {
        if self.in_journal.is_some() {
            return;
        }
        let batches = self
            .waiting
            .pop_front_if(|step| matches!(step, Step::Batches(_)));
        if let Some(Step::Batches(entries)) = batches {
            self.given = entries.last().map_or(self.given, |entry| entry.index);
            effects.extend(Effect::append(entries));
        }
    }

    /// The last entry that was given out.
    pub(crate) fn given(&self) -> LogIndex {
        self.given
    }

    /// Entries behind `last` will not come. Whether some had been given out.
    pub(crate) fn cut(&mut self, last: LogIndex) -> bool {
        for step in &mut self.waiting {
            match step {
                Step::Batches(entries) => entries.retain(|entry| entry.index <= last),
                Step::Metas(entries) => entries.retain(|entry| entry.index <= last),
            }
        }
        self.waiting.retain(|step| match step {
            Step::Batches(entries) => !entries.is_empty(),
            Step::Metas(entries) => !entries.is_empty(),
        });
        let given = self.given > last;
        self.given = last.min(self.given);
        if let Some((_, in_journal)) = &mut self.in_journal {
            *in_journal = last.min(*in_journal);
        }
        given
    }
}
