//! A broker dies: others lead, nothing that was acknowledged is lost, nothing comes twice.

use std::time::Duration;

use kafka_protocol::messages::ProduceRequest;

use super::{Cluster, Follower, leader_as_told, numbers};
use crate::requests::{ALL, NOT_LEADER_OR_FOLLOWER, batch, produce_request};

#[test]
fn a_partition_goes_on_after_its_leader_was_killed_and_every_record_is_there_once() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let (mut producer, mut sent) = (None, 0);
    for _ in 0..3 {
        let leader = cluster.leader("t", 0);
        let mut follower = match producer {
            None => Follower::new(&cluster, "t"),
            Some(producer) => Follower::resumed(&cluster, "t", producer, sent),
        };
        for _ in 0..50 {
            follower.produce();
        }
        (producer, sent) = (Some(follower.producer), follower.sent);
        cluster.kill(leader);
        let mut follower = Follower::resumed(&cluster, "t", producer.expect("it has one"), sent);
        for _ in 0..50 {
            follower.produce();
        }
        assert!(
            follower.longest < Duration::from_secs(3),
            "{:?}",
            follower.longest
        );
        sent = follower.sent;
        cluster.start_one(leader);
    }
    assert_eq!(cluster.values("t", 0), numbers(sent));
    cluster.assert_replicas_equal("t", 0);
}

#[test]
fn a_client_that_asks_as_soon_as_a_leader_is_dead_is_told_of_its_successor() {
    let mut cluster = Cluster::start();
    let (dead, mut client) = cluster.create_topic_and_kill_its_leader("t");
    // The broker may not have seen yet that the connection to the leader has ended.
    let mut told = (0..).map(|_| leader_as_told(&mut client, "t", 0));
    let told = told.find(|told| *told != Some(dead)).flatten();
    assert!(told.is_some(), "told of no leader");
}

#[test]
fn two_brokers_of_three_are_not_there_and_nothing_is_acknowledged_until_one_is() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let leader = cluster.leader("t", 0);
    assert_eq!(cluster.client(leader).produce("t", &batch(&[b"0"])), Ok(0));
    let others: Vec<_> = (0..3).filter(|at| *at != leader).collect();
    others.iter().for_each(|at| cluster.kill(*at));
    // Sent to a leader that nobody follows any more: it may take it, and must not acknowledge it.
    let mut client = cluster.client(leader);
    let mut request = produce_request("t", 0, ALL, &batch(&[b"1"]));
    request.timeout_ms = 500;
    let answer = client.call::<ProduceRequest>(9, &request);
    let error = answer.responses[0].partition_responses[0].error_code;
    assert_ne!(error, 0, "acknowledged by one of three");
    cluster.start_one(others[0]);
    let mut follower = Follower::new(&cluster, "t");
    // Offset 1 or 2: what was not acknowledged may be there all the same.
    follower.client = follower.find_leader();
    let leader = cluster.leader("t", 0);
    let offset = cluster.client(leader).produce("t", &batch(&[b"2"]));
    assert!(matches!(offset, Ok(1 | 2)), "{offset:?}");
}

#[test]
fn a_client_at_the_wrong_broker_is_told_who_leads() {
    let cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let leader = cluster.leader("t", 0);
    let leader_port = i32::from(cluster.seats[leader].client_port);
    let wrong = (0..3).find(|at| *at != leader).expect("there are three");
    let mut client = cluster.client(wrong);
    let request = produce_request("t", 0, ALL, &batch(&[b"0"]));
    let answer = client.call::<ProduceRequest>(10, &request);
    let told = &answer.responses[0].partition_responses[0];
    assert_eq!(told.error_code, NOT_LEADER_OR_FOLLOWER);
    let endpoint = &answer.node_endpoints[0];
    assert_eq!(endpoint.node_id, told.current_leader.leader_id);
    assert_eq!(endpoint.port, leader_port);
    assert!(told.current_leader.leader_epoch >= 1);
}
