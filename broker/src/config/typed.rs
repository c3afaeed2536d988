//! The broker's settings as the parts of the process use them: resolved, in plain types.
//!
//! Each field names its setting; the tables beside this file say what it means, its unit and its
//! range. What is "no limit" in Kafka's numbers is `None`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::TopicConfig;
use klamm_model::BrokerId;

use super::Settings;

/// All of them.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// As they were given, as text.
    pub settings: Settings,
    /// Who the broker is and where its data lies.
    pub identity: IdentityConfig,
    /// Where it listens; at least one, names unique.
    pub listeners: Vec<Listener>,
    /// Where other brokers are; `None` if it is a cluster of its own.
    pub cluster: Option<ClusterConfig>,
    /// How fast logs are copied between brokers.
    pub throttles: ThrottleConfig,
    /// Topics: how they are created.
    pub topics: TopicCreationConfig,
    /// What a topic without settings of its own has (`log.*` and others).
    pub topic_defaults: Arc<TopicConfig>,
    /// The log directories' housekeeping.
    pub log: LogConfig,
    /// Compaction.
    pub cleaner: CleanerConfig,
    /// Connections and their limits.
    pub network: NetworkConfig,
    /// Reading.
    pub fetch: FetchConfig,
    /// Idempotent producers.
    pub producers: ProducerConfig,
    /// What client quotas are measured over.
    pub quotas: QuotaConfig,
    /// Consumer groups.
    pub groups: GroupConfig,
    /// Committed offsets.
    pub offsets: OffsetsConfig,
    /// What the process writes about itself.
    pub diagnostics: DiagnosticsConfig,
    /// `klamm.admin.listener`; `None` if it is switched off.
    pub admin: Option<AdminListener>,
}

/// Who the broker is and where its data lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityConfig {
    /// `node.id` (or `broker.id`); `None`: what the data directory says, or 1 if it is new.
    pub node_id: Option<BrokerId>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `log.dirs`, or else `log.dir`; at least one.
    pub log_dirs: Vec<PathBuf>,
}

/// How brokers find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// `klamm.seed.brokers`: hosts and ports, not resolved; at least one.
    pub seeds: Vec<(String, u16)>,
    /// `klamm.peer.listener`: what to bind; an empty host is every address, port 0 any free one.
    pub listener: (String, u16),
    /// `klamm.peer.advertised`: what other brokers are told; `None` is what can be derived.
    pub advertised: Option<(String, u16)>,
    /// `klamm.cluster.size`: how many brokers found a cluster.
    pub size: usize,
    /// `replica.lag.time.max.ms`.
    pub replica_lag_max: Duration,
    /// `klamm.metadata.voters`.
    pub metadata_voters: usize,
    /// `klamm.metadata.voter.replacement.ms`; `None` is never.
    pub voter_replacement_after: Option<Duration>,
    /// `auto.leader.rebalance.enable`.
    pub restores_leaders: bool,
    /// `klamm.leader.restore.delay.ms`: when clients that were refused by a broker have tried it again.
    pub settled_after: Duration,
}

/// How fast logs are copied between brokers, of replicas that a topic's settings name; `None` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleConfig {
    /// `leader.replication.throttled.rate`, in bytes a second.
    pub leader: Option<u64>,
    /// `follower.replication.throttled.rate`, in bytes a second.
    pub follower: Option<u64>,
}

/// An address the broker listens on, and the one clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, upper case.
    pub name: String,
    /// What to bind: a host name or an address; empty is every address.
    pub host: String,
    /// What to bind; 0 is any free port.
    pub port: u16,
    /// What clients are told; the machine's own name if nothing else is known.
    pub advertised_host: String,
    /// What clients are told; 0 is the port that was bound.
    pub advertised_port: u16,
}

/// Where metrics and health are served, over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminListener {
    /// What to bind: a host name or an address; empty is every address.
    pub host: String,
    /// What to bind; 0 is any free port.
    pub port: u16,
    /// Whether somebody has asked for it: the default is done without if its port is in use.
    pub is_given: bool,
}

/// How topics are created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicCreationConfig {
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `klamm.partitions.max`; `None` is as many as the system's limits bear.
    pub partitions_max: Option<usize>,
    /// `klamm.replication.factor.clamp`.
    pub clamp_replication_factor: bool,
    /// `auto.create.topics.enable`.
    pub auto_create: bool,
    /// `delete.topic.enable`.
    pub delete_enabled: bool,
    /// `max.request.partition.size.limit`: partitions in one answer of `DescribeTopicPartitions`.
    pub described_partitions_max: usize,
}

