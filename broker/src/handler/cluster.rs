//! The cluster as clients are told of it: brokers with their addresses, partitions with their
//! leaders. Shared by the handlers that describe it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use klamm_metadata::{BrokerImage, MetadataImage, TopicImage};
use klamm_model::{BrokerId, PartitionIndex, TopicId};
use klamm_protocol::ErrorCode;

use crate::peer::{Group, Leader};
use crate::shard::Shard;

/// A broker under the listener that the client uses.
pub(crate) struct BrokerAddress {
    pub(crate) id: BrokerId,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) rack: Option<String>,
}

/// How long a broker is named that is not reached any more: as long as Kafka does by default
/// (`broker.session.timeout.ms`). librdkafka (2.10 to 2.16 at least) drops what it knows of a broker as soon
/// as Metadata leaves it out; partitions that the same answer gives to another leader may get lost on the
/// way, and are found again only a second later. So leaders have to change first.
const NAMED_TIME: Duration = Duration::from_secs(9);

/// All brokers that are reached, or were lately, under the listener with this index here; those that
/// have none of that name are left out.
pub(crate) fn brokers(shard: &Shard, image: &MetadataImage, listener: usize) -> Vec<BrokerAddress> {
    let name = &shard.advertised(listener).name;
    let now = shard.clock.now();
    let is_named = |broker: &&BrokerImage| shard.peers.was_reached(broker.id, NAMED_TIME, now);
    let brokers = image.brokers().filter(is_named);
    brokers
        .filter_map(|broker| address_of(broker, name))
        .collect()
}

/// One broker that is reached.
pub(crate) fn broker(
    shard: &Shard,
    image: &MetadataImage,
    listener: usize,
    id: BrokerId,
) -> Option<BrokerAddress> {
    let broker = image.broker(id).filter(|_| shard.peers.is_alive(id))?;
    address_of(broker, &shard.advertised(listener).name)
}

fn address_of(broker: &BrokerImage, listener: &str) -> Option<BrokerAddress> {
    let mut listeners = broker.listeners.iter();
    let address = listeners.find(|address| address.name == listener)?;
    Some(BrokerAddress {
        id: broker.id,
        host: address.host.clone(),
        port: address.port,
        rack: broker.rack.clone(),
    })
}

/// Who leads a partition, if that broker is reached.
pub(crate) fn leader_of(
    shard: &Shard,
    topic_id: TopicId,
    partition: PartitionIndex,
) -> Option<Leader> {
    let group = Group {
        topic_id,
        partition,
    };
    let leader = shard.peers.leader(group)?;
    shard.peers.is_alive(leader.broker).then_some(leader)
}

/// Who leads a partition, to tell a client that has asked this broker in vain: never this one, which
/// may not have heard yet who has followed it.
fn leader_to_ask(shard: &Shard, group: Group) -> Option<Leader> {
    let leader = leader_of(shard, group.topic_id, group.partition)?;
    (leader.broker != shard.node_id || leads(shard, group)).then_some(leader)
}

/// Whether this broker leads a partition, and takes what clients send.
pub(crate) fn leads(shard: &Shard, group: Group) -> bool {
    shard.hosted(group).is_some_and(|partition| {
        let driver = partition.driver();
        driver.is_leader() && !driver.is_giving_way()
    })
}

/// Which brokers lead what a client has asked others for (KIP-951), each told once.
#[derive(Default)]
pub(crate) struct LeaderHints {
    brokers: BTreeMap<BrokerId, BrokerAddress>,
}

impl LeaderHints {
    /// Who leads the partition, if it is known how the client reaches that broker.
    pub(crate) fn add(
        &mut self,
        shard: &Shard,
        listener: usize,
        topic_id: TopicId,
        partition: PartitionIndex,
    ) -> Option<Leader> {
        let group = Group {
            topic_id,
            partition,
        };
        let leader = leader_to_ask(shard, group)?;
        if let Entry::Vacant(place) = self.brokers.entry(leader.broker) {
            place.insert(broker(shard, &shard.image(), listener, leader.broker)?);
        }
        Some(leader)
    }

    /// The brokers, by number.
    pub(crate) fn into_brokers(self) -> impl Iterator<Item = BrokerAddress> {
        self.brokers.into_values()
    }
}

/// Who leads the partitions of one topic.
pub(crate) struct TopicLeaders {
    states: Vec<PartitionState>,
    alive: BTreeSet<BrokerId>,
    /// By partition, as the leaders say.
    in_sync: Vec<Option<Rc<[BrokerId]>>>,
}

/// Who leads one partition.
#[derive(Clone, Copy)]
pub(crate) struct PartitionState {
    pub(crate) error: ErrorCode,
    /// The broker's number, or -1.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
}

impl TopicLeaders {
    pub(crate) fn of(shard: &Shard, topic: &TopicImage) -> Self {
        let states = topic
            .partition_indexes()
            .map(|index| PartitionState::of(shard, topic.id, index));
        let in_sync = topic.partition_indexes().map(|partition| {
            shard.peers.in_sync(Group {
                topic_id: topic.id,
                partition,
            })
        });
        Self {
            states: states.collect(),
            alive: shard.peers.alive(),
            in_sync: in_sync.collect(),
        }
    }

    pub(crate) fn partition(&self, index: usize) -> PartitionState {
        let state = self.states.get(index);
        state.copied().unwrap_or(PartitionState::UNKNOWN)
    }

    /// The replicas of a partition that are in sync: those of which its leader said so, on brokers that
    /// are reached; none without a leader.
    pub(crate) fn in_sync(&self, index: usize, replicas: &[BrokerId]) -> Vec<BrokerId> {
        if self.partition(index).leader < 0 {
            return Vec::new();
        }
        let mut reached = self.with(replicas, |is_alive| is_alive);
        if let Some(Some(in_sync)) = self.in_sync.get(index) {
            reached.retain(|broker| in_sync.contains(broker));
        }
        reached
    }

    /// The replicas that do not answer.
    pub(crate) fn offline(&self, index: usize, replicas: &[BrokerId]) -> Vec<BrokerId> {
        match (self.partition(index).leader, replicas) {
            // Its broker is there and the replica is not: the log could not be opened.
            (-1, [lone]) => vec![*lone],
            _ => self.with(replicas, |is_alive| !is_alive),
        }
    }

    fn with(&self, replicas: &[BrokerId], wanted: impl Fn(bool) -> bool) -> Vec<BrokerId> {
        let replicas = replicas.iter().copied();
        replicas
            .filter(|broker| wanted(self.alive.contains(broker)))
            .collect()
    }
}

impl PartitionState {
    const UNKNOWN: Self = Self {
        error: ErrorCode::LeaderNotAvailable,
        leader: -1,
        leader_epoch: -1,
    };

    fn of(shard: &Shard, topic_id: TopicId, index: PartitionIndex) -> Self {
        let group = Group {
            topic_id,
            partition: index,
        };
        let Some(leader) = shard.peers.leader(group) else {
            return Self::UNKNOWN;
        };
        let leader_epoch = leader.epoch.0;
        let is_here = leader.broker == shard.node_id;
        let leads = match is_here {
            true => shard
                .hosted(group)
                .is_some_and(|partition| partition.driver().is_leader()),
            false => shard.peers.is_alive(leader.broker),
        };
        match leads {
            true => Self {
                error: ErrorCode::None,
                leader: leader.broker.0,
                leader_epoch,
            },
            false => Self {
                leader_epoch,
                ..Self::UNKNOWN
            },
        }
    }
}
