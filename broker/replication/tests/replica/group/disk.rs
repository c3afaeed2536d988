//! One replica's log and journal, as far as they have come.

use klamm_model::archive::ArchiveState;
use klamm_model::raft::{HardState, LogEntry, MetaEntry, MetaKind};
use klamm_model::{LogIndex, Offset, Term};
use klamm_replication::{EntryId, Forced, JournalTicket, Members, Position, Restored};
use klamm_simulation::Random;

/// What was written, and how much of it would survive a loss of power.
#[derive(Default)]
pub(super) struct Disk {
    /// Batches, in order of index.
    batches: Vec<LogEntry>,
    batches_synced: usize,
    metas: Vec<MetaEntry>,
    hard_state: HardState,
    /// Of the group as it was when the log was new; none of a replica that joined later.
    pub(super) first: Members,
    /// Written to the journal and not fsynced.
    unsynced: Vec<Record>,
}

/// Of the journal.
enum Record {
    Step(JournalTicket, Option<HardState>, Vec<MetaEntry>),
    Hint(LogIndex),
}

impl Disk {
    /// Nothing is there yet but who belongs to the group.
    pub(super) fn of_group(first: Members) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

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
        let step = Record::Step(ticket, hard_state, metas);
        self.unsynced.push(step);
    }

    /// The replica is about to go on alone. Of what is to be remembered so much becomes durable; whether
    /// that was all.
    pub(super) fn force(&mut self, forced: &Forced, durable: u64) -> bool {
        if durable > 0 {
            self.hard_state = forced.hard_state;
        }
        let metas = durable.saturating_sub(1) as usize;
        let metas = forced.metas.iter().take(metas);
        self.metas.extend(metas.cloned());
        durable > 2
    }

    /// Remembers that much is committed.
    pub(super) fn hint(&mut self, commit: LogIndex) {
        self.unsynced.push(Record::Hint(commit));
    }

    pub(super) fn sync_journal(&mut self) -> Option<JournalTicket> {
        let mut last = None;
        for record in std::mem::take(&mut self.unsynced) {
            match record {
                Record::Step(ticket, hard_state, metas) => {
                    self.hard_state = hard_state.unwrap_or(self.hard_state);
                    self.metas.extend(metas);
                    last = Some(ticket);
                }
                Record::Hint(commit) => self.hard_state.commit = commit,
            }
        }
        last
    }

    /// What an fsync of the journal would make durable.
    pub(super) fn last_journaled(&self) -> Option<JournalTicket> {
        let mut newest_first = self.unsynced.iter().rev();
        newest_first.find_map(|record| match record {
            Record::Step(ticket, ..) => Some(*ticket),
            Record::Hint(_) => None,
        })
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
        let noops = self.metas.iter().filter(|meta| meta.kind == MetaKind::Noop);
        let row = |meta: &MetaEntry| (meta.term, meta.index);
        Restored {
            hard_state: self.hard_state,
            first_index: LogIndex(1),
            previous_term: Term::ZERO,
            terms: noops.map(row).collect(),
            last: end,
            members: self.first.clone(),
            memberships: self.metas.iter().filter_map(membership).collect(),
            archives: self.metas.iter().filter_map(archive).collect(),
        }
    }

    /// Everything that is there, in order.
    pub(super) fn entries(&self) -> Vec<LogEntry> {
        let metas = self.metas.iter().cloned().map(LogEntry::Meta);
        let mut entries: Vec<_> = self.batches.iter().cloned().chain(metas).collect();
        entries.sort_by_key(LogEntry::index);
        entries
    }

    /// Whether this entry can be read back.
    pub(super) fn holds(&self, entry: EntryId) -> bool {
        let batch = self
            .batches
            .binary_search_by_key(&entry.index, LogEntry::index);
        let meta = self
            .metas
            .binary_search_by_key(&entry.index, |meta| meta.index);
        batch.is_ok_and(|at| self.batches[at].term() == entry.term)
            || meta.is_ok_and(|at| self.metas[at].term == entry.term)
    }

    pub(super) fn last(&self) -> Position {
        let last = self.entries().pop();
        last.map_or(Position::START, |entry| Position {
            index: entry.index(),
            offset: entry.next_offset(),
        })
    }
}

/// What a membership entry says.
pub(super) fn membership(meta: &MetaEntry) -> Option<(LogIndex, Members)> {
    match &meta.kind {
        MetaKind::Membership(bytes) => Some((meta.index, Members::decode(bytes).unwrap())),
        MetaKind::Noop | MetaKind::Archive(_) => None,
    }
}

/// What an entry says about the archive.
pub(super) fn archive(meta: &MetaEntry) -> Option<(LogIndex, ArchiveState)> {
    match &meta.kind {
        MetaKind::Archive(state) => Some((meta.index, *state)),
        MetaKind::Noop | MetaKind::Membership(_) => None,
    }
}
