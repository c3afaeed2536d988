//! One replica's log and journal, as far as they have come.

use klamm_model::raft::{HardState, LogEntry, MetaEntry};
use klamm_model::{LogIndex, Offset, Term};
use klamm_replication::{EntryId, JournalTicket, Position, Restored};

use super::world::Random;

/// What was written, and how much of it would survive a loss of power.
#[derive(Default)]
pub(super) struct Disk {
    /// Batches, in order of index.
    batches: Vec<LogEntry>,
    batches_synced: usize,
    metas: Vec<MetaEntry>,
    hard_state: HardState,
    /// Written to the journal and not fsynced.
    unsynced: Vec<(JournalTicket, Option<HardState>, Vec<MetaEntry>)>,
}

impl Disk {
    pub(super) fn append(&mut self, entries: impl IntoIterator<Item = LogEntry>) {
        for entry in entries {
            let noop = self.metas.iter().rfind(|meta| meta.term == entry.term());
            assert!(noop.is_some(), "a batch without the no-op of its term");
            self.batches.push(entry);
        }
    }

    pub(super) fn journal(
        &mut self,
        ticket: JournalTicket,
        hard_state: Option<HardState>,
        metas: Vec<MetaEntry>,
    ) {
        self.unsynced.push((ticket, hard_state, metas));
    }

    pub(super) fn sync_journal(&mut self) -> Option<JournalTicket> {
        let mut last = None;
        for (ticket, hard_state, metas) in std::mem::take(&mut self.unsynced) {
            self.hard_state = hard_state.unwrap_or(self.hard_state);
            self.metas.extend(metas);
            last = Some(ticket);
        }
        last
    }

    /// What an fsync of the journal would make durable.
    pub(super) fn last_journaled(&self) -> Option<JournalTicket> {
        self.unsynced.last().map(|(ticket, ..)| *ticket)
    }

    pub(super) fn sync(&mut self) -> Option<EntryId> {
        self.batches_synced = self.batches.len();
        self.last_batch()
    }

    pub(super) fn last_batch(&self) -> Option<EntryId> {
        self.batches.last().map(EntryId::of)
    }

    pub(super) fn truncate(&mut self, from: LogIndex, end: Offset) {
        // The journal's records before this one are durable with it.
        self.sync_journal();
        self.batches.retain(|entry| entry.index() < from);
        self.metas.retain(|meta| meta.index < from);
        self.batches_synced = self.batches_synced.min(self.batches.len());
        assert_eq!(self.last().offset, end, "replicas agree on what stays");
    }

    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let unsynced = self.batches.len() - self.batches_synced;
        let kept = random.below(unsynced as u64 + 1) as usize;
        self.batches.truncate(self.batches_synced + kept);
        let kept = random.below(self.unsynced.len() as u64 + 1) as usize;
        self.unsynced.truncate(kept);
    }

    /// What a new process finds; it makes that durable before it does anything.
    pub(super) fn recover(&mut self) -> Restored {
        self.sync_journal();
        let mut end = Position::START;
        let mut entries = self.entries().into_iter();
        while let Some(entry) = entries
            .next()
            .filter(|entry| entry.index() == end.index.next())
        {
            end = Position {
                index: entry.index(),
                offset: entry.next_offset(),
            };
        }
        self.batches.retain(|entry| entry.index() <= end.index);
        self.metas.retain(|meta| meta.index <= end.index);
        self.batches_synced = self.batches.len();
        let row = |meta: &MetaEntry| (meta.term, meta.index);
        Restored {
            hard_state: self.hard_state,
            first_index: LogIndex(1),
            previous_term: Term::ZERO,
            terms: self.metas.iter().map(row).collect(),
            last: end,
        }
    }

    /// Everything that is there, in order.
    pub(super) fn entries(&self) -> Vec<LogEntry> {
        let metas = self.metas.iter().cloned().map(LogEntry::Meta);
        let mut entries: Vec<_> = self.batches.iter().cloned().chain(metas).collect();
        entries.sort_by_key(LogEntry::index);
        entries
    }

    fn last(&self) -> Position {
        let last = self.entries().pop();
        last.map_or(Position::START, |entry| Position {
            index: entry.index(),
            offset: entry.next_offset(),
        })
    }
}
