//! What holds for all brokers of one life: settings, and a guard that may be left out.

use std::sync::LazyLock;
use std::time::Duration;

use klamm_metadata::controller::METADATA_TOPIC;
use klamm_metadata::{BrokerLayers, Configs, TOPIC_SETTINGS, TopicConfig, TopicRules};
use klamm_model::{BrokerId, PartitionIndex, TopicId, TopicName};
use klamm_replication::{Members, ReplicaId};
use klamm_storage::LogConfig;

use super::messages::Group;

/// The group that keeps the metadata.
pub(super) const METADATA: Group = Group {
    // Kafka's `Uuid.METADATA_TOPIC_ID`.
    topic: TopicId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    index: PartitionIndex(0),
};

/// Brokers that vote on the metadata, at most.
pub(super) const METADATA_VOTERS: usize = 3;

/// Where consumer groups are kept, in one partition.
pub(super) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// A guard that is left out, or a lie that is told to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// Producers are answered when the leader has written.
    AckByLeaderAlone,
    /// Coordinators are told that their records are there as soon as they are staged.
    OffsetsBeforeCommit,
    /// The metadata are applied as soon as they are written.
    ImageBeforeCommit,
    /// Who leads anew has forgotten what producers have sent before.
    ProducersAreForgotten,
    /// After a loss of power a replica is told that nothing can be missing.
    NoVoteBar,
    /// Segments are not synced.
    SegmentSyncIsALie,
    /// The journal is not synced.
    JournalSyncIsALie,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) brokers: usize,
    /// Nothing is acknowledged before a majority has fsynced it.
    pub(super) strict: bool,
    pub(super) segment_bytes: u32,
    /// How long a log may be dirty.
    pub(super) flush_ms: i64,
    pub(super) sabotage: Option<Sabotage>,
}

impl Rules {
    pub(super) fn sabotages(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    /// How the log of a group is kept; that of the metadata is always strict.
    pub(super) fn log_config(&self, group: Group) -> LogConfig {
        LogConfig {
            segment_bytes: self.segment_bytes,
            index_interval_bytes: 256,
            segment_index_bytes: 4_096,
            flush_messages: match self.is_strict(group) {
                true => 1,
                false => i64::MAX,
            },
            flush_ms: self.flush_ms,
            ..LogConfig::default()
        }
    }

    /// Whether what was acknowledged is always on the disk.
    pub(super) fn is_strict(&self, group: Group) -> bool {
        self.strict || group == METADATA
    }

    /// Whether a broker that has lost power may lack what its replicas have acknowledged.
    pub(super) fn bars(&self, group: Group) -> bool {
        !self.is_strict(group) && !self.sabotages(Sabotage::NoVoteBar)
    }

    /// With whom the group of the metadata begins: with the broker that founds the cluster.
    pub(super) fn founders(&self) -> Members {
        Members::of_voters([metadata_replica(0)])
    }
}

/// The number of a broker, which are counted from 0 here.
pub(super) fn broker_id(place: usize) -> BrokerId {
    BrokerId(i32::try_from(place).expect("few brokers") + 1)
}

/// The broker of that number.
pub(super) fn place_of(broker: BrokerId) -> usize {
    usize::try_from(broker.0 - 1).expect("numbers begin with 1")
}

/// The replica of the metadata that a broker holds.
pub(super) fn metadata_replica(place: usize) -> ReplicaId {
    ReplicaId::new(place as u64 + 2).expect("it is not 0")
}

/// The name of the topic of the metadata.
pub(super) fn metadata_topic() -> TopicName {
    TopicName::new(METADATA_TOPIC).expect("a legal name")
}

static NOTHING_SET: Configs = Configs::new();
static DEFAULTS: LazyLock<TopicConfig> = LazyLock::new(|| TopicConfig::defaults(&layers()));

/// What a topic without settings of its own has.
pub(super) fn topic_defaults() -> &'static TopicConfig {
    &DEFAULTS
}

/// The settings of a broker to which nobody has given any.
pub(super) fn layers() -> BrokerLayers<'static> {
    BrokerLayers {
        dynamic: &NOTHING_SET,
        dynamic_default: &NOTHING_SET,
        fixed: &NOTHING_SET,
        table: &TOPIC_SETTINGS,
    }
}

/// How topics are created.
pub(super) const TOPIC_RULES: TopicRules = TopicRules {
    num_partitions: 1,
    default_replication_factor: 3,
    partitions_max: 1_000,
    clamp_replication_factor: false,
    deletion_enabled: true,
};

/// By how much the clocks of brokers are wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WrongClock {
    /// Of the monotonic one, in millionths.
    pub(super) drift_ppm: i64,
    /// Of the wall clock.
    pub(super) wall_off_ms: i64,
}

impl WrongClock {
    /// What the monotonic clock shows after so many µs.
    pub(super) fn elapsed(&self, us: u64) -> Duration {
        let us = i128::from(us);
        let shown = us + us * i128::from(self.drift_ppm) / 1_000_000;
        Duration::from_micros(u64::try_from(shown).expect("clocks go forward"))
    }
}
