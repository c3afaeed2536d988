//! The header by which a message of the load is known again, whatever its payload is.
//!
//! It names the run, so that messages of others in the same topic are told apart; the message, so
//! that its due time is known and none is counted twice; and how late it was sent.

use std::time::Duration;

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use crate::clock;

/// Name of the header; one letter, since it travels with every message.
pub(super) const HEADER: &str = "k";

/// What a message of the load says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Of which run it is.
    pub(super) run: u64,
    pub(super) sequence: u64,
    /// How much later than due it was sent, in microseconds; saturates after an hour.
    pub(super) late_us: u32,
}

const BYTES: usize = 20;

/// A number for a run that no other run has, though it begins in the same millisecond: that one is
/// in another process.
pub(super) fn new_run() -> u64 {
    clock::unix_ms() << 22 | u64::from(std::process::id() & 0x3f_ffff)
}

impl Stamp {
    pub(super) fn encode(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&self.run.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[16..].copy_from_slice(&self.late_us.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let (run, rest) = bytes.split_first_chunk()?;
        let (sequence, late) = rest.split_first_chunk()?;
        Some(Self {
            run: u64::from_be_bytes(*run),
            sequence: u64::from_be_bytes(*sequence),
            late_us: u32::from_be_bytes(late.try_into().ok()?),
        })
    }

    /// The stamp of a message; `None` if it is none of any run.
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Option<Self> {
        let headers = message.headers()?;
        let mut ours = headers.iter().filter(|header| header.key == HEADER);
        Self::decode(ours.next()?.value?)
    }

    pub(super) fn late(self) -> Duration {
        Duration::from_micros(self.late_us.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp {
            run: 7,
            sequence: u64::MAX,
            late_us: 1_000,
        };
        assert_eq!(Stamp::decode(&stamp.encode()), Some(stamp));
        assert_eq!(Stamp::decode(&[0; BYTES - 1]), None);
        assert_eq!(Stamp::decode(&[0; BYTES + 1]), None);
    }
}
