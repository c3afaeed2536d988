//! The broker-wide defaults of the topic settings, under Kafka's names for them.

use klamm_metadata::setting::{Kind, Setting, Synonym, Unit, Valid, setting};

use super::{boolean, int, long, string, unset};

const NEVER: &str = "9223372036854775807";
const NO_REMOTE: &str = "there is no remote storage yet";

const RETENTION: &[Synonym] = &[
    Synonym::same("log.retention.ms"),
    Synonym::minutes("log.retention.minutes"),
    Synonym::hours("log.retention.hours"),
];
const ROLL: &[Synonym] = &[
    Synonym::same("log.roll.ms"),
    Synonym::hours("log.roll.hours"),
];
const JITTER: &[Synonym] = &[
    Synonym::same("log.roll.jitter.ms"),
    Synonym::hours("log.roll.jitter.hours"),
];

/// Used where the topic says nothing; a change reaches every such topic at once.
pub(super) const ROWS: &[Setting] = &[
    setting("log.cleanup.policy", Kind::List, Some("delete"))
        .valid(Valid::OneOf(&["compact", "delete"]))
        .at_once()
        .says("The default of `cleanup.policy`."),
    unset("log.retention.ms", Kind::Long)
        .unit(Unit::Millis)
        .valid(Valid::PositiveOrNoLimit)
        .synonyms(RETENTION)
        .at_once()
        .says("The default of `retention.ms`; before `log.retention.minutes` and `log.retention.hours`."),
    unset("log.retention.minutes", Kind::Int)
        .unit(Unit::Minutes)
        .valid(Valid::PositiveOrNoLimit)
        .says("The default of `retention.ms`, in minutes; before `log.retention.hours`."),
    int("log.retention.hours", "168")
        .unit(Unit::Hours)
        .valid(Valid::PositiveOrNoLimit)
        .says("The default of `retention.ms`, in hours."),
    long("log.retention.bytes", "-1")
        .unit(Unit::Bytes)
        .at_once()
        .says("The default of `retention.bytes`."),
    long("log.segment.delete.delay.ms", "60000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("The default of `file.delete.delay.ms`."),
    long("log.flush.interval.messages", NEVER)
        .valid(Valid::AtLeast(1))
        .at_once()
        .says("The default of `flush.messages`."),
    long("log.flush.interval.ms", "1000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("The default of `flush.ms`. (Kafka's is never.)"),
    int("log.segment.bytes", "1073741824")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(1_048_576))
        .at_once()
        .says("The default of `segment.bytes`."),
    unset("log.roll.ms", Kind::Long)
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .synonyms(ROLL)
        .at_once()
        .says("The default of `segment.ms`; before `log.roll.hours`."),
    int("log.roll.hours", "168")
        .unit(Unit::Hours)
        .valid(Valid::AtLeast(1))
        .says("The default of `segment.ms`, in hours."),
    unset("log.roll.jitter.ms", Kind::Long)
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .synonyms(JITTER)
        .at_once()
        .says("The default of `segment.jitter.ms`; before `log.roll.jitter.hours`."),
    int("log.roll.jitter.hours", "0")
        .unit(Unit::Hours)
        .valid(Valid::AtLeast(0))
        .says("The default of `segment.jitter.ms`, in hours."),
    int("log.index.size.max.bytes", "10485760")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(4))
        .at_once()
        .says("The default of `segment.index.bytes`."),
    int("log.index.interval.bytes", "4096")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("The default of `index.interval.bytes`."),
    boolean("log.preallocate", "false")
        .at_once()
        .says("The default of `preallocate`."),
    int("message.max.bytes", "1048588")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("The default of `max.message.bytes`."),
    int("max.decompressed.message.bytes", "2147483639")
        .unit(Unit::Bytes)
        .valid(Valid::Between(1, 2_147_483_639))
        .at_once()
        .says("The default of the topic setting of the same name."),
    string("compression.type", "producer")
        .valid(Valid::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]))
        .at_once()
        .says("The default of the topic setting of the same name."),
    int("compression.gzip.level", "-1")
        .valid(Valid::GzipLevel)
        .at_once()
        .says("The default of the topic setting of the same name."),
    int("compression.lz4.level", "9")
        .valid(Valid::Between(1, 17))
        .at_once()
        .says("The default of the topic setting of the same name."),
    int("compression.zstd.level", "3")
        .valid(Valid::Between(-131_072, 22))
        .at_once()
        .says("The default of the topic setting of the same name."),
    string("log.message.timestamp.type", "CreateTime")
        .valid(Valid::OneOf(&["CreateTime", "LogAppendTime"]))
        .at_once()
        .says("The default of `message.timestamp.type`."),
    long("log.message.timestamp.before.max.ms", NEVER)
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("The default of `message.timestamp.before.max.ms`."),
    long("log.message.timestamp.after.max.ms", "3600000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("The default of `message.timestamp.after.max.ms`."),
    long("log.cleaner.delete.retention.ms", "86400000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("The default of `delete.retention.ms`."),
    long("log.cleaner.min.compaction.lag.ms", "0")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("The default of `min.compaction.lag.ms`."),
    long("log.cleaner.max.compaction.lag.ms", NEVER)
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .at_once()
        .says("The default of `max.compaction.lag.ms`."),
    setting("log.cleaner.min.cleanable.ratio", Kind::Double, Some("0.5"))
        .valid(Valid::RealBetween(0.0, 1.0))
        .at_once()
        .says("The default of `min.cleanable.dirty.ratio`."),
    int("min.insync.replicas", "1")
        .valid(Valid::AtLeast(1))
        .at_once()
        .says("The default of the topic setting of the same name."),
    boolean("unclean.leader.election.enable", "false")
        .at_once()
        .ignored("an unclean election is held on order only (`kafka-leader-election.sh --election-type unclean`), and then whatever this says")
        .says("The default of the topic setting of the same name."),
    long("log.local.retention.ms", "-2")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(-2))
        .at_once()
        .ignored(NO_REMOTE)
        .says("The default of `local.retention.ms`."),
    long("log.local.retention.bytes", "-2")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(-2))
        .at_once()
        .ignored(NO_REMOTE)
        .says("The default of `local.retention.bytes`."),
    long("log.remote.copy.lag.ms", "0")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(-1))
        .at_once()
        .ignored(NO_REMOTE)
        .says("The default of `remote.copy.lag.ms`."),
    long("log.remote.copy.lag.bytes", "-1")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(-1))
        .at_once()
        .ignored(NO_REMOTE)
        .says("The default of `remote.copy.lag.bytes`."),
];
