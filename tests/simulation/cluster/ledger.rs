//! What producers were told, and what consumers must find.

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_model::Offset;
use klamm_model::record_batch::RecordBatch;

/// Acknowledged batches by base offset: all bytes from the checksum on, which nobody may change.
#[derive(Default)]
pub(super) struct Ledger {
    acknowledged: BTreeMap<Offset, Bytes>,
    records: u64,
}

impl Ledger {
    /// A producer was told that its batch stands there.
    pub(super) fn acknowledge(&mut self, base_offset: Offset, next_offset: Offset, content: Bytes) {
        let known = self.acknowledged.insert(base_offset, content.clone());
        assert!(
            known.is_none_or(|known| known == content),
            "two batches at {base_offset}"
        );
        self.records += next_offset.since(base_offset).unsigned_abs();
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// A log that was read from `start` to its end.
    pub(super) fn check(&self, batches: &[RecordBatch], start: Offset) {
        let found: BTreeMap<Offset, Bytes> = batches
            .iter()
            .map(|batch| (batch.base_offset(), content(batch)))
            .collect();
        for (offset, bytes) in self.acknowledged.range(start..) {
            assert_eq!(
                found.get(offset),
                Some(bytes),
                "an acknowledged batch is not at {offset}"
            );
        }
    }
}

/// What the producer has made of a batch.
pub(super) fn content(batch: &RecordBatch) -> Bytes {
    /// Offset, length, epoch, magic.
    const STAMPED_BYTES: usize = 17;
    batch.to_bytes().slice(STAMPED_BYTES..)
}
