//! Appending to a log on the disk, and reading what was appended last. Nothing is synced: that is
//! the flusher's, once a second.

use criterion::{BatchSize, Criterion, Throughput};
use klamm_model::record_batch::Compression;
use klamm_storage::Attempt;

use crate::samples::{Disk, batch};

pub(crate) fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log append");
    for batches in [1, 16] {
        let mut disk = Disk::new(&format!("append-{batches}"));
        let batch = batch(0, 1, Compression::None);
        group.throughput(Throughput::Elements(batches as u64));
        group.bench_function(format!("{batches} batches"), |bencher| {
            bencher.iter_batched(
                || vec![batch.clone(); batches],
                |batches| disk.append(batches),
                BatchSize::SmallInput,
            );
        });
    }
}

pub(crate) fn tail_read(criterion: &mut Criterion) {
    let mut disk = Disk::new("read");
    for _ in 0..1_000 {
        disk.append(vec![batch(0, 1, Compression::None)]);
    }
    let from = disk.log.log_end_offset();
    disk.append(vec![batch(0, 1, Compression::None)]);
    let upper = disk.log.log_end_offset();
    disk.log.high_watermark_moved(upper);
    criterion.bench_function("log tail read", |bencher| {
        bencher.iter(|| match disk.log.try_read(from, upper, 1 << 20, true) {
            Ok(Attempt::Done(read)) => assert!(!read.records.is_empty()),
            _ => panic!("what was appended last is in memory"),
        });
    });
}
