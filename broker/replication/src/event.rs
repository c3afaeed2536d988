//! What a replica is told.

use klamm_model::{LogIndex, RecordBatch};

use crate::{Envelope, JournalTicket};

/// Something that has happened. Effects are performed in the order in which they were given, and
/// reported back by the events that answer them.
#[derive(Debug)]
pub enum Event {
    /// The first event of a replica, once. A lone voter elects itself at once.
    Start,
    /// Batches to be appended, in order. The leader stamps offset and epoch and answers with one
    /// [`Effect::Append`](crate::Effect::Append); anyone else with
    /// [`Effect::ProposalDropped`](crate::Effect::ProposalDropped).
    Propose(Vec<RecordBatch>),
    /// The appended entries up to this index can be read back (they may still be lost with power).
    Written {
        /// The last of them.
        through: LogIndex,
    },
    /// The entries up to this index survive the loss of power, as far as they are batches.
    Synced {
        /// The last of them.
        through: LogIndex,
    },
    /// The journal has been fsynced with everything up to this ticket in it.
    JournalSynced(JournalTicket),
    /// [`Replica::next_deadline`](crate::Replica::next_deadline) has come.
    Tick,
    /// A message from another replica of the group has come. Messages of elections and heartbeats
    /// are taken; one that carries entries needs its batches beside it, which no peer sends yet,
    /// and is left unanswered.
    Received(Envelope),
    /// The rule for the high watermark has been set anew.
    VisibleWhen(VisibleWhen),
}

/// When an entry may be acknowledged and shown to consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum VisibleWhen {
    /// A majority has written it: Kafka's rule.
    #[default]
    Written,
    /// A majority has fsynced it: `flush.messages=1`.
    Synced,
}
