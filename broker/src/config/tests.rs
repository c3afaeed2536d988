//! The table as a whole, and whole configurations.

use std::collections::BTreeSet;

use klamm_metadata::setting::Standing;
use klamm_metadata::{ConfigResource, MetadataRecord, TOPIC_SETTINGS};

use super::*;

fn sources(pairs: &[(&str, &str)]) -> Sources {
    let set = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Sources {
        set,
        ..Sources::default()
    }
}

fn load(pairs: &[(&str, &str)]) -> Result<BrokerConfig, String> {
    BrokerConfig::load(&sources(pairs)).map_err(|error| error.to_string())
}

#[test]
fn every_row_has_a_sentence_a_default_that_parses_and_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for row in BROKER_SETTINGS.rows() {
        assert!(!row.sentence.is_empty(), "{} has no sentence", row.name);
        assert!(names.insert(row.name), "{} has two rows", row.name);
        let _ = row.default_value();
        if let Standing::DefaultOnly(reason) | Standing::Ignored(reason) = row.standing {
            assert!(!reason.is_empty(), "{} has no reason", row.name);
        }
    }
}

#[test]
fn every_default_of_a_topic_setting_comes_from_a_row_and_is_the_same() {
    for topic in TOPIC_SETTINGS.rows() {
        for synonym in topic.synonyms {
            let broker = BROKER_SETTINGS.get(synonym.name);
            let broker = broker.unwrap_or_else(|| panic!("{} has no row", synonym.name));
            if let (Some(of_broker), Some(of_topic)) = (broker.default, topic.default) {
                assert_eq!(synonym.convert(of_broker), of_topic, "{}", topic.name);
            }
            assert_eq!(
                std::mem::discriminant(&topic.standing),
                std::mem::discriminant(&broker.standing),
                "{} and {} disagree",
                topic.name,
                broker.name
            );
        }
    }
}

#[test]
fn every_setting_of_kafka_4_4_has_a_row() {
    let names = include_str!("tests/kafka-4.4-settings.txt");
    assert!(names.lines().count() > 300);
    for name in names.lines() {
        assert!(BROKER_SETTINGS.get(name).is_some(), "{name}");
    }
}

#[test]
fn nothing_given_is_a_broker_on_this_machine_with_its_data_here() {
    let config = BrokerConfig::of_defaults();
    assert_eq!(
        config.identity.log_dirs,
        [std::path::PathBuf::from("klamm-data")]
    );
    assert_eq!(config.identity.node_id, None);
    let listener = &config.listeners[0];
    assert_eq!((listener.host.as_str(), listener.port), ("127.0.0.1", 9092));
    assert_eq!(config.topics.num_partitions, 1);
    assert!(config.topics.auto_create);
    assert_eq!(config.topic_defaults.retention_ms, Some(168 * 3_600_000));
    assert_eq!(config.topic_defaults.segment_ms, 168 * 3_600_000);
    assert!(config.network.queued_max_request_bytes >= config.network.request_max_bytes);
    assert!(config.network.queued_max_request_bytes <= 1 << 30);
    assert_eq!(config.warnings(), Vec::<String>::new());
}

#[test]
fn smaller_units_win_over_larger_ones() {
    let retention =
        |pairs: &[(&str, &str)]| load(pairs).expect("valid").topic_defaults.retention_ms;
    let (hours, minutes, ms) = (
        ("log.retention.hours", "1"),
        ("log.retention.minutes", "2"),
        ("log.retention.ms", "3"),
    );
    assert_eq!(retention(&[hours]), Some(3_600_000));
    assert_eq!(retention(&[hours, minutes]), Some(120_000));
    assert_eq!(retention(&[hours, minutes, ms]), Some(3));
    assert_eq!(retention(&[("log.retention.hours", "-1")]), None);
    assert_eq!(
        load(&[("log.roll.hours", "2")])
            .expect("valid")
            .topic_defaults
            .segment_ms,
        7_200_000
    );
}

