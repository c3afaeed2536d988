//! The copies of a partition, byte for byte, as they lie on the brokers' disks.

use std::path::Path;

use crate::bed::{BROKERS, Bed};
use crate::support::{eventually, files};

/// Waits until the three replicas of a partition hold the same bytes; the bytes. Segments may end
/// at different offsets: what is compared is the log, one batch after the other.
pub(crate) fn assert_equal(bed: &Bed, topic: &str, partition: i32) -> usize {
    let folder = format!("{topic}-{partition}");
    let what = format!("all replicas of {folder} have the same bytes");
    eventually(&what, || {
        let mut logs = (0..BROKERS).map(|at| log_bytes(&bed.data(at).join(&folder)));
        let first = logs.next().expect("there are brokers");
        logs.all(|log| log == first).then_some(first.len())
    })
}

/// The log's segments, one after the other. A segment may be rolled away while they are listed.
fn log_bytes(folder: &Path) -> Vec<u8> {
    let segments = files(folder, ".log");
    let bytes = segments
        .iter()
        .map(|name| std::fs::read(folder.join(name)).unwrap_or_default());
    bytes.collect::<Vec<_>>().concat()
}
