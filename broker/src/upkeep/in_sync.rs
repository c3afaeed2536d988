//! Leaders look who is in sync with them, and tell all brokers where that has changed.

use std::rc::Rc;

use crate::shard::Shard;

/// Looks at everything that is led here, and answers producers that wait for more than there are in
/// sync. The other brokers are told by one message each, and only if
/// anything has changed.
pub(crate) fn review(shard: &Rc<Shard>) {
    let config = shard.config();
    let Some(cluster) = &config.cluster else {
        return;
    };
    let (now, alive) = (shard.clock.now(), shard.peers.alive());
    let mut changed = Vec::new();
    let (mut left, mut came) = (0, 0);
    for partition in super::partitions(shard) {
        let review =
            partition.review_in_sync(now, cluster.replica_lag_max, shard.node_id, |broker| {
                alive.contains(&broker)
            });
        partition.give_up_on_replicas();
        if let Some((change, led)) = review {
            left += change.left;
            came += change.came;
            changed.push(led);
        }
    }
    if changed.is_empty() {
        return;
    }
    tracing::info!(
        partitions = changed.len(),
        left,
        came,
        "replicas that are in sync have changed"
    );
    shard.peers.lead(changed);
    shard.peers.flush();
}