#[test]
fn a_file_written_for_kafka_works_and_says_what_has_no_effect() {
    let config = load(&[
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.bootstrap.servers", "localhost:9093"),
        ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("inter.broker.listener.name", "PLAINTEXT"),
        ("advertised.listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
        ("controller.listener.names", "CONTROLLER"),
        (
            "listener.security.protocol.map",
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        ),
        ("num.network.threads", "3"),
        ("num.io.threads", "8"),
        ("socket.send.buffer.bytes", "102400"),
        ("log.dirs", "/var/lib/kafka"),
        ("num.recovery.threads.per.data.dir", "2"),
        ("offsets.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("log.retention.hours", "168"),
        ("log.segment.bytes", "1073741824"),
        ("log.retention.check.interval.ms", "300000"),
        ("zookeeper.connect", "localhost:2181"),
    ])
    .expect("it is Kafka's own example");
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].advertised_host, "localhost");
    let warnings = config.warnings();
    let warned = |name: &str| {
        warnings
            .iter()
            .any(|w| w.starts_with(&format!("{name} has no effect")))
    };
    for name in ["process.roles", "num.io.threads", "zookeeper.connect"] {
        assert!(warned(name), "{name}: {warnings:?}");
    }
    assert!(!warned("log.dirs"));
}

#[test]
fn settings_that_cannot_be_served_or_do_not_go_together_are_refused_with_advice() {
    let check = |pairs: &[(&str, &str)], expected: &str| {
        let error = load(pairs).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    };
    check(&[("num.partitions", "0")], "Value must be at least 1");
    check(&[("num.partition", "2")], "did you mean num.partitions?");
    check(
        &[("authorizer.class.name", "x.Y")],
        "there is no authorizer yet",
    );
    check(
        &[("port", "9093")],
        "use listeners and advertised.listeners instead",
    );
    check(&[("node.id", "1"), ("broker.id", "2")], "give one of them");
    check(&[("log.dirs", "a,a")], "none twice");
    check(&[("log.dirs", "")], "at least one directory");
    check(
        &[("queued.max.request.bytes", "10")],
        "raise one or lower the other",
    );
    check(
        &[
            ("group.min.session.timeout.ms", "9"),
            ("group.max.session.timeout.ms", "8"),
        ],
        "must not be above",
    );
    check(&[("log.retention.ms", "0")], "at least 1");
    check(
        &[("max.connections.per.ip.overrides", "localhost:5")],
        "must look like",
    );
    check(&[("klamm.log.level", "loud")], "klamm.log.level must be");
    check(&[("listeners", "SSL://:9093")], "only PLAINTEXT");
}

#[test]
fn one_number_under_its_old_name_is_the_brokers() {
    let id = |pairs: &[(&str, &str)]| load(pairs).expect("valid").identity.node_id;
    assert_eq!(id(&[("broker.id", "7")]), Some(BrokerId(7)));
    assert_eq!(
        id(&[("node.id", "7"), ("broker.id", "7")]),
        Some(BrokerId(7))
    );
    assert_eq!(id(&[("broker.id", "-1")]), None);
}

#[test]
fn what_is_set_while_the_broker_runs_wins_broker_over_all_brokers() {
    let config = load(&[("log.retention.hours", "1")])
        .expect("valid")
        .with_node_id(BrokerId(3));
    let mut image = MetadataImage::default();
    let mut set = |broker: &str, key: &str, value: &str| {
        let resource = ConfigResource::new(ResourceKind::Broker, broker);
        let (key, value) = (key.to_owned(), Some(value.to_owned()));
        image
            .apply(&MetadataRecord::Config {
                resource,
                key,
                value,
            })
            .expect("it fits");
    };
    set("", "log.retention.ms", "5000");
    set("", "max.connections", "10");
    set("3", "max.connections", "20");
    set("4", "max.connections", "30");
    set("3", "log.segment.bytes", "no number");
    let config = config.under(&image);
    assert_eq!(config.topic_defaults.retention_ms, Some(5000));
    assert_eq!(config.network.max_connections, 20);
    assert_eq!(config.topic_defaults.segment_bytes, 1 << 30);
}

#[test]
fn effective_values_name_every_setting_once_and_where_it_comes_from() {
    let config = load(&[("log.retention.minutes", "2")]).expect("valid");
    let effective = config.effective();
    let find = |name: &str| {
        effective
            .iter()
            .find(|(n, ..)| *n == name)
            .map(|(_, v, s)| (v.as_str(), *s))
    };
    assert_eq!(find("num.partitions"), Some(("1", ConfigSource::Default)));
    assert_eq!(
        find("log.retention.ms"),
        Some(("120000", ConfigSource::StaticBroker))
    );
    assert_eq!(find("num.io.threads"), None);
}
