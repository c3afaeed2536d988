//! Why a request is refused, and what became of an append.

/// A refusal as clients know it. Each variant is one of Kafka's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum GroupError {
    /// UNKNOWN_SERVER_ERROR: what Kafka says when it cannot store the request at all.
    #[error("the request cannot be stored")]
    UnknownServerError,
    /// OFFSET_METADATA_TOO_LARGE: the text beside the offset exceeds `offset.metadata.max.bytes`.
    #[error("the metadata field of the offset request was too large")]
    OffsetMetadataTooLarge,
    /// COORDINATOR_LOAD_IN_PROGRESS: try again soon.
    #[error("the coordinator is loading and hence can't process requests")]
    CoordinatorLoadInProgress,
    /// COORDINATOR_NOT_AVAILABLE: the records could not be committed now; look the coordinator up
    /// and try again.
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    /// NOT_COORDINATOR: the group is served elsewhere.
    #[error("this is not the correct coordinator")]
    NotCoordinator,
    /// ILLEGAL_GENERATION: the member speaks of another generation.
    #[error("specified group generation id is not valid")]
    IllegalGeneration,
    /// INCONSISTENT_GROUP_PROTOCOL: no protocol that all members support, or another type.
    #[error(
        "the group member's supported protocols are incompatible with those of existing members"
    )]
    InconsistentGroupProtocol,
    /// INVALID_GROUP_ID: empty where a name is needed, or too long to be stored.
    #[error("the group id is invalid")]
    InvalidGroupId,
    /// UNKNOWN_MEMBER_ID: join again.
    #[error("the coordinator is not aware of this member")]
    UnknownMemberId,
    /// INVALID_SESSION_TIMEOUT: outside the configured range.
    #[error("the session timeout is not within the range allowed by the broker")]
    InvalidSessionTimeout,
    /// REBALANCE_IN_PROGRESS: join again.
    #[error("the group is rebalancing, so a rejoin is needed")]
    RebalanceInProgress,
    /// NON_EMPTY_GROUP: only an empty group may be changed so.
    #[error("the group is not empty")]
    NonEmptyGroup,
    /// GROUP_ID_NOT_FOUND: there is no such group.
    #[error("the group id does not exist")]
    GroupIdNotFound,
    /// MEMBER_ID_REQUIRED: join again with the member id of this reply (KIP-394).
    #[error(
        "the group member needs to have a valid member id before actually entering a consumer group"
    )]
    MemberIdRequired,
    /// GROUP_MAX_SIZE_REACHED: the group is full (KIP-389).
    #[error("the consumer group has reached its max size")]
    GroupMaxSizeReached,
    /// FENCED_INSTANCE_ID: another member has taken over this instance id (KIP-345).
    #[error(
        "the broker rejected this static consumer since another consumer with the same group.instance.id has registered with a different member.id"
    )]
    FencedInstanceId,
    /// GROUP_SUBSCRIBED_TO_TOPIC: offsets of a subscribed topic are not deleted.
    #[error(
        "deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it"
    )]
    GroupSubscribedToTopic,
}

impl GroupError {
    /// The code on the wire.
    pub const fn code(self) -> i16 {
        match self {
            Self::UnknownServerError => -1,
            Self::OffsetMetadataTooLarge => 12,
            Self::CoordinatorLoadInProgress => 14,
            Self::CoordinatorNotAvailable => 15,
            Self::NotCoordinator => 16,
            Self::IllegalGeneration => 22,
            Self::InconsistentGroupProtocol => 23,
            Self::InvalidGroupId => 24,
            Self::UnknownMemberId => 25,
            Self::InvalidSessionTimeout => 26,
            Self::RebalanceInProgress => 27,
            Self::NonEmptyGroup => 68,
            Self::GroupIdNotFound => 69,
            Self::MemberIdRequired => 79,
            Self::GroupMaxSizeReached => 81,
            Self::FencedInstanceId => 82,
            Self::GroupSubscribedToTopic => 86,
        }
    }
}

/// Why records were not appended. The records must never come to be committed after this:
/// a driver that cannot tell ends the coordinator ([`crate::Event::Resigned`]) and loads anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The partition is led elsewhere.
    #[error("not the leader of the partition")]
    NotLeader,
    /// The disk refused or failed.
    #[error("the partition's storage failed")]
    Storage,
    /// Too few replicas, no partition, or too slow: another try may succeed.
    #[error("the partition is not available")]
    NotAvailable,
    /// The records exceed what a batch may hold.
    #[error("the records are too large")]
    TooLarge,
}

impl AppendError {
    /// What the client is told, as Kafka maps it (`CoordinatorOperationExceptionHelper`).
    pub const fn group_error(self) -> GroupError {
        match self {
            Self::NotLeader | Self::Storage => GroupError::NotCoordinator,
            Self::NotAvailable => GroupError::CoordinatorNotAvailable,
            Self::TooLarge => GroupError::UnknownServerError,
        }
    }
}
