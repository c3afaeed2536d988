//! Between two leaders: answers wait until it is known who is the next.
//!
//! An election takes tens of milliseconds, and handing over a few. A client that is told meanwhile of no
//! leader, or of the last one, comes back late: librdkafka looks for a leader anew only after up to a
//! second, waits half a second before it fetches again, and twice as long at each repeated produce. So
//! answers wait, as long as a successor can be expected, and then say whom to ask. Nobody waits for a
//! partition that has lost the majority of its replicas, nor once nothing has happened for a second.

use std::time::Duration;

use klamm_metadata::TopicImage;
use klamm_model::{PartitionIndex, TopicId};

use super::cluster;
use crate::peer::{FIRST_SUCCESSION_TIME, Group};
use crate::shard::Shard;

/// Between two looks. Many may wait for many partitions: being woken for each would cost more.
const PAUSE: Duration = Duration::from_millis(5);

/// Whether anybody may have to wait at all: a cheap look before others.
pub(crate) fn is_open(shard: &Shard) -> bool {
    shard.peers.is_unsettled(shard.clock.now())
}

/// Whether a partition has just lost its leader, or is losing it, and may have another in a moment.
pub(crate) fn is_open_for(shard: &Shard, topic_id: TopicId, partition: PartitionIndex) -> bool {
    if !is_open(shard) {
        return false;
    }
    let image = shard.image();
    let topic = image.topic_by_id(topic_id);
    topic.is_some_and(|topic| lacks_leader(shard, topic, partition))
}

/// Whether this is so for any partition of a topic.
pub(crate) fn is_open_for_topic(shard: &Shard, topic: &TopicImage) -> bool {
    let mut indexes = topic.partition_indexes();
    is_open(shard) && indexes.any(|index| lacks_leader(shard, topic, index))
}

fn lacks_leader(shard: &Shard, topic: &TopicImage, index: PartitionIndex) -> bool {
    let Some(partition) = topic.partition(index) else {
        return false;
    };
    let group = Group {
        topic_id: topic.id,
        partition: index,
    };
    let peers = &shard.peers;
    let is_led = match peers.leader(group) {
        Some(leader) if leader.broker == shard.node_id => cluster::leads(shard, group),
        Some(leader) => peers.is_reached_both_ways(leader.broker),
        None => false,
    };
    let is_there = |broker: &_| peers.is_reached_both_ways(*broker);
    !is_led && partition.broker_ids().filter(is_there).count() > partition.replicas.len() / 2
}

/// Waits as long as `is_open` says so, and no longer than [`FIRST_SUCCESSION_TIME`]: brokers may come and
/// go all the time.
pub(crate) async fn ended(is_open: impl Fn() -> bool) {
    let patience = tokio::time::sleep(FIRST_SUCCESSION_TIME);
    let waiting = async {
        while is_open() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = waiting => {}
        () = patience => {}
    }
}
