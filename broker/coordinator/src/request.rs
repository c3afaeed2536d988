//! What clients ask, free of the wire's versions.

use bytes::Bytes;
use klamm_model::TopicId;

use crate::reply::JoinRefused;
use crate::{GroupError, Reply};

/// A request that may change something. Reads are methods of
/// [`GroupCoordinator`](crate::GroupCoordinator).
#[derive(Clone, Debug)]
pub enum Request {
    /// Become or stay a member, and wait for the next generation.
    Join(Join),
    /// Hand in (leader) and get (all) the assignment of a generation.
    Sync(Sync),
    /// Stay a member.
    Heartbeat(Heartbeat),
    /// Stop being a member.
    Leave(Leave),
    /// Store offsets.
    OffsetCommit(OffsetCommit),
    /// Forget offsets of topics.
    OffsetDelete(OffsetDelete),
    /// Forget an empty group with all its offsets.
    DeleteGroup {
        /// The group.
        group_id: String,
    },
}

impl Request {
    /// The group that the request is about.
    pub fn group_id(&self) -> &str {
        match self {
            Self::Join(request) => &request.group_id,
            Self::Sync(request) => &request.group_id,
            Self::Heartbeat(request) => &request.group_id,
            Self::Leave(request) => &request.group_id,
            Self::OffsetCommit(request) => &request.group_id,
            Self::OffsetDelete(request) => &request.group_id,
            Self::DeleteGroup { group_id } => group_id,
        }
    }

    /// The reply of a coordinator that cannot serve the request, because it is loading or not
    /// here. A heartbeat is welcome while loading: the sessions begin anew afterwards.
    pub fn refused(&self, error: GroupError) -> Reply {
        match self {
            Self::Join(request) => Reply::Join(Err(JoinRefused::new(error, &request.member_id))),
            Self::Sync(_) => Reply::Sync(Err(error)),
            Self::Heartbeat(_) if error == GroupError::CoordinatorLoadInProgress => {
                Reply::Heartbeat(Ok(()))
            }
            Self::Heartbeat(_) => Reply::Heartbeat(Err(error)),
            Self::Leave(_) => Reply::Leave(Err(error)),
            Self::OffsetCommit(_) => Reply::OffsetCommit(Err(error)),
            Self::OffsetDelete(_) => Reply::OffsetDelete(Err(error)),
            Self::DeleteGroup { .. } => Reply::DeleteGroup(Err(error)),
        }
    }
}

/// JoinGroup.
#[derive(Clone, Debug, Default)]
pub struct Join {
    /// The group; not empty.
    pub group_id: String,
    /// Empty if the client does not know it yet.
    pub member_id: String,
    /// A static member's own name (KIP-345).
    pub instance_id: Option<String>,
    /// What the client calls itself; begins the member id of a dynamic member.
    pub client_id: String,
    /// The client's address, as tools show it.
    pub client_host: String,
    /// How long the member may be silent, in ms.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for the member, in ms; negative (version 0): as the session.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, …; all members of a group agree.
    pub protocol_type: String,
    /// What the member supports, most wanted first.
    pub protocols: Vec<Protocol>,
    /// Whether a new dynamic member is sent back with a member id first (version 4, KIP-394).
    pub requires_member_id: bool,
    /// Whether the reply may tell a leader to skip the assignment (version 9, KIP-814).
    pub supports_skip_assignment: bool,
}

/// A way to assign that a member supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// `range`, `cooperative-sticky`, …
    pub name: String,
    /// What the leader needs to know of the member; for consumers its subscription.
    pub metadata: Bytes,
}

/// SyncGroup.
#[derive(Clone, Debug, Default)]
pub struct Sync {
    /// The group; not empty.
    pub group_id: String,
    /// The generation that was joined.
    pub generation: i32,
    /// Who asks.
    pub member_id: String,
    /// Who asks, if static.
    pub instance_id: Option<String>,
    /// Checked if given (KIP-559).
    pub protocol_type: Option<String>,
    /// Checked if given (KIP-559).
    pub protocol_name: Option<String>,
    /// From the leader: member id and assignment; empty from the others.
    pub assignments: Vec<(String, Bytes)>,
}

/// Heartbeat.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat {
    /// The group; not empty.
    pub group_id: String,
    /// The generation the member is in.
    pub generation: i32,
    /// Who is alive.
    pub member_id: String,
    /// Who is alive, if static.
    pub instance_id: Option<String>,
}

/// LeaveGroup: one member before version 3, any number since.
#[derive(Clone, Debug, Default)]
pub struct Leave {
    /// The group; not empty.
    pub group_id: String,
    /// Who leaves.
    pub members: Vec<LeavingMember>,
}

/// One member of a [`Leave`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeavingMember {
    /// Empty if an administrator removes a static member by its instance id.
    pub member_id: String,
    /// The static member's name.
    pub instance_id: Option<String>,
}

/// OffsetCommit.
#[derive(Clone, Debug, Default)]
pub struct OffsetCommit {
    /// The group, possibly empty.
    pub group_id: String,
    /// Negative: the committer uses no group management.
    pub generation: i32,
    /// Empty: the committer is no member.
    pub member_id: String,
    /// Who commits, if static.
    pub instance_id: Option<String>,
    /// How long to keep the offsets, in ms, if the client says so (versions 2 to 4).
    pub retention_time_ms: Option<i64>,
    /// Whether the client knows GROUP_ID_NOT_FOUND here (version 9); else ILLEGAL_GENERATION.
    pub knows_group_id_not_found: bool,
    /// What to store; only topics and partitions that exist.
    pub topics: Vec<CommitTopic>,
}

/// One topic of an [`OffsetCommit`].
#[derive(Clone, Debug)]
pub struct CommitTopic {
    /// The topic's name.
    pub name: String,
    /// The topic's id; zero if not known.
    pub topic_id: TopicId,
    /// Its partitions.
    pub partitions: Vec<CommitPartition>,
}

/// One partition of a [`CommitTopic`].
#[derive(Clone, Debug)]
pub struct CommitPartition {
    /// The partition's number.
    pub partition: i32,
    /// The next offset to read, as the client sends it: Kafka stores any number.
    pub offset: i64,
    /// The leader epoch of the last record read; negative if not known.
    pub leader_epoch: i32,
    /// Free text of the client's.
    pub metadata: Option<String>,
}

/// OffsetDelete.
#[derive(Clone, Debug, Default)]
pub struct OffsetDelete {
    /// The group.
    pub group_id: String,
    /// Topic names and partition numbers.
    pub topics: Vec<(String, Vec<i32>)>,
}

/// OffsetFetch of one group: a read.
#[derive(Clone, Debug, Default)]
pub struct OffsetFetch {
    /// The group.
    pub group_id: String,
    /// Which partitions; `None`: all that have an offset.
    pub topics: Option<Vec<FetchTopic>>,
}

/// One topic of an [`OffsetFetch`].
#[derive(Clone, Debug)]
pub struct FetchTopic {
    /// The topic's name.
    pub name: String,
    /// The topic's id; zero if not known. An offset of another topic of that name is not found.
    pub topic_id: TopicId,
    /// Its partitions.
    pub partitions: Vec<i32>,
}
