//! Whether a history can be that of a log which loses, repeats, reorders and invents nothing.
//!
//! The anomalies have the names of Jepsen's Kafka workload where it has one. Every rule is a scan
//! over [`Facts`]; histories with one anomaly planted in each show that every rule sees.

mod consumers;
mod facts;
#[cfg(test)]
mod planted;
mod producers;
mod records;

use std::fmt;

use facts::Facts;

use crate::history::History;

/// A kind of thing that must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Acknowledged, and left out by somebody who read past it.
    LostWrite,
    /// Acknowledged, and not there at the end.
    Unseen,
    /// Read by somebody, and not there at the end.
    Vanished,
    /// Its send failed for certain, and it was read.
    AbortedRead,
    /// Read, and nobody sent it.
    Phantom,
    /// Read where it does not belong, or not as it was sent.
    WrongDelivery,
    /// One value at two offsets, although producers are idempotent.
    Duplicate,
    /// Two values at one offset.
    InconsistentOffsets,
    /// A producer's later send got the lower offset.
    NonmonotonicSend,
    /// An acknowledgement with an offset that cannot be.
    SpuriousOffset,
    /// An offset without a record between others.
    Gap,
    /// A leader epoch below one that stands before it.
    EpochRegression,
    /// A consumer was given a record that stands before the last one.
    NonmonotonicPoll,
    /// A consumer was not given a record that stands between two others.
    PollSkip,
    /// A consumer was told a lower high watermark than before.
    WatermarkRegression,
    /// A group's committed offset went back.
    CommitRegression,
    /// Two members of one generation had the same partition.
    TwoOwners,
    /// A client or a send that never ended.
    Stuck,
    /// Written to, and never read to its end: without that there is no verdict.
    Undrained,
}

/// Something that must not happen, and where it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// What it is.
    pub kind: Kind,
    /// Of what, and where.
    pub detail: String,
}

impl Anomaly {
    fn new(kind: Kind, detail: impl fmt::Display) -> Self {
        let detail = detail.to_string();
        Self { kind, detail }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.detail)
    }
}

/// Everything that is wrong with a history, rule by rule.
pub fn check(history: &History) -> Vec<Anomaly> {
    let facts = Facts::of(history);
    let rules = [
        producers::check(&facts),
        records::check(&facts),
        consumers::check(history, &facts),
    ];
    rules.into_iter().flatten().collect()
}
