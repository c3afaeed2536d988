//! One v2 record batch: the unit of append, checksum and replication.
//!
//! ```text
//!  0 base offset            i64   stamped by the broker, outside the checksum
//!  8 batch length           i32   bytes that follow this field
//! 12 partition leader epoch i32   stamped by the broker, outside the checksum
//! 16 magic                  i8    2
//! 17 checksum               u32   CRC-32C of everything from byte 21 on
//! 21 attributes             i16   compression, timestamp type, transactional, control
//! 23 last offset delta      i32
//! 27 base timestamp         i64
//! 35 max timestamp          i64
//! 43 producer id            i64
//! 51 producer epoch         i16
//! 53 base sequence          i32
//! 57 record count           i32
//! 61 records                      compressed as the attributes say
//! ```
//! Source: Kafka's `DefaultRecordBatch`.
//!
//! A [`RecordBatch`] owns its 61 header bytes and shares its records, so that stamping touches
//! neither the receive buffer that the records lie in nor the checksum.

mod builder;
mod facts;
#[cfg(test)]
mod golden;
mod header;
mod records;
mod retain;
mod varint;

pub use builder::BatchBuilder;
pub use facts::{RecordFacts, RecordFactsIter};
pub use header::{BatchHeader, Compression, TimestampType};
pub use records::{Header, Record, RecordError, Records};

use bytes::{Buf, Bytes, BytesMut};

use crate::{LeaderEpoch, Offset, Timestamp};

/// A batch whose length, magic and checksum have been found right. Nothing else is promised: what
/// clients may not send is refused at the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBatch {
    header: BatchHeader,
    records: Bytes,
}

/// Why bytes are not a record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than the batch's length field says, or than any header has. In a log this is a
    /// torn tail.
    #[error("batch is cut short needed_bytes={needed} available_bytes={available}")]
    Truncated {
        /// Bytes a whole batch would have.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
    /// A length field that no batch can have.
    #[error("batch length is impossible length={0}")]
    Length(i32),
    /// Offsets that no batch can have: negative, or past the largest.
    #[error(
        "batch offsets are impossible base_offset={base_offset} last_delta={last_offset_delta}"
    )]
    Offsets {
        /// As found.
        base_offset: i64,
        /// As found.
        last_offset_delta: i32,
    },
    /// A format other than v2.
    #[error("unsupported record batch format magic={0}")]
    Magic(i8),
    /// The bytes are not those that were summed.
    #[error("checksum does not match stored={stored:#010x} computed={computed:#010x}")]
    Checksum {
        /// In the header.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
}

impl RecordBatch {
    /// Takes the first batch from `bytes`, sharing its records, and leaves what follows it.
    /// On an error `bytes` is left as it was.
    pub fn parse(bytes: &mut Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::peek(bytes)?;
        let size = header.size_bytes();
        if bytes.len() < size {
            return Err(BatchError::Truncated {
                needed: size,
                available: bytes.len(),
            });
        }
        let mut batch = bytes.slice(..size);
        batch.advance(BatchHeader::SIZE_BYTES);
        let parsed = Self {
            header,
            records: batch,
        };
        parsed.verify_checksum()?;
        bytes.advance(size);
        Ok(parsed)
    }

    /// As [`parse`](Self::parse), for bytes that were already verified, such as those of a log
    /// read back below its recovery point.
    pub fn parse_trusted(bytes: &mut Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::peek(bytes)?;
        let size = header.size_bytes();
        if bytes.len() < size {
            return Err(BatchError::Truncated {
                needed: size,
                available: bytes.len(),
            });
        }
        let mut batch = bytes.split_to(size);
        batch.advance(BatchHeader::SIZE_BYTES);
        Ok(Self {
            header,
            records: batch,
        })
    }

    /// Puts a header and its records together; the caller has computed lengths and checksum.
    fn from_parts(header: BatchHeader, records: Bytes) -> Self {
        debug_assert_eq!(header.size_bytes(), BatchHeader::SIZE_BYTES + records.len());
        Self { header, records }
    }

