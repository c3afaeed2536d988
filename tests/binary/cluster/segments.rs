//! Where a segment begins is decided once: all brokers have the same files.

use super::{Cluster, Follower, numbers};
use crate::segments::segments;
use crate::support::eventually;

/// Of a resource that is altered.
const TOPIC: i8 = 2;

#[test]
fn segments_are_the_same_files_on_all_brokers_whatever_happens_to_them() {
    let mut cluster = Cluster::start();
    let settings = [("internal.segment.bytes", "3000"), ("segment.ms", "100")];
    cluster.create_topic_with("t", 1, &settings);
    let leader = cluster.leader("t", 0);
    let away = (0..3).find(|at| *at != leader).expect("there are three");

    let mut load = Follower::new(&cluster, "t");
    produce(&mut load, 100);
    let (producer, sent) = (load.producer, load.sent);
    cluster.kill(away);
    let mut load = Follower::resumed(&cluster, "t", producer, sent);
    produce(&mut load, 100);
    // It is back with other settings, and is given what was written by those from before.
    for (key, value) in [("internal.segment.bytes", "1000"), ("segment.ms", "20")] {
        let altered = cluster.client(leader).alter(TOPIC, "t", key, Some(value));
        assert_eq!(altered, 0);
    }
    produce(&mut load, 100);
    let sent = load.sent;
    cluster.start_one(away);
    cluster.assert_replicas_equal("t", 0);

    // Another leads, and then the first again.
    cluster.kill(leader);
    let mut load = Follower::resumed(&cluster, "t", producer, sent);
    produce(&mut load, 100);
    let sent = load.sent;
    cluster.start_one(leader);
    eventually("it leads again", || {
        (cluster.leader("t", 0) == leader).then_some(())
    });
    let mut load = Follower::resumed(&cluster, "t", producer, sent);
    produce(&mut load, 100);
    let sent = load.sent;
    cluster.assert_replicas_equal("t", 0);
    assert_eq!(cluster.values("t", 0), numbers(sent));
    let files = segments(&cluster.seats[away].dir.data().join("t-0"));
    assert!(files.len() > 20, "{:?}", files.keys());
}

fn produce(load: &mut Follower<'_>, count: usize) {
    for _ in 0..count {
        load.produce();
    }
}
