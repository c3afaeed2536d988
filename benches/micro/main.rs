//! Micro benchmarks: what one step of the way of a record costs.
//!
//! ```sh
//! cargo bench -p klamm-benches                # all of them; results in target/criterion
//! cargo bench -p klamm-benches -- append      # those whose name holds a word
//! ```
//!
//! They tell whether a change made a step slower, on one machine, with nothing else to do. What a
//! client sees is measured by the run beside Apache Kafka (`side_by_side`).

mod batch;
mod codec;
mod compaction;
mod log;
mod replication;
mod samples;
mod wire;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// Short: what is measured takes microseconds, and appends write gigabytes in a minute.
fn quick() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = steps;
    config = quick();
    targets = batch::parse, wire::produce, wire::fetch, log::append, log::tail_read,
        compaction::offset_map, codec::inflate, replication::propose
}
criterion_main!(steps);
