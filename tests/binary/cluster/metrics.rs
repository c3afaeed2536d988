//! What a member of a cluster shows of it to those who look from outside.

use super::{Cluster, metadata};
use crate::http::ask;
use crate::support::eventually;

/// Waits until a broker is as ready as it should be.
fn await_ready(cluster: &Cluster, at: usize) {
    eventually("the broker is ready", || {
        let answer = ask(cluster.admin_port(at), "GET", "/health/ready", "")?;
        (answer.status == 200).then_some(())
    });
}

/// The sum of a metric over all brokers that run, whatever its labels are.
fn sum(cluster: &Cluster, metric: &str) -> u64 {
    let running = cluster.running();
    running.map(|at| of_one(cluster, at, metric)).sum()
}

/// The same of one broker.
pub(super) fn of_one(cluster: &Cluster, at: usize, metric: &str) -> u64 {
    let answer = ask(cluster.admin_port(at), "GET", "/metrics", "").expect("an answer");
    let lines = answer.body.lines();
    let samples = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let name = name.split('{').next()?;
        (name == metric).then(|| value.parse::<u64>().expect("a number"))
    });
    samples.sum()
}

pub(super) fn becomes(cluster: &Cluster, metric: &str, expected: u64) {
    eventually(&format!("{metric} is {expected}"), || {
        (sum(cluster, metric) == expected).then_some(())
    });
}

#[test]
fn a_lost_broker_shows_in_the_metrics_of_the_others_and_is_ready_when_it_has_caught_up() {
    let mut cluster = Cluster::start_with(&[("klamm.admin.listener", "127.0.0.1:0")]);
    cluster.create_topic("t", 3);
    for at in 0..3 {
        await_ready(&cluster, at);
    }
    becomes(&cluster, "klamm_leaders", 3);
    becomes(&cluster, "klamm_controller", 1);
    becomes(&cluster, "klamm_peer_up", 6);
    becomes(&cluster, "klamm_under_replicated_partitions", 0);
    becomes(&cluster, "klamm_follower_lag_entries", 0);
    becomes(&cluster, "klamm_leaderless_partitions", 0);
    assert!(sum(&cluster, "klamm_elections_total") >= 3);
    assert!(sum(&cluster, "klamm_peer_sent_bytes_total") > 0);
    let error = cluster
        .any_client()
        .alter(2, "t", "min.insync.replicas", Some("3"));
    assert_eq!(error, 0);

    cluster.kill(2);
    becomes(&cluster, "klamm_leaders", 3);
    becomes(&cluster, "klamm_under_replicated_partitions", 3);
    becomes(&cluster, "klamm_under_min_isr_partitions", 3);
    becomes(&cluster, "klamm_peer_up", 2);
    assert!(sum(&cluster, "klamm_isr_shrinks_total") > 0);

    cluster.start_one(2);
    await_ready(&cluster, 2);
    // Ready is who is in sync with all that others lead.
    let told = metadata(&mut cluster.client(2), "t");
    let in_sync = told.topics[0].partitions.iter();
    assert!(
        in_sync
            .map(|one| one.isr_nodes.len())
            .all(|count| count == 3)
    );
    becomes(&cluster, "klamm_under_replicated_partitions", 0);
    becomes(&cluster, "klamm_under_min_isr_partitions", 0);
    assert!(sum(&cluster, "klamm_isr_expands_total") > 0);
    assert!(sum(&cluster, "klamm_peer_connections_total") >= 8);
    assert_eq!(sum(&cluster, "klamm_acknowledged_losses_total"), 0);
}
