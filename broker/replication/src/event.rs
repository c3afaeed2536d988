//! What a replica is told.

use klamm_model::archive::ArchiveState;
use klamm_model::raft::LogEntry;
use klamm_model::{LogIndex, RecordBatch};

use crate::{EntryId, Envelope, JournalTicket, Members, ReplicaId};

/// Something that has happened. Effects are performed in the order in which they were given, and
/// reported back by the events that answer them.
#[derive(Debug)]
pub enum Event {
    /// The first event of a replica, once. A lone voter elects itself at once, and a
    /// [preferred](crate::ReplicaSettings::preferred) one asks for votes.
    Start,
    /// Batches to be appended, in order. The leader stamps offset and epoch and answers with one
    /// [`Effect::Append`](crate::Effect::Append); anyone else with
    /// [`Effect::ProposalDropped`](crate::Effect::ProposalDropped).
    Propose(Vec<RecordBatch>),
    /// The appended entries up to this one can be read back (they may still be lost with power). It
    /// is named with its term: another may have taken its place since the write began.
    Written {
        /// The last of them.
        through: EntryId,
    },
    /// The entries up to this one survive the loss of power, as far as they are batches.
    Synced {
        /// The last of them.
        through: EntryId,
    },
    /// The journal has been fsynced with everything up to this ticket in it.
    JournalSynced(JournalTicket),
    /// [`Replica::next_deadline`](crate::Replica::next_deadline) has come.
    Tick,
    /// A message from another replica of the group has come, with the entries that it speaks of.
    Received(Envelope, Vec<LogEntry>),
    /// Of the entries of an append only those up to `through` were sent: the rest is to be sent when
    /// these have been acknowledged.
    SentThrough {
        /// Whom to.
        to: ReplicaId,
        /// The last entry sent.
        through: LogIndex,
    },
    /// Retention, or a compaction, has taken entries from the log, up to this one: they cannot be given to
    /// a follower any more. They were committed.
    LogBegins {
        /// The first that is left, or the next.
        first: LogIndex,
    },
    /// Another replica has lost what was under way to it, and perhaps what it had not fsynced: its
    /// process or the connection is a new one.
    PeerRestarted(ReplicaId),
    /// The broker of another replica is known to be gone: nobody needs to wait for it to fall silent. Its
    /// followers elect another leader: they stand in the order of their ids, and the newcomers behind
    /// all others. Means nothing to anybody else.
    LeaderUnreachable {
        /// Whose broker is gone.
        leader: ReplicaId,
        /// Those whose brokers began so lately that clients may not have found them again; in the order
        /// in which they stand.
        newcomers: Vec<ReplicaId>,
    },
    /// The group is to have these voters and learners, and no others. Dropped in silence unless
    /// [`Replica::can_change_members`](crate::Replica::can_change_members): whoever wants it says it
    /// again. Voters change by way of a joint configuration, which whoever leads leaves by itself.
    /// Panics if the configuration is joint, nobody votes or a learner does.
    ChangeMembers(Members),
    /// The archive is to be this from now on, as soon as the group has agreed. Dropped in silence unless
    /// [`Replica::can_change_archive`](crate::Replica::can_change_archive): whoever wants it says it again.
    Archive(ArchiveState),
    /// The leader is to give its place to another voter: that one catches up, fsyncs and stands for
    /// election. Proposals are dropped meanwhile; after an election time-out the leader goes on. Means
    /// nothing to anybody but a leader.
    TransferLeadership(ReplicaId),
    /// The leader is to tell the others at once how far its log is shown, instead of with what it sends
    /// next anyway. Means nothing to anybody else.
    Announce,
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
