//! From layers of text to typed values: the one place where settings meet fields.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::setting::{Setting, Value, counts_by_address};
use klamm_metadata::{BrokerLayers, TopicConfig};
use klamm_model::BrokerId;

use super::listeners::{ListenerSettings, host_and_port};
use super::typed::{
    AdminListener, BrokerConfig, CleanerConfig, ClusterConfig, DiagnosticsConfig, FetchConfig,
    GroupConfig, IdentityConfig, LogConfig, LogFormat, NetworkConfig, OffsetsConfig,
    ProduceValidation, ProducerConfig, QuotaConfig, ThrottleConfig, TopicCreationConfig,
    WriterMode,
};
use super::{Impossible, Settings, memory};

/// What -1 of `queued.max.request.bytes` is at most.
const QUEUED_BYTES_MAX: u64 = 1 << 30;
const QUEUED_SHARE_OF_MEMORY: u64 = 4;
/// What -1 of `klamm.queued.max.response.bytes` is at most.
const REPLIES_BYTES_MAX: u64 = 512 << 20;
const REPLIES_SHARE_OF_MEMORY: u64 = 8;

/// Finds values in the layers; a name that has no row is our own slip.
struct Resolver<'a> {
    layers: BrokerLayers<'a>,
}

/// Resolves everything. Text has been checked against the rows before.
pub(super) fn resolve(
    settings: &Settings,
    layers: BrokerLayers<'_>,
) -> Result<BrokerConfig, Impossible> {
    let r = Resolver { layers };
    Ok(BrokerConfig {
        settings: settings.clone(),
        identity: r.identity()?,
        listeners: r.listeners()?,
        cluster: r.cluster()?,
        throttles: r.throttles(),
        topics: r.topic_creation(),
        topic_defaults: Arc::new(TopicConfig::defaults(&layers)),
        log: r.log(),
        cleaner: r.cleaner(),
        network: r.network()?,
        fetch: r.fetch(),
        producers: r.producers(),
        quotas: r.quotas(),
        groups: r.groups()?,
        offsets: r.offsets(),
        diagnostics: r.diagnostics()?,
        admin: r.admin()?,
    })
}

