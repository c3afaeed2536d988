//! A batch less some of its records, as log compaction leaves it.
//!
//! Offsets do not move: the batch keeps its first and last offset and each record its own. Kafka's
//! `MemoryRecords.filterTo` and `DefaultRecordBatch.writeEmptyHeader`.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Compression, RecordBatch, RecordFacts, TimestampType, varint};
use crate::Timestamp;

impl RecordBatch {
    /// The batch with only these of its records, under the same codec, summed anew. A
    /// `delete_horizon` is set as KIP-534 has it: it becomes the base timestamp. Panics without
    /// records: see [`emptied`](Self::emptied).
    #[must_use]
    pub fn keeping(&self, kept: &[RecordFacts<'_>], delete_horizon: Option<Timestamp>) -> Self {
        let newest = kept.iter().map(|record| record.timestamp).max();
        let newest = newest.expect("a batch without records is emptied");
        let mut records = BytesMut::with_capacity(self.records.len());
        for record in kept {
            match delete_horizon {
                None => records.put_slice(record.bytes),
                Some(horizon) => put_relative_to(&mut records, record, horizon),
            }
        }
        let mut header = self.header;
        if let Some(horizon) = delete_horizon {
            header.set_delete_horizon(horizon);
        }
        if header.timestamp_type() == TimestampType::CreateTime {
            header.set_timestamps(header.base_timestamp(), newest);
        }
        header.set_record_count(kept.len() as i32);
        let codec = header.compression().unwrap_or(Compression::None);
        let records = match codec {
            Compression::None => records.freeze(),
            codec => codec.deflate(codec.default_level(), &records),
        };
        header.set_length_of_records(records.len());
        let mut batch = Self::from_parts(header, records);
        batch.renew_checksum();
        batch
    }

    /// The batch without records: its offsets, and what its producer is known by.
    #[must_use]
    pub fn emptied(&self) -> Self {
        let mut header = self.header;
        header.clear_base_timestamp();
        header.set_compression(Compression::None);
        header.set_record_count(0);
        header.set_length_of_records(0);
        let mut batch = Self::from_parts(header, Bytes::new());
        batch.renew_checksum();
        batch
    }
}

/// Writes a record whose timestamp counts from another base.
fn put_relative_to(records: &mut BytesMut, record: &RecordFacts<'_>, base: Timestamp) {
    let delta = record.timestamp.millis().saturating_sub(base.millis());
    let mut head = BytesMut::with_capacity(11);
    head.put_i8(0); // attributes: none are defined
    varint::put(&mut head, delta);
    let length = head.len() + record.after_timestamp.len();
    varint::put(records, length as i64);
    records.put_slice(&head);
    records.put_slice(record.after_timestamp);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_batch::{BatchBuilder, Record};
    use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

    fn batch(codec: Compression) -> RecordBatch {
        let mut builder = BatchBuilder::new()
            .compression(codec, codec.default_level())
            .producer(ProducerId(7), ProducerEpoch(1), 40);
        for number in 0..5_i64 {
            let key = format!("key-{number}");
            let value = (number != 3).then_some(&b"value"[..]);
            let time = Timestamp(1_000 + number);
            builder.append(time, Some(key.as_bytes()), value, &[("h", Some(b"x"))]);
        }
        let mut batch = builder.build();
        batch.stamp(Offset::new(100), LeaderEpoch(2));
        batch
    }

    fn keep(batch: &RecordBatch, deltas: &[i32], horizon: Option<Timestamp>) -> RecordBatch {
        let inflated = batch.inflated_record_bytes(1 << 20).unwrap();
        let all = batch.facts(&inflated).map(Result::unwrap);
        let kept: Vec<_> = all
            .filter(|record| deltas.contains(&record.offset_delta))
            .collect();
        batch.keeping(&kept, horizon)
    }

    fn records(batch: &RecordBatch) -> Vec<Record> {
        let parsed = RecordBatch::parse(&mut batch.to_bytes()).unwrap();
        parsed
            .records(1 << 20)
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn what_is_kept_does_not_change() {
        for codec in [Compression::None, Compression::Lz4, Compression::Zstd] {
            let before = batch(codec);
            let all = records(&before);
            for horizon in [None, Some(Timestamp(86_400_000))] {
                let after = keep(&before, &[1, 3], horizon);
                assert_eq!(records(&after), [all[1].clone(), all[3].clone()]);
                let header = after.header();
                assert_eq!(header.compression(), Some(codec));
                assert_eq!(header.base_offset(), before.base_offset());
                assert_eq!(header.last_offset(), before.last_offset());
                assert_eq!(header.last_sequence(), 44);
                assert_eq!(header.max_timestamp(), Timestamp(1_003));
                assert_eq!(header.delete_horizon(), horizon);
            }
        }
    }

    #[test]
    fn a_delete_horizon_stays_when_more_records_go() {
        let horizon = Some(Timestamp(86_400_000));
        let once = keep(&batch(Compression::None), &[1, 3], horizon);
        let twice = keep(&once, &[3], None);
        assert_eq!(twice.header().delete_horizon(), horizon);
        assert_eq!(records(&twice), records(&once)[1..]);
    }

    #[test]
    fn an_emptied_batch_keeps_offsets_and_producer() {
        let before = keep(&batch(Compression::Gzip), &[1], Some(Timestamp(5)));
        let after = before.emptied();
        assert_eq!(after.size_bytes(), 61);
        assert_eq!(records(&after), []);
        let header = after.header();
        assert_eq!(header.base_offset(), before.base_offset());
        assert_eq!(header.last_offset(), before.last_offset());
        assert_eq!(header.last_sequence(), 44);
        assert_eq!(header.delete_horizon(), None);
        assert_eq!(header.max_timestamp(), before.header().max_timestamp());
    }

    #[test]
    fn log_append_time_stays_the_time_of_all() {
        let mut before = batch(Compression::None);
        before.stamp_log_append_time(Timestamp(9_000));
        for horizon in [None, Some(Timestamp(86_400_000))] {
            let after = keep(&before, &[2], horizon);
            assert_eq!(records(&after)[0].timestamp, Timestamp(9_000));
        }
    }
}
