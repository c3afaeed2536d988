//! Idempotent producers and transactions.

use klamm_model::ProducerEpoch;

use super::*;
use crate::{AbortedTransaction, ProducerCheck};

const PRODUCER: ProducerId = ProducerId(5);

fn of_producer(sequence: i32, keys: &[&str]) -> BatchBuilder {
    let mut builder = BatchBuilder::new().producer(PRODUCER, ProducerEpoch(0), sequence);
    for key in keys {
        builder.append(NOW, Some(key.as_bytes()), Some(b"v"), &[]);
    }
    builder
}

fn in_transaction(sequence: i32, keys: &[&str]) -> RecordBatch {
    of_producer(sequence, keys).transactional().build()
}

fn marker(kind: u8) -> RecordBatch {
    let mut builder = BatchBuilder::new()
        .producer(PRODUCER, ProducerEpoch(0), -1)
        .transactional()
        .control();
    let key = [0, 0, 0, kind];
    builder.append(NOW, Some(&key), Some(&[0, 0, 0, 0, 0, 3]), &[]);
    builder.build()
}

const ABORT: u8 = 0;
const COMMIT: u8 = 1;

/// Base offsets of all batches, and how many records they have.
fn batches(log: &mut Log) -> Vec<(i64, i32)> {
    let mut found = Vec::new();
    let (mut next, end) = (Offset::ZERO, log.log_end_offset());
    while next < end {
        let result = log.read(next, end, 1 << 20, true).unwrap();
        let mut bytes = result.records;
        while !bytes.is_empty() {
            let batch = RecordBatch::parse(&mut bytes).unwrap();
            found.push((batch.base_offset().get(), batch.header().record_count()));
        }
        next = result.next_offset;
    }
    found
}

#[test]
fn the_last_batch_of_a_producer_stays_to_tell_its_sequence() {
    let mut world = World::new(LogConfig::default());
    let log = &mut world.log;
    for sequence in 0..3 {
        let batch = of_producer(sequence, &["a"]).build();
        append(log, vec![batch]).unwrap();
    }
    write(log, &["a", "b"], 1);
    close_segment(log);
    compact(log, &RULE, NOW);
    assert_eq!(batches(log), [(2, 0), (3, 1), (4, 1)]);
    // Known again without a snapshot, too.
    let snapshots = world
        .names()
        .into_iter()
        .filter(|name| name.ends_with(".snapshot"));
    let directory = std::path::Path::new(ROOT).join("orders-0");
    for name in snapshots {
        crate::Disk::remove_file(&world.disk, &directory.join(name)).unwrap();
    }
    let world = world.reopen_after(Crash::Kill);
    let check = |sequence: i32| {
        let batch = of_producer(sequence, &["a"]).build();
        world.log.producers().check(batch.header())
    };
    assert!(matches!(check(2), Ok(ProducerCheck::Duplicate(_))));
    assert!(matches!(check(3), Ok(ProducerCheck::Accept)));
    assert!(check(5).is_err());
}

#[test]
fn what_was_aborted_goes_and_its_marker_when_nothing_is_left() {
    let mut world = World::new(LogConfig::default());
    let log = &mut world.log;
    append(
        log,
        vec![in_transaction(0, &["a"]), in_transaction(1, &["b"])],
    )
    .unwrap();
    append(log, vec![marker(ABORT)]).unwrap();
    append(log, vec![in_transaction(2, &["c"]), marker(COMMIT)]).unwrap();
    write(log, &["z"], 1);
    close_segment(log);
    compact(log, &RULE, NOW);
    // Both of the aborted records, not the marker; the committed one stays.
    assert_eq!(batches(log), [(2, 1), (3, 1), (4, 1), (5, 1)]);
    let aborted = AbortedTransaction {
        producer_id: PRODUCER,
        first_offset: Offset::ZERO,
        last_offset: Offset::new(2),
        last_stable_offset: Offset::new(3),
    };
    let mut world = world.reopen_clean();
    let log = &mut world.log;
    let known = |log: &mut Log| {
        let end = log.log_end_offset();
        log.aborted_transactions(Offset::ZERO, end).unwrap()
    };
    assert_eq!(known(log), [aborted]);

    // The second time nothing of the transaction is left: the marker gets its time, and its row in
    // the index goes.
    let again = |log: &mut Log, after_ms: i64| {
        write(log, &["z"], 1);
        close_segment(log);
        compact(log, &RULE, NOW.plus_millis(after_ms));
        batches(log)
    };
    assert_eq!(again(log, 0), [(2, 1), (3, 1), (4, 1), (6, 1)]);
    assert_eq!(known(log), []);
    assert_eq!(again(log, 999), [(2, 1), (3, 1), (4, 1), (7, 1)]);
    assert_eq!(again(log, 1000), [(3, 1), (4, 1), (8, 1)]);
}

#[test]
fn a_transaction_is_known_although_its_marker_lies_behind_what_is_compacted() {
    let mut world = World::new(LogConfig::default());
    let log = &mut world.log;
    append(log, vec![in_transaction(0, &["a"])]).unwrap();
    write(log, &["b"], 1);
    log.roll(NOW).unwrap();
    append(log, vec![marker(ABORT)]).unwrap();
    log.sync().unwrap();
    compact(log, &RULE, NOW);
    // The last of a live producer stays, without records.
    assert_eq!(batches(log), [(0, 0), (1, 1), (2, 1)]);
    let end = log.log_end_offset();
    let aborted = log.aborted_transactions(Offset::ZERO, end).unwrap();
    assert_eq!(aborted.len(), 1);
}

#[test]
fn an_open_transaction_is_left_alone() {
    let mut world = World::new(LogConfig::default());
    let log = &mut world.log;
    write(log, &["a", "a"], 1);
    log.roll(NOW).unwrap();
    append(log, vec![in_transaction(0, &["a"])]).unwrap();
    close_segment(log);
    let bound = log.last_stable_offset(log.log_end_offset());
    let cleanable = log.cleanable(&RULE, NOW, bound).unwrap().unwrap();
    assert_eq!(cleanable.end, Offset::new(2));
}
