//! Appends that are through: what they change, and who hears of it.

use std::sync::Arc;

use super::GroupCoordinator;
use crate::append::{Pending, Purpose};
use crate::group::ClassicGroup;
use crate::{AppendError, AppendId, Effect, GroupId, Now};

impl GroupCoordinator {
    pub(super) fn appended(
        &mut self,
        now: Now,
        append_id: AppendId,
        result: Result<(), AppendError>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(Pending { purpose, held }) = self.shared.appends.end(append_id) else {
            return;
        };
        self.settle(now, append_id, purpose, result, effects);
        if let Some((token, reply)) = held {
            let reply = match result {
                Ok(()) => reply,
                Err(error) => reply.refused(error.group_error()),
            };
            effects.push(Effect::Reply { token, reply });
        }
    }

    fn settle(
        &mut self,
        now: Now,
        append_id: AppendId,
        purpose: Purpose,
        result: Result<(), AppendError>,
        effects: &mut Vec<Effect>,
    ) {
        match purpose {
            Purpose::GroupEmptied => {}
            Purpose::GroupCreated(group_id) => {
                self.group_created(now, append_id, &group_id, result, effects);
            }
            Purpose::Assigned {
                group_id,
                assignments,
            } => {
                if let Some(group) = self.groups.get_mut(&group_id) {
                    let mut turn = self.shared.turn(now, effects);
                    group.assigned(&mut turn, append_id, assignments, result);
                }
            }
            Purpose::StaticMemberReplaced { group_id, takeover } => {
                if let Some(group) = self.groups.get_mut(&group_id) {
                    let mut turn = self.shared.turn(now, effects);
                    group.static_member_replaced(&mut turn, append_id, *takeover, result);
                }
            }
            Purpose::Offsets {
                group_id,
                partitions,
            } => {
                self.settle_offsets(append_id, &group_id, &partitions, result);
                self.ensure_group(now, &group_id);
            }
            Purpose::GroupDeleted { group, partitions } => {
                self.settle_offsets(append_id, group.id(), &partitions, result);
                if result.is_err() {
                    self.groups.entry(group.id().clone()).or_insert(*group);
                }
            }
        }
    }

    fn group_created(
        &mut self,
        now: Now,
        append_id: AppendId,
        group_id: &GroupId,
        result: Result<(), AppendError>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        let forget = group.creation_ended(append_id, result.is_err());
        if let (true, Err(error)) = (forget, result) {
            group.dismiss(&mut self.shared.turn(now, effects), error.group_error());
            self.groups.remove(group_id);
            self.ensure_group(now, group_id);
        }
    }

    fn settle_offsets(
        &mut self,
        append_id: AppendId,
        group_id: &GroupId,
        partitions: &[(Arc<str>, i32)],
        result: Result<(), AppendError>,
    ) {
        for (topic, partition) in partitions {
            match result {
                Ok(()) => self.offsets.commit(append_id, group_id, topic, *partition),
                Err(_) => self.offsets.abort(append_id, group_id, topic, *partition),
            }
        }
    }

    /// Offsets committed without joining make a group without members. One that is being deleted
    /// has no latest offsets and stays away.
    fn ensure_group(&mut self, now: Now, group_id: &GroupId) {
        let has_committed = |slot: &crate::offsets::Slot| slot.committed().is_some();
        let mut latest = self.offsets.latest(group_id.as_str());
        let has_offsets = latest.any(|(topic, partition, _)| {
            self.offsets
                .slot(group_id.as_str(), topic, partition)
                .is_some_and(has_committed)
        });
        if has_offsets && !self.groups.contains_key(group_id) {
            let group = ClassicGroup::new(group_id.clone(), Some(now.wall));
            self.groups.insert(group_id.clone(), group);
        }
    }
}
