//! The settings of a topic: all that Kafka 4.4 has (`LogConfig`, `TopicConfig`), with its
//! defaults and ranges, and where each broker-wide default comes from.

use crate::setting::{Kind, Setting, Synonym, Table, Unit, Valid, setting};

/// All settings of a topic.
pub static TOPIC_SETTINGS: Table =
    Table::new(&[KEEPING, SEGMENTS, BATCHES, COMPACTION, REPLICATION, REMOTE]);

/// What `LogConfig` holds for "never": the largest 64-bit number.
const NEVER: Option<&str> = Some("9223372036854775807");

const NO_REMOTE: &str = "there is no remote storage yet, so segments live here until retention.ms or retention.bytes removes them";

/// A topic setting changes at once, for the partitions that exist and those to come.
const fn topic(name: &'static str, kind: Kind, default: Option<&'static str>) -> Setting {
    setting(name, kind, default).at_once()
}

const KEEPING: &[Setting] = &[
    topic("cleanup.policy", Kind::List, Some("delete"))
        .valid(Valid::OneOf(&["compact", "delete"]))
        .synonyms(&[Synonym::same("log.cleanup.policy")])
        .says("What becomes of old records: `delete` removes segments past `retention.ms` or `retention.bytes`; `compact` keeps the newest record of each key; both may be named; empty keeps all. Compaction is not done yet: a topic with `compact` alone keeps all its records."),
    topic("retention.ms", Kind::Long, Some("604800000"))
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(-1))
        .synonyms(&[
            Synonym::same("log.retention.ms"),
            Synonym::minutes("log.retention.minutes"),
            Synonym::hours("log.retention.hours"),
        ])
        .says("How long records are kept under the policy `delete`: a segment is removed once its newest record is older; -1 is for ever."),
    topic("retention.bytes", Kind::Long, Some("-1"))
        .unit(Unit::Bytes)
        .synonyms(&[Synonym::same("log.retention.bytes")])
        .says("How large one partition may grow under the policy `delete` before its oldest segments are removed; -1 is without limit."),
    topic("file.delete.delay.ms", Kind::Long, Some("60000"))
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .synonyms(&[Synonym::same("log.segment.delete.delay.ms")])
        .says("How long the files of a removed segment stay on disk, renamed, for readers that still use them."),
    topic("flush.messages", Kind::Long, NEVER)
        .valid(Valid::AtLeast(1))
        .synonyms(&[Synonym::same("log.flush.interval.messages")])
        .says("After how many records the log is synced to disk; 1 acknowledges and shows a record only when it is synced."),
    topic("flush.ms", Kind::Long, Some("1000"))
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .synonyms(&[Synonym::same("log.flush.interval.ms")])
        .says("How long a written record may wait for its sync to disk: what a power loss of all replicas can cost. (Kafka's default is never.)"),
];

const SEGMENTS: &[Setting] = &[
    topic("segment.bytes", Kind::Int, Some("1073741824"))
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(1_048_576))
        .synonyms(&[Synonym::same("log.segment.bytes")])
        .says("How large a segment of the log grows before the next one begins."),
    topic("segment.ms", Kind::Long, Some("604800000"))
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .synonyms(&[Synonym::same("log.roll.ms"), Synonym::hours("log.roll.hours")])
        .says("How old a segment grows before the next one begins, even if it is not full."),
    topic("segment.jitter.ms", Kind::Long, Some("0"))
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .synonyms(&[Synonym::same("log.roll.jitter.ms"), Synonym::hours("log.roll.jitter.hours")])
        .says("At most how much is subtracted from `segment.ms`, at random, so that segments do not all begin at one moment."),
    topic("segment.index.bytes", Kind::Int, Some("10485760"))
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(4))
        .synonyms(&[Synonym::same("log.index.size.max.bytes")])
        .says("How large the offset index of a segment may grow; a full index begins the next segment."),
    topic("index.interval.bytes", Kind::Int, Some("4096"))
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(0))
        .synonyms(&[Synonym::same("log.index.interval.bytes")])
        .says("How many bytes of the log lie between two entries of its indexes."),
    topic("preallocate", Kind::Boolean, Some("false"))
        .synonyms(&[Synonym::same("log.preallocate")])
        .says("Whether a new segment asks the disk for all the room it may need at once, rather than in steps. The size of the file does not change by it."),
    topic("internal.segment.bytes", Kind::Int, None)
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(1))
        .internal()
        .says("Replaces `segment.bytes`, without its lower bound, for tests."),
];

