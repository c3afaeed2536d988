//! What is archived of the partition, as its group has agreed.

use klamm_model::archive::{ArchivePlan, ArchiveState};
use klamm_model::{Instant, Offset};
use klamm_replication::{Event, Replica};

use super::{Outcome, PartitionDriver};

impl PartitionDriver {
    /// What is archived, and is about to be, as far as is known here to be agreed on; `None` if nothing
    /// ever was.
    pub fn archive(&self) -> Option<ArchiveState> {
        self.archive
    }

    /// Whether this replica leads, and nothing about the archive waits to be agreed on.
    pub fn can_change_archive(&self) -> bool {
        let replica = self.replica.get().filter(|_| self.offline.is_none());
        replica.is_some_and(Replica::can_change_archive)
    }

    /// Proposes an object of the archive with the records up to `end`, of which all are committed. Nothing
    /// happens unless [`can_change_archive`](Self::can_change_archive): whoever wants it says it again.
    /// Panics if there is a plan, or no record for it.
    pub fn plan_archive(&mut self, now: Instant, end: Offset, outcomes: &mut Vec<Outcome>) {
        assert!(
            end <= self.commit.offset,
            "only what is committed is archived"
        );
        let epoch = self.epoch;
        let state = self.archive_or_new().planned(ArchivePlan { end, epoch });
        self.step(now, Event::Archive(state), outcomes);
    }

    /// The object of the plan is in the archive. As [`plan_archive`](Self::plan_archive); panics if there is
    /// no plan.
    pub fn archive_planned(&mut self, now: Instant, outcomes: &mut Vec<Outcome>) {
        let state = self.archive_or_new().carried_out();
        self.step(now, Event::Archive(state), outcomes);
    }

    /// Nothing before an offset is to be read from the archive. As [`plan_archive`](Self::plan_archive).
    pub fn shorten_archive(&mut self, now: Instant, before: Offset, outcomes: &mut Vec<Outcome>) {
        let state = self.archive_or_new().without(before);
        self.step(now, Event::Archive(state), outcomes);
    }

    /// An archive begins with what the log has.
    fn archive_or_new(&self) -> ArchiveState {
        let new = ArchiveState::beginning_at(self.log.log_start_offset());
        self.archive.unwrap_or(new)
    }

    /// First offset that clients may read: in the archive or, if it has nothing, here.
    pub fn earliest_offset(&self) -> Offset {
        let local = self.log.log_start_offset();
        let archive = self.archive.filter(|archive| !archive.is_empty());
        archive.map_or(local, |archive| archive.start().min(local))
    }

    /// Retention may remove what lies below this offset: it is committed and, if it is to be, archived.
    pub(super) fn removable_before(&self) -> Offset {
        let committed = self.commit.offset;
        match self.log.config().keeps_until_archived {
            false => committed,
            true => committed.min(self.archive.map_or(Offset::ZERO, |archive| archive.end())),
        }
    }
}
