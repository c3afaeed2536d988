//! One replica with its disk: performs effects in order, some time after they were given.

use std::collections::VecDeque;

use klamm_model::raft::{HardState, LogEntry, MetaEntry};
use klamm_model::{LogIndex, Offset, Term};
use klamm_replication::{
    JournalTicket, Members, Replica, ReplicaId, ReplicaSettings, Restored, VisibleWhen,
};

use super::disk::{Disk, membership};

pub(super) struct Node {
    /// Another one after each unclean election that it has not won.
    pub(super) id: ReplicaId,
    /// `None` while its process is down.
    pub(super) replica: Option<Replica>,
    pub(super) disk: Disk,
    /// The log as the replica knows it, written or not.
    pub(super) log: Vec<LogEntry>,
    pub(super) work: VecDeque<Work>,
    /// What it may have lost has not come back yet.
    pub(super) recovering: bool,
    pub(super) flush_wanted: bool,
    /// What its process has shown, and known to be committed.
    pub(super) shown: LogIndex,
    pub(super) committed: LogIndex,
    /// How many unclean elections it has heard of.
    pub(super) known: usize,
}

/// What is to be done to the disk, in order.
pub(super) enum Work {
    Append(Vec<LogEntry>),
    Truncate(LogIndex, Offset),
    Journal(JournalTicket, Option<HardState>, Vec<MetaEntry>),
    /// The log is known to be committed up to there.
    Hint(LogIndex),
}

/// How a process begins.
#[derive(Clone, Copy)]
pub(super) struct Start {
    pub(super) life: u64,
    pub(super) strict: bool,
    pub(super) preferred: bool,
    pub(super) seed: u64,
    /// It is not told which changes of members are in its log.
    pub(super) forgets_members: bool,
}

impl Node {
    /// One that may know the first members of the group.
    pub(super) fn new(id: ReplicaId, first: Members) -> Self {
        Self {
            id,
            replica: None,
            disk: Disk::of_group(first),
            log: Vec::new(),
            work: VecDeque::new(),
            recovering: false,
            flush_wanted: false,
            shown: LogIndex::ZERO,
            committed: LogIndex::ZERO,
            known: 0,
        }
    }

    /// A process begins on what the last one left.
    pub(super) fn start(&mut self, start: Start) {
        let mut restored: Restored = self.disk.recover();
        if start.forgets_members {
            restored.memberships.clear();
        }
        self.log = self.disk.entries();
        self.work.clear();
        self.flush_wanted = false;
        self.shown = LogIndex::ZERO;
        self.committed = LogIndex::ZERO;
        let settings = ReplicaSettings {
            id: self.id,
            seed: start.seed,
            life: start.life,
            recovering: self.recovering,
            preferred: start.preferred,
            visible_when: match start.strict {
                true => VisibleWhen::Synced,
                false => VisibleWhen::Written,
            },
        };
        self.replica = Some(Replica::new(settings, &restored).unwrap());
    }

    /// The configurations that may be in force as far as its log tells, and the one that follows.
    pub(super) fn configurations(&self) -> Vec<Members> {
        let metas = self.log.iter().filter_map(|entry| match entry {
            LogEntry::Meta(meta) => membership(meta),
            LogEntry::Records(_) => None,
        });
        let mut all = vec![self.disk.first.clone()];
        all.extend(metas.map(|(_, members)| members));
        all.split_off(all.len().saturating_sub(2))
    }

    pub(super) fn term(&self) -> Term {
        self.replica.as_ref().map(Replica::term).unwrap_or_default()
    }

    /// The log goes on with these.
    pub(super) fn extend(&mut self, entries: impl IntoIterator<Item = LogEntry>) {
        for entry in entries {
            assert_eq!(entry.index().0, self.log.len() as u64 + 1);
            self.log.push(entry);
        }
    }
}
