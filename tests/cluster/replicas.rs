//! The copies of a partition, byte for byte, as they lie on the brokers' disks.

use crate::bed::Bed;
use crate::segments::common_segments;
use crate::support::eventually;

/// Waits until all replicas of a partition have the same segments; their bytes.
pub(crate) fn assert_equal(bed: &Bed, topic: &str, partition: i32) -> usize {
    let folder = format!("{topic}-{partition}");
    let what = format!("all replicas of {folder} have the same segments");
    eventually(&what, || {
        let segments = common_segments((0..bed.size()).map(|at| bed.data(at).join(&folder)))?;
        Some(segments.values().map(Vec::len).sum())
    })
}
