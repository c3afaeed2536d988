//! Settings of topics and brokers: quirks 67 and 68.

use std::collections::BTreeMap;

use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as ReplacedResource, AlterableConfig as ReplacedConfig,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, BrokerId, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
};
use klamm_protocol::ErrorCode;

use crate::client::Client;
use crate::requests::{batch, text};
use crate::world::World;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Where a value comes from.
const OF_TOPIC: i8 = 1;
const OF_ALL_BROKERS: i8 = 3;
const STATIC: i8 = 4;
const DEFAULT: i8 = 5;

/// What can be done to a setting.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// The topic settings of Kafka 4.4, but for the internal one.
const TOPIC_SETTINGS: [&str; 36] = [
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "errors.deadletterqueue.group.enable",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.decompressed.message.bytes",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.copy.lag.bytes",
    "remote.copy.lag.ms",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
];

/// Broker settings that tools and tests of clients read.
const BROKER_SETTINGS: [&str; 13] = [
    "advertised.listeners",
    "auto.create.topics.enable",
    "broker.rack",
    "compression.type",
    "default.replication.factor",
    "delete.topic.enable",
    "listeners",
    "log.dirs",
    "log.retention.ms",
    "message.max.bytes",
    "min.insync.replicas",
    "num.partitions",
    "offsets.topic.replication.factor",
];

fn describe(client: &mut Client, kind: i8, name: &str) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    client.call(4, &request).results.remove(0)
}

fn entries(
    client: &mut Client,
    kind: i8,
    name: &str,
) -> BTreeMap<String, DescribeConfigsResourceResult> {
    let described = describe(client, kind, name);
    assert_eq!(described.error_code, 0, "{name}");
    let configs = described.configs.into_iter();
    configs
        .map(|config| (config.name.as_str().to_owned(), config))
        .collect()
}

/// Value and source of one setting of `t`.
fn value(client: &mut Client, key: &str) -> (String, i8) {
    let entry = &entries(client, TOPIC, "t")[key];
    let value = entry.value.as_deref().expect("topic settings have values");
    (value.to_owned(), entry.config_source)
}

fn set(text: &str, source: i8) -> (String, i8) {
    (text.to_owned(), source)
}

