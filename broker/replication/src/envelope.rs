//! What replicas of one group say to each other.

use std::fmt;

use klamm_model::raft::LogEntry;
use klamm_model::{LogIndex, Term};

use crate::{Members, ReplicaId};

/// A message between two replicas of one group. The entries of [`PeerMessage::Append`] travel
/// beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Who says it.
    pub from: ReplicaId,
    /// Who is to read it.
    pub to: ReplicaId,
    /// The sender's term, or the one it would stand for.
    pub term: Term,
    /// The sender's high watermark, if it leads; [`LogIndex::ZERO`] otherwise.
    pub visible: LogIndex,
    /// What it says.
    pub message: PeerMessage,
}

/// Where an entry stands, and of which term it is: together they name it, in all logs of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EntryId {
    /// Its index.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
}

/// Who belongs to the group, and since which entry.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Configuration {
    /// The membership entry, which is committed; [`LogIndex::ZERO`] for the first configuration.
    pub since: LogIndex,
    /// The members; none if they are not known.
    pub members: Members,
}

impl EntryId {
    /// What names this entry.
    pub fn of(entry: &LogEntry) -> Self {
        Self {
            index: entry.index(),
            term: entry.term(),
        }
    }
}

/// The messages of Raft (names from the Raft paper and thesis), and five of ours:
/// [`PeerMessage::Written`], [`PeerMessage::TakeCopy`], [`PeerMessage::Recovering`],
/// [`PeerMessage::CatchUpTo`], [`PeerMessage::Holds`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// Asks for a vote.
    VoteRequest {
        /// Whether it only asks if a vote would be given (pre-vote).
        pre: bool,
        /// The candidate's last entry.
        last: EntryId,
        /// The last entry that the candidate knows to be committed.
        commit: EntryId,
        /// Whether the leader itself wants this election (leadership transfer).
        transfer: bool,
    },
    /// Answers [`PeerMessage::VoteRequest`].
    VoteResponse {
        /// As in the request.
        pre: bool,
        /// Whether the vote is, or would be, given.
        granted: bool,
        /// The last entry that the voter knows to be committed; named in refusals only.
        commit: EntryId,
    },
    /// Entries to append, or none: then it only asks whether the logs agree.
    Append {
        /// The entry before the first.
        previous: EntryId,
        /// The last committed entry that the leader knows of.
        commit: LogIndex,
        /// How many entries go with it; they follow `previous`.
        count: u32,
        /// Whether the follower should fsync at once, since somebody waits for that.
        flush: bool,
    },
    /// The log agrees with the leader's, and is durable, up to here.
    Accepted {
        /// The last such entry.
        through: LogIndex,
        /// The last committed entry that the follower knows of.
        commit: LogIndex,
    },
    /// The log agrees with the leader's, and is written, up to here; it may be lost with power.
    Written {
        /// The last such entry.
        through: LogIndex,
    },
    /// The entry before those of an [`PeerMessage::Append`] is not there.
    Rejected {
        /// That entry's index.
        previous: LogIndex,
        /// Up to here the logs may agree.
        hint: EntryId,
        /// The last committed entry that the follower knows of.
        commit: LogIndex,
    },
    /// The leader cannot give the follower what it lacks entry by entry, or had better not: it is to
    /// take a copy of the log.
    TakeCopy {
        /// Who has this entry needs none: entries can follow it.
        unless: EntryId,
    },
    /// The leader lives.
    Heartbeat {
        /// The last committed entry that the follower is known to have.
        commit: LogIndex,
        /// Whether the follower may sleep, if it has no more to learn than that.
        sleep: bool,
    },
    /// Answers [`PeerMessage::Heartbeat`].
    HeartbeatResponse {
        /// The last committed entry that the follower knows of.
        commit: LogIndex,
        /// Whether it sleeps.
        asleep: bool,
    },
    /// The leader wants the receiver to stand for election at once.
    TimeoutNow,
    /// The sender may have lost entries that it had acknowledged, and takes no part in elections
    /// until it has caught up.
    Recovering {
        /// Tells the lives of the sender apart.
        life: u64,
    },
    /// A leader's answer to [`PeerMessage::Recovering`]: who agrees with it up to here lacks nothing.
    CatchUpTo {
        /// Whose question it answers.
        life: u64,
        /// The leader's last entry.
        through: LogIndex,
    },
    /// Anybody else's answer to [`PeerMessage::Recovering`].
    Holds {
        /// Whose question it answers.
        life: u64,
        /// The sender's last entry.
        last: EntryId,
        /// The last entry that the sender knows to be committed.
        commit: EntryId,
        /// Who belongs to the group, as far as the sender knows.
        configuration: Box<Configuration>,
    },
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}/{}", self.index, self.term.get())
    }
}

impl fmt::Display for Envelope {
    /// One line, as scripts show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, term, .. } = self;
        write!(f, "{}->{} term={}", from.get(), to.get(), term.get())?;
        if self.visible > LogIndex::ZERO {
            write!(f, " visible=#{}", self.visible)?;
        }
        write!(f, " {}", self.message)
    }
}

impl fmt::Display for PeerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VoteRequest {
                pre,
                last,
                transfer,
                ..
            } => {
                f.write_str(if *pre { "pre-vote?" } else { "vote?" })?;
                write!(f, " last={last}")?;
                f.write_str(if *transfer { " transfer" } else { "" })
            }
            Self::VoteResponse { pre, granted, .. } => {
                f.write_str(if *pre { "pre-vote " } else { "vote " })?;
                f.write_str(if *granted { "granted" } else { "refused" })
            }
            Self::Append {
                previous,
                commit,
                count,
                flush,
            } => {
                write!(f, "append {count} after {previous} commit=#{commit}")?;
                f.write_str(if *flush { " flush" } else { "" })
            }
            Self::Accepted { through, .. } => write!(f, "accepted #{through}"),
            Self::Written { through } => write!(f, "written #{through}"),
            Self::Rejected { previous, hint, .. } => {
                write!(f, "rejected #{previous} hint={hint}")
            }
            Self::TakeCopy { unless } => write!(f, "take-copy unless={unless}"),
            Self::Heartbeat { commit, sleep } => {
                write!(f, "heartbeat commit=#{commit}")?;
                f.write_str(if *sleep { " sleep" } else { "" })
            }
            Self::HeartbeatResponse { asleep, .. } => {
                f.write_str("heartbeat-response")?;
                f.write_str(if *asleep { " asleep" } else { "" })
            }
            Self::TimeoutNow => f.write_str("timeout-now"),
            Self::Recovering { .. } => f.write_str("recovering"),
            Self::Holds {
                last,
                configuration,
                ..
            } => {
                let Configuration { since, members } = &**configuration;
                write!(f, "holds last={last} members=#{since}:{members}")
            }
            Self::CatchUpTo { through, .. } => write!(f, "catch-up-to #{through}"),
        }
    }
}
