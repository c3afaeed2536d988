//! `min.insync.replicas` above a majority: what is acknowledged is on as many replicas as were asked for.

use kafka_protocol::messages::ProduceRequest;
use rustix::process::Signal;

use super::{Cluster, Follower, numbers};
use crate::requests::{ALL, batch, produce_request};
use crate::segments::segments;
use crate::support::eventually;

const REQUEST_TIMED_OUT: i16 = 7;
const NOT_ENOUGH_REPLICAS: i16 = 19;
const NOT_ENOUGH_REPLICAS_AFTER_APPEND: i16 = 20;

/// Three brokers, and a topic that wants all three before it acknowledges anything.
fn three_of_three() -> Cluster {
    let cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let error = cluster
        .any_client()
        .alter(2, "t", "min.insync.replicas", Some("3"));
    assert_eq!(error, 0);
    cluster
}

fn follower_of(cluster: &Cluster, leader: usize) -> usize {
    let mut followers = cluster.running().filter(|at| *at != leader);
    followers.next().expect("there are three")
}

/// How many bytes each replica has written.
fn written(cluster: &Cluster) -> Vec<usize> {
    let dirs = cluster.seats.iter().map(|seat| &seat.dir);
    let all = dirs.map(|dir| segments(&dir.data().join("t-0")));
    all.map(|segments| segments.values().map(Vec::len).sum())
        .collect()
}

fn assert_all_have_the_same(cluster: &Cluster) {
    let written = written(cluster);
    assert!(written[0] > 0, "{written:?}");
    assert!(written.iter().all(|one| *one == written[0]), "{written:?}");
}

#[test]
fn an_acknowledgement_of_all_means_all_and_a_new_leader_keeps_to_it() {
    let mut cluster = three_of_three();
    let (producer, mut sent);
    {
        let mut follower = Follower::new(&cluster, "t");
        for _ in 0..20 {
            follower.produce();
            assert_all_have_the_same(&cluster);
        }
        (producer, sent) = (follower.producer, follower.sent);
    }
    let leader = cluster.leader("t", 0);
    cluster.kill(leader);
    let successor = cluster.leader("t", 0);
    let refused = cluster.client(successor).produce("t", &batch(&[b"x"]));
    assert_eq!(refused, Err(NOT_ENOUGH_REPLICAS));
    cluster.start_one(leader);
    let mut follower = Follower::resumed(&cluster, "t", producer, sent);
    for _ in 0..20 {
        follower.produce();
        assert_all_have_the_same(&cluster);
    }
    sent = follower.sent;
    assert_eq!(cluster.values("t", 0), numbers(sent));
}

#[test]
fn a_replica_that_stands_still_holds_acknowledgements_back_until_it_goes_on() {
    let cluster = three_of_three();
    let leader = cluster.leader("t", 0);
    let still = follower_of(&cluster, leader);
    let mut client = cluster.client(leader);
    assert_eq!(client.produce("t", &batch(&[b"0"])), Ok(0));
    cluster.broker(still).process.signal(Signal::STOP);
    let mut request = produce_request("t", 0, ALL, &batch(&[b"1"]));
    request.timeout_ms = 300;
    let answer = client.call::<ProduceRequest>(9, &request);
    let error = answer.responses[0].partition_responses[0].error_code;
    assert_eq!(error, REQUEST_TIMED_OUT);
    // It is shown all the same: a majority has it.
    assert_eq!(client.read_all("t", 0).len(), 2);
    request.timeout_ms = 20_000;
    client.send_produce(&request).expect("it is sent");
    cluster.broker(still).process.signal(Signal::CONT);
    assert_eq!(client.receive_produced().expect("an answer"), Ok(2));
    assert_all_have_the_same(&cluster);
}

#[test]
fn a_producer_is_told_when_too_few_are_left_to_hold_what_stands() {
    let mut cluster = three_of_three();
    let leader = cluster.leader("t", 0);
    let lost = follower_of(&cluster, leader);
    let mut client = cluster.client(leader);
    assert_eq!(client.produce("t", &batch(&[b"0"])), Ok(0));
    cluster.broker(lost).process.signal(Signal::STOP);
    let mut request = produce_request("t", 0, ALL, &batch(&[b"1"]));
    request.timeout_ms = 20_000;
    client.send_produce(&request).expect("it is sent");
    eventually("a majority has it", || {
        let read = cluster.client(leader).read_all("t", 0).len();
        (read == 2).then_some(())
    });
    cluster.kill(lost);
    let told = client.receive_produced().expect("an answer");
    assert_eq!(told, Err(NOT_ENOUGH_REPLICAS_AFTER_APPEND));
    let refused = client.produce("t", &batch(&[b"2"]));
    assert_eq!(refused, Err(NOT_ENOUGH_REPLICAS));
    // With two a majority would have to do.
    let error = client.alter(2, "t", "min.insync.replicas", Some("2"));
    assert_eq!(error, 0);
    assert_eq!(client.produce("t", &batch(&[b"2"])), Ok(2));
    cluster.start_one(lost);
    eventually("all three are in sync again", || {
        assert_eq!(client.alter(2, "t", "min.insync.replicas", Some("3")), 0);
        client.produce("t", &batch(&[b"3"])).ok()
    });
    assert_all_have_the_same(&cluster);
}