/// Changes settings of a resource: key, operation, value.
fn alter(client: &mut Client, kind: i8, name: &str, changes: &[(&str, i8, &str)]) -> i16 {
    let configs = changes.iter().map(|(key, operation, value)| {
        AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(*operation)
            .with_value((*operation != DELETE).then(|| text(value)))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(configs.collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.call(1, &request).responses[0].error_code
}

#[test]
fn quirk_67_every_topic_setting_is_told_with_all_there_is_to_it() {
    let world = World::new();
    let mut client = world.client();
    client.create_topic("t", &[("retention.ms", "1234")]);
    let all = entries(&mut client, TOPIC, "t");
    for key in TOPIC_SETTINGS {
        let entry = all.get(key).unwrap_or_else(|| panic!("{key} is missing"));
        assert!(entry.value.is_some(), "{key}");
        assert!((1..=9).contains(&entry.config_type), "{key}");
        assert!(!entry.read_only && !entry.is_sensitive, "{key}");
        assert!(entry.documentation.is_some(), "{key}");
    }
    let retention = &all["retention.ms"];
    assert_eq!(
        (retention.value.as_deref(), retention.config_source),
        (Some("1234"), OF_TOPIC)
    );
    let synonyms = retention.synonyms.iter();
    let synonyms: Vec<_> = synonyms.map(|s| (s.name.as_str(), s.source)).collect();
    assert_eq!(synonyms.first(), Some(&("retention.ms", OF_TOPIC)));
    let segment = &all["segment.bytes"];
    let synonyms = segment.synonyms.iter();
    let synonyms: Vec<_> = synonyms.map(|s| (s.name.as_str(), s.source)).collect();
    assert_eq!(
        (segment.config_source, synonyms),
        (DEFAULT, vec![("log.segment.bytes", DEFAULT)])
    );
}

#[test]
fn quirk_67_compact_is_told_as_it_was_set() {
    let world = World::new();
    let mut client = world.client();
    client.create_topic("t", &[("cleanup.policy", "compact")]);
    assert_eq!(
        value(&mut client, "cleanup.policy"),
        set("compact", OF_TOPIC)
    );
    client.find_coordinator("g");
    let offsets = entries(&mut client, TOPIC, "__consumer_offsets");
    assert_eq!(offsets["cleanup.policy"].value.as_deref(), Some("compact"));
}

#[test]
fn quirk_67_brokers_have_the_settings_that_tools_look_for() {
    let world = World::with(&[("message.max.bytes", "2000000")]);
    let mut client = world.client();
    let us = client.find_coordinator("g").0;
    let all = entries(&mut client, BROKER, &us.to_string());
    for key in BROKER_SETTINGS {
        assert!(all.contains_key(key), "{key} is missing");
    }
    let size = &all["message.max.bytes"];
    assert_eq!(
        (size.value.as_deref(), size.config_source),
        (Some("2000000"), STATIC)
    );
    assert!(!size.read_only, "it may change while the broker runs");
    assert!(all["log.dirs"].read_only);
    client.create_topic("t", &[]);
    assert_eq!(
        value(&mut client, "max.message.bytes"),
        set("2000000", STATIC)
    );
}

#[test]
fn quirk_67_the_cluster_has_defaults_and_other_brokers_are_not_spoken_for() {
    let world = World::new();
    let mut client = world.client();
    let BrokerId(us) = client.find_coordinator("g");
    assert!(entries(&mut client, BROKER, "").is_empty());
    assert_eq!(
        alter(
            &mut client,
            BROKER,
            "",
            &[("message.max.bytes", SET, "3000000")]
        ),
        0
    );
    let default = entries(&mut client, BROKER, "");
    let size = &default["message.max.bytes"];
    assert_eq!(
        (size.value.as_deref(), size.config_source),
        (Some("3000000"), OF_ALL_BROKERS)
    );
    assert_eq!(
        entries(&mut client, BROKER, &us.to_string())["message.max.bytes"].value,
        size.value
    );
    let invalid = ErrorCode::InvalidRequest.code();
    for other in [&(us + 1).to_string(), "x", "-1"] {
        let refused = describe(&mut client, BROKER, other);
        assert_eq!(refused.error_code, invalid, "{other}");
        assert!(refused.configs.is_empty());
    }
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(describe(&mut client, TOPIC, "nowhere").error_code, unknown);
    let illegal = ErrorCode::InvalidTopicException.code();
    assert_eq!(describe(&mut client, TOPIC, "no good").error_code, illegal);
    assert_eq!(describe(&mut client, 99, "x").error_code, invalid);
}

#[test]
fn quirk_68_single_settings_are_set_deleted_added_to_and_taken_from() {
    let mut world = World::with_topics(&["t"]);
    let mut client = world.client();
    let invalid = ErrorCode::InvalidConfig.code();
    let key = "cleanup.policy";
    let mut change = |key: &str, operation: i8, value: &str| {
        alter(&mut client, TOPIC, "t", &[(key, operation, value)])
    };
    assert_eq!(change("retention.ms", SET, "5000"), 0);
    assert_eq!(change(key, APPEND, "compact"), 0);
    assert_eq!(change("retention.ms", APPEND, "1"), invalid, "not a list");
    assert_eq!(change("no.such.key", SET, "1"), invalid);
    assert_eq!(change("retention.ms", SET, "soon"), invalid);
    assert_eq!(change(key, SUBTRACT, "delete"), 0);
    let mut client = world.client();
    assert_eq!(value(&mut client, key), set("compact", OF_TOPIC));
    assert_eq!(value(&mut client, "retention.ms"), set("5000", OF_TOPIC));
    world.kill_and_restart();
    let mut client = world.client();
    assert_eq!(value(&mut client, key), set("compact", OF_TOPIC));
    assert_eq!(alter(&mut client, TOPIC, "t", &[(key, DELETE, "")]), 0);
    assert_eq!(value(&mut client, key), set("delete", DEFAULT));
    // All of a resource, or nothing.
    let mixed = [("segment.ms", SET, "7"), ("retention.ms", SET, "never")];
    assert_eq!(alter(&mut client, TOPIC, "t", &mixed), invalid);
    assert_eq!(value(&mut client, "segment.ms").1, DEFAULT);
}

#[test]
fn quirk_68_a_change_is_in_force_at_once() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let large = batch(&[&[7; 1_000]]);
    assert_eq!(client.append(9, "t", &large).error_code, 0);
    assert_eq!(
        alter(
            &mut client,
            TOPIC,
            "t",
            &[("max.message.bytes", SET, "500")]
        ),
        0
    );
    let too_large = ErrorCode::MessageTooLarge.code();
    assert_eq!(client.append(9, "t", &large).error_code, too_large);
    assert_eq!(
        alter(
            &mut client,
            TOPIC,
            "t",
            &[("max.message.bytes", DELETE, "")]
        ),
        0
    );
    assert_eq!(client.append(9, "t", &large).error_code, 0);
}

#[test]
fn quirk_68_alter_configs_replaces_all_settings() {
    let world = World::new();
    let mut client = world.client();
    client.create_topic("t", &[("retention.ms", "1"), ("segment.ms", "2")]);
    let mut replace = |pairs: &[(&str, &str)], validate_only: bool| {
        let configs = pairs.iter().map(|(key, value)| {
            ReplacedConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        });
        let resource = ReplacedResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text("t"))
            .with_configs(configs.collect());
        let request = AlterConfigsRequest::default()
            .with_resources(vec![resource])
            .with_validate_only(validate_only);
        client.call(2, &request).responses[0].error_code
    };
    assert_eq!(replace(&[("segment.ms", "4")], true), 0);
    let invalid = ErrorCode::InvalidConfig.code();
    assert_eq!(replace(&[("segment.ms", "x")], true), invalid);
    assert_eq!(replace(&[("segment.ms", "3")], false), 0);
    let mut client = world.client();
    assert_eq!(value(&mut client, "segment.ms"), set("3", OF_TOPIC));
    assert_eq!(value(&mut client, "retention.ms").1, DEFAULT);
}
