//! The entries of index files, as bytes.

use klamm_model::Timestamp;

/// Two numbers: an entry of `.index` and `.raftindex`.
pub(super) fn pair(first: u32, second: u32) -> [u8; 8] {
    (u64::from(first) << 32 | u64::from(second)).to_be_bytes()
}

/// The reverse of [`pair`].
pub(crate) fn parse_pair(entry: &[u8; 8]) -> (u32, u32) {
    let both = u64::from_be_bytes(*entry);
    // As in Kafka, the numbers are signed and never negative.
    ((both >> 32) as u32 & i32::MAX as u32, both as u32)
}

/// An entry of `.timeindex`.
pub(crate) fn parse_time(entry: &[u8; 12]) -> (Timestamp, u32) {
    let (timestamp, relative) = entry.split_at(8);
    let timestamp = i64::from_be_bytes(timestamp.try_into().expect("8 bytes"));
    let relative = u32::from_be_bytes(relative.try_into().expect("4 bytes"));
    (Timestamp(timestamp), relative & i32::MAX as u32)
}
