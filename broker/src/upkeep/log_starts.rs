//! Where logs begin: followers let theirs begin where the leader's does, as Kafka's do, or what was
//! deleted would be there again after an election.

use std::collections::BTreeMap;
use std::rc::Rc;

use klamm_model::{BrokerId, Offset};

use crate::partition::Partition;
use crate::peer::{Answer, Group, Request};
use crate::shard::Shard;
use crate::tasks;

/// Partitions of which one broker is told at a time: after an election it may be all.
const TOLD_AT_ONCE_MAX: usize = 200;

/// Tells the other brokers what they have not been told of the partitions that are led here.
pub(super) fn tell_all(shard: &Rc<Shard>) {
    let mut news: BTreeMap<BrokerId, Vec<Rc<Partition>>> = BTreeMap::new();
    for partition in super::partitions(shard) {
        for broker in ignorant(shard, &partition) {
            let partitions = news.entry(broker).or_default();
            if partitions.len() < TOLD_AT_ONCE_MAX {
                partitions.push(partition.clone());
            }
        }
    }
    for (broker, partitions) in news {
        let shard = shard.clone();
        tasks::spawn(async move {
            for partition in partitions {
                tell(&shard, &partition, broker).await;
            }
        });
    }
}

/// Tells all who hold a replica, and are reached, and waits until they have followed.
pub(crate) async fn tell_followers(shard: &Rc<Shard>, partition: &Rc<Partition>) {
    let ignorant = ignorant(shard, partition);
    if ignorant.is_empty() {
        return;
    }
    // They let nothing go that they do not know to be shown.
    let now = shard.clock.now();
    partition.drive(|driver, outcomes| driver.announce(now, outcomes));
    shard.attend(partition);
    for broker in ignorant {
        tell(shard, partition, broker).await;
    }
}

/// Brokers that are reached and have a replica, and may not know where the log begins; none if it is not
/// led here.
fn ignorant(shard: &Shard, partition: &Partition) -> Vec<BrokerId> {
    let driver = partition.driver();
    let start = driver.log_start_offset();
    if start == Offset::ZERO || !driver.is_leader() {
        return Vec::new();
    }
    let followers = driver.followers();
    let brokers = followers.filter_map(|(replica, _)| partition.broker_of(replica));
    let ignorant = brokers
        .filter(|broker| shard.peers.is_alive(*broker) && partition.start_told(*broker) < start);
    ignorant.collect()
}

async fn tell(shard: &Rc<Shard>, partition: &Rc<Partition>, broker: BrokerId) {
    let group = partition.group();
    let offset = partition.driver().log_start_offset();
    let request = Request::BeginWith { group, offset };
    if shard.peers.ask(broker, &request).await == Some(Answer::Done) {
        partition.note_start_told(broker, offset);
    }
}

/// Lets the log of a replica begin where its leader's does; `false` if it does not reach so far yet, or
/// is not here.
pub(crate) async fn follow(shard: &Rc<Shard>, group: Group, offset: Offset) -> bool {
    let Some(partition) = shard.hosted(group) else {
        return false;
    };
    let deleted = {
        let mut driver = partition.driver_mut();
        if offset > driver.high_watermark() {
            return false;
        }
        driver.delete_records(offset, shard.clock.wall())
    };
    let durable = match deleted {
        Ok(None) => Ok(()),
        Ok(Some(ticket)) => shard.drop_segments(&partition, ticket).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &durable {
        tracing::error!(partition = %partition.id(), %error, "records cannot be deleted");
    }
    durable.is_ok()
}
