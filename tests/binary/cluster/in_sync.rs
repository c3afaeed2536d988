//! Clients are told which replicas are in sync: those that keep up, on brokers that are reached.

use std::collections::BTreeSet;

use rustix::process::Signal;

use super::{Cluster, Follower, metadata};
use crate::support::eventually;

/// How many replicas of a topic's first partition are in sync and offline, once all brokers that can
/// answer agree that it is so.
fn agree(cluster: &Cluster, asked: &[usize], expected: (usize, usize)) {
    let what = format!("in sync and offline are {expected:?}");
    eventually(&what, || {
        let told: BTreeSet<_> = asked
            .iter()
            .map(|at| {
                let told = metadata(&mut cluster.client(*at), "t");
                let partition = &told.topics[0].partitions[0];
                assert_eq!(partition.replica_nodes.len(), 3);
                let in_sync = partition.isr_nodes.iter();
                assert!(
                    in_sync
                        .clone()
                        .all(|id| partition.replica_nodes.contains(id))
                );
                (in_sync.count(), partition.offline_replicas.len())
            })
            .collect();
        (told == BTreeSet::from([expected])).then_some(())
    });
}

#[test]
fn a_broker_that_is_gone_is_out_of_sync_and_back_in_sync_when_it_has_caught_up() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 1);
    agree(&cluster, &[0, 1, 2], (3, 0));
    let leader = cluster.leader("t", 0);
    cluster.kill(leader);
    let left: Vec<_> = cluster.running().collect();
    agree(&cluster, &left, (2, 1));
    let mut follower = Follower::new(&cluster, "t");
    for _ in 0..20 {
        follower.produce();
    }
    cluster.start_one(leader);
    agree(&cluster, &[0, 1, 2], (3, 0));
}

#[test]
fn a_follower_that_stands_still_is_out_of_sync_though_it_is_reached() {
    let cluster = Cluster::start_with(&[("replica.lag.time.max.ms", "1000")]);
    cluster.create_topic("t", 1);
    let leader = cluster.leader("t", 0);
    let still = (0..3).find(|at| *at != leader).expect("there are three");
    let moving: Vec<_> = (0..3).filter(|at| *at != still).collect();
    cluster.broker(still).process.signal(Signal::STOP);
    let mut client = cluster.client(leader);
    client
        .produce("t", &crate::requests::batch(&[b"0"]))
        .expect("a majority has it");
    agree(&cluster, &moving, (2, 0));
    cluster.broker(still).process.signal(Signal::CONT);
    agree(&cluster, &[0, 1, 2], (3, 0));
}
