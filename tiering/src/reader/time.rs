//! Finds a record by its time in batches that were read.

use std::ops::ControlFlow;

use bytes::Bytes;
use klamm_model::{Offset, RecordBatch, Timestamp};
use klamm_storage::TimestampOffset;

/// Largest batch that is inflated to look for a time.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// The first record in whole batches from `from` on that is not earlier than `timestamp`.
pub(super) fn first_record(
    mut batches: Bytes,
    timestamp: Timestamp,
    from: Offset,
) -> Option<TimestampOffset> {
    while let Ok(batch) = RecordBatch::parse_trusted(&mut batches) {
        let is_wanted = batch.header().max_timestamp() >= timestamp && batch.last_offset() >= from;
        if !is_wanted {
            continue;
        }
        if let ControlFlow::Break(found) = look_into(&batch, timestamp, from) {
            return Some(found);
        }
    }
    None
}

/// A batch that cannot be inflated counts as a whole, as in the log.
fn look_into(
    batch: &RecordBatch,
    timestamp: Timestamp,
    from: Offset,
) -> ControlFlow<TimestampOffset> {
    let leader_epoch = batch.header().leader_epoch();
    let whole = TimestampOffset {
        timestamp: batch.header().max_timestamp(),
        offset: batch.base_offset().max(from),
        leader_epoch,
    };
    let Ok(records) = batch.records(INFLATED_BYTES_MAX) else {
        return ControlFlow::Break(whole);
    };
    for record in records {
        let Ok(record) = record else {
            return ControlFlow::Break(whole);
        };
        if record.timestamp >= timestamp && record.offset >= from {
            return ControlFlow::Break(TimestampOffset {
                timestamp: record.timestamp,
                offset: record.offset,
                leader_epoch,
            });
        }
    }
    ControlFlow::Continue(())
}
