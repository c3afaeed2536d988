//! Planned moves: brokers that are stopped hand over what they lead, and get it back.

use std::time::{Duration, Instant};

use super::{Cluster, Follower, metadata, numbers};

#[test]
fn a_rolling_restart_under_load_loses_nothing_and_nobody_waits_for_long() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let (mut producer, mut sent) = (None, 0);
    for at in 0..3 {
        std::thread::scope(|scope| {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let seat = cluster.seats[at].broker.take().expect("it runs");
            let cluster = &cluster;
            let load = scope.spawn(move || {
                let mut follower = match producer {
                    None => Follower::new(cluster, "t"),
                    Some(producer) => Follower::resumed(cluster, "t", producer, sent),
                };
                while stopped.try_recv().is_err() {
                    follower.produce();
                }
                (follower.producer, follower.sent, follower.longest)
            });
            seat.stop();
            stop.send(()).expect("the load goes on");
            let longest;
            let (id, count, waited) = load.join().expect("no record is refused for long");
            (producer, sent, longest) = (Some(id), count, waited);
            assert!(longest < Duration::from_secs(1), "{longest:?}");
        });
        cluster.start_one(at);
        cluster.assert_replicas_equal("t", 0);
    }
    assert_eq!(cluster.values("t", 0), numbers(sent));
}

#[test]
fn all_are_killed_at_once_and_everything_acknowledged_is_there() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let mut follower = Follower::new(&cluster, "t");
    for _ in 0..200 {
        follower.produce();
    }
    let sent = follower.sent;
    for at in 0..3 {
        cluster.kill(at);
    }
    cluster.start_all();
    assert_eq!(cluster.values("t", 0), numbers(sent));
    cluster.assert_replicas_equal("t", 0);
}

#[test]
fn a_broker_that_has_been_back_for_a_while_leads_again_what_it_should_lead() {
    let delay = Duration::from_secs(2);
    let mut cluster = Cluster::start_with(&[("klamm.leader.restore.delay.ms", "2000")]);
    cluster.create_topic("t", 3);
    let before: Vec<_> = (0..3)
        .map(|partition| cluster.leader("t", partition))
        .collect();
    let mut leaders = before.clone();
    leaders.sort_unstable();
    assert_eq!(leaders, [0, 1, 2], "leadership is spread");
    cluster.kill(before[0]);
    assert_ne!(cluster.leader("t", 0), before[0]);
    let started = Instant::now();
    cluster.start_one(before[0]);
    crate::support::eventually("the preferred leader leads", || {
        (cluster.leader("t", 0) == before[0]).then_some(())
    });
    assert!(started.elapsed() >= delay, "clients may not reach it yet");
}

/// The seats of those who hold a partition of `t`, in the order in which they should lead it.
fn holders(cluster: &Cluster) -> [usize; 3] {
    let told = metadata(&mut cluster.any_client(), "t");
    let replicas = &told.topics[0].partitions[0].replica_nodes;
    let seats: Vec<_> = replicas
        .iter()
        .map(|number| {
            let mut seats = cluster.running();
            let seat = seats.find(|at| cluster.number_of(*at) == number.0);
            seat.expect("all run")
        })
        .collect();
    seats.try_into().expect("three replicas")
}

/// A cluster whose second holder of `t` has just come back, and the seats of the first and the third.
fn with_a_newcomer() -> (Cluster, usize, usize) {
    let mut cluster = Cluster::start_with(&[("klamm.leader.restore.delay.ms", "600000")]);
    cluster.create_topic("t", 1);
    let [first, second, third] = holders(&cluster);
    assert_eq!(cluster.leader("t", 0), first);
    cluster.kill(second);
    cluster.start_one(second);
    Follower::new(&cluster, "t").produce();
    cluster.assert_replicas_equal("t", 0);
    (cluster, first, third)
}

/// Whether the third holder leads after the first has gone. On a machine that has no time for it an election
/// may take longer than the newcomer waits: then another cluster is tried.
fn third_leads_without(go: impl Fn(&mut Cluster, usize)) -> bool {
    (0..3).any(|_| {
        let (mut cluster, first, third) = with_a_newcomer();
        go(&mut cluster, first);
        cluster.leader("t", 0) == third
    })
}

#[test]
fn who_has_just_come_back_is_not_elected_if_another_can_be() {
    assert!(third_leads_without(Cluster::kill));
}

#[test]
fn who_has_just_come_back_is_handed_nothing_if_another_can_be() {
    assert!(third_leads_without(Cluster::stop));
}
