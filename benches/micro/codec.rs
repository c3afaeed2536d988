//! Inflating what producers compressed.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use klamm_model::record_batch::Compression;

use crate::samples::batch;

const RECORDS: usize = 1_000;
/// More than the records are.
const BYTES_MAX: usize = 16 << 20;

pub(crate) fn inflate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inflate");
    for codec in [Compression::Lz4, Compression::Zstd] {
        let batch = batch(0, RECORDS, codec);
        let inflated = batch.inflated_record_bytes(BYTES_MAX).expect("valid");
        group.throughput(Throughput::Bytes(inflated.len() as u64));
        group.bench_function(codec.name(), |bencher| {
            bencher.iter(|| black_box(&batch).inflated_record_bytes(BYTES_MAX));
        });
    }
}
