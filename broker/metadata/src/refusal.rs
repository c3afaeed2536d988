//! Why a request about the cluster is refused: one variant per sentence that Kafka says.
//!
//! Codes and texts are Kafka's (`org.apache.kafka.common.protocol.Errors` and the controller's
//! classes): tools show the texts, programs branch on the codes.

use klamm_model::{InvalidTopicName, TopicId, TopicName};

use crate::setting::ConfigError;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "each variant's text says what it is; the fields are named in it"
)]
pub enum Refusal {
    // Topics that are not there, in the words of each request.
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    #[error("The topic '{0}' does not exist.")]
    NoTopicToConfigure(String),
    #[error("No such topic as {0}")]
    NoTopicToElectIn(String),
    #[error("No such partition as {topic}-{partition}")]
    NoPartitionToElectIn { topic: String, partition: i32 },
    #[error("Unable to find a topic named {0}.")]
    NoTopicToReassign(String),
    #[error("Unable to find partition {topic}:{partition}.")]
    NoPartitionToReassign { topic: String, partition: i32 },
    #[error("This server does not host this topic ID.")]
    UnknownTopicId,

    // Names of topics.
    #[error("Topic name is invalid: {0}")]
    InvalidTopicName(#[from] InvalidTopicName),
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    LooksAlike { name: String, existing: TopicName },
    #[error("Topic '{0}' already exists.")]
    TopicExists(String),
    #[error("Creation of internal topic {0} is prohibited.")]
    ReservedTopic(String),
    #[error("Duplicate topic name.")]
    DuplicateTopicName,
    #[error("Duplicate topic id.")]
    DuplicateTopicId,
    #[error("You may not specify both topic name and topic id.")]
    NameAndId,
    #[error("Neither topic name nor id were specified.")]
    NeitherNameNorId,
    #[error("Topic deletion is disabled.")]
    DeletionDisabled,

    // Numbers of partitions and replicas.
    #[error("Number of partitions was set to an invalid non-positive value.")]
    PartitionCount,
    #[error("Excessively large number of partitions per request.")]
    TooManyPartitions,
    #[error(
        "There may be {0} partition(s) in all, and that would be more: delete topics, or raise klamm.partitions.max."
    )]
    PartitionsMax(usize),
    #[error("Excessively large number of additional partitions per request.")]
    TooManyAdditionalPartitions,
    #[error(
        "The topic {topic} currently has {current} partition(s); {asked} would not be an increase."
    )]
    NotAnIncrease {
        topic: String,
        current: usize,
        asked: i32,
    },
    #[error("Topic already has {0} partition(s).")]
    SamePartitionCount(usize),
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    ReplicationFactor,
    #[error(
        "Unable to replicate the partition {asked} time(s): The target replication factor of {asked} cannot be reached because only {brokers} broker(s) are registered."
    )]
    TooFewBrokers { asked: i16, brokers: usize },
    #[error("Unable to replicate the partition {asked} time(s): All brokers are currently fenced.")]
    NoBrokerAlive { asked: i16 },
    #[error(
        "Unable to replicate the partition {asked} time(s): The target replication factor of {asked} cannot be reached because only {alive} of {registered} registered broker(s) are alive."
    )]
    TooFewAlive {
        asked: i16,
        alive: usize,
        registered: usize,
    },
    #[error("The replication factor is changed from {from} to {to}")]
    ReplicationFactorChange { from: usize, to: usize },

    // Assignments by hand.
    #[error("A manual partition assignment was specified, but numPartitions was not set to -1.")]
    AssignmentAndPartitionCount,
    #[error(
        "A manual partition assignment was specified, but replication factor was not set to -1."
    )]
    AssignmentAndReplicationFactor,
    #[error("partitions should be a consecutive 0-based integer sequence")]
    AssignmentGap,
    #[error("Found multiple manual partition assignments for partition {0}")]
    AssignmentTwice(i32),
    #[error("The manual partition assignment includes an empty replica list.")]
    AssignmentEmpty,
    #[error("The manual partition assignment includes the broker {0} more than once.")]
    AssignmentRepeatsBroker(i32),
    #[error(
        "The manual partition assignment includes broker {0}, but no such broker is registered."
    )]
    AssignmentUnknownBroker(i32),
    #[error(
        "The manual partition assignment includes a partition with {found} replica(s), but this is not consistent with previous partitions, which have {before} replica(s)."
    )]
    AssignmentUneven { found: usize, before: usize },
    #[error(
        "Attempted to add {added} additional partition(s), but only {assigned} assignment(s) were specified."
    )]
    AssignmentCount { added: usize, assigned: usize },
    #[error(
        "All brokers specified in the manual partition assignment for partition {0} are fenced or in controlled shutdown."
    )]
    AssignmentNotAlive(i32),

    // Brokers that come and go.
    #[error("No directories specified in request")]
    NoDisks,
    #[error("Reserved directory ID in request")]
    ReservedDisk,
    #[error("Duplicate directory ID in request")]
    DuplicateDisk,
    #[error("Broker {broker} is already registered with directory {disk}")]
    DiskOfOtherBroker { broker: i32, disk: TopicId },
    #[error(
        "Broker {broker} is registered with another disk: it has directory {disk}, which is not here. If that is lost, unregister broker {broker}, and start this one with empty disks and another node.id."
    )]
    OtherDisk { broker: i32, disk: TopicId },
    #[error(
        "Broker {0} was unregistered, and its number is never given out again: start this broker with empty disks and another node.id."
    )]
    RemovedBroker(i32),
    #[error(
        "Unable to register because the broker does not support finalized version {finalized} of {feature}. The broker wants a version between 1 and {supported}, inclusive."
    )]
    UnsupportedLevel {
        feature: &'static str,
        finalized: u16,
        supported: u16,
    },
    #[error("there are no broker ids left")]
    NoBrokerIds,
    #[error("Broker ID {0} is not currently registered")]
    BrokerNotRegistered(i32),
    #[error("Broker {0} is the only one, and cannot be unregistered.")]
    OnlyBroker(i32),

    // Settings.
    #[error(transparent)]
    InvalidConfig(#[from] ConfigError),
    #[error("{0}")]
    InvalidBrokerConfig(ConfigError),
    #[error("Cannot update these configs dynamically: [{}]", .0.join(", "))]
    NotDynamic(Vec<String>),
    #[error("Can't {operation} to key {key} because its type is not LIST.")]
    NotAList {
        operation: &'static str,
        key: String,
    },
    #[error("Null value not supported for : {}", .0.join(","))]
    NullValue(Vec<String>),
    #[error("Error due to duplicate config keys")]
    DuplicateKeys,
    #[error("Each resource must appear at most once.")]
    DuplicateResource,
    #[error("Unknown resource type {0}")]
    UnknownResourceType(i8),
    #[error("Unknown operation type {0}")]
    UnknownOperation(i8),
    #[error("Default topic resources are not allowed.")]
    DefaultTopicResource,
    #[error("Default group resources are not allowed.")]
    DefaultGroupResource,
    #[error("Unable to parse broker name as a base 10 number.")]
    BrokerName,
    #[error("Invalid negative broker ID.")]
    NegativeBrokerId,
    #[error("No broker with id {0} found.")]
    NoSuchBroker(i32),
    #[error("Unexpected broker id, expected {expected} or empty string, but received {received}")]
    OtherBroker { expected: i32, received: String },
    #[error("Client metrics are not collected here, so there is nothing to configure.")]
    ClientMetrics,
    #[error(
        "Loggers cannot be changed while the broker runs; set klamm.log.level and start again."
    )]
    BrokerLogger,

    // Elections and reassignments.
    #[error("Leader election not needed for topic partition.")]
    ElectionNotNeeded,
    #[error("Unable to find any leader for the partition.")]
    NoLeader,
    #[error("No replica of the partition is reached that could lead it.")]
    NoReplicaReached,
    #[error(
        "A majority of the partition's voters is reached, or all of them are: they elect a leader by themselves in a moment, and no record is given up."
    )]
    CleanElectionPossible,
    #[error(
        "Broker {broker} is reached and does not say what its replica holds: {reason}. Wait until it does, or stop the broker if it never will."
    )]
    ReplicaIsSilent { broker: i32, reason: String },
    #[error(
        "Broker {0} runs a version of Klamm that knows no unclean elections: update it, or unregister it if it is gone for good."
    )]
    BrokerTooOld(i32),
    #[error("Unknown election type {0}")]
    UnknownElectionType(i8),
    #[error("No partition reassignment is in progress.")]
    NoReassignment,

    #[error("there are no producer ids left")]
    NoProducerIds,
}

