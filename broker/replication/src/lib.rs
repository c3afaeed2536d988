//! One partition's Raft replica: who leads, which entry stands where, and up to where the log is
//! held by a majority. Pure: it performs no IO and knows neither clock nor randomness; what must
//! happen is an [`Effect`], what has happened is an [`Event`].
//!
//! It is *not* the log. Record bytes pass through once, on their way from [`Event::Propose`] to
//! [`Effect::Append`]; what stays here is a term table and two watermarks. raft-rs sees headers
//! (index, term) only, and nothing outside the module `consensus` sees raft-rs.
//!
//! Invariants:
//! - raft-rs is told that an entry is persisted only after [`Event::Synced`] or
//!   [`Event::JournalSynced`] said so.
//! - `commit` (fsynced by a majority) ≤ `visible` (written by a majority) ≤ last written.
//! - The first entry of a term is its no-op; it is fsynced before a batch of the term is appended.
//! - A configuration of the group is in force when it is committed, and the next one is proposed only
//!   then, by a leader that has committed an entry of its own term; but for the one that an unclean
//!   election has begun with, which is in force when it is in the log.
//! - What is kept in memory per entry is dropped once the entry is committed.
//!
//! Start with [`Replica`].
#![forbid(unsafe_code)]

mod archives;
mod configurations;
mod consensus;
mod effect;
mod election;
mod envelope;
mod event;
pub mod frame;
mod members;
mod outbox;
mod persistence;
mod position;
mod reach;
mod recovery;
mod replica;
mod restored;
mod sequence;
mod sleep;
mod standing;
mod terms;
mod unclean;

pub use effect::{Effect, JournalTicket};
pub use envelope::{Configuration, EntryId, Envelope, PeerMessage};
pub use event::{Event, VisibleWhen};
pub use members::{Members, MembersError};
pub use position::Position;
pub use replica::{Replica, ReplicaSettings};
pub use restored::{RestoreError, Restored};
pub use unclean::{Forced, LogFate, UncleanElection};

/// A replica's number within its group; never 0. Each assignment of a partition to a log directory
/// gets a number of its own, so that a wiped disk never speaks for the replica it once held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(std::num::NonZeroU64);

impl ReplicaId {
    /// `None` for 0, which Raft reads as "nobody".
    pub const fn new(id: u64) -> Option<Self> {
        match std::num::NonZeroU64::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}
