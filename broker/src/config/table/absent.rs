//! Kafka's settings for parts that Klamm does not have, or not yet. A file written for Kafka may
//! hold them: they are accepted with a warning, which says why nothing follows from them.
//!
//! A setting whose neglect would open what its owner meant to close is refused instead.

use klamm_metadata::setting::{Kind, Setting, setting};

use super::{string, unset};

const ZOOKEEPER: &str = "there is no ZooKeeper: the brokers agree on their own";
const CONTROLLER: &str = "there are no controller processes: the brokers agree on their own";
const METADATA_LOG: &str = "the metadata log is small, and is kept beside the other logs";
const THREADS: &str = "threads are counted by the processor's cores, and none waits for another";
const QUEUE: &str =
    "requests are limited by queued.max.request.bytes and klamm.requests.in.flight.max";
const PURGATORY: &str = "a waiting request is forgotten as soon as it is answered";
const REPLICATION: &str = "replicas are kept in step by Raft, which has no fetchers to adjust";
const LEADERS: &str = "leaders are elected by the replicas themselves";
const MUTATION_QUOTA: &str = "changes of the metadata have no quota of their own";
const METRICS: &str = "metrics are not reported through Java classes";
const TLS: &str = "connections are not encrypted yet; only PLAINTEXT listeners can be opened";
const SASL: &str = "connections are not authenticated yet; only PLAINTEXT listeners can be opened";
const REMOTE: &str = "there is no remote storage yet";
const TRANSACTIONS: &str = "there are no transactions yet";
const NEW_GROUPS: &str =
    "groups of the new protocols (KIP-848, KIP-932, KIP-1071) are not served yet";
const GROUPS: &str = "groups are served in memory on the broker's own threads";
const VERSIONS: &str = "there is one version of the formats, so none is chosen";
const OTHER_BROKERS: &str = "brokers speak to one another by klamm.peer.listener";
const LOGGING: &str =
    "what the process writes about itself is set by klamm.log.level and klamm.log.format";
const TELEMETRY: &str = "clients' metrics are not collected";
const TIMEOUTS: &str = "this time-out of Kafka's own threads has no counterpart";
const LISTENERS: &str = "use listeners and advertised.listeners instead";
const NO_QUOTA_CLASS: &str = "there are no Java classes here, and to start without this one would lift its limits: leave it unset, and set quotas with kafka-configs";
const DYNAMIC_QUOTA: &str = "Kafka has this no longer, and to start without it would lift the limit: set a quota with kafka-configs --entity-type clients --entity-default";

/// Accepted with a warning.
const fn absent(name: &'static str, reason: &'static str) -> Setting {
    unset(name, Kind::String)
        .internal()
        .ignored(reason)
        .says(reason)
}

/// Gone from Kafka itself, and not to be passed over: another setting says it today.
const fn gone(name: &'static str, reason: &'static str) -> Setting {
    string(name, "")
        .internal()
        .default_only(reason)
        .says(reason)
}

