//! AlterConfigs, IncrementalAlterConfigs, DescribeConfigs.

use super::super::*;
use super::{World, told};
use crate::image::ResourceKind;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn change(key: &str, operation: i8, value: Option<&str>) -> ConfigChange {
    ConfigChange {
        key: key.to_owned(),
        operation,
        value: value.map(str::to_owned),
    }
}

fn alter(world: &mut World, kind: i8, name: &str, changes: &[ConfigChange]) -> (i16, String) {
    let name = name.to_owned();
    let resource = AlterResource {
        kind,
        name,
        changes: changes.to_vec(),
    };
    let mut reply = world.with(|c| c.incremental_alter_configs(&[resource], false));
    told(reply.remove(0).2)
}

fn with_topic() -> World {
    let mut world = World::new();
    assert!(world.create(NewTopic::with_defaults("t1")).is_ok());
    world
}

#[test]
fn changes_are_refused_with_kafkas_numbers_and_words() {
    let mut world = with_topic();
    let mut check = |kind, name: &str, key: &str, op, value: &str, expected: (i16, &str)| {
        let (code, text) = alter(&mut world, kind, name, &[change(key, op, Some(value))]);
        assert_eq!((code, text.as_str()), expected, "{name} {key} {op} {value}");
    };
    check(
        TOPIC,
        "t1",
        "no.such",
        SET,
        "5",
        (40, "Unknown topic config name: no.such"),
    );
    check(
        TOPIC,
        "t1",
        "retention.ms",
        SET,
        "-2",
        (
            40,
            "Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
    );
    check(
        TOPIC,
        "t1",
        "retention.ms",
        APPEND,
        "1",
        (
            40,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
    );
    check(
        TOPIC,
        "nope",
        "retention.ms",
        SET,
        "1",
        (3, "The topic 'nope' does not exist."),
    );
    check(
        TOPIC,
        "a b",
        "retention.ms",
        SET,
        "1",
        (
            17,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
    );
    check(
        TOPIC,
        "",
        "retention.ms",
        SET,
        "1",
        (42, "Default topic resources are not allowed."),
    );
    check(
        TOPIC,
        "t1",
        "retention.ms",
        7,
        "1",
        (42, "Unknown operation type 7"),
    );
    check(TOPIC, "t1", "no.such", DELETE, "", (0, ""));
    check(
        BROKER,
        "",
        "num.partitions",
        SET,
        "5",
        (
            42,
            "Cannot update these configs dynamically: [num.partitions]",
        ),
    );
    check(
        BROKER,
        "",
        "max.connections",
        SET,
        "abc",
        (
            42,
            "Invalid value abc for configuration max.connections: Not a number of type INT",
        ),
    );
    check(
        BROKER,
        "x",
        "max.connections",
        SET,
        "5",
        (42, "Unable to parse broker name as a base 10 number."),
    );
    check(
        BROKER,
        "-1",
        "max.connections",
        SET,
        "5",
        (42, "Invalid negative broker ID."),
    );
    check(
        BROKER,
        "7",
        "max.connections",
        SET,
        "5",
        (102, "No broker with id 7 found."),
    );
    check(
        GROUP,
        "g",
        "x",
        SET,
        "1",
        (40, "Unknown group config name: x"),
    );
    check(
        GROUP,
        "",
        "x",
        SET,
        "1",
        (42, "Default group resources are not allowed."),
    );
    check(
        0,
        "1",
        "kafka",
        SET,
        "DEBUG",
        (42, "Unknown resource type 0"),
    );
}

#[test]
fn a_key_twice_or_a_null_to_set_is_refused() {
    let mut world = with_topic();
    let twice = [
        change("retention.ms", SET, Some("1")),
        change("retention.ms", SET, Some("2")),
    ];
    assert_eq!(
        alter(&mut world, TOPIC, "t1", &twice),
        (42, "Error due to duplicate config keys".to_owned())
    );
    assert_eq!(
        alter(
            &mut world,
            TOPIC,
            "t1",
            &[change("retention.ms", SET, None)]
        ),
        (42, "Null value not supported for : retention.ms".to_owned())
    );
}

#[test]
fn lists_grow_and_shrink_from_what_they_are_or_would_be() {
    let mut world = with_topic();
    let mut check = |op, value: &str, expected: &str| {
        let done = alter(
            &mut world,
            TOPIC,
            "t1",
            &[change("cleanup.policy", op, Some(value))],
        );
        assert_eq!(done.0, 0, "{done:?}");
        let configs = world.image.configs(ResourceKind::Topic, "t1");
        assert_eq!(configs["cleanup.policy"], expected);
    };
    check(APPEND, "compact", "delete,compact");
    check(APPEND, "compact,delete", "delete,compact");
    check(SUBTRACT, "delete", "compact");
    check(SUBTRACT, "delete", "compact");
    check(SUBTRACT, "compact", "");
}

#[test]
fn what_is_set_for_one_broker_holds_for_no_other() {
    let mut world = World::of_brokers(2);
    let key = "log.cleanup.policy";
    let mut check = |name: &str, operation, value, expected: &str| {
        let done = alter(&mut world, BROKER, name, &[change(key, operation, value)]);
        assert_eq!(done, (0, String::new()));
        let configs = world.image.configs(ResourceKind::Broker, name);
        assert_eq!(configs.get(key).map(String::as_str), Some(expected));
    };
    // The broker that decides is 1.
    check("1", SET, Some("compact"), "compact");
    check("2", APPEND, Some("compact"), "delete,compact");
    check("", APPEND, Some("compact"), "delete,compact");
}

#[test]
fn a_resource_changes_as_a_whole_or_not_at_all() {
    let mut world = with_topic();
    let done = alter(
        &mut world,
        TOPIC,
        "t1",
        &[
            change("retention.ms", SET, Some("1")),
            change("segment.ms", SET, Some("0")),
        ],
    );
    assert_eq!(done.0, 40);
    assert!(world.image.configs(ResourceKind::Topic, "t1").is_empty());
    let pair = [
        change("min.compaction.lag.ms", SET, Some("5")),
        change("max.compaction.lag.ms", SET, Some("3")),
    ];
    let text =
        "conflict topic config setting min.compaction.lag.ms (5) > max.compaction.lag.ms (3)";
    assert_eq!(alter(&mut world, TOPIC, "t1", &pair), (40, text.to_owned()));
}

#[test]
fn the_old_request_replaces_everything() {
    let mut world = with_topic();
    let mut replace = |pairs: &[(&str, Option<&str>)]| {
        let pair = |(k, v): &(&str, Option<&str>)| ((*k).to_owned(), v.map(str::to_owned));
        let changes = pairs.iter().map(pair).collect();
        let resource = AlterResource {
            kind: TOPIC,
            name: "t1".to_owned(),
            changes,
        };
        let mut reply = world.with(|c| c.alter_configs(&[resource], false));
        let keys: Vec<_> = world
            .image
            .configs(ResourceKind::Topic, "t1")
            .keys()
            .cloned()
            .collect();
        (told(reply.remove(0).2).0, keys.join(" "))
    };
    assert_eq!(
        replace(&[("retention.ms", Some("1")), ("segment.ms", Some("2"))]),
        (0, "retention.ms segment.ms".to_owned())
    );
    assert_eq!(replace(&[("retention.ms", None)]).0, 42);
    assert_eq!(
        replace(&[("segment.ms", Some("2"))]),
        (0, "segment.ms".to_owned())
    );
    assert_eq!(replace(&[]), (0, String::new()));
}

#[test]
fn to_validate_changes_nothing() {
    let mut world = with_topic();
    let changes = vec![change("retention.ms", SET, Some("1"))];
    let resource = AlterResource {
        kind: TOPIC,
        name: "t1".to_owned(),
        changes,
    };
    let reply = world.with(|c| c.incremental_alter_configs(&[resource.clone(), resource], true));
    assert_eq!(reply.len(), 1);
    assert_eq!(
        told(reply[0].2.clone()).1,
        "Each resource must appear at most once."
    );
    assert!(world.image.configs(ResourceKind::Topic, "t1").is_empty());
}

#[test]
fn a_topic_is_described_with_every_source_in_kafkas_order() {
    let mut world = with_topic();
    let find = |world: &World, name: &str| {
        let lines = world.describe(ResourceKind::Topic, "t1");
        lines
            .into_iter()
            .find(|line| line.starts_with(&format!("{name} ")))
            .expect("described")
    };
    assert_eq!(world.describe(ResourceKind::Topic, "t1").len(), 37);
    // Given in hours only: Kafka shows the value and no source.
    assert_eq!(
        find(&world, "retention.ms"),
        "retention.ms 360000000 Default rw"
    );
    assert_eq!(
        find(&world, "segment.ms"),
        "segment.ms 500000000 StaticBroker rw log.roll.ms=500000000(StaticBroker) log.roll.hours=168(Default)"
    );
    assert_eq!(find(&world, "flush.ms"), "flush.ms 1000 Default rw");
    for (kind, name, key, value) in [
        (BROKER, "", "log.retention.ms", "7000000"),
        (BROKER, "1", "log.segment.bytes", "2000000"),
        (TOPIC, "t1", "retention.ms", "1234"),
        (TOPIC, "t1", "preallocate", " TRUE "),
    ] {
        let done = alter(&mut world, kind, name, &[change(key, SET, Some(value))]);
        assert_eq!(done.0, 0, "{done:?}");
    }
    assert_eq!(
        find(&world, "retention.ms"),
        "retention.ms 1234 Topic rw retention.ms=1234(Topic) log.retention.ms=7000000(DynamicDefaultBroker) log.retention.hours=100(StaticBroker) log.retention.hours=168(Default)"
    );
    assert_eq!(
        find(&world, "segment.bytes"),
        "segment.bytes 2000000 DynamicBroker rw log.segment.bytes=2000000(DynamicBroker) log.segment.bytes=1073741824(Default)"
    );
    assert_eq!(
        find(&world, "preallocate"),
        "preallocate true Topic rw preallocate=true(Topic)"
    );
}

#[test]
fn a_broker_is_described_with_what_is_read_only_and_what_is_secret() {
    let mut world = with_topic();
    let done = alter(
        &mut world,
        BROKER,
        "",
        &[change("max.connections", SET, Some("500"))],
    );
    assert_eq!(done.0, 0);
    let lines = world.describe(ResourceKind::Broker, "1");
    let find = |name: &str| {
        let line = lines
            .iter()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.expect("described").as_str()
    };
    assert_eq!(
        find("node.id"),
        "node.id 1 StaticBroker ro node.id=1(StaticBroker)"
    );
    assert_eq!(
        find("max.connections"),
        "max.connections 500 DynamicDefaultBroker rw max.connections=500(DynamicDefaultBroker) max.connections=100(Default)"
    );
    assert_eq!(find("log.retention.ms"), "log.retention.ms null Default rw");
    assert_eq!(
        find("log.retention.hours"),
        "log.retention.hours 100 StaticBroker ro log.retention.hours=100(StaticBroker) log.retention.hours=168(Default)"
    );
    assert_eq!(
        find("ssl.key.password"),
        "ssl.key.password null StaticBroker ro ssl.key.password=null(StaticBroker)"
    );
    assert_eq!(
        world.describe(ResourceKind::Broker, ""),
        ["max.connections 500 DynamicDefaultBroker rw max.connections=500(DynamicDefaultBroker)"]
    );
}

#[test]
fn a_group_is_described_though_nobody_knows_it() {
    assert_eq!(World::new().describe(ResourceKind::Group, "g").len(), 21);
}
