//! The first half of a compaction: each record that is new is read, and its key put into the map
//! of offsets.

use criterion::{BatchSize, Criterion, Throughput};
use klamm_model::record_batch::Compression;
use klamm_storage::{CleanerConfig, CompactionError, CompactionRule, Pace};

use crate::samples::{Disk, NOW, batch};

const RECORDS: usize = 100_000;
const PER_BATCH: usize = 100;

const CONFIG: CleanerConfig = CleanerConfig {
    dedupe_buffer_bytes: 16 << 20,
    load_factor: 0.9,
    io_buffer_bytes: 1 << 20,
    hash_seed: 7,
};

const RULE: CompactionRule = CompactionRule {
    delete_retention_ms: 0,
    min_compaction_lag_ms: 0,
    max_compaction_lag_ms: i64::MAX,
    min_cleanable_dirty_ratio: 0.0,
};

/// Stops when so many bytes have been read: once for their keys.
struct OncePace(u64);

impl Pace for OncePace {
    fn moved(&mut self, bytes: u64) -> bool {
        self.0 = self.0.saturating_sub(bytes);
        self.0 > 0
    }
}

pub(crate) fn offset_map(criterion: &mut Criterion) {
    let mut disk = Disk::new("compaction");
    let mut bytes = 0;
    for first in (0..RECORDS).step_by(PER_BATCH) {
        let batch = batch(first, PER_BATCH, Compression::None);
        bytes += batch.size_bytes() as u64;
        disk.append(vec![batch]);
    }
    let log = &mut disk.log;
    let end = log.log_end_offset();
    log.high_watermark_moved(end);
    log.roll(NOW).expect("there is room");
    log.sync().expect("it is written");
    let due = log.cleanable(&RULE, NOW, end).expect("it is readable");
    let due = due.expect("there is a closed segment");
    let mut group = criterion.benchmark_group("compaction");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("walk records into the offset map", |bencher| {
        bencher.iter_batched(
            || {
                log.begin_compaction(&due, &RULE, &CONFIG, NOW)
                    .expect("it is readable")
            },
            |mut compaction| match compaction.next_group(&mut OncePace(bytes)) {
                Err(CompactionError::Stopped) => compaction,
                other => panic!("it stops when all is read: {other:?}"),
            },
            BatchSize::PerIteration,
        );
    });
}
