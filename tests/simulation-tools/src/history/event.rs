//! The vocabulary of a history: events of producers, of consumers and of their groups.

use std::fmt;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub index: i32,
}

impl Partition {
    /// One of them.
    pub fn new(topic: &str, index: i32) -> Self {
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
pub struct Value {
    /// Which producer sent it: a number of its own for each run of a client.
    pub producer: u32,
    /// Counts that producer's records, over all partitions, in the order in which it sent them.
    pub number: u64,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.producer, self.number)
    }
}

/// Something that a client did or was told, and when: microseconds of a clock that all clients of
/// the run share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at_us: u64,
    /// What.
    pub event: Event,
}

/// What happened at a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client began.
    Started {
        /// Its name, another one in each run of it.
        client: String,
    },
    /// It was asked to end, and all its operations had ended before it did.
    Stopped {
        /// Its name.
        client: String,
    },
    /// The application was told of an error that the client library did not deal with itself.
    Error {
        /// Its name.
        client: String,
        /// What it was told.
        text: String,
    },
    /// A record was given to a producer. Idempotent: a value may stand in the log only once.
    Send {
        /// What.
        value: Value,
        /// Where to.
        partition: Partition,
    },
    /// The send was acknowledged; not every client says at which offset.
    Acknowledged {
        /// What.
        value: Value,
        /// Where it stands.
        offset: Option<i64>,
    },
    /// The send failed, and the client is certain that nothing was written.
    Failed {
        /// What.
        value: Value,
    },
    /// The send failed, and the record may have been written all the same.
    Unknown {
        /// What.
        value: Value,
    },
    /// A consumer reads these partitions from now on, and no others; with its group's generation
    /// if it has one. What it reads next may stand anywhere.
    Assigned {
        /// Its name.
        consumer: String,
        /// The group and generation in which it was given them.
        group: Option<Membership>,
        /// All of them.
        partitions: Vec<Partition>,
    },
    /// A record was given to the application.
    Polled {
        /// Its name.
        consumer: String,
        /// Where from.
        partition: Partition,
        /// Where it stands.
        offset: i64,
        /// `None` if it is not what any producer of the run sends to this partition.
        value: Option<Value>,
        /// In which it was appended, if the client says so.
        leader_epoch: Option<i32>,
    },
    /// A consumer was told of a partition's high watermark.
    Watermark {
        /// Its name.
        consumer: String,
        /// Of which.
        partition: Partition,
        /// What it was told.
        high_watermark: i64,
    },
    /// A consumer has read the partition from its start to its end after all producers had ended
    /// and all faults were healed.
    Drained {
        /// Its name.
        consumer: String,
        /// Which.
        partition: Partition,
    },
    /// A group's offset was committed: the commit was sent at `begun_us`, and is acknowledged.
    Committed {
        /// The group.
        group: String,
        /// Of which.
        partition: Partition,
        /// The next offset to be read.
        offset: i64,
        /// When it was sent.
        begun_us: u64,
    },
    /// A group's committed offset as somebody was told who asked at `begun_us`.
    Resumed {
        /// The group.
        group: String,
        /// Of which.
        partition: Partition,
        /// The next offset to be read.
        offset: i64,
        /// When it was asked.
        begun_us: u64,
    },
}

/// A consumer's membership in one generation of its group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Membership {
    /// The group.
    pub group: String,
    /// Counts its rebalances.
    pub generation: i32,
}
