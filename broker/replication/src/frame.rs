//! Envelopes and entries as bytes, for the way between brokers.
//!
//! ```text
//! format 1 B, kind 1 B, flags 1 B, from 8 B, to 8 B, term 4 B, visible 8 B,
//! fields of the kind,
//! append: count 4 B, then each entry: 0 and its record batch,
//!                                     1, term 4 B, offset 8 B: a no-op,
//!                                     2, term 4 B, offset 8 B, length 4 B, bytes: a membership,
//!                                     3 and its record batch, with which a segment begins,
//!                                     4 and its record batch, with which none does,
//!                                     5, term 4 B, offset 8 B, length 4 B, bytes: what is archived
//! ```
//!
//! Format 1 has no 3 and 4: where a segment begins is everybody's own matter then. Format 3 has 5: who
//! does not speak it refuses the message, so a leader proposes none before all speak it.
//!
//! Numbers are big-endian, as everywhere on Kafka's wire. A batch is as it lies in the log: it says
//! itself how long it is, which offset and term it has, and its checksum is verified. Its bytes are
//! neither copied on the way out nor on the way in.

mod decode;
mod encode;

use klamm_model::archive::MalformedArchiveState;
use klamm_model::record_batch::BatchError;

use crate::MembersError;

pub use decode::decode;
pub use encode::encode;

/// What a message can say. Which one another broker understands is agreed upon when brokers connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Nothing of segments.
    One,
    /// Which entries begin a segment ([`Placement`](klamm_model::raft::Placement)).
    Two,
    /// What is archived, too.
    Three,
}

impl Format {
    fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// What is said.
mod kind {
    pub(super) const VOTE_REQUEST: u8 = 1;
    pub(super) const VOTE_RESPONSE: u8 = 2;
    pub(super) const APPEND: u8 = 3;
    pub(super) const ACCEPTED: u8 = 4;
    pub(super) const WRITTEN: u8 = 5;
    pub(super) const REJECTED: u8 = 6;
    pub(super) const HEARTBEAT: u8 = 7;
    pub(super) const HEARTBEAT_RESPONSE: u8 = 8;
    pub(super) const TIMEOUT_NOW: u8 = 9;
    pub(super) const RECOVERING: u8 = 10;
    pub(super) const CATCH_UP_TO: u8 = 11;
    pub(super) const HOLDS: u8 = 12;
    pub(super) const TAKE_COPY: u8 = 13;
}

/// Flags; what they mean depends on the kind.
mod flag {
    pub(super) const PRE: u8 = 1;
    pub(super) const TRANSFER: u8 = 2;
    pub(super) const GRANTED: u8 = 4;
    pub(super) const FLUSH: u8 = 8;
    pub(super) const SLEEP: u8 = 16;
}

/// What follows the count of an append.
mod entry {
    pub(super) const RECORDS: u8 = 0;
    pub(super) const NOOP: u8 = 1;
    pub(super) const MEMBERSHIP: u8 = 2;
    pub(super) const BEGINS: u8 = 3;
    pub(super) const CONTINUES: u8 = 4;
    pub(super) const ARCHIVE: u8 = 5;
}

/// Why bytes of another broker are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// They end too early.
    #[error("the message is cut short")]
    Truncated,
    /// Something follows the message.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
    /// A format that this broker does not speak.
    #[error("unknown format of messages format={0}")]
    Format(u8),
    /// A message or an entry that this broker does not know.
    #[error("unknown kind kind={0}")]
    Kind(u8),
    /// A number that no replica, term, index or offset can have.
    #[error("impossible number field={0}")]
    Number(&'static str),
    /// A record batch is damaged.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The members of a group are none.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// The state of an archive is none.
    #[error(transparent)]
    Archive(#[from] MalformedArchiveState),
}
