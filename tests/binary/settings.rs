//! Where settings come from, and what is said of those that are wrong.

use crate::broker::{Broker, add_settings, refuses, serve};
use crate::process::{Process, binary, command};
use crate::start::in_own_network;
use crate::support::TempDir;

/// The settings file that comes with Kafka, as a single node of KRaft.
const OF_KAFKA: &str = include_str!("kafka-server.properties");

#[test]
fn an_unknown_setting_is_refused_and_the_nearest_named() {
    let dir = TempDir::new();
    refuses(
        serve(&dir, &[("num.partition", "3")]),
        &["unknown setting, did you mean num.partitions?", "--set"],
    );
    let file = dir.join("server.properties");
    std::fs::write(&file, "# mine\nlog.retention.huors=3\n").expect("it can be written");
    let mut command = serve(&dir, &[]);
    command.arg("--config").arg(&file);
    refuses(
        command,
        &["did you mean log.retention.hours?", "server.properties:2"],
    );
    let mut command = serve(&dir, &[]);
    command.env("KLAMM_LOG_DRIS", "x");
    refuses(command, &["did you mean log.dirs?", "KLAMM_LOG_DRIS"]);
    assert!(!dir.data().exists(), "nothing was made on the disk");
}

#[test]
fn wrong_values_are_refused_and_named() {
    let dir = TempDir::new();
    let check = |name: &str, value: &str, text: &str| {
        refuses(serve(&dir, &[(name, value)]), &["a setting is wrong", text]);
    };
    check("num.partitions", "many", "many");
    check("num.partitions", "0", "at least 1");
    check(
        "log.segment.bytes",
        "99999999999999999999",
        "99999999999999999999",
    );
    check("auto.create.topics.enable", "yes", "yes");
    check("listeners", "SSL://127.0.0.1:0", "SSL");
    check("listeners", "nonsense", "nonsense");
    check("klamm.log.level", "loud", "loud");
    check("authorizer.class.name", "org.example.Mine", "authorizer");
    check("max.connections.per.ip.overrides", "here:3", "here");
}

#[test]
fn a_settings_file_that_cannot_be_read_is_named() {
    let dir = TempDir::new();
    let check = |path: &str, text: &str| {
        let mut command = serve(&dir, &[]);
        command.args(["--config", path]);
        refuses(command, &[path, text]);
    };
    check("absent.properties", "No such file");
    std::fs::create_dir(dir.join("folder")).expect("it can be made");
    check("folder", "directory");
}

#[test]
fn the_settings_file_of_kafka_works_with_warnings() {
    let dir = TempDir::new();
    std::fs::write(dir.join("server.properties"), OF_KAFKA).expect("it can be written");
    let line = format!(
        "{} serve --config server.properties --set log.dirs=data",
        binary().display()
    );
    let mut process = Process::start(in_own_network(&dir, &line));
    process.says("is ready");
    process.says("listening: PLAINTEXT://0.0.0.0:9092, advertised as localhost:9092");
    process.says("num.io.threads has no effect");
    process.says("process.roles has no effect");
    let listening = process
        .lines()
        .into_iter()
        .filter(|line| line.contains("listening:"));
    assert_eq!(
        listening.count(),
        1,
        "the controller's listener is not opened"
    );
    assert!(process.is_running());
}

#[test]
fn the_command_line_wins_over_variables_and_those_over_the_file() {
    let count = |file: bool, variable: bool, set: bool| {
        let dir = TempDir::new();
        let mut command = command(binary());
        command.current_dir(dir.path()).arg("serve");
        if file {
            std::fs::write(dir.join("p"), "num.partitions=2\n").expect("it can be written");
            command.args(["--config", "p"]);
        }
        if variable {
            command.env("KLAMM_NUM_PARTITIONS", "3");
        }
        let settings: &[_] = if set { &[("num.partitions", "4")] } else { &[] };
        add_settings(&mut command, &dir, settings);
        let broker = Broker::run(command);
        let metadata = broker.client().metadata("t");
        metadata.topics[0].partitions.len().max(
            // The first answer to an automatic creation may come before the topic.
            broker.client().metadata("t").topics[0].partitions.len(),
        )
    };
    assert_eq!(count(false, false, false), 1);
    assert_eq!(count(true, false, false), 2);
    assert_eq!(count(true, true, false), 3);
    assert_eq!(count(true, true, true), 4);
}

#[test]
fn clients_are_told_where_the_broker_stands() {
    let dir = TempDir::new();
    let advertised = "PLAINTEXT://127.0.0.1:0,OUTSIDE://broker.example:1234";
    let settings = [
        ("broker.rack", "shelf-3"),
        ("node.id", "7"),
        ("listeners", "PLAINTEXT://127.0.0.1:0,OUTSIDE://127.0.0.1:0"),
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT",
        ),
        ("advertised.listeners", advertised),
    ];
    let broker = Broker::start(&dir, &settings);
    let outside = broker.process.says("listening: OUTSIDE://127.0.0.1:");
    let told = ", advertised as broker.example:1234";
    assert!(outside.trim().ends_with(told), "{outside}");
    let metadata = broker.client().metadata("t");
    let told = &metadata.brokers[0];
    assert_eq!((told.node_id.0, told.port), (7, i32::from(broker.port())));
    assert_eq!(told.rack.as_deref(), Some("shelf-3"));
}

#[test]
fn never_is_a_time_that_can_be_set() {
    let dir = TempDir::new();
    let never = "9223372036854775807";
    let settings = [
        ("log.flush.interval.ms", never),
        ("log.flush.interval.messages", never),
        ("log.retention.ms", never),
        ("log.retention.check.interval.ms", never),
        ("log.flush.scheduler.interval.ms", never),
        ("log.initial.task.delay.ms", never),
        ("connections.max.idle.ms", never),
        ("log.segment.delete.delay.ms", never),
        ("replica.high.watermark.checkpoint.interval.ms", never),
        ("log.roll.ms", never),
    ];
    let broker = Broker::start(&dir, &settings);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    let batch = crate::requests::batch(&[b"a"]);
    assert_eq!(client.produce("t", &batch), Ok(0));
    assert_eq!(client.produce("t", &batch), Ok(1));
    broker.assert_no_errors();
    broker.stop();
}
