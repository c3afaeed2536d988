//! Who leads which partition, as far as this broker has heard. Replicas elect their leaders
//! themselves; who wins says so to all brokers, and the highest epoch is believed.

use std::collections::BTreeMap;

use klamm_model::{BrokerId, LeaderEpoch, TopicId};

use super::wire::Group;

/// The leader of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    /// The broker that leads.
    pub(crate) broker: BrokerId,
    /// In this epoch.
    pub(crate) epoch: LeaderEpoch,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Leaders {
    known: BTreeMap<Group, Leader>,
}

impl Leaders {
    /// `false` if that is no news.
    pub(super) fn hear(&mut self, group: Group, leader: Leader) -> bool {
        let known = self.known.get(&group);
        if known.is_some_and(|known| known.epoch >= leader.epoch) {
            return false;
        }
        self.known.insert(group, leader);
        true
    }

    pub(super) fn of(&self, group: Group) -> Option<Leader> {
        self.known.get(&group).copied()
    }

    /// The topic is gone.
    pub(super) fn forget_topic(&mut self, topic_id: TopicId) {
        self.known.retain(|group, _| group.topic_id != topic_id);
    }

    /// What a broker leads.
    pub(super) fn led_by(&self, broker: BrokerId) -> Vec<(Group, LeaderEpoch)> {
        let led = self.known.iter();
        let led = led.filter(|(_, leader)| leader.broker == broker);
        led.map(|(group, leader)| (*group, leader.epoch)).collect()
    }
}

#[cfg(test)]
mod tests {
    use klamm_model::PartitionIndex;

    use super::*;

    #[test]
    fn the_leader_of_the_highest_epoch_is_believed() {
        let group = Group {
            topic_id: TopicId::from_bytes([1; 16]),
            partition: PartitionIndex(0),
        };
        let leader = |broker, epoch| Leader {
            broker: BrokerId(broker),
            epoch: LeaderEpoch(epoch),
        };
        let mut leaders = Leaders::default();
        assert!(leaders.hear(group, leader(1, 4)));
        assert!(!leaders.hear(group, leader(2, 3)));
        assert_eq!(leaders.of(group), Some(leader(1, 4)));
        assert!(leaders.hear(group, leader(2, 5)));
        assert_eq!(leaders.led_by(BrokerId(1)), []);
        assert_eq!(leaders.led_by(BrokerId(2)), [(group, LeaderEpoch(5))]);
        leaders.forget_topic(group.topic_id);
        assert_eq!(leaders.of(group), None);
    }
}
