//! The cluster as clients are told of it: brokers with their addresses, partitions with their
//! leaders. Shared by the handlers that describe it.

use klamm_metadata::{MetadataImage, TopicImage};
use klamm_model::BrokerId;
use klamm_protocol::ErrorCode;

use crate::shard::Shard;

/// A broker under the listener that the client uses.
pub(crate) struct BrokerAddress<'a> {
    pub(crate) id: BrokerId,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) rack: Option<&'a str>,
}

/// All brokers that are reached under the listener with this index here; the others have none of
/// that name.
pub(crate) fn brokers<'a>(
    shard: &'a Shard,
    image: &'a MetadataImage,
    listener: usize,
) -> impl Iterator<Item = BrokerAddress<'a>> {
    let name = &shard.advertised(listener).name;
    image.brokers().filter_map(move |broker| {
        let address = broker
            .listeners
            .iter()
            .find(|address| address.name == *name)?;
        Some(BrokerAddress {
            id: broker.id,
            host: address.host.clone(),
            port: address.port,
            rack: broker.rack.as_deref(),
        })
    })
}

/// Who leads the partitions of one topic.
pub(crate) struct TopicLeaders {
    states: Vec<PartitionState>,
}

/// Who leads one partition.
#[derive(Clone, Copy)]
pub(crate) struct PartitionState {
    pub(crate) error: ErrorCode,
    /// The broker's number, or -1.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    up: bool,
}

impl TopicLeaders {
    pub(crate) fn of(shard: &Shard, topic: &TopicImage) -> Self {
        let topics = shard.topics.borrow();
        let hosted = topics.by_id(topic.id);
        let states = (0..topic.partitions.len()).map(|index| {
            let partition = hosted.and_then(|topic| topic.partition(index as i32));
            let Some(partition) = partition else {
                return PartitionState::DOWN;
            };
            let driver = partition.driver();
            let leader_epoch = driver.leader_epoch().0;
            if driver.is_leader() {
                let leader = shard.node_id.0;
                PartitionState {
                    error: ErrorCode::None,
                    leader,
                    leader_epoch,
                    up: true,
                }
            } else {
                PartitionState {
                    leader_epoch,
                    ..PartitionState::DOWN
                }
            }
        });
        Self {
            states: states.collect(),
        }
    }

    pub(crate) fn partition(&self, index: usize) -> PartitionState {
        self.states
            .get(index)
            .copied()
            .unwrap_or(PartitionState::DOWN)
    }
}

impl PartitionState {
    const DOWN: Self = Self {
        error: ErrorCode::LeaderNotAvailable,
        leader: -1,
        leader_epoch: -1,
        up: false,
    };

    /// The replicas that hold everything: those of a partition that is led.
    pub(crate) fn in_sync(self, replicas: &[BrokerId]) -> &[BrokerId] {
        if self.up { replicas } else { &[] }
    }

    /// The replicas that do not answer.
    pub(crate) fn offline(self, replicas: &[BrokerId]) -> &[BrokerId] {
        if self.up { &[] } else { replicas }
    }
}
