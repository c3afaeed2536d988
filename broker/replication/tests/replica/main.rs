//! A replica from outside: recorded scripts, properties over generated histories, elections among
//! several, and whole groups on disks and a network that fail.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod election;
mod frames;
mod group;
mod properties;
mod scripts;

use klamm_model::record_batch::BatchBuilder;
use klamm_model::{RecordBatch, Timestamp};

/// A batch of that many records.
fn batch(records: usize) -> RecordBatch {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.append(Timestamp(0), None, Some(b"v"), &[]);
    }
    builder.build()
}
