//! One replica with its disk: performs effects in order, some time after they were given.

use std::collections::VecDeque;

use klamm_model::raft::{HardState, LogEntry, MetaEntry};
use klamm_model::{LogIndex, Offset, Term};
use klamm_replication::{
    JournalTicket, Replica, ReplicaId, ReplicaSettings, Restored, VisibleWhen,
};

use super::disk::Disk;

pub(super) struct Node {
    pub(super) id: ReplicaId,
    /// `None` while its process is down.
    pub(super) replica: Option<Replica>,
    pub(super) disk: Disk,
    /// The log as the replica knows it, written or not.
    pub(super) log: Vec<LogEntry>,
    pub(super) work: VecDeque<Work>,
    /// Counts its processes.
    pub(super) life: u64,
    /// The lives of the others that it has heard of.
    pub(super) known_lives: Vec<u64>,
    /// What it may have lost has not come back yet.
    pub(super) recovering: bool,
    pub(super) flush_wanted: bool,
}

/// What is to be done to the disk, in order.
pub(super) enum Work {
    Append(Vec<LogEntry>),
    Truncate(LogIndex, Offset),
    Journal(JournalTicket, Option<HardState>, Vec<MetaEntry>),
}

impl Node {
    pub(super) fn new(id: ReplicaId, voters: &[ReplicaId], strict: bool) -> Self {
        let mut node = Self {
            id,
            replica: None,
            disk: Disk::default(),
            log: Vec::new(),
            work: VecDeque::new(),
            life: 0,
            known_lives: vec![1; voters.len()],
            recovering: false,
            flush_wanted: false,
        };
        node.start(voters, strict, id.get());
        node
    }

    /// A process begins on what the last one left.
    pub(super) fn start(&mut self, voters: &[ReplicaId], strict: bool, seed: u64) {
        let restored: Restored = self.disk.recover();
        self.log = self.disk.entries();
        self.work.clear();
        self.life += 1;
        self.flush_wanted = false;
        let settings = ReplicaSettings {
            id: self.id,
            voters: voters.to_vec(),
            seed,
            life: self.life,
            recovering: self.recovering,
            visible_when: match strict {
                true => VisibleWhen::Synced,
                false => VisibleWhen::Written,
            },
        };
        self.replica = Some(Replica::new(settings, &restored).unwrap());
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
