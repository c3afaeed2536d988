//! Limits on connections.

use std::time::{Duration, Instant};

use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;

use crate::broker::Broker;
use crate::client::Client;
use crate::requests::{MESSAGE_TOO_LARGE, batch, produce_request};
use crate::support::{TempDir, eventually};
use klamm_model::record_batch::Compression;

/// Whether a new connection is served.
pub(crate) fn is_served(port: u16) -> Option<Client> {
    let mut client = Client::try_connect(port).ok()?;
    let request = kafka_protocol::messages::MetadataRequest::default().with_topics(Some(vec![]));
    client.try_call(4, &request).ok()?;
    Some(client)
}

#[test]
fn silent_connections_are_closed_and_busy_ones_are_not() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[("connections.max.idle.ms", "500")]);
    let mut silent = broker.client();
    let mut busy = broker.client();
    let (sender, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(silent.is_closed_by_broker()));
    let is_closed = eventually("the silent one is closed", || {
        busy.metadata("t");
        closed.try_recv().ok()
    });
    assert!(is_closed);
    busy.metadata("t");
}

#[test]
fn an_address_has_its_limit_and_leaving_makes_room() {
    for settings in [
        [("max.connections.per.ip", "3"), ("max.connections", "100")],
        [
            (
                "max.connections.per.ip.overrides",
                "127.0.0.1:3,192.0.2.7:1",
            ),
            ("max.connections", "100"),
        ],
    ] {
        let dir = TempDir::new();
        let broker = Broker::start(&dir, &settings);
        let mut served: Vec<_> = (0..3).map(|_| is_served(broker.port())).collect();
        assert!(served.iter().all(Option::is_some));
        assert!(broker.client().is_closed_by_broker());
        broker.process.says("too many from this address");
        served.pop();
        eventually("there is room again", || is_served(broker.port()));
    }
}

#[test]
fn connections_beyond_the_total_wait_for_others_to_leave() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[("max.connections", "2")]);
    let mut first = broker.client();
    let mut second = broker.client();
    first.metadata("t");
    second.metadata("t");
    let port = broker.port();
    let (sender, served) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(is_served(port).is_some()));
    for _ in 0..50 {
        first.metadata("t");
        assert!(served.try_recv().is_err(), "the third is not served yet");
    }
    drop(second);
    assert_eq!(served.recv(), Ok(true));
}

#[test]
fn new_connections_are_spread_over_seconds() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[("max.connection.creation.rate", "4")]);
    let started = Instant::now();
    let served: Vec<_> = (0..9).map(|_| is_served(broker.port())).collect();
    assert!(served.iter().all(Option::is_some));
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(1_900),
        "three times four in {took:?}"
    );
}

#[test]
fn requests_beyond_the_memory_for_them_wait_and_all_are_answered() {
    const CLIENTS: usize = 8;
    const BATCHES: usize = 8;
    let dir = TempDir::new();
    let settings = [
        ("socket.request.max.bytes", "1000000"),
        ("queued.max.request.bytes", "1000000"),
    ];
    let broker = Broker::start(&dir, &settings);
    broker
        .client()
        .create_topic("t", &[("flush.messages", "1")]);
    let value = vec![b'x'; 900_000];
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = broker.client();
                for _ in 0..BATCHES {
                    let request = produce_request("t", 0, -1, &batch(&[&value]));
                    client.send_produce(&request).expect("it is sent");
                }
                for _ in 0..BATCHES {
                    let produced = client.receive_produced().expect("an answer");
                    produced.expect("it is appended");
                }
            });
        }
    });
    let end = i64::try_from(CLIENTS * BATCHES).expect("they are few");
    assert_eq!(broker.client().fetch("t", 0, end).high_watermark, end);
    broker.assert_no_errors();
}

#[test]
fn a_request_that_stops_half_way_keeps_the_memory_for_seconds_only() {
    let dir = TempDir::new();
    let settings = [
        ("socket.request.max.bytes", "1000000"),
        ("queued.max.request.bytes", "1000000"),
    ];
    let broker = Broker::start(&dir, &settings);
    let (sender, closed) = std::sync::mpsc::channel();
    for _ in 0..2 {
        let mut stalled = broker.client();
        let mut half = 900_000_u32.to_be_bytes().to_vec();
        half.resize(600_000, 0);
        stalled.send_bytes(&half).expect("it is read");
        let sender = sender.clone();
        std::thread::spawn(move || sender.send(stalled.is_closed_by_broker()));
    }
    // One of them holds what the other lacks, and has its time to go on.
    assert_eq!(closed.recv(), Ok(true));
    assert!(is_served(broker.port()).is_some());
}

#[test]
fn a_batch_that_inflates_beyond_all_measure_is_refused() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    let deflated = |mebibytes: usize| {
        let plain = batch(&[&vec![0; mebibytes << 20]]);
        plain.recompressed(Compression::Zstd, 1, plain.record_bytes())
    };
    let fine = deflated(40);
    assert!(fine.size_bytes() < 20_000, "small on the wire");
    assert_eq!(client.produce("t", &fine), Ok(0));
    assert_eq!(client.produce("t", &deflated(80)), Err(MESSAGE_TOO_LARGE));
    broker.assert_no_errors();
}

