//! The 61 header bytes of a batch and their fields.

use std::fmt;

use super::BatchError;
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy in the framing of snappy-java.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

/// Whose clock the timestamps of a batch come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, at append.
    LogAppendTime,
}

const COMPRESSION_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// A header whose length field, magic and offsets are possible. All other fields are as found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    bytes: [u8; BatchHeader::SIZE_BYTES],
}

impl BatchHeader {
    /// Bytes of a header: the least a batch has.
    pub const SIZE_BYTES: usize = 61;
    /// Bytes of base offset and length, which the length field does not count.
    pub const LOG_OVERHEAD_BYTES: usize = 12;
    /// The only format Klamm stores.
    pub const MAGIC: i8 = 2;

    /// A header of zeros but for the magic; the builder fills it.
    pub(super) fn blank() -> Self {
        let mut header = Self {
            bytes: [0; Self::SIZE_BYTES],
        };
        header.bytes[16] = Self::MAGIC as u8;
        header
    }

    /// Reads the header at the start of `bytes`, which need not hold the whole batch. Checks
    /// length, magic and offsets, not the checksum.
    pub fn peek(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(header) = bytes.first_chunk::<{ Self::SIZE_BYTES }>() else {
            return Err(BatchError::Truncated {
                needed: Self::SIZE_BYTES,
                available: bytes.len(),
            });
        };
        let header = Self { bytes: *header };
        if header.magic() != Self::MAGIC {
            return Err(BatchError::Magic(header.magic()));
        }
        let length = header.int32(8);
        if length < (Self::SIZE_BYTES - Self::LOG_OVERHEAD_BYTES) as i32
            || length > i32::MAX - Self::LOG_OVERHEAD_BYTES as i32
        {
            return Err(BatchError::Length(length));
        }
        // No checksum covers the base offset: found impossible here, it may be trusted elsewhere.
        let (base_offset, last_offset_delta) = (header.int64(0), header.last_offset_delta());
        let next_offset = base_offset.checked_add(i64::from(last_offset_delta) + 1);
        if base_offset < 0 || last_offset_delta < 0 || next_offset.is_none() {
            return Err(BatchError::Offsets {
                base_offset,
                last_offset_delta,
            });
        }
        Ok(header)
    }

    fn int16(&self, at: usize) -> i16 {
        i16::from_be_bytes(*self.bytes[at..].first_chunk().expect("inside the header"))
    }

    fn int32(&self, at: usize) -> i32 {
        i32::from_be_bytes(*self.bytes[at..].first_chunk().expect("inside the header"))
    }

    fn int64(&self, at: usize) -> i64 {
        i64::from_be_bytes(*self.bytes[at..].first_chunk().expect("inside the header"))
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        self.bytes[at..at + value.len()].copy_from_slice(value);
    }

    /// The header as it stands in the log.
    pub fn as_bytes(&self) -> &[u8; Self::SIZE_BYTES] {
        &self.bytes
    }

    /// The part of the header that the checksum covers.
    pub(super) fn summed_bytes(&self) -> &[u8] {
        &self.bytes[21..]
    }

    /// Header and records together, in bytes.
    pub fn size_bytes(&self) -> usize {
        Self::LOG_OVERHEAD_BYTES + self.int32(8) as usize
    }

    /// The first offset.
    pub fn base_offset(&self) -> Offset {
        Offset::new(self.int64(0))
    }

    /// The last offset.
    pub fn last_offset(&self) -> Offset {
        self.base_offset().plus(i64::from(self.last_offset_delta()))
    }

