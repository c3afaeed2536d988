//! `.snapshot` files: all producers at an offset, which is the file's name.
//!
//! ```text
//!  0 version i16                 1
//!  2 CRC-32C u32                 of everything from byte 6 on
//!  6 count   i32
//! 10 entries, each 46 bytes:
//!    producer id i64, epoch i16, last sequence i32, last offset i64 (-1: none), offset delta i32,
//!    timestamp i64, coordinator epoch i32, first offset of the open transaction i64 (-1: none)
//! ```
//! Source: Kafka's `ProducerStateManager.writeSnapshot`.

use bytes::{Buf, BufMut};
use klamm_model::{Offset, ProducerEpoch, ProducerId, Timestamp};

use super::{BatchRange, ProducerEntry, ProducerState};

const VERSION: i16 = 1;
const SUMMED_FROM: usize = 6;
const HEADER_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;

/// The bytes of a snapshot file.
pub(crate) fn encode(state: &ProducerState) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + state.len() * ENTRY_BYTES);
    bytes.put_i16(VERSION);
    bytes.put_u32(0);
    bytes.put_i32(i32::try_from(state.len()).expect("fewer producers than 2^31"));
    for (producer_id, entry) in state.iter() {
        let last = entry.last_batch();
        bytes.put_i64(producer_id.0);
        bytes.put_i16(entry.epoch().0);
        bytes.put_i32(entry.last_sequence());
        bytes.put_i64(last.map_or(-1, |batch| batch.last_offset.get()));
        bytes.put_i32(last.map_or(0, |batch| batch.offset_delta));
        bytes.put_i64(entry.last_timestamp().millis());
        bytes.put_i32(entry.coordinator_epoch());
        bytes.put_i64(entry.transaction_start().map_or(-1, Offset::get));
    }
    let checksum = crc32c::crc32c(&bytes[SUMMED_FROM..]);
    bytes[2..SUMMED_FROM].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// Reads a snapshot file; `None` if it is damaged (an older one, or the log itself, will do).
pub(crate) fn decode(bytes: &[u8]) -> Option<ProducerState> {
    if bytes.len() < HEADER_BYTES {
        return None;
    }
    let summed = &bytes[SUMMED_FROM..];
    let mut header = &bytes[..HEADER_BYTES];
    let version = header.get_i16();
    let checksum = header.get_u32();
    let count = usize::try_from(header.get_i32()).ok()?;
    let mut entries = &bytes[HEADER_BYTES..];
    if version != VERSION
        || checksum != crc32c::crc32c(summed)
        || Some(entries.len()) != count.checked_mul(ENTRY_BYTES)
    {
        return None;
    }
    let mut state = ProducerState::default();
    for _ in 0..count {
        let (producer_id, entry) = take_entry(&mut entries);
        state.restore(producer_id, entry);
    }
    Some(state)
}

/// The caller has checked that there are enough bytes.
fn take_entry(bytes: &mut &[u8]) -> (ProducerId, ProducerEntry) {
    let producer_id = ProducerId(bytes.get_i64());
    let epoch = ProducerEpoch(bytes.get_i16());
    let last_sequence = bytes.get_i32();
    let last_offset = Offset::checked(bytes.get_i64());
    let offset_delta = bytes.get_i32();
    let timestamp = Timestamp(bytes.get_i64());
    let coordinator_epoch = bytes.get_i32();
    let transaction_start = Offset::checked(bytes.get_i64());
    let last = last_offset.map(|last_offset| BatchRange {
        last_sequence,
        last_offset,
        offset_delta,
        timestamp,
    });
    let entry =
        ProducerEntry::restored(epoch, last, coordinator_epoch, timestamp, transaction_start);
    (producer_id, entry)
}
