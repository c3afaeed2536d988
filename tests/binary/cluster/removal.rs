//! A broker that was removed from the cluster ends by itself and says why.

use kafka_protocol::messages::{BrokerId, UnregisterBrokerRequest};
use rustix::process::Signal;

use super::{Cluster, metadata};
use crate::support::{LIMIT, eventually};

/// Has the broker with a number removed, by asking the one in a seat.
fn unregister(cluster: &Cluster, number: i32, asked: usize) {
    const BROKER_ID_NOT_REGISTERED: i16 = 102;
    let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(number));
    let mut is_lost = false;
    eventually("the broker is removed", || {
        // A connection is closed if the controller changes before it has answered: clients ask again.
        let Ok(answer) = cluster.client(asked).try_call(0, &request) else {
            is_lost = true;
            return None;
        };
        let is_done = answer.error_code == 0;
        let was_done = is_lost && answer.error_code == BROKER_ID_NOT_REGISTERED;
        assert!(is_done || was_done, "{:?}", answer.error_message);
        Some(())
    });
}

fn ends_because_it_was_removed(cluster: &mut Cluster, at: usize) {
    let mut broker = cluster.seats[at].broker.take().expect("it runs");
    let status = broker.process.wait(LIMIT);
    let said = broker.process.lines().join("\n");
    assert_eq!(status.code(), Some(1), "{said}");
    for text in [
        "has been removed from the cluster: start it with an empty data directory",
        "stopped in good order",
    ] {
        assert!(said.contains(text), "not said: {text}\n{said}");
    }
}

#[test]
fn a_broker_that_runs_and_is_removed_ends_also_if_it_was_asked_itself() {
    let mut cluster = Cluster::start();
    unregister(&cluster, cluster.number_of(0), 1);
    ends_because_it_was_removed(&mut cluster, 0);
    unregister(&cluster, cluster.number_of(1), 1);
    ends_because_it_was_removed(&mut cluster, 1);
    cluster.any_client().create_topic("t", &[]);
    let refused = crate::broker::refusal(cluster.command(0, &[]));
    assert!(
        refused.contains("has been removed from the cluster"),
        "{refused}"
    );
}

#[test]
fn a_broker_that_was_away_when_it_was_removed_is_told_by_the_others() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 1);
    // Not the controller: what it is asked would have to wait for it.
    let controller = metadata(&mut cluster.client(0), "t").controller_id.0;
    let away = (0..3).find(|at| cluster.number_of(*at) != controller);
    let away = away.expect("there are three");
    let asked = (0..3).find(|at| *at != away).expect("there are three");
    let number = cluster.number_of(away);
    cluster.broker(away).process.signal(Signal::STOP);
    unregister(&cluster, number, asked);
    cluster.broker(away).process.signal(Signal::CONT);
    ends_because_it_was_removed(&mut cluster, away);
}
