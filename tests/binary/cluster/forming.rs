//! Brokers with empty disks become a cluster, and stay the same ones.

use std::collections::BTreeSet;

use super::{Cluster, metadata, numbers};
use crate::client::Client;
use crate::requests::batch;
use crate::support::eventually;

fn brokers(client: &mut Client) -> (String, BTreeSet<i32>) {
    let told = metadata(client, "nothing");
    let cluster = told.cluster_id.map(|id| id.to_string()).unwrap_or_default();
    let brokers = told.brokers.iter().map(|broker| broker.node_id.0);
    (cluster, brokers.collect())
}

/// What all say, once all say the same.
fn agreed(cluster: &Cluster, size: usize) -> (String, BTreeSet<i32>) {
    eventually("all brokers know each other", || {
        let said: BTreeSet<_> = cluster
            .running()
            .map(|at| brokers(&mut cluster.client(at)))
            .collect();
        let first = said.first()?.clone();
        (said.len() == 1 && first.1.len() == size).then_some(first)
    })
}

#[test]
fn three_brokers_with_empty_disks_found_one_cluster_and_are_the_same_after_a_restart() {
    let mut cluster = Cluster::start();
    let (id, numbers) = agreed(&cluster, 3);
    assert_eq!(id.len(), 22, "{id}");
    for at in 0..3 {
        cluster.stop(at);
    }
    cluster.start_all();
    assert_eq!(agreed(&cluster, 3), (id, numbers));
    for at in 0..3 {
        cluster.broker(at).assert_no_errors();
    }
}

#[test]
fn a_fourth_broker_joins_while_the_others_serve() {
    let mut cluster = Cluster::start_three_of_four();
    let (id, _) = agreed(&cluster, 3);
    cluster.start_one(3);
    let (same, numbers) = agreed(&cluster, 4);
    assert_eq!(same, id);
    assert_eq!(numbers.len(), 4);
}

#[test]
fn what_is_created_through_any_broker_is_there_on_all_of_them() {
    let cluster = Cluster::start();
    agreed(&cluster, 3);
    for at in 0..3 {
        let name = format!("topic-{at}");
        cluster.create_topic(&name, 2);
        let first = batch(&[b"0"]);
        let leader = cluster.leader(&name, 0);
        assert_eq!(cluster.client(leader).produce(&name, &first), Ok(0));
        assert_eq!(cluster.values(&name, 0), numbers(1));
        cluster.assert_replicas_equal(&name, 0);
    }
}

#[test]
fn a_topic_that_is_named_first_is_created_with_all_its_replicas() {
    let cluster = Cluster::start();
    let told = cluster.client(2).metadata("first-use");
    let partition = &told.topics[0].partitions[0];
    assert_eq!((told.topics[0].error_code, partition.error_code), (0, 0));
    assert_eq!(partition.replica_nodes.len(), 3);
    assert!(partition.leader_id.0 > 0);
}
