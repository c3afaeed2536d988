//! What the group has agreed on about its archive, and what is about to follow.
//!
//! As with configurations, a leader proposes a state only when the one before is committed: a log that
//! holds one says so of the one before.

use std::collections::VecDeque;

use klamm_model::LogIndex;
use klamm_model::archive::ArchiveState;

use crate::Restored;

/// See the module.
#[derive(Debug)]
pub(crate) struct Archives {
    /// The last that is known to be committed; `None` if nothing was ever archived.
    agreed: Option<ArchiveState>,
    /// Those in the log that are not known to be committed.
    following: VecDeque<(LogIndex, ArchiveState)>,
}

impl Archives {
    /// As far as the past of a replica tells, of which everything up to `committed` is committed.
    pub(crate) fn restored(past: &Restored, committed: LogIndex) -> Self {
        let mut archives = Self {
            agreed: None,
            following: past.archives.iter().copied().collect(),
        };
        while archives.following.len() > 1 || archives.next_is_committed(committed) {
            archives.agree();
        }
        archives
    }

    pub(crate) fn agreed(&self) -> Option<ArchiveState> {
        self.agreed
    }

    /// Whether another one follows in the log.
    pub(crate) fn is_changing(&self) -> bool {
        !self.following.is_empty()
    }

    /// The log goes on with one.
    pub(crate) fn follow(&mut self, index: LogIndex, state: ArchiveState) {
        self.following.push_back((index, state));
    }

    /// The log ends at `last` now.
    pub(crate) fn cut(&mut self, last: LogIndex) {
        self.following.retain(|(index, _)| *index <= last);
    }

    /// Takes those that are committed now; whether there were any.
    pub(crate) fn commit(&mut self, committed: LogIndex) -> bool {
        let mut moved = false;
        while self.next_is_committed(committed) {
            self.agree();
            moved = true;
        }
        moved
    }

    fn next_is_committed(&self, committed: LogIndex) -> bool {
        let next = self.following.front();
        next.is_some_and(|(index, _)| *index <= committed)
    }

    fn agree(&mut self) {
        if let Some((_, state)) = self.following.pop_front() {
            self.agreed = Some(state);
        }
    }
}
