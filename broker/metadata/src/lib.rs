//! Cluster metadata: brokers, topics, placement, reassignments, configurations, client quotas. Pure.
//!
//! - [`MetadataImage`] is what the cluster is: every reader shares one by `Arc`.
//! - [`MetadataRecord`] is one change, with its own compact encoding; applying records in order is
//!   the only way an image changes, on the broker that decided them, on those that follow, and at
//!   start.
//! - [`Controller`] turns a request and an image into records and a reply. The reply leaves when
//!   the records are committed.
//! - [`setting`] is the row type of all settings tables; [`topic_config`] holds the table of the
//!   topic settings and their typed values.
//!
//! Not here: who leads a partition (its Raft group knows), sockets, disks, clocks.
#![forbid(unsafe_code)]

pub mod client_quota;
pub mod controller;
pub mod describe;
pub mod group_config;
pub mod image;
pub mod layers;
mod placement;
pub mod record;
pub mod refusal;
pub mod setting;
pub mod topic_config;
mod topic_ids;

pub use client_quota::{ClientQuotas, QuotaKey};
pub use controller::{Controller, Decision, NewTopic, Registration, TopicRules};
pub use describe::{ConfigEntry, Describer};
pub use group_config::GROUP_SETTINGS;
pub use image::{
    BrokerImage, ConfigResource, KLAMM_VERSION, KLAMM_VERSION_LEVEL, LogEnd, MetadataImage,
    OutOfPlace, PartitionImage, ReplicaImage, ResourceKind, TopicImage, UncleanElection,
};
pub use layers::{BrokerLayers, ConfigSource, ConfigSynonym};
pub use record::{CorruptRecord, ListenerAddress, MetadataRecord, PeerAddress};
pub use refusal::Refusal;
pub use setting::{ConfigError, Setting, Table};
pub use topic_config::{CleanupPolicy, Configs, TOPIC_SETTINGS, TopicConfig};
pub use topic_ids::TopicIds;
