//! What the group agrees on about its archive.

use klamm_model::archive::ArchiveState;
use klamm_model::raft::{LogEntry, MetaEntry, MetaKind};

use super::Replica;
use crate::Effect;

impl Replica {
    /// What is archived and what is about to be, as far as it is known to be agreed on; `None` if nothing
    /// ever was.
    pub fn archive(&self) -> Option<ArchiveState> {
        self.archives.agreed()
    }

    /// Whether [`Event::Archive`](crate::Event::Archive) would be taken now: this replica leads, and knows
    /// what was agreed before.
    pub fn can_change_archive(&self) -> bool {
        self.can_propose_meta() && !self.archives.is_changing()
    }

    /// Dropped when the disk has fallen behind, too.
    pub(super) fn change_archive(&mut self, state: ArchiveState, effects: &mut Vec<Effect>) {
        if self.can_change_archive() && self.archive() != Some(state) {
            self.propose_meta(MetaKind::Archive(state), effects);
        }
    }

    /// The log goes on with an entry.
    pub(super) fn note_archive(&mut self, entry: &LogEntry) {
        if let LogEntry::Meta(MetaEntry { index, kind, .. }) = entry
            && let MetaKind::Archive(state) = kind
        {
            self.archives.follow(*index, *state);
        }
    }

    /// Says what has been agreed on since the last time.
    pub(super) fn announce_archive(&mut self, effects: &mut Vec<Effect>) {
        if self.archives.commit(self.commit.index)
            && let Some(state) = self.archives.agreed()
        {
            effects.push(Effect::Archive(state));
        }
    }
}
