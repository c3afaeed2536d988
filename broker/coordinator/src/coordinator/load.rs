//! A coordinator from the log.

use std::collections::BTreeMap;

use super::{GroupCoordinator, Shared};
use crate::append::Appends;
use crate::deadlines::Deadlines;
use crate::group::{ClassicGroup, restore};
use crate::member_id::MemberIds;
use crate::offsets::Offsets;
use crate::record::{Record, RecordError};
use crate::{Config, Effect, GroupId, Now};

/// Takes in the records of the partition, from its start to its end.
#[derive(Debug, Default)]
pub struct Loader {
    groups: BTreeMap<GroupId, ClassicGroup>,
    offsets: Offsets,
}

impl Loader {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next record. Records about what this broker does not serve are skipped. A
    /// record that cannot be read changes nothing.
    pub fn replay(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), RecordError> {
        match Record::decode(key.ok_or(RecordError::NoKey)?, value)? {
            Record::Offset {
                group_id,
                topic,
                partition,
                value,
            } => {
                self.offsets
                    .apply(&GroupId::new(&group_id), &topic, partition, value);
            }
            Record::Group { group_id, value } => {
                let group_id = GroupId::new(&group_id);
                match value {
                    Some(metadata) => {
                        let group = restore(group_id.clone(), metadata);
                        self.groups.insert(group_id, group);
                    }
                    None => {
                        self.groups.remove(&group_id);
                    }
                }
            }
            Record::Unknown => {}
        }
        Ok(())
    }

    /// Everything has been read: the members' sessions begin anew. `seed` decides the ids of
    /// members to come and must not repeat.
    pub fn finish(
        self,
        config: Config,
        seed: [u8; 32],
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> GroupCoordinator {
        let mut coordinator = GroupCoordinator {
            groups: self.groups,
            offsets: self.offsets,
            shared: Shared {
                config,
                member_ids: MemberIds::new(seed),
                deadlines: Deadlines::default(),
                appends: Appends::default(),
            },
            next_clean_up: None,
        };
        coordinator.adopt_offsets();
        coordinator.schedule_clean_up(now);
        for group in coordinator.groups.values_mut() {
            group.resume(&mut coordinator.shared.turn(now, effects));
        }
        coordinator
    }
}

impl GroupCoordinator {
    /// Offsets that were committed without joining belong to a group without members.
    fn adopt_offsets(&mut self) {
        for group_id in self.offsets.group_ids() {
            self.groups
                .entry(group_id.clone())
                .or_insert_with(|| ClassicGroup::new(group_id.clone(), None));
        }
    }
}
