//! The settings of a consumer group (Kafka's `GroupConfig`): all of them belong to the new group
//! protocols, which are not served yet. They are described with Kafka's defaults, and refused
//! with any other value.

use crate::setting::{Kind, Setting, Table, Unit, Valid, setting};

/// All settings of a group.
pub static GROUP_SETTINGS: Table = Table::new(&[CONSUMER, SHARE, STREAMS]);

const CONSUMER_GROUPS: &str = "groups of the consumer protocol (KIP-848) are not served yet; classic groups take these from each member";
const SHARE_GROUPS: &str = "share groups (KIP-932) are not served yet";
const STREAMS_GROUPS: &str = "streams groups (KIP-1071) are not served yet";

const fn consumer(name: &'static str, default: &'static str) -> Setting {
    setting(name, Kind::Int, Some(default))
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .at_once()
        .default_only(CONSUMER_GROUPS)
}

const fn share(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    setting(name, kind, Some(default))
        .at_once()
        .default_only(SHARE_GROUPS)
}

const fn streams(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    setting(name, kind, Some(default))
        .at_once()
        .default_only(STREAMS_GROUPS)
}

const CONSUMER: &[Setting] = &[
    consumer("consumer.session.timeout.ms", "45000")
        .says("After how long without a heartbeat a member is gone."),
    consumer("consumer.heartbeat.interval.ms", "5000")
        .says("How often a member sends a heartbeat."),
    consumer("consumer.assignment.interval.ms", "1000")
        .says("How long lies between two assignments at least."),
];

const SHARE: &[Setting] = &[
    share("share.session.timeout.ms", Kind::Int, "45000")
        .unit(Unit::Millis)
        .says("After how long without a heartbeat a member is gone."),
    share("share.heartbeat.interval.ms", Kind::Int, "5000")
        .unit(Unit::Millis)
        .says("How often a member sends a heartbeat."),
    share("share.assignment.interval.ms", Kind::Int, "1000")
        .unit(Unit::Millis)
        .says("How long lies between two assignments at least."),
    share("share.record.lock.duration.ms", Kind::Int, "30000")
        .unit(Unit::Millis)
        .says("How long a record is held for the member that got it."),
    share("share.delivery.count.limit", Kind::Int, "5").says("How often a record is delivered."),
    share("share.partition.max.record.locks", Kind::Int, "2000")
        .says("How many records of a partition may be held at once."),
    share("share.auto.offset.reset", Kind::String, "latest").says("Where a new group starts."),
    share("share.isolation.level", Kind::String, "read_uncommitted")
        .says("Whether records of open transactions are delivered."),
    share("share.renew.acknowledge.enable", Kind::Boolean, "true")
        .says("Whether a member may hold a record for longer."),
    share("errors.deadletterqueue.topic.name", Kind::String, "")
        .says("Which topic gets records that could not be delivered."),
    share(
        "errors.deadletterqueue.copy.record.enable",
        Kind::Boolean,
        "false",
    )
    .says("Whether it gets the record itself."),
];

const STREAMS: &[Setting] = &[
    streams("streams.session.timeout.ms", Kind::Int, "45000")
        .unit(Unit::Millis)
        .says("After how long without a heartbeat a member is gone."),
    streams("streams.heartbeat.interval.ms", Kind::Int, "5000")
        .unit(Unit::Millis)
        .says("How often a member sends a heartbeat."),
    streams("streams.assignment.interval.ms", Kind::Int, "1000")
        .unit(Unit::Millis)
        .says("How long lies between two assignments at least."),
    streams("streams.initial.rebalance.delay.ms", Kind::Int, "3000")
        .unit(Unit::Millis)
        .says("How long an empty group waits for more members."),
    streams("streams.num.standby.replicas", Kind::Int, "0")
        .says("How many copies of its state a task has."),
    streams("streams.assignor.name", Kind::String, "sticky").says("How tasks are assigned."),
    streams("streams.rack.aware.assignment.tags", Kind::List, "")
        .says("Which tags of members keep copies apart."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_setting_of_kafka_4_4_is_described_and_none_is_promised() {
        assert_eq!(GROUP_SETTINGS.rows().count(), 21);
        for row in GROUP_SETTINGS.rows() {
            let default = row.default.expect("each has one");
            assert!(row.check(default).is_ok(), "{}", row.name);
            assert!(!row.sentence.is_empty(), "{}", row.name);
        }
        let error = GROUP_SETTINGS.check("group", "consumer.session.timeout.ms", "46000");
        assert!(error.is_err());
    }
}
