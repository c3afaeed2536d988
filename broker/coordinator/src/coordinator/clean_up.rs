//! Expired offsets, and groups nobody uses any more (KIP-211).

use super::GroupCoordinator;
use super::offset_requests::Change;
use crate::group::ClassicGroup;
use crate::{Effect, GroupId, Now};

/// What is to go of a group.
enum Expired {
    Offsets(Vec<Change>),
    Group,
}

impl GroupCoordinator {
    pub(super) fn clean_up(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let expired: Vec<(GroupId, Expired)> = self
            .groups
            .values()
            .filter_map(|group| Some((group.id().clone(), self.expired(now, group)?)))
            .collect();
        for (group_id, expired) in expired {
            match expired {
                Expired::Offsets(offsets) => {
                    self.append_deletions(now, &group_id, offsets, effects);
                }
                Expired::Group => {
                    self.append_group_deletion(now, &group_id, effects);
                }
            }
        }
    }

    /// The group itself goes with its last offset, if nobody is in it.
    fn expired(&self, now: Now, group: &ClassicGroup) -> Option<Expired> {
        let retention = self.shared.config.offsets_retention.as_millis();
        let retention_ms = i64::try_from(retention).unwrap_or(i64::MAX);
        let since = group.offsets_retained_since();
        let mut all_expired = true;
        let mut expired = Vec::new();
        for (topic, partition, offset) in self.offsets.latest(group.id().as_str()) {
            if !group.is_subscribed_to(topic) && since.is_over(offset, now.wall, retention_ms) {
                expired.push((topic.clone(), partition, None));
            } else {
                all_expired = false;
            }
        }
        if all_expired && group.is_deserted() {
            Some(Expired::Group)
        } else {
            (!expired.is_empty()).then_some(Expired::Offsets(expired))
        }
    }
}
