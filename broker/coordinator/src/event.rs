//! What the coordinator is told, and what it asks for.

use bytes::Bytes;
use klamm_model::{Instant, Timestamp, TopicPartition};

use crate::{AppendError, Reply, Request};

/// The driver's name for a request that waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// The coordinator's name for an append; never used twice by one coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u64);

/// What time it is, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Measures time-outs.
    pub instant: Instant,
    /// Stands in records and measures retention, which outlives the process.
    pub wall: Timestamp,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client asks; `token` comes back with the reply.
    Request {
        /// Must not be in use.
        token: Token,
        /// What is asked.
        request: Request,
    },
    /// The append's records are committed, or will never be.
    Appended {
        /// The append.
        append_id: AppendId,
        /// What became of it.
        result: Result<(), AppendError>,
    },
    /// [`next_deadline`](crate::GroupCoordinator::next_deadline) has passed. Hand requests that
    /// already arrived in first, so that a late heartbeat that is here counts.
    DeadlineReached,
    /// These partitions were deleted: their offsets go.
    PartitionsDeleted(Vec<TopicPartition>),
    /// The partition is no longer led here: every waiting request is refused with
    /// NOT_COORDINATOR, and the coordinator knows nothing any more.
    Resigned,
}

/// One record of `__consumer_offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Which offset or group.
    pub key: Bytes,
    /// Its state; `None` deletes it.
    pub value: Option<Bytes>,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answer a request.
    Reply {
        /// Which.
        token: Token,
        /// The answer.
        reply: Reply,
    },
    /// Append the records as one batch, and say when they are committed.
    Append {
        /// Comes back in [`Event::Appended`].
        append_id: AppendId,
        /// At least one.
        records: Vec<LogRecord>,
    },
}
