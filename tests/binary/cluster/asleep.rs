//! Partitions that nobody uses sleep, and wake when they are used or their leader's broker is gone.

use rustix::process::Signal;

use super::{Cluster, leader_as_told};
use crate::http::ask;
use crate::requests::batch;
use crate::support::eventually;

impl Cluster {
    /// What a broker says of itself now.
    fn gauge(&self, at: usize, name: &str) -> Option<u64> {
        let line = self.broker(at).process.says("admin port: http://");
        let port = line.trim().rsplit_once(':')?.1.parse().ok()?;
        let metrics = ask(port, "GET", "/metrics", "")?.body;
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.trim().parse().ok()
    }

    /// Waits until each broker has fallen asleep with this many partitions.
    fn falls_asleep(&self, partitions: u64) {
        eventually("all partitions sleep", || {
            let mut running = self.running();
            let all =
                running.all(|at| self.gauge(at, "klamm_sleeping_partitions") == Some(partitions));
            all.then_some(())
        });
    }
}

/// Those of the topic, and the metadata.
const PARTITIONS: u64 = 4;

#[test]
fn partitions_that_sleep_wake_for_a_record_and_for_the_loss_of_a_broker() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 3);
    cluster.falls_asleep(PARTITIONS);
    let leader = cluster.leader("t", 0);
    assert_eq!(cluster.client(leader).produce("t", &batch(&[b"0"])), Ok(0));
    cluster.falls_asleep(PARTITIONS);
    cluster.kill(leader);
    let heir = cluster.leader("t", 0);
    assert_ne!(heir, leader);
    assert_eq!(cluster.client(heir).produce("t", &batch(&[b"1"])), Ok(1));
    cluster.start_one(leader);
    cluster.falls_asleep(PARTITIONS);
    assert_eq!(cluster.values("t", 0), ["0", "1"]);
    cluster.assert_replicas_equal("t", 0);
}

/// As a host that vanishes: its connections end only after a while.
#[test]
fn a_broker_that_stands_still_while_its_partitions_sleep_is_replaced() {
    let cluster = Cluster::start();
    cluster.create_topic("t", 1);
    cluster.falls_asleep(2);
    let leader = cluster.leader("t", 0);
    let gone = i32::from(cluster.seats[leader].client_port);
    let other = (leader + 1) % 3;
    cluster.broker(leader).process.signal(Signal::STOP);
    let heir = eventually("another broker leads", || {
        let told = leader_as_told(&mut cluster.client(other), "t", 0)?;
        cluster.seat_of(told).filter(|_| told != gone)
    });
    assert_eq!(cluster.client(heir).produce("t", &batch(&[b"0"])), Ok(0));
    cluster.broker(leader).process.signal(Signal::CONT);
    cluster.falls_asleep(2);
    cluster.assert_replicas_equal("t", 0);
}
