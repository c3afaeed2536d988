//! Leaders look who is in sync with them, and tell all brokers where that has changed.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::health::Health;
use crate::partition::Partition;
use crate::peer::Leader;
use crate::shard::Shard;

/// Looks at everything that is led here, and answers producers that wait for more than there are in
/// sync. The other brokers are told by one message each, and only if anything has changed.
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
    shard.counters().in_sync_left.add(left as u64);
    shard.counters().in_sync_came.add(came as u64);
    shard.peers.lead(changed);
    shard.peers.flush();
}

/// Between two looks at whether all replicas have caught up.
const CATCHING_UP_PAUSE: Duration = Duration::from_millis(100);

/// How long it may take to hear who leads. A partition without a majority has no leader to wait for.
const LEADERS_HEARD_TIME: Duration = Duration::from_secs(10);

/// Notes that the broker is ready once all replicas here have caught up with their leaders.
pub(crate) async fn await_caught_up(shard: Rc<Shard>, health: Arc<Health>) {
    let heard = shard.clock.now() + LEADERS_HEARD_TIME;
    while !super::partitions(&shard).iter().all(|partition| {
        let is_early = shard.clock.now() < heard;
        has_caught_up(&shard, partition).unwrap_or(!is_early)
    }) {
        tokio::time::sleep(CATCHING_UP_PAUSE).await;
    }
    health.caught_up();
}

/// Whether a replica leads, or its leader says that it is in sync; `None` if nobody is known to lead.
/// One whose disk has failed has nothing to wait for.
fn has_caught_up(shard: &Shard, partition: &Partition) -> Option<bool> {
    if partition.driver().offline().is_some() || partition.driver().is_leader() {
        return Some(true);
    }
    let Leader { broker, .. } = shard.peers.leader(partition.group())?;
    if broker == shard.node_id || !shard.peers.is_alive(broker) {
        return None;
    }
    let in_sync = shard.peers.in_sync(partition.group());
    in_sync.map(|in_sync| in_sync.contains(&shard.node_id))
}
