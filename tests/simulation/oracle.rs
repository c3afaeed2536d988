//! What must be true of one partition, kept apart from the code that makes it true.
//!
//! A record is known by a number that is never used twice. The oracle remembers which number was
//! tried at which offset, which of them were acknowledged, and up to where the log must survive
//! what.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use klamm_storage::Crash;

use crate::workload::key_of;

/// Offsets here are plain numbers: the oracle shares no arithmetic with what it judges.
#[derive(Default)]
pub(crate) struct Oracle {
    /// What may stand at each offset, from the latest try on.
    tried: BTreeMap<i64, u64>,
    /// The end of what has been acknowledged.
    acknowledged_end: i64,
    /// Everything before must survive even the loss of power: it was covered by a completed
    /// flush, or was acknowledged under `flush.messages=1`.
    durable_end: i64,
    /// Records below have been asked to be deleted, or are too old.
    log_start: i64,
    /// Where the log may at most begin: a deletion may have been cut short by a crash.
    log_start_max: i64,
}

impl Oracle {
    /// A batch was taken at `base`.
    pub(crate) fn tried(&mut self, base: i64, records: &[u64]) {
        self.tried.split_off(&base);
        let offsets = base..;
        self.tried.extend(offsets.zip(records.iter().copied()));
    }

    /// Nothing tried from `base` on was appended.
    pub(crate) fn dropped(&mut self, base: i64) {
        assert!(base >= self.acknowledged_end, "an acknowledged batch goes");
        self.tried.split_off(&base);
    }

    /// A repeat was answered with these offsets.
    pub(crate) fn repeated(&self, base: i64, records: &[u64]) {
        let offsets = base..base + records.len() as i64;
        let stands = self.tried.range(offsets).map(|(_, record)| *record);
        assert!(stands.eq(records.iter().copied()), "another batch's place");
    }

    /// A producer has been told that everything before `end` is safe.
    pub(crate) fn acknowledged(&mut self, end: i64, strict: bool) {
        self.acknowledged_end = self.acknowledged_end.max(end);
        if strict {
            self.durable_end = self.durable_end.max(end);
        }
    }

    /// A flush that began when the log ended at `end` has been completed.
    pub(crate) fn flushed(&mut self, end: i64) {
        self.durable_end = self.durable_end.max(end);
    }

    /// The log start is about to be raised, to this offset at most.
    pub(crate) fn may_start_at(&mut self, offset: i64) {
        self.log_start_max = self.log_start_max.max(offset);
    }

    /// The log start has been raised.
    pub(crate) fn log_starts_at(&mut self, offset: i64) {
        assert!(offset >= self.log_start, "the log start went back");
        assert!(offset <= self.log_start_max, "too much was deleted");
        self.log_start = offset;
        self.log_start_max = offset;
    }

    /// A record has been read.
    pub(crate) fn read(&self, offset: i64, record: u64) {
        let expected = self.tried.get(&offset).copied();
        assert_eq!(Some(record), expected, "another record at offset {offset}");
    }

    /// All records from the first of these offsets on have been read, up to the last: none was
    /// missing that must be there. Before `whole_from` that is the newest of each key.
    pub(crate) fn all_read(&self, seen: &BTreeSet<i64>, range: Range<i64>, whole_from: i64) {
        let mut newest: BTreeMap<u64, i64> = BTreeMap::new();
        for (offset, number) in self.tried.range(range) {
            newest.insert(key_of(*number), *offset);
            let must_be_there = *offset >= whole_from;
            assert!(!must_be_there || seen.contains(offset), "{offset} is gone");
        }
        for offset in newest.values() {
            assert!(
                seen.contains(offset),
                "{offset} is gone, the newest of its key"
            );
        }
    }

    /// The partition was opened again and spans these offsets. Says whether acknowledged records
    /// are gone, as they may after the loss of power.
    pub(crate) fn restarted(&mut self, crash: Option<Crash>, start: i64, end: i64) -> bool {
        let must_reach = match crash {
            Some(Crash::PowerLoss) => self.durable_end,
            Some(Crash::Kill) | None => self.acknowledged_end,
        };
        assert!(
            end >= must_reach,
            "records are lost after {crash:?}: the log ends at {end}, must reach {must_reach}"
        );
        assert!(
            start <= self.log_start_max,
            "records are lost at the start: it begins at {start}, may begin at {}",
            self.log_start_max
        );
        let lost = self.acknowledged_end > end;
        // What was found was made durable before it was served.
        self.log_start = start;
        self.log_start_max = start;
        self.acknowledged_end = end;
        self.durable_end = end;
        self.tried.split_off(&end);
        lost
    }

    /// The end of what has been acknowledged.
    pub(crate) fn acknowledged_end(&self) -> i64 {
        self.acknowledged_end
    }
}