    fn verify_checksum(&self) -> Result<(), BatchError> {
        let (stored, computed) = (self.header.checksum(), self.computed_checksum());
        if stored == computed {
            Ok(())
        } else {
            Err(BatchError::Checksum { stored, computed })
        }
    }

    fn computed_checksum(&self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(self.header.summed_bytes()), &self.records)
    }

    /// The header's fields.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records as they lie on the wire, compressed if the header says so.
    pub fn record_bytes(&self) -> &Bytes {
        &self.records
    }

    /// Header and records: what stands in the log.
    pub fn size_bytes(&self) -> usize {
        self.header.size_bytes()
    }

    /// The first offset.
    pub fn base_offset(&self) -> Offset {
        self.header.base_offset()
    }

    /// The last offset.
    pub fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }

    /// The offset after the last.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// Writes the two fields that the broker decides. Both lie outside the checksum.
    pub fn stamp(&mut self, base_offset: Offset, epoch: LeaderEpoch) {
        self.header.set_base_offset(base_offset);
        self.header.set_leader_epoch(epoch);
    }

    /// Gives every record the broker's time (`message.timestamp.type=LogAppendTime`): sets the
    /// attribute bit and the maximal timestamp, and sums anew.
    pub fn stamp_log_append_time(&mut self, now: Timestamp) {
        self.header.set_log_append_time(now);
        self.renew_checksum();
    }

    /// The two pieces that, written one after the other, are the batch.
    pub fn as_slices(&self) -> [&[u8]; 2] {
        [self.header.as_bytes(), &self.records]
    }

    /// One contiguous copy.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.size_bytes());
        for slice in self.as_slices() {
            bytes.extend_from_slice(slice);
        }
        bytes.freeze()
    }

    /// Walks the records, inflating them if need be, up to `inflated_bytes_max` bytes.
    pub fn records(&self, inflated_bytes_max: usize) -> Result<Records, RecordError> {
        Records::open(self, inflated_bytes_max)
    }

    /// The records inflated, or as they are if they are not compressed.
    pub fn inflated_record_bytes(&self, inflated_bytes_max: usize) -> Result<Bytes, RecordError> {
        let codec = self.header.compression().ok_or(RecordError::UnknownCodec)?;
        Ok(codec.inflate(&self.records, inflated_bytes_max)?)
    }

    /// Walks what can be said of each record. `inflated` comes from
    /// [`inflated_record_bytes`](Self::inflated_record_bytes).
    pub fn facts<'a>(&self, inflated: &'a [u8]) -> RecordFactsIter<'a> {
        RecordFactsIter::new(&self.header, inflated)
    }

    /// The same records under another codec, summed anew. `inflated` comes from
    /// [`inflated_record_bytes`](Self::inflated_record_bytes).
    #[must_use]
    pub fn recompressed(&self, codec: Compression, level: i32, inflated: &[u8]) -> Self {
        let records = codec.deflate(level, inflated);
        let mut header = self.header;
        header.set_compression(codec);
        header.set_length_of_records(records.len());
        let mut batch = Self::from_parts(header, records);
        batch.renew_checksum();
        batch
    }

    /// Puts the maximal timestamp right where the producer claimed another than its records bear,
    /// and sums anew.
    pub fn correct_max_timestamp(&mut self, max: Timestamp) {
        let base = self.header.base_timestamp();
        self.header.set_timestamps(base, max);
        self.renew_checksum();
    }

    fn renew_checksum(&mut self) {
        let checksum = self.computed_checksum();
        self.header.set_checksum(checksum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> RecordBatch {
        let mut builder = BatchBuilder::new();
        builder.append(Timestamp(1_000), Some(b"k1"), Some(b"v1"), &[]);
        builder.append(
            Timestamp(1_005),
            None,
            None,
            &[("h", Some(&b"x"[..])), ("n", None)],
        );
        builder.build()
    }

    #[test]
    fn what_was_built_parses_to_the_same_records() {
        let mut built = batch();
        built.stamp(Offset::new(40), LeaderEpoch(3));
        let mut bytes = built.to_bytes();
        let parsed = RecordBatch::parse(&mut bytes).unwrap();
        assert!(bytes.is_empty());
        assert_eq!(parsed, built);
        assert_eq!(parsed.base_offset(), Offset::new(40));
        assert_eq!(parsed.next_offset(), Offset::new(42));
        assert_eq!(parsed.header().leader_epoch(), LeaderEpoch(3));
        assert_eq!(parsed.header().max_timestamp(), Timestamp(1_005));
        let records: Vec<Record> = parsed
            .records(1 << 20)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].offset, Offset::new(40));
        assert_eq!(records[0].key.as_deref(), Some(&b"k1"[..]));
        assert_eq!(records[1].timestamp, Timestamp(1_005));
        assert_eq!(records[1].value, None);
        assert_eq!(records[1].headers[0].key, "h");
        assert_eq!(records[1].headers[1].value, None);
    }

    #[test]
    fn impossible_offsets_are_refused_though_no_checksum_covers_them() {
        let check = |position: usize, value: &[u8]| {
            let mut bytes = batch().to_bytes().to_vec();
            bytes[position..position + value.len()].copy_from_slice(value);
            let error = RecordBatch::parse(&mut bytes.into()).unwrap_err();
            assert!(matches!(error, BatchError::Offsets { .. }), "{error}");
        };
        check(0, &(-1_i64).to_be_bytes());
        check(0, &i64::MAX.to_be_bytes());
        check(23, &(-1_i32).to_be_bytes());
    }

    #[test]
    fn stamping_leaves_the_checksum_alone_and_log_append_time_renews_it() {
        let mut batch = batch();
        let before = batch.header().checksum();
        batch.stamp(Offset::new(7), LeaderEpoch(1));
        assert_eq!(batch.header().checksum(), before);
        batch.stamp_log_append_time(Timestamp(9_999));
        assert_ne!(batch.header().checksum(), before);
        let parsed = RecordBatch::parse(&mut batch.to_bytes()).unwrap();
        assert_eq!(
            parsed.header().timestamp_type(),
            TimestampType::LogAppendTime
        );
        let first = parsed.records(1 << 20).unwrap().next().unwrap().unwrap();
        assert_eq!(first.timestamp, Timestamp(9_999));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_found() {
        let bytes = batch().to_bytes();
        for cut in 0..bytes.len() {
            let mut short = bytes.slice(..cut);
            assert!(RecordBatch::parse(&mut short).is_err(), "cut at {cut}");
        }
        for position in 16..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[position] ^= 0x10;
            assert!(
                RecordBatch::parse(&mut damaged.into()).is_err(),
                "flipped at {position}"
            );
        }
    }

    #[test]
    fn a_batch_under_another_codec_holds_the_same_records() {
        let plain = batch();
        let expected: Vec<_> = plain.records(1 << 20).unwrap().collect();
        let inflated = plain.inflated_record_bytes(1 << 20).unwrap();
        for codec in [
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
            Compression::None,
        ] {
            let batch = plain.recompressed(codec, codec.default_level(), &inflated);
            let parsed = RecordBatch::parse(&mut batch.to_bytes()).unwrap();
            assert_eq!(parsed.header().compression(), Some(codec));
            let records: Vec<_> = parsed.records(1 << 20).unwrap().collect();
            assert_eq!(records, expected, "{codec:?}");
            let inflated = parsed.inflated_record_bytes(1 << 20).unwrap();
            let facts: Vec<_> = parsed.facts(&inflated).map(Result::unwrap).collect();
            assert_eq!(facts.len(), 2);
            assert_eq!((facts[0].key, facts[1].key), (Some(&b"k1"[..]), None));
            assert_eq!(facts[1].offset_delta, 1);
            assert_eq!(facts[1].timestamp, Timestamp(1_005));
        }
    }

    #[test]
    fn records_missing_or_left_over_are_malformed() {
        let plain = batch();
        let inflated = plain.inflated_record_bytes(1 << 20).unwrap();
        let is_malformed = |records: &[u8]| plain.facts(records).any(|facts| facts.is_err());
        assert!(!is_malformed(&inflated));
        assert!(is_malformed(&[&inflated[..], &[0]].concat()));
        for cut in 0..inflated.len() {
            assert!(is_malformed(&inflated[..cut]), "cut at {cut}");
        }
    }
}