#[test]
fn many_batches_of_a_request_do_not_inflate_beyond_all_measure_together() {
    const PARTITIONS: i32 = 40;
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    let created = client.try_create_topic("t", PARTITIONS, &[]);
    assert_eq!(created.0, 0);
    let plain = batch(&[&vec![0; 40 << 20]]);
    let bomb = plain.recompressed(Compression::Zstd, 1, plain.record_bytes());
    let mut request = produce_request("t", 0, -1, &bomb);
    let first = request.topic_data[0].partition_data[0].clone();
    let all = (0..PARTITIONS).map(|number| first.clone().with_index(number));
    request.topic_data[0].partition_data = all.collect();
    client.send_produce(&request).expect("it is open");
    let answer = client.receive_all_produced().expect("it is answered");
    let taken = answer.iter().filter(|error| **error == 0).count();
    assert!((20..PARTITIONS as usize).contains(&taken), "{answer:?}");
    assert_eq!(answer.last(), Some(&MESSAGE_TOO_LARGE));
    // The next request begins anew.
    assert_eq!(client.produce("t", &bomb), Ok(1));
    broker.assert_no_errors();
}

#[test]
fn few_open_files_are_enough_to_start_with_a_warning() {
    let dir = TempDir::new();
    let serve = crate::broker::serve(&dir, &[]);
    let mut command = crate::process::command("prlimit");
    command.current_dir(dir.path()).arg("--nofile=64:256");
    command.arg(serve.get_program()).args(serve.get_args());
    let broker = Broker::run(command);
    broker.process.says("only 256 files can be open at once");
    let mut client = broker.client();
    client.metadata("none");
    // Half of the files are left to the partitions; the system holds those that wait.
    let _others: Vec<_> = (0..150).map(|_| broker.client()).collect();
    client.create_topic("t", &[]);
    assert_eq!(client.produce("t", &batch(&[b"a"])), Ok(0));
    broker.assert_no_errors();
}

/// Two halves of a request, cut in its middle.
fn halves(client_id: &str, correlation_id: i32) -> (Vec<u8>, Vec<u8>) {
    let request = kafka_protocol::messages::MetadataRequest::default().with_topics(Some(vec![]));
    let mut frame = crate::client::frame(4, correlation_id, &request).to_vec();
    assert!(frame.len() > 8, "{client_id}");
    let second = frame.split_off(frame.len() / 2);
    (frame, second)
}

#[test]
fn a_request_that_does_not_get_whole_ends_its_connection_and_no_other() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[("klamm.request.receive.timeout.ms", "300")]);
    let mut slow = broker.client();
    let mut busy = broker.client();
    let (first, _) = halves("slow", 1);
    slow.send_bytes(&first[..first.len() - 1])
        .expect("it is open");
    let (sender, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(slow.is_closed_by_broker()));

    // Always in the middle of some request, but each becomes whole.
    let begun = Instant::now();
    let (mut first, mut second) = halves("busy", 1);
    busy.send_bytes(&first).expect("it is open");
    let mut next = 2;
    let mut is_closed = None;
    while begun.elapsed() < Duration::from_millis(1_200) || is_closed.is_none() {
        let end = std::mem::take(&mut second);
        (first, second) = halves("busy", next);
        next += 1;
        busy.send_bytes(&[end, first].concat()).expect("it is open");
        busy.receive_frame().expect("it is answered");
        is_closed = is_closed.or_else(|| closed.try_recv().ok());
        assert!(
            begun.elapsed() < crate::support::LIMIT,
            "the slow one stays"
        );
    }
    assert_eq!(is_closed, Some(true));
}

#[test]
fn clients_that_take_no_replies_are_closed_when_they_hold_too_much_together() {
    let dir = TempDir::new();
    let total = ("klamm.queued.max.response.bytes", "3000000");
    let broker = Broker::start(&dir, &[total]);
    // Small requests with large answers, more of them than sockets and connections hold.
    let broker_settings = DescribeConfigsResource::default()
        .with_resource_type(4)
        .with_resource_name("1".to_owned().into())
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![broker_settings])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let mut stalled: Vec<_> = (0..8).map(|_| broker.client()).collect();
    for client in &mut stalled {
        for _ in 0..400 {
            // Those that are closed already do not get them out.
            client.send(4, &request).ok();
        }
    }
    broker.process.says("its replies are not taken");
    let mut other = broker.client();
    other.create_topic("t", &[]);
    assert_eq!(other.produce("t", &batch(&[b"served"])), Ok(0));
    let served: Vec<_> = other.call(4, &request).results;
    assert_eq!(served[0].error_code, 0);
    broker.assert_no_errors();
}
