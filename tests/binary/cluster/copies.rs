//! Replicas that lack what is not there as entries any more, or all of a large log: they take a copy.

use std::time::{Duration, Instant};

use super::moves::{ongoing, reassign, replicas};
use super::{Cluster, Follower, numbers};
use crate::requests::batch;
use crate::support::eventually;

const COPIED: &str = "a copy has taken the place of the log";

/// Small segments, of which nothing stays that is deleted.
const SHORT_LIVED: &[(&str, &str)] = &[
    ("internal.segment.bytes", "2048"),
    ("flush.messages", "1"),
    ("file.delete.delay.ms", "0"),
];

/// A cluster of three with a topic of short-lived segments, one of which has been killed.
struct OneAway {
    cluster: Cluster,
    producer: i64,
    /// How many records there are.
    sent: i32,
    /// The seats of the broker that leads, and of the one that was killed.
    leader: usize,
    away: usize,
}

impl OneAway {
    fn after(records: usize) -> Self {
        let mut cluster = Cluster::start();
        cluster.create_topic_with("t", 1, SHORT_LIVED);
        let mut follower = Follower::new(&cluster, "t");
        for _ in 0..records {
            follower.produce();
        }
        let (producer, sent) = (follower.producer, follower.sent);
        let leader = cluster.leader("t", 0);
        let away = (leader + 1) % 3;
        cluster.kill(away);
        Self {
            cluster,
            producer,
            sent,
            leader,
            away,
        }
    }
}

#[test]
fn a_broker_that_was_away_while_the_log_was_shortened_takes_a_copy_and_goes_on() {
    let OneAway {
        mut cluster,
        producer,
        sent,
        leader,
        away,
    } = OneAway::after(50);
    let mut follower = Follower::resumed(&cluster, "t", producer, sent);
    for _ in 0..250 {
        follower.produce();
    }
    let deleted = cluster.client(leader).delete_records("t", 200);
    assert_eq!(deleted, (0, 200));
    let sent = follower.sent;
    cluster.start_one(away);
    cluster.broker(away).says(COPIED);
    cluster.assert_equal_on(&[leader, away], "t", 0);
    let mut follower = Follower::resumed(&cluster, "t", producer, sent);
    for _ in 0..50 {
        follower.produce();
    }
    cluster.assert_equal_on(&[leader, away], "t", 0);
    // It is a member like the others: with one of them it goes on, and after a restart of its own.
    let sent = follower.sent;
    let other = 3 - leader - away;
    cluster.kill(other);
    cluster.stop(away);
    cluster.start_one(away);
    let mut follower = Follower::resumed(&cluster, "t", producer, sent);
    for _ in 0..50 {
        follower.produce();
    }
    let sent = follower.sent;
    cluster.assert_equal_on(&[leader, away], "t", 0);
    let values = cluster.values("t", 0);
    assert_eq!(values, numbers(sent)[200..]);
}

#[test]
fn a_new_replica_begins_with_a_copy_of_a_large_log_no_faster_than_it_may_while_records_come() {
    const VALUE_BYTES: usize = 900_000;
    const VALUES: usize = 24;
    const RATE: usize = 10_000_000;
    let rate = RATE.to_string();
    let throttled = [("follower.replication.throttled.rate", rate.as_str())];
    let mut cluster = Cluster::start_three_of_four();
    cluster.create_topic_with(
        "t",
        1,
        &[
            ("internal.segment.bytes", "4000000"),
            ("flush.messages", "1"),
            ("follower.replication.throttled.replicas", "*"),
        ],
    );
    let leader = cluster.leader("t", 0);
    let value = "v".repeat(VALUE_BYTES);
    let mut client = cluster.client(leader);
    for _ in 0..VALUES {
        client
            .produce("t", &batch(&[value.as_bytes()]))
            .expect("it leads");
    }
    cluster.start_one_with(3, &throttled);
    let before = replicas(&mut client, "t");
    let new = (1..=4)
        .find(|id| !before.contains(id))
        .expect("there are four");
    let target = [before[0], before[1], new];
    let begun = Instant::now();
    assert_eq!(reassign(&mut client, "t", Some(&target)), 0);
    eventually("the reassignment is complete", || {
        client.produce("t", &batch(&[b"more"])).expect("it leads");
        (ongoing(&mut client) == 0).then_some(())
    });
    let least = Duration::from_secs_f64(((VALUES - 6) * VALUE_BYTES) as f64 / RATE as f64);
    assert!(begun.elapsed() > least, "it was faster than it may be");
    let joined = cluster.seat_of_broker(new);
    cluster.broker(joined).says(COPIED);
    cluster.assert_equal_on(&[leader, joined], "t", 0);
}

#[test]
fn what_was_deleted_is_not_there_again_with_another_leader() {
    // One is not there to be told.
    let OneAway {
        mut cluster,
        producer,
        sent,
        leader: first,
        away,
    } = OneAway::after(100);
    let deleted = cluster.client(first).delete_records("t", 70);
    assert_eq!(deleted, (0, 70));
    cluster.start_one(away);
    cluster.assert_equal_on(&[first, away], "t", 0);
    cluster.kill(first);
    let second = cluster.leader("t", 0);
    assert_eq!(cluster.client(second).log_start("t", 0), 70);
    let mut follower = Follower::resumed(&cluster, "t", producer, sent);
    follower.produce();
    assert_eq!(cluster.values("t", 0), numbers(follower.sent)[70..]);
}
