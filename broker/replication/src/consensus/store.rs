//! raft-rs' view of the log, answered from memory: a term table and the last index. Entries are
//! made up when asked for, since a header is all there is to them.

use std::cell::RefCell;

use klamm_model::{LogIndex, Term};
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::terms::Terms;
use crate::{Members, ReplicaId};

/// See the module.
#[derive(Debug)]
pub(super) struct Store {
    terms: Terms,
    last_index: LogIndex,
    hard_state: HardState,
    members: ConfState,
    /// Followers that need entries from before the log's beginning.
    behind: RefCell<Vec<ReplicaId>>,
}

/// The most headers given out at once where the caller sets a limit; it asks again for the rest.
/// For a follower that is behind this is what one message carries.
const ENTRIES_MAX: u64 = 256;

impl Store {
    pub(super) fn new(
        terms: Terms,
        last_index: LogIndex,
        hard_state: HardState,
        members: &Members,
    ) -> Self {
        Self {
            terms,
            last_index,
            hard_state,
            members: super::members::conf_state(members),
            behind: RefCell::default(),
        }
    }

    /// Takes an entry, in place of those from its index on.
    pub(super) fn append(&mut self, index: LogIndex, term: Term) {
        if index <= self.last_index {
            let before = LogIndex(index.0 - 1);
            self.terms.cut(before);
            self.last_index = before;
        }
        assert_eq!(index, self.last_index.next(), "no index is left out");
        self.terms.note(index, term);
        self.last_index = index;
    }

    pub(super) fn last_index(&self) -> LogIndex {
        self.last_index
    }

    pub(super) fn term_at(&self, index: LogIndex) -> Option<Term> {
        (index <= self.last_index).then(|| self.terms.at(index))?
    }

    /// The log begins with `first` now.
    pub(super) fn begin_with(&mut self, first: LogIndex) {
        self.terms.begin_with(first);
    }

    /// The entry before the first.
    pub(super) fn before_first(&self) -> LogIndex {
        LogIndex(self.terms.first_index().0 - 1)
    }

    /// Followers that raft-rs wanted to send a snapshot since the last call.
    pub(super) fn take_behind(&mut self) -> Vec<ReplicaId> {
        self.behind.take()
    }

    fn entry(&self, index: u64) -> Entry {
        let term = self.terms.at(LogIndex(index)).expect("inside the log");
        Entry {
            index,
            term: term.get(),
            ..Entry::default()
        }
    }
}

impl Storage for Store {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(
            self.hard_state.clone(),
            self.members.clone(),
        ))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.terms.first_index().0 {
            return Err(StorageError::Compacted.into());
        }
        assert!(high <= self.last_index.0 + 1, "asked beyond the log");
        let limited = max_size.into().is_some();
        let count = if limited { ENTRIES_MAX } else { high - low };
        let end = high.min(low.saturating_add(count));
        Ok((low..end).map(|index| self.entry(index)).collect())
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        match self.term_at(LogIndex(index)) {
            Some(term) => Ok(term.get()),
            None if index > self.last_index.0 => Err(StorageError::Unavailable.into()),
            None => Err(StorageError::Compacted.into()),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.terms.first_index().0)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last_index.0)
    }

    /// There is none: who needs one is told to take a copy of the log, and comes back with it. Until
    /// then raft-rs asks again with each sign of life.
    fn snapshot(&self, _request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let mut behind = self.behind.borrow_mut();
        if let Some(follower) = ReplicaId::new(to)
            && !behind.contains(&follower)
        {
            behind.push(follower);
        }
        Err(StorageError::SnapshotTemporarilyUnavailable.into())
    }
}