impl Refusal {
    /// Kafka's number for it (`org.apache.kafka.common.protocol.Errors`).
    pub const fn code(&self) -> i16 {
        match self {
            Self::NoProducerIds | Self::NoBrokerIds => -1,
            Self::UnknownTopic
            | Self::NoTopicToConfigure(_)
            | Self::NoTopicToElectIn(_)
            | Self::NoPartitionToElectIn { .. }
            | Self::NoTopicToReassign(_)
            | Self::NoPartitionToReassign { .. } => 3,
            Self::NoLeader => 5,
            // Not ELECTION_NOT_NEEDED for the second: tools report that as success.
            Self::NoReplicaReached | Self::CleanElectionPossible | Self::ReplicaIsSilent { .. } => {
                83
            }
            Self::UnsupportedLevel { .. } | Self::BrokerTooOld(_) => 35,
            Self::InvalidTopicName(_) | Self::LooksAlike { .. } => 17,
            Self::TopicExists(_) => 36,
            Self::PartitionCount | Self::NotAnIncrease { .. } | Self::SamePartitionCount(_) => 37,
            Self::ReplicationFactor
            | Self::TooFewBrokers { .. }
            | Self::NoBrokerAlive { .. }
            | Self::TooFewAlive { .. }
            | Self::ReplicationFactorChange { .. } => 38,
            Self::AssignmentGap
            | Self::AssignmentTwice(_)
            | Self::AssignmentEmpty
            | Self::AssignmentRepeatsBroker(_)
            | Self::AssignmentUnknownBroker(_)
            | Self::AssignmentUneven { .. }
            | Self::AssignmentCount { .. }
            | Self::AssignmentNotAlive(_) => 39,
            Self::InvalidConfig(_) | Self::NotAList { .. } | Self::BrokerLogger => 40,
            Self::ReservedTopic(_)
            | Self::DuplicateTopicName
            | Self::DuplicateTopicId
            | Self::NameAndId
            | Self::NeitherNameNorId
            | Self::AssignmentAndPartitionCount
            | Self::AssignmentAndReplicationFactor
            | Self::InvalidBrokerConfig(_)
            | Self::NotDynamic(_)
            | Self::NullValue(_)
            | Self::DuplicateKeys
            | Self::DuplicateResource
            | Self::UnknownResourceType(_)
            | Self::UnknownOperation(_)
            | Self::DefaultTopicResource
            | Self::DefaultGroupResource
            | Self::BrokerName
            | Self::NegativeBrokerId
            | Self::OtherBroker { .. }
            | Self::OnlyBroker(_)
            | Self::ClientMetrics
            | Self::UnknownElectionType(_) => 42,
            Self::TooManyPartitions
            | Self::TooManyAdditionalPartitions
            | Self::PartitionsMax(_) => 44,
            Self::DeletionDisabled => 73,
            Self::ElectionNotNeeded => 84,
            Self::NoReassignment => 85,
            Self::UnknownTopicId => 100,
            Self::OtherDisk { .. } | Self::RemovedBroker(_) => 101,
            Self::NoSuchBroker(_) | Self::BrokerNotRegistered(_) => 102,
            Self::NoDisks
            | Self::ReservedDisk
            | Self::DuplicateDisk
            | Self::DiskOfOtherBroker { .. } => 119,
        }
    }
}
