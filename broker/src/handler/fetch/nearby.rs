//! Which replica a consumer had better read from: one in its own rack (KIP-392,
//! `RackAwareReplicaSelector`).

use klamm_model::BrokerId;

use crate::partition::Partition;
use crate::shard::Shard;

/// The broker of a replica in that rack that is reached and has caught up, as the leader of the
/// partition sees it; `None` if the leader itself stands there, or nobody does.
pub(super) fn replica(shard: &Shard, partition: &Partition, rack: &str) -> Option<BrokerId> {
    let driver = partition.driver();
    if !driver.is_leader() || shard.rack().as_deref() == Some(rack) {
        return None;
    }
    let image = shard.image();
    let stands_there = |broker: BrokerId| {
        let registered = image.broker(broker);
        let same_rack = registered.is_some_and(|one| one.rack.as_deref() == Some(rack));
        same_rack && shard.peers.is_alive(broker)
    };
    let mut nearby: Vec<_> = driver
        .caught_up()
        .filter_map(|replica| partition.broker_of(replica))
        .filter(|broker| stands_there(*broker))
        .collect();
    nearby.sort_unstable();
    // Partitions are spread over the replicas there are, and each stays with its own.
    let number = usize::try_from(partition.id().partition.0).unwrap_or(0);
    (!nearby.is_empty()).then(|| nearby[number % nearby.len()])
}
