//! Starting and stopping.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, TopicName};
use rustix::process::Signal;

use crate::broker::{Broker, refuses, serve};
use crate::client::Client;
use crate::process::{Process, binary, command};
use crate::requests::{batch, text};
use crate::support::{TempDir, eventually};

const CLEAN_MARK: &str = ".kafka_cleanshutdown";

/// Runs a shell line in a network of its own, where every port is free.
pub(crate) fn in_own_network(dir: &TempDir, line: &str) -> Command {
    let mut command = command("unshare");
    command.current_dir(dir.path());
    command.args(["--net", "--map-root-user", "sh", "-c"]);
    command.arg(format!("ip link set lo up && exec {line}"));
    command
}

#[test]
fn without_arguments_it_serves_here_and_says_how_to_stop_it() {
    for signal in [Signal::INT, Signal::TERM] {
        let dir = TempDir::new();
        let binary = binary();
        let binary = binary.to_str().expect("the path is text");
        let mut process = Process::start(in_own_network(&dir, binary));
        let ready = process.says("is ready");
        assert!(ready.contains("stop it with Ctrl-C or SIGTERM"), "{ready}");
        process.says("listening: PLAINTEXT://127.0.0.1:9092");
        process.says("data: klamm-data");
        process.says("broker 1 of cluster");
        let lines = process.lines().len();
        assert!(lines <= 6, "a few lines: {lines}");
        let mark = dir.join("klamm-data").join(CLEAN_MARK);
        assert!(!mark.exists());
        process.signal(signal);
        let status = process.wait(crate::broker::STOP_LIMIT);
        assert_eq!(status.code(), Some(0));
        process.says("stopped in good order");
        assert!(mark.exists());
    }
}

#[test]
fn it_goes_on_when_nobody_reads_what_it_says() {
    let dir = TempDir::new();
    let mut command = serve(&dir, &[]);
    command.stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("the program can be started");
    let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut port = None;
    let mut line = String::new();
    while !line.contains("is ready") {
        line.clear();
        assert_ne!(said.read_line(&mut line).expect("text"), 0, "it ended");
        if line.contains("listening: ") {
            port = line
                .trim()
                .rsplit_once(':')
                .map(|(_, port)| port.to_owned());
        }
    }
    drop(said);
    let port = port.expect("it listens").parse().expect("a port");
    let mut stranger = Client::connect(port);
    stranger.send_bytes(&[0xff; 4]).expect("it is sent");
    assert!(stranger.is_closed_by_broker(), "which is worth a line");
    let mut client = Client::connect(port);
    client.create_topic("t", &[]);
    assert_eq!(client.produce("t", &batch(&[b"a"])), Ok(0));
    child.kill().expect("it runs");
    child.wait().expect("it is ours");
}

#[test]
fn what_was_produced_is_there_after_a_stop() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    assert_eq!(client.produce("t", &batch(&[b"a", b"b"])), Ok(0));
    broker.stop();
    assert!(dir.data().join(CLEAN_MARK).exists());

    let broker = Broker::start(&dir, &[]);
    assert!(!dir.data().join(CLEAN_MARK).exists());
    let mut client = broker.client();
    assert_eq!(client.values("t", 0), ["a", "b"]);
    assert_eq!(client.produce("t", &batch(&[b"c"])), Ok(2));
    broker.assert_no_errors();
    broker.stop();
}

#[test]
fn a_start_can_be_interrupted_at_any_moment() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    assert_eq!(client.try_create_topic("t", 50, &[]).0, 0);
    assert_eq!(client.produce("t", &batch(&[b"a"])), Ok(0));
    broker.kill();
    for lines in 0..6 {
        let mut process = Process::start(serve(&dir, &[]));
        eventually("it says something", || {
            (process.lines().len() >= lines).then_some(())
        });
        process.signal(Signal::TERM);
        process.wait(crate::broker::STOP_LIMIT);
    }
    let broker = Broker::start(&dir, &[]);
    assert_eq!(broker.client().values("t", 0), ["a"]);
    broker.assert_no_errors();
}

#[test]
fn a_consumer_that_waits_does_not_delay_the_stop() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    let partition = FetchPartition::default().with_partition_max_bytes(1000);
    let topic = FetchTopic::default()
        .with_topic(TopicName(text("t")))
        .with_partitions(vec![partition]);
    let wait = FetchRequest::default()
        .with_max_wait_ms(60_000)
        .with_min_bytes(1)
        .with_max_bytes(1000)
        .with_topics(vec![topic]);
    client.send(11, &wait).expect("it is sent");
    // An answer on another connection: the request before it has arrived.
    broker.client().metadata("t");
    broker.stop();
    assert!(client.is_closed_by_broker());
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("it is bound");
    let dir = TempDir::new();
    let listeners = format!("PLAINTEXT://{address}");
    let texts = [
        listeners.as_str(),
        "another process uses the port",
        "--set listeners=",
    ];
    refuses(serve(&dir, &[("listeners", &listeners)]), &texts);
    assert!(!dir.data().exists(), "nothing was made on the disk");
}

#[test]
fn addresses_that_are_not_here_are_refused() {
    let dir = TempDir::new();
    let check = |listeners: &str, texts: &[&str]| {
        refuses(serve(&dir, &[("listeners", listeners)]), texts);
    };
    check(
        "PLAINTEXT://192.0.2.1:0",
        &[
            "cannot listen on PLAINTEXT://192.0.2.1:0",
            "no such address",
        ],
    );
    check(
        "PLAINTEXT://no-such-host.invalid:0",
        &[
            "cannot listen on PLAINTEXT://no-such-host.invalid:0",
            "the name",
        ],
    );
}