/// The log directories' housekeeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `log.flush.scheduler.interval.ms`.
    pub flush_scheduler_interval: Duration,
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub recovery_point_checkpoint_interval: Duration,
    /// `log.flush.start.offset.checkpoint.interval.ms`.
    pub log_start_checkpoint_interval: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub high_watermark_checkpoint_interval: Duration,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `log.initial.task.delay.ms`.
    pub initial_task_delay: Duration,
    /// `klamm.flush.bytes`.
    pub flush_bytes: u64,
    /// `klamm.log.writer`.
    pub writer: WriterMode,
}

/// How logs are compacted.
#[derive(Clone, Debug, PartialEq)]
pub struct CleanerConfig {
    /// `log.cleaner.enable`.
    pub enabled: bool,
    /// `log.cleaner.threads`.
    pub threads: usize,
    /// `log.cleaner.backoff.ms`.
    pub backoff: Duration,
    /// `log.cleaner.dedupe.buffer.size`, of all threads.
    pub dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`, 0 to 1.
    pub load_factor: f64,
    /// `log.cleaner.io.buffer.size`, of all threads.
    pub io_buffer_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`, of all threads.
    pub io_max_bytes_per_second: f64,
}

/// Which thread writes to the logs (`klamm.log.writer`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterMode {
    /// The data plane, and after a write that was held up, for a while the directory's thread.
    Auto,
    /// The data plane.
    Inline,
    /// A thread for each log directory.
    Offload,
}

/// Connections and their limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// `connections.max.idle.ms`; `None` is for ever.
    pub connections_max_idle: Option<Duration>,
    /// `klamm.request.receive.timeout.ms`; `None` is for ever.
    pub request_receive_timeout: Option<Duration>,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `max.connections.per.ip.overrides`; host names are resolved by whoever binds.
    pub max_connections_per_ip_overrides: BTreeMap<IpAddr, usize>,
    /// `max.connection.creation.rate`, per second.
    pub max_connection_creation_rate: u32,
    /// `socket.request.max.bytes`.
    pub request_max_bytes: usize,
    /// `queued.max.request.bytes`, resolved: never "no limit", never below `request_max_bytes`.
    pub queued_max_request_bytes: usize,
    /// `klamm.queued.max.response.bytes`, resolved: never "no limit".
    pub queued_max_response_bytes: usize,
    /// `klamm.requests.in.flight.max`, per connection.
    pub requests_in_flight_max: usize,
    /// `socket.send.buffer.bytes`; `None` leaves it to the system.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the system.
    pub receive_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`.
    pub listen_backlog: i32,
}

/// Reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchConfig {
    /// `fetch.max.bytes`.
    pub max_bytes: usize,
    /// `replica.selector.class`: whether consumers are sent to a replica in their rack.
    pub rack_aware: bool,
    /// `klamm.fetch.max.wait.ms`.
    pub max_wait: Duration,
    /// `max.incremental.fetch.session.cache.slots`.
    pub session_cache_slots: usize,
    /// `klamm.fetch.session.partitions.max`, of all sessions.
    pub session_partitions_max: usize,
}

/// Idempotent producers and what they send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerConfig {
    /// `producer.id.expiration.ms`.
    pub id_expiration: Duration,
    /// `producer.id.expiration.check.interval.ms`.
    pub id_expiration_check_interval: Duration,
    /// `klamm.produce.validate`.
    pub validation: ProduceValidation,
}

/// How much of a produced batch is looked at (`klamm.produce.validate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProduceValidation {
    /// Checksum and header; and every record, decompressed, as Kafka does it.
    Records,
    /// Checksum and header only.
    Header,
}

/// What client quotas are measured over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaConfig {
    /// `quota.window.num`.
    pub window_samples: u32,
    /// `quota.window.size.seconds`.
    pub window_length: Duration,
}

/// Consumer groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.max.size`.
    pub max_size: usize,
}

/// Committed offsets and the topic that holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetsConfig {
    /// `offset.metadata.max.bytes`.
    pub metadata_max_bytes: usize,
    /// `offsets.commit.timeout.ms`.
    pub commit_timeout: Duration,
    /// `offsets.retention.minutes`.
    pub retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `offsets.topic.num.partitions`.
    pub topic_num_partitions: i32,
    /// `offsets.topic.replication.factor`; as many as there are brokers if fewer.
    pub topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub topic_segment_bytes: u32,
}

/// What the process writes about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagnosticsConfig {
    /// `klamm.log.level`: a level, or levels by module, in lower case.
    pub log_level: String,
    /// `klamm.log.format`.
    pub log_format: LogFormat,
}

/// The form of log lines (`klamm.log.format`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}
