//! Builds batches of Klamm's own: internal topics, control markers, tests.

use bytes::{BufMut, BytesMut};

use super::varint;
use super::{BatchHeader, Compression, RecordBatch};
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// Collects records and writes them as one batch at offset 0, to be stamped by the log.
#[derive(Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    records: BytesMut,
    record: BytesMut,
    count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    compression: Compression,
    level: i32,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch: no compression, no producer.
    pub fn new() -> Self {
        let mut header = BatchHeader::blank();
        header.set_leader_epoch(LeaderEpoch::UNKNOWN);
        header.set_base_offset(Offset::ZERO);
        header.set_compression(Compression::None);
        header.set_producer(ProducerId::NONE, ProducerEpoch::NONE, -1);
        Self {
            header,
            records: BytesMut::new(),
            record: BytesMut::new(),
            count: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
            compression: Compression::None,
            level: 0,
        }
    }

    /// Compresses the records, at a level as in Kafka's topic settings
    /// ([`Compression::default_level`]).
    #[must_use]
    pub fn compression(mut self, codec: Compression, level: i32) -> Self {
        self.header.set_compression(codec);
        self.compression = codec;
        self.level = level;
        self
    }

    /// Marks the batch as an idempotent producer's.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.header.set_producer(id, epoch, base_sequence);
        self
    }

    /// Marks the batch as part of its producer's transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.set_transactional();
        self
    }

    /// Marks the batch as a control batch.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.set_control();
        self
    }

    /// Whether no record has been appended.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a record at the next offset.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);

        let record = &mut self.record;
        record.clear();
        record.put_i8(0); // attributes: none are defined
        varint::put(record, timestamp.millis() - self.base_timestamp.millis());
        varint::put(record, i64::from(self.count));
        put_nullable(record, key);
        put_nullable(record, value);
        varint::put(record, headers.len() as i64);
        for (name, value) in headers {
            put_nullable(record, Some(name.as_bytes()));
            put_nullable(record, *value);
        }

        varint::put(&mut self.records, record.len() as i64);
        self.records.extend_from_slice(record);
        self.count += 1;
    }

    /// The finished batch. Panics if it has no record.
    pub fn build(self) -> RecordBatch {
        assert!(self.count > 0, "a batch holds at least one record");
        let mut header = self.header;
        let records = match self.compression {
            Compression::None => self.records.freeze(),
            codec => codec.deflate(self.level, &self.records),
        };
        header.set_length_of_records(records.len());
        header.set_last_offset_delta(self.count - 1);
        header.set_timestamps(self.base_timestamp, self.max_timestamp);
        header.set_record_count(self.count);
        let mut batch = RecordBatch::from_parts(header, records);
        batch.renew_checksum();
        batch
    }
}

fn put_nullable(buffer: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put(buffer, -1),
        Some(bytes) => {
            varint::put(buffer, bytes.len() as i64);
            buffer.extend_from_slice(bytes);
        }
    }
}
