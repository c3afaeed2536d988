//! Who leads which partition, and who follows it in sync, as far as this broker has heard. Replicas
//! elect their leaders themselves; who wins says so to all brokers, and the highest epoch is believed.
//! Who is in sync only the leader knows, and says it anew when that changes.

use std::collections::BTreeMap;
use std::rc::Rc;

use klamm_model::{BrokerId, LeaderEpoch, TopicId};

use super::wire::{Group, Led};

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
    known: BTreeMap<Group, Known>,
}

#[derive(Debug)]
struct Known {
    leader: Leader,
    in_sync: Rc<[BrokerId]>,
}

impl Leaders {
    /// A broker says what it leads; `false` if that is no news.
    pub(super) fn hear(&mut self, broker: BrokerId, led: &Led) -> bool {
        let Led {
            group,
            epoch,
            ref in_sync,
        } = *led;
        let leader = Leader { broker, epoch };
        if let Some(known) = self.known.get(&group) {
            let is_same = known.leader == leader;
            let is_older = known.leader.epoch >= epoch && !is_same;
            if is_older || is_same && *known.in_sync == **in_sync {
                return false;
            }
        }
        let in_sync = in_sync.as_slice().into();
        self.known.insert(group, Known { leader, in_sync });
        true
    }

    pub(super) fn of(&self, group: Group) -> Option<Leader> {
        self.known.get(&group).map(|known| known.leader)
    }

    /// The brokers whose replicas are in sync, as the leader said last.
    pub(super) fn in_sync(&self, group: Group) -> Option<Rc<[BrokerId]>> {
        self.known.get(&group).map(|known| known.in_sync.clone())
    }

    /// The topic is gone.
    pub(super) fn forget_topic(&mut self, topic_id: TopicId) {
        self.known.retain(|group, _| group.topic_id != topic_id);
    }

    /// What a broker leads.
    pub(super) fn led_by(&self, broker: BrokerId) -> Vec<Led> {
        let led = self.known.iter();
        let led = led.filter(|(_, known)| known.leader.broker == broker);
        let led = led.map(|(group, known)| Led {
            group: *group,
            epoch: known.leader.epoch,
            in_sync: known.in_sync.to_vec(),
        });
        led.collect()
    }
}

#[cfg(test)]
mod tests {
    use klamm_model::PartitionIndex;

    use super::*;

    const GROUP: Group = Group {
        topic_id: TopicId::from_bytes([1; 16]),
        partition: PartitionIndex(0),
    };

    fn led(epoch: i32, in_sync: &[i32]) -> Led {
        Led {
            group: GROUP,
            epoch: LeaderEpoch(epoch),
            in_sync: in_sync.iter().copied().map(BrokerId).collect(),
        }
    }

    #[test]
    fn the_leader_of_the_highest_epoch_is_believed() {
        let leader = |broker, epoch| Leader {
            broker: BrokerId(broker),
            epoch: LeaderEpoch(epoch),
        };
        let mut leaders = Leaders::default();
        assert!(leaders.hear(BrokerId(1), &led(4, &[1])));
        assert!(!leaders.hear(BrokerId(2), &led(3, &[2])));
        assert_eq!(leaders.of(GROUP), Some(leader(1, 4)));
        assert!(leaders.hear(BrokerId(2), &led(5, &[2])));
        assert_eq!(leaders.led_by(BrokerId(1)), []);
        assert_eq!(leaders.led_by(BrokerId(2)), [led(5, &[2])]);
        leaders.forget_topic(GROUP.topic_id);
        assert_eq!(leaders.of(GROUP), None);
    }

    #[test]
    fn who_is_in_sync_is_what_the_leader_said_last() {
        let mut leaders = Leaders::default();
        let told = |leaders: &Leaders| leaders.in_sync(GROUP).map(|brokers| brokers.to_vec());
        assert_eq!(told(&leaders), None);
        assert!(leaders.hear(BrokerId(1), &led(4, &[1, 2, 3])));
        assert!(!leaders.hear(BrokerId(1), &led(4, &[1, 2, 3])));
        assert!(leaders.hear(BrokerId(1), &led(4, &[1, 3])));
        assert!(
            !leaders.hear(BrokerId(2), &led(4, &[2])),
            "who leads says it"
        );
        assert_eq!(told(&leaders), Some(vec![BrokerId(1), BrokerId(3)]));
    }
}
