//! `klamm bench`.

use serde_json::Value;

use super::World;
use crate::broker::read;
use crate::process::{binary, command};

const SMALL: &[&str] = &[
    "bench",
    "--rate",
    "500",
    "--seconds",
    "1",
    "--warm-up",
    "1",
    "--partitions",
    "2",
];

fn small(world: &World, more: &[&str]) -> Value {
    let mut objects = world.json(&[SMALL, more].concat());
    assert_eq!(objects.len(), 1);
    objects.remove(0)
}

#[test]
fn every_message_is_seen_on_its_whole_way() {
    let world = World::start();
    let clients = ["--producers", "2", "--consumers", "2", "--size", "300"];
    let result = small(&world, &clients);
    for what in ["due", "sent", "acknowledged", "consumed"] {
        assert_eq!(result["messages"][what], 500, "{what} {result}");
    }
    assert_eq!(result["messages"]["failed"], 0);
    assert_eq!(result["parameters"]["size"], 300);
    for leg in [
        "due_to_sent",
        "due_to_acknowledged",
        "due_to_consumed",
        "sent_to_acknowledged",
        "sent_to_consumed",
    ] {
        let latency = &result["latency_ms"][leg];
        assert_eq!(latency["count"], 500, "{leg}");
        let of = |name: &str| latency[name].as_f64().expect("a number");
        assert!(
            of("p50") <= of("p99") && of("p99") <= of("p99.99"),
            "{latency}"
        );
        assert!(of("p99.99") <= of("max") && of("max") > 0.0, "{latency}");
    }
    let rate = result["rate"]["consumed"].as_f64().expect("a number");
    assert!((200.0..=500.5).contains(&rate), "{rate}");
    assert_eq!(
        world.out(&["topic", "list"]),
        "there are no topics\n",
        "it cleans up"
    );
    world.broker.assert_no_errors();
}

#[test]
fn results_of_several_processes_are_one_report() {
    let world = World::start();
    small(&world, &["--result", "a.json"]);
    small(&world, &["--result", "b.json", "--report", "b.html"]);
    let merged = &world.json(&["bench", "merge", "a.json", "b.json", "--report", "ab.html"])[0];
    assert_eq!(merged["processes"], 2);
    assert_eq!(merged["messages"]["consumed"], 1_000);
    assert_eq!(merged["parameters"]["rate"], 1_000);
    assert_eq!(merged["latency_ms"]["due_to_consumed"]["count"], 1_000);
    for page in ["b.html", "ab.html"] {
        let page = String::from_utf8(read(&world.dir.join(page))).expect("text");
        assert!(
            page.contains("<svg") && page.contains("<polyline"),
            "{page}"
        );
    }
    let report = world.out(&["bench", "merge", "a.json", "b.json"]);
    for text in [
        "1000 messages/s of 200 B",
        "2 processes",
        "due to consumed",
        "p99.99",
        "<= 1 ms",
    ] {
        assert!(report.contains(text), "{text}\n{report}");
    }
    std::fs::write(world.dir.join("c.json"), "{}").expect("written");
    world
        .run(&["bench", "merge", "c.json"])
        .refused(1, &["c.json: it is no result"]);
}

#[test]
fn messages_of_a_file_are_sent_as_they_are() {
    let world = World::start();
    std::fs::write(world.dir.join("m.csv"), "id,v\na,1\nb,\"2, 3\"\n").expect("written");
    let payload = [
        "--payload",
        "m.csv",
        "--payload-key",
        "id",
        "--topic",
        "kept",
    ];
    small(&world, &payload);
    let kept = world.out(&["consume", "kept", "-e", "--format", r"%k|%s\n"]);
    let mut lines: Vec<_> = kept.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 1_000, "with the warm-up");
    assert_eq!((lines[0], lines[999]), ("a|a,1", "b|b,\"2, 3\""));
    // A topic that is there already may hold messages of others.
    assert_eq!(small(&world, &payload)["messages"]["consumed"], 500);
    let unknown = ["bench", "--payload", "m.csv", "--payload-key", "x"];
    world.run(&unknown).refused(1, &["there is no column x"]);
}

#[test]
fn too_few_open_files_are_told_before_the_load() {
    let world = World::start();
    let mut limited = command("sh");
    limited.args(["-c", "ulimit -n 256 && exec \"$0\" bench --producers 100"]);
    limited
        .arg(binary())
        .env("KLAMM_BOOTSTRAP", world.bootstrap());
    super::did(&mut limited).refused(1, &["101 clients: they need about", "open files", "256"]);
}
