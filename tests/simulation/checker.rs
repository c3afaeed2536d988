//! Reads a partition and compares it with what must be true of it.

use std::collections::BTreeSet;

use bytes::Buf;
use klamm_broker::partition::driver::PartitionDriver;
use klamm_model::{Offset, RecordBatch};
use klamm_storage::{Attempt, Log, ReadResult};

use crate::oracle::Oracle;

/// The positions of a partition never cross each other.
pub(crate) fn positions(driver: &PartitionDriver) {
    let (start, end) = (driver.log_start_offset(), driver.log_end_offset());
    let (visible, commit) = (driver.high_watermark(), driver.committed_offset());
    let stable = driver.last_stable_offset();
    let log = driver.log();
    assert!(start <= end, "log start ≤ log end");
    assert!(stable <= visible, "last stable offset ≤ high watermark");
    assert!(commit <= visible, "commit ≤ high watermark");
    assert!(visible <= end, "high watermark ≤ log end");
    assert!(driver.committed_index() <= log.last_index());
    assert!(
        commit <= log.recovery_point(),
        "what is committed was synced"
    );
    assert!(log.damages().is_empty(), "{:?}", log.damages());
}

/// Reads records from `from` to the high watermark: offsets without gaps but where compaction has
/// been, epochs that do not fall, checksums right, and each record the one the oracle knows.
pub(crate) fn records(driver: &mut PartitionDriver, from: Offset, oracle: &Oracle) {
    let end = driver.high_watermark();
    let whole_from = driver.log().whole_from();
    let (mut seen, mut offsets) = (BTreeSet::new(), BTreeSet::new());
    let mut epoch = -1;
    let mut next = from;
    while next < end {
        let read = read_cold(driver.log_mut(), next, end);
        assert!(!read.records.is_empty(), "nothing at {next} before {end}");
        let mut bytes = read.records;
        while bytes.has_remaining() {
            let batch = RecordBatch::parse(&mut bytes).expect("whole, undamaged batches");
            let gap = batch.base_offset() > next && next >= whole_from;
            let back = batch.base_offset() < next && next != from;
            assert!(!gap && !back, "{} after {next}", batch.base_offset());
            let found = batch.header().leader_epoch().0;
            assert!(found >= epoch, "leader epochs fall at {next}");
            epoch = found;
            offsets.extend(check_batch(&batch, oracle, &mut seen));
            next = batch.next_offset();
        }
    }
    oracle.all_read(&offsets, from.get()..end.get(), whole_from.get());
}

/// Reads as a broker does for a consumer: what is not in memory is brought there elsewhere.
fn read_cold(log: &mut Log, from: Offset, end: Offset) -> ReadResult {
    const ROUNDS_MAX: usize = 20;
    for _ in 0..ROUNDS_MAX {
        let attempt = log.try_read(from, end, 64 << 10, true);
        match attempt.unwrap_or_else(|error| panic!("cannot be read: {error}")) {
            Attempt::Done(read) => return read,
            Attempt::Cold(ticket) => log.populated(ticket.run()).expect("a disk that gives"),
        }
    }
    panic!("what was brought into memory is not seen there at {from}")
}

/// The offsets of its records.
fn check_batch(batch: &RecordBatch, oracle: &Oracle, seen: &mut BTreeSet<u64>) -> Vec<i64> {
    let mut offsets = Vec::new();
    for record in batch.records(1 << 20).expect("not compressed") {
        let record = record.expect("a whole record");
        let number = number_of(&record.value.expect("a value"));
        let offset = record.offset.get();
        assert!(
            seen.insert(number),
            "a record stands twice, again at {offset}"
        );
        oracle.read(offset, number);
        offsets.push(offset);
    }
    offsets
}

/// A record's number leads its value.
fn number_of(mut value: &[u8]) -> u64 {
    value.get_u64()
}

/// The Raft log: indexes and offsets without gaps, terms that do not fall, and each term's first
/// entry its no-op.
pub(crate) fn entries(driver: &mut PartitionDriver) {
    const ALL: usize = 1 << 20;
    let log = driver.log_mut();
    let first = log.first_index();
    let entries = log.entries(first, ALL).expect("readable");
    let mut index = first;
    let mut offset = None;
    let mut term = log.prev_term();
    for entry in &entries {
        assert_eq!(entry.index, index, "an index is missing");
        assert!(offset.is_none_or(|offset| offset == entry.base_offset));
        assert!(entry.term >= term, "terms fall");
        let is_noop = entry.size_bytes == 0;
        assert_eq!(entry.term > term, is_noop, "a term starts with its no-op");
        index = index.next();
        offset = Some(entry.next_offset);
        term = entry.term;
    }
    assert_eq!(index, log.last_index().next(), "entries are missing");
    assert_eq!(term, log.last_term());
    assert!(offset.is_none_or(|offset| offset == log.log_end_offset()));
}