const BATCHES: &[Setting] = &[
    topic("max.message.bytes", Kind::Int, Some("1048588"))
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(0))
        .synonyms(&[Synonym::same("message.max.bytes")])
        .says("The largest record batch accepted, as it comes (compressed)."),
    topic("max.decompressed.message.bytes", Kind::Int, Some("2147483639"))
        .unit(Unit::Bytes)
        .valid(Valid::Between(1, 2_147_483_639))
        .synonyms(&[Synonym::same("max.decompressed.message.bytes")])
        .says("The largest single record accepted once decompressed."),
    topic("compression.type", Kind::String, Some("producer"))
        .valid(Valid::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]))
        .synonyms(&[Synonym::same("compression.type")])
        .says("How batches are compressed in the log; `producer` keeps them as they come."),
    topic("compression.gzip.level", Kind::Int, Some("-1"))
        .valid(Valid::GzipLevel)
        .synonyms(&[Synonym::same("compression.gzip.level")])
        .says("The level when `compression.type` is `gzip`; -1 is the codec's own default."),
    topic("compression.lz4.level", Kind::Int, Some("9"))
        .valid(Valid::Between(1, 17))
        .synonyms(&[Synonym::same("compression.lz4.level")])
        .says("The level when `compression.type` is `lz4`; 9 is the fast compressor, as in Kafka, every other the thorough one."),
    topic("compression.zstd.level", Kind::Int, Some("3"))
        .valid(Valid::Between(-131_072, 22))
        .synonyms(&[Synonym::same("compression.zstd.level")])
        .says("The level when `compression.type` is `zstd`."),
    topic("message.timestamp.type", Kind::String, Some("CreateTime"))
        .valid(Valid::OneOf(&["CreateTime", "LogAppendTime"]))
        .synonyms(&[Synonym::same("log.message.timestamp.type")])
        .says("Whether a record's timestamp is its producer's or the time of its append."),
    topic("message.timestamp.before.max.ms", Kind::Long, NEVER)
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .synonyms(&[Synonym::same("log.message.timestamp.before.max.ms")])
        .says("How far a producer's timestamp may lie in the past before the batch is refused; not looked at under `LogAppendTime`."),
    topic("message.timestamp.after.max.ms", Kind::Long, Some("3600000"))
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .synonyms(&[Synonym::same("log.message.timestamp.after.max.ms")])
        .says("How far a producer's timestamp may lie in the future before the batch is refused; not looked at under `LogAppendTime`."),
];

const COMPACTION: &[Setting] = &[
    topic("delete.retention.ms", Kind::Long, Some("86400000"))
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .synonyms(&[Synonym::same("log.cleaner.delete.retention.ms")])
        .says("How long compaction keeps the record that deletes a key."),
    topic("min.compaction.lag.ms", Kind::Long, Some("0"))
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .synonyms(&[Synonym::same("log.cleaner.min.compaction.lag.ms")])
        .says("How long a record is safe from compaction; not more than `max.compaction.lag.ms`."),
    topic("max.compaction.lag.ms", Kind::Long, NEVER)
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .synonyms(&[Synonym::same("log.cleaner.max.compaction.lag.ms")])
        .says("How long a record may wait for compaction."),
    topic("min.cleanable.dirty.ratio", Kind::Double, Some("0.5"))
        .valid(Valid::RealBetween(0.0, 1.0))
        .synonyms(&[Synonym::same("log.cleaner.min.cleanable.ratio")])
        .says("Which share of a log must be new before it is compacted."),
];

const REPLICATION: &[Setting] = &[
    topic("min.insync.replicas", Kind::Int, Some("1"))
        .valid(Valid::AtLeast(1))
        .synonyms(&[Synonym::same("min.insync.replicas")])
        .says("How many replicas must have written a record before `acks=all` is answered, and never fewer than a majority; with fewer in sync, such a produce is refused. Consumers see what a majority has."),
    topic("unclean.leader.election.enable", Kind::Boolean, Some("false"))
        .synonyms(&[Synonym::same("unclean.leader.election.enable")])
        .ignored("an unclean election is held on order only (`kafka-leader-election.sh --election-type unclean`), and then whatever this says")
        .says("Whether a replica that lacks acknowledged records may lead when no other is left."),
    topic("leader.replication.throttled.replicas", Kind::List, Some(""))
        .valid(Valid::ThrottledReplicas)
        .says("From which replicas logs are copied no faster than `leader.replication.throttled.rate`: pairs of partition and broker as `0:1,1:2`, or `*` for all. A replica that is close behind its leader is never held back."),
    topic("follower.replication.throttled.replicas", Kind::List, Some(""))
        .valid(Valid::ThrottledReplicas)
        .says("To which replicas logs are copied no faster than `follower.replication.throttled.rate`: pairs of partition and broker as `0:1,1:2`, or `*` for all. A replica that is close behind its leader is never held back."),
    topic("errors.deadletterqueue.group.enable", Kind::Boolean, Some("false"))
        .default_only("there are no share groups yet, so nothing would be written to the topic; leave it false")
        .says("Whether share groups may write records to this topic that they could not deliver."),
];

const REMOTE: &[Setting] = &[
    topic("remote.storage.enable", Kind::Boolean, Some("false"))
        .says("Whether closed segments are also kept in remote storage. Brokers have none yet, so `true` is refused."),
    topic("local.retention.ms", Kind::Long, Some("-2"))
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(-2))
        .synonyms(&[Synonym::same("log.local.retention.ms")])
        .ignored(NO_REMOTE)
        .says("How long a segment stays here once remote storage has it; -2 is `retention.ms`."),
    topic("local.retention.bytes", Kind::Long, Some("-2"))
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(-2))
        .synonyms(&[Synonym::same("log.local.retention.bytes")])
        .ignored(NO_REMOTE)
        .says("How much of a partition stays here once remote storage has it; -2 is `retention.bytes`."),
    topic("remote.log.copy.disable", Kind::Boolean, Some("false"))
        .ignored(NO_REMOTE)
        .says("Whether nothing more is copied to remote storage."),
    topic("remote.log.delete.on.disable", Kind::Boolean, Some("false"))
        .ignored(NO_REMOTE)
        .says("Whether turning remote storage off deletes what it holds of the topic."),
    topic("remote.copy.lag.ms", Kind::Long, Some("0"))
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(-1))
        .synonyms(&[Synonym::same("log.remote.copy.lag.ms")])
        .ignored(NO_REMOTE)
        .says("How old a segment must be before it is copied to remote storage."),
    topic("remote.copy.lag.bytes", Kind::Long, Some("-1"))
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(-1))
        .synonyms(&[Synonym::same("log.remote.copy.lag.bytes")])
        .ignored(NO_REMOTE)
        .says("How many newer bytes must follow a segment before it is copied to remote storage."),
];