pub(super) const ROWS: &[Setting] = &[
    setting(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        Kind::Long,
        None,
    )
    .internal()
    .at_once()
    .ignored("replicas do not move between log directories yet")
    .says("How many bytes a second may be copied between log directories."),
    unset("client.quota.callback.class", Kind::Class)
        .internal()
        .default_only(NO_QUOTA_CLASS)
        .says("Which class sets the limits of clients."),
    gone("quota.producer.default", DYNAMIC_QUOTA),
    gone("quota.consumer.default", DYNAMIC_QUOTA),
    gone("host.name", LISTENERS),
    gone("port", LISTENERS),
    gone("advertised.host.name", LISTENERS),
    gone("advertised.port", LISTENERS),
    absent("process.roles", CONTROLLER),
    absent("zookeeper.*", ZOOKEEPER),
    absent("control.plane.listener.name", CONTROLLER),
    absent("controller.quorum.*", CONTROLLER),
    absent("controller.performance.*", CONTROLLER),
    absent("controller.quota.*", MUTATION_QUOTA),
    absent("controller.socket.timeout.ms", CONTROLLER),
    absent("sasl.mechanism.controller.protocol", CONTROLLER),
    absent("broker.heartbeat.interval.ms", CONTROLLER),
    absent("broker.session.timeout.ms", CONTROLLER),
    absent("initial.broker.registration.timeout.ms", CONTROLLER),
    absent("early.start.listeners", CONTROLLER),
    absent("server.max.startup.time.ms", TIMEOUTS),
    absent("metadata.*", METADATA_LOG),
    absent("internal.metadata.*", METADATA_LOG),
    absent("num.io.threads", THREADS),
    absent("num.network.threads", THREADS),
    absent("background.threads", THREADS),
    absent("num.recovery.threads.per.data.dir", THREADS),
    absent("num.replica.alter.log.dirs.threads", THREADS),
    absent("num.replica.fetchers", REPLICATION),
    absent("queued.max.requests", QUEUE),
    absent("fetch.purgatory.purge.interval.requests", PURGATORY),
    absent("producer.purgatory.purge.interval.requests", PURGATORY),
    absent(
        "delete.records.purgatory.purge.interval.requests",
        PURGATORY,
    ),
    absent("share.fetch.purgatory.purge.interval.requests", PURGATORY),
    absent("replica.fetch.backoff.ms", REPLICATION),
    absent("replica.fetch.max.bytes", REPLICATION),
    absent("replica.fetch.min.bytes", REPLICATION),
    absent("replica.fetch.response.max.bytes", REPLICATION),
    absent("replica.fetch.wait.max.ms", REPLICATION),
    absent("replica.socket.receive.buffer.bytes", REPLICATION),
    absent("replica.socket.timeout.ms", REPLICATION),
    absent("follower.fetch.last.tiered.offset.enable", REMOTE),
    absent("inter.broker.listener.name", OTHER_BROKERS),
    absent("leader.imbalance.check.interval.seconds", LEADERS),
    absent("leader.imbalance.per.broker.percentage", LEADERS),
    absent("unclean.leader.election.interval.ms", LEADERS),
    absent("controlled.shutdown.*", LEADERS),
    absent("request.timeout.ms", OTHER_BROKERS),
    absent("socket.connection.setup.timeout.ms", OTHER_BROKERS),
    absent("socket.connection.setup.timeout.max.ms", OTHER_BROKERS),
    absent("log.dir.failure.timeout.ms", TIMEOUTS),
    absent(
        "cordoned.log.dirs",
        "every log directory takes new partitions",
    ),
    absent("replication.quota.*", REPLICATION),
    absent("alter.log.dirs.replication.quota.*", REPLICATION),
    absent("metric.reporters", METRICS),
    absent("metrics.*", METRICS),
    absent("kafka.metrics.*", METRICS),
    absent("auto.include.jmx.reporter", METRICS),
    absent("telemetry.max.bytes", TELEMETRY),
    absent("ssl.*", TLS),
    absent("sasl.*", SASL),
    absent("listener.name.*", SASL),
    absent("connections.max.reauth.ms", SASL),
    absent("connection.failed.authentication.delay.ms", SASL),
    absent("delegation.token.*", SASL),
    absent("principal.builder.class", SASL),
    absent("password.encoder.*", SASL),
    absent("security.providers", TLS),
    absent("super.users", SASL),
    absent("remote.*", REMOTE),
    absent("rlmm.config.*", REMOTE),
    absent("rsm.config.*", REMOTE),
    absent("transaction.*", TRANSACTIONS),
    absent("transactional.*", TRANSACTIONS),
    absent("add.partitions.to.txn.retry.*", TRANSACTIONS),
    absent("group.consumer.*", NEW_GROUPS),
    absent("group.share.*", NEW_GROUPS),
    absent("group.streams.*", NEW_GROUPS),
    absent("share.coordinator.*", NEW_GROUPS),
    absent("errors.deadletterqueue.*", NEW_GROUPS),
    absent("group.coordinator.*", GROUPS),
    absent("offsets.commit.required.acks", GROUPS),
    absent("inter.broker.protocol.version", VERSIONS),
    absent("log.message.format.version", VERSIONS),
    absent("log.message.downconversion.enable", VERSIONS),
    absent("unstable.*", VERSIONS),
    absent(
        "log.message.timestamp.difference.max.ms",
        "use log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms",
    ),
    absent(
        "broker.id.generation.enable",
        "a number is always assigned where none is given",
    ),
    absent(
        "reserved.broker.max.id",
        "a number is always assigned where none is given",
    ),
    absent("log4j*", LOGGING),
    absent("kafka.logs.dir", LOGGING),
    absent("confluent.*", "it belongs to another product"),
];
