//! The vocabulary of a history: events of producers, of consumers and of their groups.

use std::fmt;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) index: i32,
}

impl Partition {
    pub(crate) fn new(topic: &str, index: i32) -> Self {
        let topic = topic.to_owned();
        Self { topic, index }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// What a record is known by: no two sends of a run have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Value {
    /// Which producer sent it: a number of its own for each run of a client.
    pub(crate) producer: u32,
    /// Counts that producer's records, over all partitions, in the order in which it sent them.
    pub(crate) number: u64,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.producer, self.number)
    }
}

/// Something that a client did or was told, and when: microseconds of a clock that all clients of
/// the run share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at_us: u64,
    pub(crate) event: Event,
}

/// What happened at a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A client began.
    Started { client: String },
    /// It was asked to end, and all its operations had ended before it did.
    Stopped { client: String },
    /// The application was told of an error that the client library did not deal with itself.
    Error { client: String, text: String },
    /// A record was given to a producer. Idempotent: a value may stand in the log only once.
    Send { value: Value, partition: Partition },
    /// The send was acknowledged; not every client says at which offset.
    Acknowledged { value: Value, offset: Option<i64> },
    /// The send failed, and the client is certain that nothing was written.
    Failed { value: Value },
    /// The send failed, and the record may have been written all the same.
    Unknown { value: Value },
    /// A consumer reads these partitions from now on, and no others; with its group's generation
    /// if it has one. What it reads next may stand anywhere.
    Assigned {
        consumer: String,
        group: Option<Membership>,
        partitions: Vec<Partition>,
    },
    /// A record was given to the application.
    Polled {
        consumer: String,
        partition: Partition,
        offset: i64,
        /// `None` if it is not what any producer of the run sends to this partition.
        value: Option<Value>,
        leader_epoch: Option<i32>,
    },
    /// A consumer was told of a partition's high watermark.
    Watermark {
        consumer: String,
        partition: Partition,
        high_watermark: i64,
    },
    /// A consumer has read the partition from its start to its end after all producers had ended
    /// and all faults were healed.
    Drained {
        consumer: String,
        partition: Partition,
    },
    /// A group's offset was committed: the commit was sent at `begun_us`, and is acknowledged.
    Committed {
        group: String,
        partition: Partition,
        offset: i64,
        begun_us: u64,
    },
    /// A group's committed offset as somebody was told who asked at `begun_us`.
    Resumed {
        group: String,
        partition: Partition,
        offset: i64,
        begun_us: u64,
    },
}

/// A consumer's membership in one generation of its group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Membership {
    pub(crate) group: String,
    pub(crate) generation: i32,
}