impl Resolver<'_> {
    fn identity(&self) -> Result<IdentityConfig, Impossible> {
        let fixed = self.layers.fixed;
        if let (Some(node), Some(broker)) = (fixed.get("node.id"), fixed.get("broker.id"))
            && node.trim() != broker.trim()
        {
            let (node, broker) = (node.clone(), broker.clone());
            return Err(Impossible::TwoNodeIds { node, broker });
        }
        let node_id = self.optional("node.id").map(|value| BrokerId(int(&value)));
        let rack = self.optional("broker.rack").map(|value| value.to_string());
        Ok(IdentityConfig {
            node_id,
            rack,
            log_dirs: self.log_dirs()?,
        })
    }

    fn log_dirs(&self) -> Result<Vec<PathBuf>, Impossible> {
        let dirs = match self.optional("log.dirs") {
            Some(Value::List(dirs)) => dirs,
            _ => vec![self.text("log.dir")],
        };
        let mut unique = dirs.clone();
        unique.sort_unstable();
        unique.dedup();
        if dirs.is_empty() || unique.len() < dirs.len() || dirs.iter().any(String::is_empty) {
            return Err(Impossible::LogDirs(dirs.join(",")));
        }
        Ok(dirs.into_iter().map(PathBuf::from).collect())
    }

    fn listeners(&self) -> Result<Vec<super::Listener>, Impossible> {
        let advertised = self
            .optional("advertised.listeners")
            .map(|_| self.list("advertised.listeners"));
        let mut listeners = ListenerSettings {
            listeners: &self.list("listeners"),
            advertised: advertised.as_deref(),
            protocols: &self.text("listener.security.protocol.map"),
            of_controllers: &self.list("controller.listener.names"),
        }
        .resolve()?;
        for listener in listeners
            .iter_mut()
            .filter(|l| l.advertised_host.is_empty())
        {
            listener.advertised_host = machine_name();
        }
        Ok(listeners)
    }

    fn throttles(&self) -> ThrottleConfig {
        let rate = |name| match self.optional(name) {
            Some(Value::Number(rate)) => u64::try_from(rate).ok(),
            _ => None,
        };
        ThrottleConfig {
            leader: rate("leader.replication.throttled.rate"),
            follower: rate("follower.replication.throttled.rate"),
        }
    }

    fn cluster(&self) -> Result<Option<ClusterConfig>, Impossible> {
        let address = |setting, text: &str| {
            let parsed = host_and_port(text).map(|(host, port)| (host.to_owned(), port));
            parsed.ok_or_else(|| Impossible::PeerAddress {
                setting,
                text: text.to_owned(),
            })
        };
        let seeds = self.list("klamm.seed.brokers");
        if seeds.is_empty() {
            return Ok(None);
        }
        let seeds: Vec<_> = seeds
            .iter()
            .map(|seed| address("klamm.seed.brokers", seed))
            .collect::<Result<_, _>>()?;
        let advertised = self.text("klamm.peer.advertised");
        Ok(Some(ClusterConfig {
            listener: address("klamm.peer.listener", &self.text("klamm.peer.listener"))?,
            advertised: match advertised.as_str() {
                "" => None,
                given => Some(address("klamm.peer.advertised", given)?),
            },
            size: match self.number("klamm.cluster.size") {
                1.. => self.size("klamm.cluster.size"),
                _ => seeds.len(),
            },
            replica_lag_max: self.millis("replica.lag.time.max.ms"),
            metadata_voters: self.size("klamm.metadata.voters"),
            voter_replacement_after: u64::try_from(
                self.number("klamm.metadata.voter.replacement.ms"),
            )
            .ok()
            .map(Duration::from_millis),
            restores_leaders: self.flag("auto.leader.rebalance.enable"),
            settled_after: self.millis("klamm.leader.restore.delay.ms"),
            seeds,
        }))
    }

    fn topic_creation(&self) -> TopicCreationConfig {
        TopicCreationConfig {
            num_partitions: self.int("num.partitions"),
            default_replication_factor: self.short("default.replication.factor"),
            partitions_max: usize::try_from(self.number("klamm.partitions.max")).ok(),
            clamp_replication_factor: self.flag("klamm.replication.factor.clamp"),
            auto_create: self.flag("auto.create.topics.enable"),
            delete_enabled: self.flag("delete.topic.enable"),
            described_partitions_max: self.size("max.request.partition.size.limit"),
        }
    }

    fn log(&self) -> LogConfig {
        LogConfig {
            flush_scheduler_interval: self.millis("log.flush.scheduler.interval.ms"),
            recovery_point_checkpoint_interval: self
                .millis("log.flush.offset.checkpoint.interval.ms"),
            log_start_checkpoint_interval: self
                .millis("log.flush.start.offset.checkpoint.interval.ms"),
            high_watermark_checkpoint_interval: self
                .millis("replica.high.watermark.checkpoint.interval.ms"),
            retention_check_interval: self.millis("log.retention.check.interval.ms"),
            initial_task_delay: self.millis("log.initial.task.delay.ms"),
            flush_bytes: self.size("klamm.flush.bytes") as u64,
            writer: match self.text("klamm.log.writer").as_str() {
                "inline" => WriterMode::Inline,
                "offload" => WriterMode::Offload,
                _ => WriterMode::Auto,
            },
        }
    }

    fn cleaner(&self) -> CleanerConfig {
        CleanerConfig {
            enabled: self.flag("log.cleaner.enable"),
            threads: self.size("log.cleaner.threads"),
            backoff: self.millis("log.cleaner.backoff.ms"),
            dedupe_buffer_bytes: self.size("log.cleaner.dedupe.buffer.size"),
            load_factor: self.real("log.cleaner.io.buffer.load.factor"),
            io_buffer_bytes: self.size("log.cleaner.io.buffer.size"),
            io_max_bytes_per_second: self.real("log.cleaner.io.max.bytes.per.second"),
        }
    }

    fn network(&self) -> Result<NetworkConfig, Impossible> {
        let idle = self.number("connections.max.idle.ms");
        let receive = self.number("klamm.request.receive.timeout.ms");
        let buffer = |name| Some(self.number(name)).filter(|n| *n > 0).map(clamp);
        Ok(NetworkConfig {
            connections_max_idle: u64::try_from(idle).ok().map(Duration::from_millis),
            request_receive_timeout: u64::try_from(receive).ok().map(Duration::from_millis),
            max_connections: self.size("max.connections"),
            max_connections_per_ip: self.size("max.connections.per.ip"),
            max_connections_per_ip_overrides: counts_by_address(
                &self.text("max.connections.per.ip.overrides"),
            )
            .unwrap_or_default(),
            max_connection_creation_rate: u32::try_from(
                self.number("max.connection.creation.rate"),
            )
            .unwrap_or(u32::MAX),
            request_max_bytes: self.size("socket.request.max.bytes"),
            queued_max_request_bytes: self.queued_max_request_bytes()?,
            queued_max_response_bytes: self.queued_max_response_bytes(),
            requests_in_flight_max: self.size("klamm.requests.in.flight.max"),
            send_buffer_bytes: buffer("socket.send.buffer.bytes"),
            receive_buffer_bytes: buffer("socket.receive.buffer.bytes"),
            listen_backlog: self.int("socket.listen.backlog.size"),
        })
    }

    fn queued_max_request_bytes(&self) -> Result<usize, Impossible> {
        let queued = self.number("queued.max.request.bytes");
        let request = self.number("socket.request.max.bytes");
        if queued > 0 && queued < request {
            return Err(Impossible::QueuedBytes { queued, request });
        }
        if queued > 0 {
            return Ok(clamp(queued));
        }
        let share = (memory::size_bytes() / QUEUED_SHARE_OF_MEMORY).min(QUEUED_BYTES_MAX);
        Ok(usize::try_from(share)
            .unwrap_or(usize::MAX)
            .max(clamp(request)))
    }

    fn queued_max_response_bytes(&self) -> usize {
        usize::try_from(self.number("klamm.queued.max.response.bytes")).unwrap_or_else(|_| {
            let share = memory::size_bytes() / REPLIES_SHARE_OF_MEMORY;
            usize::try_from(share.min(REPLIES_BYTES_MAX)).unwrap_or(usize::MAX)
        })
    }

    fn fetch(&self) -> FetchConfig {
        FetchConfig {
            max_bytes: self.size("fetch.max.bytes"),
            rack_aware: self
                .optional("replica.selector.class")
                .is_some_and(|class| class.to_string().ends_with("RackAwareReplicaSelector")),
            max_wait: self.millis("klamm.fetch.max.wait.ms"),
            session_partitions_max: self.size("klamm.fetch.session.partitions.max"),
            session_cache_slots: self.size("max.incremental.fetch.session.cache.slots"),
        }
    }

    fn producers(&self) -> ProducerConfig {
        ProducerConfig {
            id_expiration: self.millis("producer.id.expiration.ms"),
            id_expiration_check_interval: self.millis("producer.id.expiration.check.interval.ms"),
            validation: match self.text("klamm.produce.validate").as_str() {
                "header" => ProduceValidation::Header,
                _ => ProduceValidation::Records,
            },
        }
    }

    fn quotas(&self) -> QuotaConfig {
        QuotaConfig {
            window_samples: u32::try_from(self.number("quota.window.num")).unwrap_or(u32::MAX),
            window_length: Duration::from_secs(self.size("quota.window.size.seconds") as u64),
        }
    }

    fn groups(&self) -> Result<GroupConfig, Impossible> {
        let min = self.number("group.min.session.timeout.ms");
        let max = self.number("group.max.session.timeout.ms");
        if min > max {
            return Err(Impossible::SessionTimeouts { min, max });
        }
        Ok(GroupConfig {
            initial_rebalance_delay: self.millis("group.initial.rebalance.delay.ms"),
            min_session_timeout: self.millis("group.min.session.timeout.ms"),
            max_session_timeout: self.millis("group.max.session.timeout.ms"),
            max_size: self.size("group.max.size"),
        })
    }

    fn offsets(&self) -> OffsetsConfig {
        const SECONDS_OF_MINUTE: u64 = 60;
        let retention_minutes = self.size("offsets.retention.minutes") as u64;
        OffsetsConfig {
            metadata_max_bytes: self.size("offset.metadata.max.bytes"),
            commit_timeout: self.millis("offsets.commit.timeout.ms"),
            retention: Duration::from_secs(retention_minutes * SECONDS_OF_MINUTE),
            retention_check_interval: self.millis("offsets.retention.check.interval.ms"),
            topic_num_partitions: self.int("offsets.topic.num.partitions"),
            topic_replication_factor: self.short("offsets.topic.replication.factor"),
            topic_segment_bytes: u32::try_from(self.number("offsets.topic.segment.bytes"))
                .unwrap_or(u32::MAX),
        }
    }

    fn admin(&self) -> Result<Option<AdminListener>, Impossible> {
        const NAME: &str = "klamm.admin.listener";
        let text = self.text(NAME);
        if text.is_empty() {
            return Ok(None);
        }
        let Some((host, port)) = host_and_port(&text) else {
            return Err(Impossible::AdminListener(text));
        };
        Ok(Some(AdminListener {
            host: host.to_owned(),
            port,
            is_given: self.layers.fixed.contains_key(NAME),
        }))
    }

    fn diagnostics(&self) -> Result<DiagnosticsConfig, Impossible> {
        let log_level = checked_log_level(&self.text("klamm.log.level"))?;
        let log_format = match self.text("klamm.log.format").as_str() {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        };
        Ok(DiagnosticsConfig {
            log_level,
            log_format,
        })
    }

    fn row(&self, name: &str) -> &'static Setting {
        let row = self.layers.table.get(name);
        row.expect("every setting that is resolved has a row: a test resolves them all")
    }

    fn optional(&self, name: &str) -> Option<Value> {
        self.layers.broker_value(self.row(name))
    }

    fn value(&self, name: &str) -> Value {
        self.optional(name)
            .expect("only settings with a default are asked for without `optional`")
    }

    fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Number(number) => number,
            other => panic!("a setting is not a number setting={name} value={other}"),
        }
    }

    fn int(&self, name: &str) -> i32 {
        int(&self.value(name))
    }

    fn short(&self, name: &str) -> i16 {
        i16::try_from(self.number(name)).unwrap_or(i16::MAX)
    }

    fn size(&self, name: &str) -> usize {
        clamp(self.number(name))
    }

    fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(self.size(name) as u64)
    }

    fn real(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Real(real) => real,
            other => unreachable!("{name} is a double, not {other}"),
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.value(name) == Value::Boolean(true)
    }

    fn text(&self, name: &str) -> String {
        self.value(name).to_string()
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Value::List(list) => list,
            other => vec![other.to_string()],
        }
    }
}

/// A level, or levels by module, in lower case and without spaces.
pub(crate) fn checked_log_level(text: &str) -> Result<String, Impossible> {
    const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
    let text = text.to_ascii_lowercase();
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_level = |part: &&str| {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
        LEVELS.contains(&level)
    };
    if !parts.iter().all(is_level) {
        return Err(Impossible::LogLevel(text.trim().to_owned()));
    }
    Ok(parts.join(","))
}

/// What a broker that listens on every address tells its clients, as Kafka does.
fn machine_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn clamp(number: i64) -> usize {
    usize::try_from(number).unwrap_or(if number < 0 { 0 } else { usize::MAX })
}

fn int(value: &Value) -> i32 {
    match value {
        Value::Number(number) => i32::try_from(*number).unwrap_or(i32::MAX),
        other => panic!("a setting is not a number value={other}"),
    }
}
