//! Compaction, a step at a time, with everything else going on between the steps.

use std::fmt::Write as _;

use klamm_storage::{CleanerConfig, CompactionError, CompactionRule, Pace};

use super::{COMPACTED, World};
use crate::broker::Partition;

const RULE: CompactionRule = CompactionRule {
    delete_retention_ms: 0,
    min_compaction_lag_ms: 0,
    max_compaction_lag_ms: i64::MAX,
    min_cleanable_dirty_ratio: 0.0,
};

const CLEANER: CleanerConfig = CleanerConfig {
    dedupe_buffer_bytes: 1 << 20,
    load_factor: 0.9,
    io_buffer_bytes: 1_000,
    hash_seed: 1,
};

struct Unhurried;

impl Pace for Unhurried {
    fn moved(&mut self, _bytes: u64) -> bool {
        true
    }
}

impl World {
    /// Begins a compaction, makes its next copy, or puts one in place.
    pub(super) fn compact(&mut self) {
        let wall = self.wall;
        let partition = self.partition(COMPACTED);
        if partition.driver.offline().is_some() {
            return;
        }
        let step = if let Some(ticket) = partition.swap.take() {
            let swapped = ticket.run();
            // What could not be put in place leaves the log as it was, or offline.
            let _ = partition.driver.log_mut().swapped(swapped);
            "swapped"
        } else {
            if partition.compaction.is_none() {
                begin(partition, wall);
            }
            next_copy(partition)
        };
        let whole_from = self.partition(COMPACTED).driver.log().whole_from();
        self.note(|line| write!(line, "compaction {step}, whole from {whole_from}"));
    }
}

fn begin(partition: &mut Partition, wall: klamm_model::Timestamp) {
    let bound = partition.driver.committed_offset();
    let log = partition.driver.log_mut();
    if let Ok(Some(cleanable)) = log.cleanable(&RULE, wall, bound) {
        let begun = log.begin_compaction(&cleanable, &RULE, &CLEANER, wall);
        partition.compaction = begun.ok();
    }
}

fn next_copy(partition: &mut Partition) -> &'static str {
    let Some(compaction) = &mut partition.compaction else {
        return "not due";
    };
    let log = partition.driver.log_mut();
    match compaction.next_group(&mut Unhurried) {
        Ok(Some(group)) => {
            if let Ok(Some(ticket)) = log.begin_swap(group) {
                partition.swap = Some(ticket);
                return "copied";
            }
        }
        Ok(None) => log.compacted(compaction.cleaned_to()),
        Err(CompactionError::Damaged(damage)) => panic!("nothing is damaged here: {damage:?}"),
        Err(_) => {}
    }
    partition.compaction = None;
    "ended"
}
