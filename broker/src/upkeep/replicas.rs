//! What leaders do for their partitions from time to time: they bring the members of a group to where
//! the metadata wants its replicas, and give their place to the preferred leader.
//!
//! Both look at what is, compare it with what is wanted, and take one step. Whatever is interrupted,
//! by a crash or another leader, goes on from where it has come.

use std::cmp::Reverse;
use std::rc::Rc;

use klamm_model::BrokerId;

use crate::controller::requests;
use crate::partition::Partition;
use crate::partition::assignment::{Standing, Step};
use crate::peer::Request;
use crate::shard::Shard;
use crate::tasks;

/// Partitions whose leadership is given away at once at most: each has a moment without a leader.
const TRANSFERS_MAX: usize = 50;

/// Takes the next step of each reassignment whose partition is led here.
pub(crate) fn move_replicas(shard: &Rc<Shard>) {
    for partition in super::partitions(shard) {
        match next_step(shard, &partition) {
            Some(Step::Change(members)) => {
                tracing::info!(partition = %partition.id(), %members, "members are to change");
                let now = shard.clock.now();
                partition.drive(|driver, outcomes| driver.change_members(now, members, outcomes));
                shard.attend(&partition);
            }
            Some(Step::HandOver(to)) => {
                shard.hand_over(partition.group(), to);
            }
            Some(Step::Complete(members)) => complete(shard, &partition, members),
            None => {}
        }
    }
    shard.peers.flush();
}

fn complete(shard: &Rc<Shard>, partition: &Rc<Partition>, members: Vec<u64>) {
    let shard = shard.clone();
    let (id, group) = (partition.id().clone(), partition.group());
    tasks::spawn(async move {
        let request = Request::Moved { group, members };
        if let Err(refused) = requests::ask(&shard, request).await {
            tracing::warn!(partition = %id, %refused, "a reassignment is not noted yet");
        }
    });
}

fn next_step(shard: &Shard, partition: &Partition) -> Option<Step> {
    let driver = partition.driver();
    if !driver.is_leader() || !driver.can_change_members() {
        return None;
    }
    let image = shard.image();
    let topic = image.topic_by_id(partition.topic_id())?;
    let wanted = topic.partition(partition.id().partition)?;
    let standing = Standing {
        members: driver.members(),
        are_known: driver.members_are_known(),
        own: shard.node_id,
        is_ready: &|replica| {
            let holder = wanted.broker_of(replica.get());
            let is_alive = holder.is_some_and(|holder| shard.peers.is_alive(holder));
            is_alive && driver.has_caught_up(replica)
        },
    };
    standing.next_step(wanted)
}

/// Gives the leadership of partitions to their preferred leaders, where these have been reached for a
/// while and have caught up.
pub(crate) fn restore_preferred_leaders(shard: &Rc<Shard>) {
    let config = shard.config();
    let cluster = config.cluster.as_ref();
    let Some(cluster) = cluster.filter(|cluster| cluster.restores_leaders) else {
        return;
    };
    let delay = cluster.settled_after;
    let (image, now) = (shard.image(), shard.clock.now());
    let heirs = super::partitions(shard)
        .into_iter()
        .filter_map(|partition| {
            let topic = image.topic_by_id(partition.topic_id())?;
            let wanted = topic.partition(partition.id().partition)?;
            let preferred = wanted.preferred_leader()?;
            let driver = partition.driver();
            let is_settled = !wanted.is_reassigning() && driver.can_change_members();
            if !driver.is_leader() || !is_settled || preferred == shard.node_id {
                return None;
            }
            let replica = partition.replica_on(preferred)?;
            let is_back = shard.peers.has_been_reached(preferred, delay, now);
            (is_back && driver.has_caught_up(replica)).then(|| (partition.group(), preferred))
        });
    let heirs: Vec<_> = heirs.take(TRANSFERS_MAX).collect();
    for (group, heir) in heirs {
        shard.hand_over(group, heir);
    }
}

/// Gives away all that is led here and another broker can lead; how much that is.
pub(crate) fn hand_over_all(shard: &Rc<Shard>) -> usize {
    let inheritable = inheritable(shard);
    for (partition, heir) in &inheritable {
        shard.hand_over(partition.group(), *heir);
    }
    inheritable.len()
}

/// How much is led here that another broker could lead.
pub(crate) fn count_inheritable(shard: &Rc<Shard>) -> usize {
    inheritable(shard).len()
}

fn inheritable(shard: &Rc<Shard>) -> Vec<(Rc<Partition>, BrokerId)> {
    let mut all = super::partitions(shard);
    all.push(shard.controller.partition().clone());
    all.retain(|partition| partition.driver().is_leader());
    let newcomers = shard.newcomers();
    let heirs = all.into_iter().filter_map(|partition| {
        let heir = best_heir(shard, &newcomers, &partition)?;
        Some((partition, heir))
    });
    heirs.collect()
}

/// Of those who vote and are reached one that has caught up, if there is any; of several the one that
/// has been there longest, and of those that all clients know the first in the order of the replicas.
fn best_heir(shard: &Shard, newcomers: &[BrokerId], partition: &Partition) -> Option<BrokerId> {
    let driver = partition.driver();
    let voters = &driver.members().voters;
    let able = driver.followers().filter_map(|(replica, written)| {
        let holder = partition.broker_of(replica)?;
        let is_able = voters.contains(&replica) && shard.peers.is_alive(holder);
        let lacks = (!driver.has_caught_up(replica)).then_some(Reverse(written));
        let newness = newcomers.iter().position(|newcomer| *newcomer == holder);
        is_able.then_some((lacks, newness, replica, holder))
    });
    able.min().map(|(.., holder)| holder)
}
