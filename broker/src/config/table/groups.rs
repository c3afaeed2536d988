//! Idempotent producers, consumer groups, committed offsets.

use klamm_metadata::setting::{Kind, Setting, Unit, Valid, setting};

use super::{int, long};

pub(super) const ROWS: &[Setting] = &[
    int("producer.id.expiration.ms", "86400000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .at_once()
        .says("How long a partition remembers an idempotent producer that has stopped writing to it."),
    int("producer.id.expiration.check.interval.ms", "600000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .internal()
        .says("How often the broker looks for producers to forget."),
    int("group.initial.rebalance.delay.ms", "3000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .says("How long an empty group waits for more members before its first assignment; 0 makes tests quick."),
    int("group.min.session.timeout.ms", "6000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .says("The shortest session timeout a member may ask for."),
    int("group.max.session.timeout.ms", "1800000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .says("The longest session timeout a member may ask for."),
    int("group.max.size", "2147483647")
        .valid(Valid::AtLeast(1))
        .says("How many members a group may have."),
    int("offset.metadata.max.bytes", "4096")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(0))
        .says("The longest text that may be committed with an offset."),
    int("offsets.commit.timeout.ms", "5000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .says("How long a commit waits for its replicas before the client is told to try again."),
    int("offsets.retention.minutes", "10080")
        .unit(Unit::Minutes)
        .valid(Valid::AtLeast(1))
        .says("How long the offsets of an empty group, or of a topic nobody in the group reads, are kept."),
    long("offsets.retention.check.interval.ms", "600000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .says("How often the broker looks for offsets to forget."),
    int("offsets.topic.num.partitions", "50")
        .valid(Valid::Between(1, 10_000))
        .says("How many partitions `__consumer_offsets` gets when it is created; a later change has no effect."),
    setting("offsets.topic.replication.factor", Kind::Short, Some("3"))
        .valid(Valid::AtLeast(1))
        .says("How many replicas `__consumer_offsets` gets when it is created: as many as there are brokers, if fewer."),
    int("offsets.topic.segment.bytes", "104857600")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(1_048_576))
        .says("The `segment.bytes` of `__consumer_offsets` when it is created."),
    int("offsets.load.buffer.size", "5242880")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(1))
        .ignored("the log is read through a mapping, which needs no buffer")
        .says("How much is read at once when the groups are loaded."),
    int("offsets.topic.compression.codec", "0")
        .valid(Valid::Between(0, 4))
        .ignored("commits are a few bytes each and are written as they are")
        .says("How the records of `__consumer_offsets` are compressed."),
];
