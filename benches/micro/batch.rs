//! Parsing a record batch, which sums it.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use klamm_model::RecordBatch;
use klamm_model::record_batch::Compression;

use crate::samples::batch;

pub(crate) fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch parse and checksum");
    for records in [1, 16, 1_000] {
        let bytes = batch(0, records, Compression::None).to_bytes();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("{records} records"), |bencher| {
            bencher.iter(|| RecordBatch::parse(&mut black_box(bytes.clone())).expect("valid"));
        });
    }
}
