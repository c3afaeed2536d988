//! What clients are told, free of the wire's versions.

use bytes::Bytes;
use klamm_model::TopicId;

use crate::GroupError;
use crate::group::GroupState;

/// The answer to a [`Request`](crate::Request) of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To JoinGroup.
    Join(Result<Joined, JoinRefused>),
    /// To SyncGroup.
    Sync(Result<Synced, GroupError>),
    /// To Heartbeat.
    Heartbeat(Result<(), GroupError>),
    /// To LeaveGroup: one entry per member, in their order.
    Leave(Result<Vec<Left>, GroupError>),
    /// To OffsetCommit: in the order of the request.
    OffsetCommit(Result<Vec<TopicResult>, GroupError>),
    /// To OffsetDelete: in the order of the request.
    OffsetDelete(Result<Vec<TopicResult>, GroupError>),
    /// To DeleteGroups.
    DeleteGroup(Result<(), GroupError>),
}

impl Reply {
    /// The same kind of reply, refused: what becomes of a promise that could not be stored.
    #[must_use]
    pub(crate) fn refused(&self, error: GroupError) -> Self {
        match self {
            Self::Join(_) => Self::Join(Err(JoinRefused::new(error, ""))),
            Self::Sync(_) => Self::Sync(Err(error)),
            Self::Heartbeat(_) => Self::Heartbeat(Err(error)),
            Self::Leave(_) => Self::Leave(Err(error)),
            Self::OffsetCommit(_) => Self::OffsetCommit(Err(error)),
            Self::OffsetDelete(_) => Self::OffsetDelete(Err(error)),
            Self::DeleteGroup(_) => Self::DeleteGroup(Err(error)),
        }
    }
}

/// The member is part of the generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Who the member is.
    pub member_id: String,
    /// Which generation.
    pub generation: i32,
    /// `consumer`, `connect`, …
    pub protocol_type: Option<String>,
    /// The protocol that was chosen.
    pub protocol_name: Option<String>,
    /// The member that assigns; empty if there is none.
    pub leader: String,
    /// The leader keeps the assignment it has (KIP-814).
    pub skip_assignment: bool,
    /// For the leader: everyone; for the others: nobody.
    pub members: Vec<JoinedMember>,
}

/// What the leader learns of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// The member.
    pub member_id: String,
    /// Its own name, if static.
    pub instance_id: Option<String>,
    /// Its metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// The member has not joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The id to use from now on; empty: none.
    pub member_id: String,
}

impl JoinRefused {
    pub(crate) fn new(error: GroupError, member_id: &str) -> Self {
        Self {
            error,
            member_id: member_id.to_owned(),
        }
    }
}

/// The member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// `consumer`, `connect`, …
    pub protocol_type: Option<String>,
    /// The protocol that was chosen.
    pub protocol_name: Option<String>,
    /// As the leader made it; empty if it made none for this member.
    pub assignment: Bytes,
}

/// What became of one leaving member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// As in the request.
    pub member_id: String,
    /// As in the request.
    pub instance_id: Option<String>,
    /// Why it could not leave.
    pub error: Option<GroupError>,
}

/// One topic of a reply about offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicResult {
    /// The topic's name.
    pub name: String,
    /// The topic's id, as in the request.
    pub topic_id: TopicId,
    /// Partition numbers, each with its refusal if there is one.
    pub partitions: Vec<(i32, Option<GroupError>)>,
}

/// One topic of an OffsetFetch reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    /// The topic's name.
    pub name: String,
    /// The topic's id as asked, or as committed where all were asked for; zero if not known.
    pub topic_id: TopicId,
    /// Partition numbers, each with what is stored; `None`: nothing.
    pub partitions: Vec<(i32, Option<FetchedOffset>)>,
}

/// What is stored for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    /// As committed.
    pub offset: i64,
    /// As committed; -1 if not known.
    pub leader_epoch: i32,
    /// As committed.
    pub metadata: String,
}

/// One group as ListGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// The group.
    pub group_id: String,
    /// `consumer`, `connect`, …; empty if no member ever joined.
    pub protocol_type: String,
    /// Its state.
    pub state: GroupState,
}

/// One group as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Its state.
    pub state: GroupState,
    /// `consumer`, `connect`, …; empty if no member ever joined.
    pub protocol_type: String,
    /// The protocol in use; empty unless stable.
    pub protocol_name: String,
    /// Its members, by member id.
    pub members: Vec<DescribedMember>,
}

/// One member as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// The member.
    pub member_id: String,
    /// Its own name, if static.
    pub instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// For the protocol in use; empty unless stable.
    pub metadata: Bytes,
    /// Empty unless stable.
    pub assignment: Bytes,
}
