//! Damaged files: the broker starts, says what is damaged, and serves everything else.

use std::path::{Path, PathBuf};

use crate::broker::{Broker, read, refuses, serve};
use crate::requests::{CORRUPT_MESSAGE, batch};
use crate::support::{Draw, TempDir, files};

const BATCHES: usize = 9;

/// A directory with a topic of a few segments, closed in good order or not.
fn filled(in_order: bool) -> TempDir {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    client.create_topic(
        "t",
        &[("segment.bytes", "1048576"), ("flush.messages", "1")],
    );
    let producer = client.producer_id();
    for number in 0..BATCHES {
        let sequence = i32::try_from(number).expect("they are few");
        let batch = crate::requests::idempotent_batch(producer, sequence, &[&value(number)]);
        client.produce("t", &batch).expect("it is appended");
    }
    match in_order {
        true => drop(broker.stop()),
        false => broker.kill(),
    }
    dir
}

fn value(number: usize) -> Vec<u8> {
    let mut draw = Draw(number as u64);
    (0..300_000).map(|_| draw.next() as u8).collect()
}

fn partition(dir: &TempDir) -> PathBuf {
    dir.data().join("t-0")
}

fn flip(path: &Path, position: usize) {
    let mut bytes = read(path);
    bytes[position] ^= 0x10;
    std::fs::write(path, bytes).expect("it can be written");
}

/// All records but those of `lost` are there, and new ones follow.
fn assert_serves_around(dir: &TempDir, lost: &[usize]) -> Vec<String> {
    let broker = Broker::start(dir, &[]);
    let mut client = broker.client();
    for number in 0..BATCHES {
        let fetched = client.fetch("t", 0, number as i64);
        if lost.contains(&number) {
            assert_eq!(fetched.error, CORRUPT_MESSAGE, "offset {number}");
            continue;
        }
        assert_eq!(fetched.error, 0, "offset {number}");
        assert_eq!(fetched.records[0].offset, number as i64);
        assert!(fetched.records[0].value == value(number), "offset {number}");
    }
    let end = BATCHES as i64;
    assert_eq!(client.produce("t", &batch(&[b"new"])), Ok(end));
    assert_eq!(client.fetch("t", 0, end).records[0].value, b"new");
    broker.stop()
}

#[test]
fn a_flipped_bit_in_a_batch_is_reported_and_served_around() {
    let size = value(0).len();
    // In the first batch, in one in the middle, in the last; in records and in headers.
    for (segment, position, lost) in [
        (0, size / 2, 0),
        (0, 20, 0),
        (1, size + 5_000, 4),
        (2, 2 * size + 5_000, 8),
    ] {
        // After a crash, the last batch may as well be one that was never written to its end.
        let crashes = lost + 1 < BATCHES;
        for in_order in [true, false]
            .into_iter()
            .filter(|in_order| *in_order || crashes)
        {
            let dir = filled(in_order);
            let names = files(&partition(&dir), ".log");
            assert_eq!(names.len(), 3, "{names:?}");
            flip(&partition(&dir).join(&names[segment]), position);
            let said = assert_serves_around(&dir, &[lost]).join("\n");
            assert!(said.contains("damaged"), "{segment} {position} {said}");
            assert!(said.contains(&names[segment]), "{said}");
        }
    }
}

#[test]
fn files_that_can_be_made_again_are_made_again() {
    let suffixes = [
        ".index",
        ".timeindex",
        ".raftindex",
        ".txnindex",
        ".snapshot",
    ];
    let others = ["leader-epoch-checkpoint", "partition.metadata"];
    let damages: [fn(&Path); 4] = [
        |path| std::fs::remove_file(path).expect("it can be removed"),
        |path| std::fs::write(path, "").expect("it can be written"),
        |path| std::fs::write(path, "rubbish, not a multiple").expect("it can be written"),
        |path| {
            let length = read(path).len();
            (0..length)
                .step_by(5)
                .for_each(|position| flip(path, position));
        },
    ];
    for in_order in [true, false] {
        for damage in damages {
            let dir = filled(in_order);
            let directory = partition(&dir);
            let names = suffixes.iter().chain(&others);
            for name in names.flat_map(|suffix| files(&directory, suffix)) {
                damage(&directory.join(name));
            }
            assert_serves_around(&dir, &[]);
        }
    }
}

#[test]
fn checkpoints_only_save_time() {
    for content in ["", "rubbish", "0\n99\n", "\u{0}\u{0}\u{0}\u{0}"] {
        for in_order in [true, false] {
            let dir = filled(in_order);
            for name in files(&dir.data(), "-checkpoint") {
                std::fs::write(dir.data().join(name), content).expect("it can be written");
            }
            assert_serves_around(&dir, &[]);
        }
    }
    let dir = filled(true);
    for name in files(&dir.data(), "-checkpoint") {
        std::fs::remove_file(dir.data().join(name)).expect("it can be removed");
    }
    assert_serves_around(&dir, &[]);
}

#[test]
fn a_torn_end_after_a_crash_is_cut() {
    let dir = filled(false);
    let directory = partition(&dir);
    let last = files(&directory, ".log").pop().expect("there are segments");
    let path = directory.join(last);
    // More than was written: half a batch.
    let mut bytes = read(&path);
    let torn = bytes[..10_000].to_vec();
    bytes.extend_from_slice(&torn);
    std::fs::write(&path, bytes).expect("it can be written");
    assert_serves_around(&dir, &[]);
}

#[test]
fn a_damaged_journal_is_named_and_nothing_is_lost() {
    let dir = filled(true);
    let path = dir.data().join("klamm.journal");
    let whole = read(&path);
    for position in [0, 40, whole.len() / 2] {
        flip(&path, position);
        let mut process = crate::process::Process::start(serve(&dir, &[]));
        // It may be able to go on, or not; either way it says so.
        match process.line_with("is ready") {
            Ok(_) => process.kill(),
            Err(said) => {
                assert!(said.contains("klamm.journal"), "{said}");
                assert!(!said.contains("panicked"), "{said}");
            }
        }
        std::fs::write(&path, &whole).expect("it can be written");
    }
    assert_serves_around(&dir, &[]);
}

#[test]
fn damaged_metadata_is_named() {
    let dir = filled(true);
    let directory = dir.data().join("__cluster_metadata-0");
    let log = directory.join(&files(&directory, ".log")[0]);
    let length = read(&log).len();
    flip(&log, length / 2);
    refuses(serve(&dir, &[]), &["metadata", "damaged"]);
    flip(&log, length / 2);
    assert_serves_around(&dir, &[]);
}