    /// Which leadership wrote the batch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.int32(12))
    }

    /// The format.
    pub fn magic(&self) -> i8 {
        self.bytes[16] as i8
    }

    /// CRC-32C as stored.
    pub fn checksum(&self) -> u32 {
        self.int32(17) as u32
    }

    fn attributes(&self) -> i16 {
        self.int16(21)
    }

    /// `None` for a codec number that Kafka has not defined.
    pub fn compression(&self) -> Option<Compression> {
        match self.attributes() & COMPRESSION_MASK {
            0 => Some(Compression::None),
            1 => Some(Compression::Gzip),
            2 => Some(Compression::Snappy),
            3 => Some(Compression::Lz4),
            4 => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// Whose clock the timestamps come from.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes() & LOG_APPEND_TIME != 0 {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }

    /// Whether the batch holds a marker that consumers skip.
    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL != 0
    }

    /// The time from which tombstones and transaction markers may go, if compaction has set one;
    /// it stands in place of the base timestamp (KIP-534).
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        (self.attributes() & DELETE_HORIZON != 0).then(|| self.base_timestamp())
    }

    /// Last offset less base offset.
    pub fn last_offset_delta(&self) -> i32 {
        self.int32(23)
    }

    /// The timestamp that the records' deltas count from.
    pub fn base_timestamp(&self) -> Timestamp {
        Timestamp(self.int64(27))
    }

    /// The latest timestamp of the batch, as its producer claims.
    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp(self.int64(35))
    }

    /// Who wrote the batch, or [`ProducerId::NONE`].
    pub fn producer_id(&self) -> ProducerId {
        ProducerId(self.int64(43))
    }

    /// The producer's incarnation, or [`ProducerEpoch::NONE`].
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(self.int16(51))
    }

    /// The producer's number for the first record, or -1.
    pub fn base_sequence(&self) -> i32 {
        self.int32(53)
    }

    /// The producer's number for the last record, or -1; numbers wrap from `i32::MAX` to 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence() < 0 {
            return -1;
        }
        let last = i64::from(self.base_sequence()) + i64::from(self.last_offset_delta());
        (last & i64::from(i32::MAX)) as i32
    }

    /// How many records the batch says it holds.
    pub fn record_count(&self) -> i32 {
        self.int32(57)
    }

    pub(super) fn set_base_offset(&mut self, offset: Offset) {
        self.put(0, &offset.get().to_be_bytes());
    }

    pub(super) fn set_length_of_records(&mut self, records_bytes: usize) {
        let length = Self::SIZE_BYTES - Self::LOG_OVERHEAD_BYTES + records_bytes;
        let length = i32::try_from(length).expect("a batch is smaller than 2 GiB");
        self.put(8, &length.to_be_bytes());
    }

    pub(super) fn set_leader_epoch(&mut self, epoch: LeaderEpoch) {
        self.put(12, &epoch.0.to_be_bytes());
    }

    pub(super) fn set_checksum(&mut self, checksum: u32) {
        self.put(17, &checksum.to_be_bytes());
    }

    pub(super) fn set_compression(&mut self, compression: Compression) {
        let bits = match compression {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        };
        let attributes = (self.attributes() & !COMPRESSION_MASK) | bits;
        self.put(21, &attributes.to_be_bytes());
    }

    pub(super) fn set_transactional(&mut self) {
        self.put(21, &(self.attributes() | TRANSACTIONAL).to_be_bytes());
    }

    pub(super) fn set_control(&mut self) {
        self.put(21, &(self.attributes() | CONTROL).to_be_bytes());
    }

    pub(super) fn set_log_append_time(&mut self, now: Timestamp) {
        self.put(21, &(self.attributes() | LOG_APPEND_TIME).to_be_bytes());
        self.put(35, &now.millis().to_be_bytes());
    }

    /// Sets the base timestamp, too; the records' deltas have to count from it.
    pub(super) fn set_delete_horizon(&mut self, horizon: Timestamp) {
        self.put(21, &(self.attributes() | DELETE_HORIZON).to_be_bytes());
        self.put(27, &horizon.millis().to_be_bytes());
    }

    /// Takes the delete horizon back, and with it the base timestamp.
    pub(super) fn clear_base_timestamp(&mut self) {
        self.put(21, &(self.attributes() & !DELETE_HORIZON).to_be_bytes());
        self.put(27, &Timestamp::NONE.millis().to_be_bytes());
    }

    pub(super) fn set_last_offset_delta(&mut self, delta: i32) {
        self.put(23, &delta.to_be_bytes());
    }

    pub(super) fn set_timestamps(&mut self, base: Timestamp, max: Timestamp) {
        self.put(27, &base.millis().to_be_bytes());
        self.put(35, &max.millis().to_be_bytes());
    }

    pub(super) fn set_producer(&mut self, id: ProducerId, epoch: ProducerEpoch, sequence: i32) {
        self.put(43, &id.0.to_be_bytes());
        self.put(51, &epoch.0.to_be_bytes());
        self.put(53, &sequence.to_be_bytes());
    }

    pub(super) fn set_record_count(&mut self, count: i32) {
        self.put(57, &count.to_be_bytes());
    }
}

impl fmt::Debug for BatchHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchHeader")
            .field("base_offset", &self.int64(0))
            .field("last_offset_delta", &self.last_offset_delta())
            .field("size_bytes", &self.size_bytes())
            .field("leader_epoch", &self.leader_epoch().0)
            .field("attributes", &self.attributes())
            .field("max_timestamp", &self.max_timestamp().0)
            .field("producer_id", &self.producer_id().0)
            .field("base_sequence", &self.base_sequence())
            .finish_non_exhaustive()
    }
}
