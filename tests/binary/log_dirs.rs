//! Several disks.

use crate::broker::{Broker, refuses, serve};
use crate::requests::batch;
use crate::support::{TempDir, files};

const PARTITIONS: i32 = 6;

fn dirs_of(dir: &TempDir, names: &[&str]) -> String {
    let paths = names
        .iter()
        .map(|name| dir.join(name).display().to_string());
    paths.collect::<Vec<_>>().join(",")
}

fn fill(broker: &Broker) {
    let mut client = broker.client();
    assert_eq!(client.try_create_topic("t", PARTITIONS, &[]).0, 0);
    for partition in 0..PARTITIONS {
        let value = format!("of {partition}");
        let appended = client.try_produce("t", partition, &batch(&[value.as_bytes()]));
        assert_eq!(appended.expect("an answer"), Ok(0));
    }
}

fn check(broker: &Broker) {
    let mut client = broker.client();
    for partition in 0..PARTITIONS {
        assert_eq!(client.values("t", partition), [format!("of {partition}")]);
    }
}

#[test]
fn partitions_are_spread_over_all_and_found_again_in_any_order() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[("log.dirs", &dirs_of(&dir, &["a", "b", "c"]))]);
    fill(&broker);
    broker.stop();
    for name in ["a", "b", "c"] {
        let held = (0..PARTITIONS)
            .filter(|partition| dir.join(name).join(format!("t-{partition}")).exists());
        assert!(
            held.count() >= 1,
            "{name} holds {:?}",
            files(&dir.join(name), "")
        );
    }
    let broker = Broker::start(&dir, &[("log.dirs", &dirs_of(&dir, &["c", "a", "b"]))]);
    check(&broker);
    broker.kill();
    // One more disk.
    let broker = Broker::start(&dir, &[("log.dirs", &dirs_of(&dir, &["d", "c", "a", "b"]))]);
    check(&broker);
    broker.assert_no_errors();
    broker.stop();
}

#[test]
fn a_disk_that_is_not_there_is_missed() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[("log.dirs", &dirs_of(&dir, &["a", "b", "c"]))]);
    fill(&broker);
    broker.stop();
    for missing in ["a", "b", "c"] {
        let left: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .filter(|name| *name != missing)
            .collect();
        let missed = dir.join(missing).display().to_string();
        refuses(
            serve(&dir, &[("log.dirs", &dirs_of(&dir, &left))]),
            &[&missed],
        );
        // As when it is not mounted: an empty directory in its place.
        let away = dir.join("away");
        std::fs::rename(dir.join(missing), &away).expect("it can be moved");
        std::fs::create_dir(dir.join(missing)).expect("it can be made");
        refuses(
            serve(&dir, &[("log.dirs", &dirs_of(&dir, &["a", "b", "c"]))]),
            &[&missed],
        );
        std::fs::remove_dir_all(dir.join(missing)).expect("it can be removed");
        std::fs::rename(&away, dir.join(missing)).expect("it can be moved");
    }
    let broker = Broker::start(&dir, &[("log.dirs", &dirs_of(&dir, &["a", "b", "c"]))]);
    check(&broker);
}
