//! `klamm dump`: files of a broker, sound and damaged.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Did, World, did, limited, lines_of_json};
use crate::support::files;

/// A topic with segments, indexes and a key for each record; the broker runs on.
fn filled() -> (World, PathBuf) {
    let world = World::start();
    let settings = [
        "-c",
        "segment.bytes=1048576",
        "-c",
        "index.interval.bytes=4096",
    ];
    world.out(&[&["topic", "create", "t"][..], &settings].concat());
    let line = |number: u32| format!("k{number}:{}\n", "v".repeat(1_000));
    let lines: String = (0..2_500).map(line).collect();
    let small = ["-X", "batch.num.messages=20"];
    let words = [&["produce", "t", "--key-separator", ":"][..], &small].concat();
    let produced = world.feed(&words, lines.as_bytes());
    assert_eq!(produced.code, 0, "{}", produced.err);
    let directory = world.dir.data().join("t-0");
    (world, directory)
}

fn local(words: &[&str]) -> Did {
    did(limited().args(words))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn problems(lines: &[Value]) -> Vec<&Value> {
    let lines = lines.iter();
    lines.filter(|line| !line["problem"].is_null()).collect()
}

#[test]
fn everything_that_a_broker_wrote_is_shown_and_sound() {
    let (world, directory) = filled();
    world.broker.stop();
    let did = local(&[
        "dump",
        "--print-data-log",
        "--output",
        "json",
        text(&world.dir.data()),
    ]);
    assert_eq!(did.code, 0, "{}{}", did.out, did.err);
    let lines = lines_of_json(&did.out);
    assert_eq!(problems(&lines), [&Value::Null; 0]);
    let dumped = |kind: &str| lines.iter().filter(|line| line["dumping"] == kind).count();
    assert!(files(&directory, ".log").len() >= 3);
    assert_eq!(
        files(&directory, ".index").len(),
        files(&directory, ".log").len()
    );
    for kind in [
        "log",
        "index",
        "timeindex",
        "raftindex",
        "snapshot",
        "journal",
    ] {
        assert!(dumped(kind) > 0, "{kind}");
    }
    let records = lines.iter().filter(|line| line["valueSize"] == 1_000);
    let keys: Vec<&str> = records
        .map(|line| line["key"].as_str().expect("text"))
        .collect();
    let expected: Vec<String> = (0..2_500).map(|number| format!("k{number}")).collect();
    assert_eq!(keys, expected);
    assert!(
        lines.iter().any(|line| line["record"] == "Noop"),
        "of the journal"
    );
}

#[test]
fn damage_is_found_and_nothing_is_changed() {
    let (world, directory) = filled();
    world.broker.kill();
    let name = files(&directory, ".log").remove(1);
    let path = directory.join(&name);
    let mut bytes = std::fs::read(&path).expect("it is there");
    bytes[100_000] ^= 1;
    std::fs::write(&path, &bytes).expect("it can be written");
    let did = local(&["dump", text(&path)]);
    assert_eq!(did.code, 1);
    assert!(
        did.out.contains("problem: checksum does not match"),
        "{}",
        did.out
    );
    assert_eq!(std::fs::read(&path).expect("it is there"), bytes);

    // The index points at what cannot be read any more.
    let index = path.with_extension("index");
    let did = local(&["dump", text(&index)]);
    assert_eq!(did.code, 1);
    assert!(
        did.out.contains("problem: no batch at position"),
        "{}",
        did.out
    );

    let other = directory.join("leader-epoch-checkpoint");
    let did = local(&["dump", text(&other)]);
    assert_eq!(did.code, 1);
    assert!(did.out.contains("its name does not tell"), "{}", did.out);
    let did = local(&["dump", "/nowhere"]);
    assert_eq!(did.code, 1);
    assert!(did.out.contains("No such file"), "{}", did.out);
}
