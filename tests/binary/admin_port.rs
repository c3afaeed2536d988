//! The admin port: metrics, health, the log level, and those who do not know how to ask.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpListener;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{
    FetchRequest, FindCoordinatorRequest, GroupId, JoinGroupRequest, TopicName,
};
use klamm_broker::metrics::METRICS;
use rustix::process::Signal;

use crate::broker::{Broker, refuses, serve};
use crate::http::{Answer, ask, connect, read_answer};
use crate::process::{Process, command};
use crate::requests::{ALL, OFFSET_OUT_OF_RANGE, batch, produce_request, text};
use crate::support::{TempDir, eventually};

const SOMEWHERE: (&str, &str) = ("klamm.admin.listener", "127.0.0.1:0");

/// The port that a broker with [`SOMEWHERE`] has said it serves.
fn port_of(process: &Process) -> u16 {
    let line = process.says("admin port: http://");
    let port = line.trim().rsplit_once(':').expect("it ends with the port");
    port.1.parse().expect("a port")
}

fn get(port: u16, path: &str) -> Answer {
    ask(port, "GET", path, "").unwrap_or_else(|| panic!("no answer to {path}"))
}

/// Every sample, under its name with labels as it is written.
fn scrape(port: u16) -> BTreeMap<String, f64> {
    let answer = get(port, "/metrics");
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .head
            .contains("content-type: text/plain; version=0.0.4")
    );
    let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
    let parsed = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        (name.to_owned(), value)
    });
    let all: Vec<_> = parsed.collect();
    let count = all.len();
    let samples: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(samples.len(), count, "no sample is there twice");
    samples
}

/// The metric that a sample is of.
fn metric_of(sample: &str) -> &str {
    let name = sample.split('{').next().unwrap_or_default();
    let endings = ["_bucket", "_sum", "_count"];
    let of_histogram = endings.iter().find_map(|end| name.strip_suffix(end));
    let is_known = |name: &str| METRICS.iter().any(|metric| metric.name == name);
    of_histogram.filter(|name| is_known(name)).unwrap_or(name)
}

#[test]
fn what_went_through_the_broker_is_in_its_metrics() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[SOMEWHERE]);
    let port = port_of(&broker.process);
    let mut client = broker.client();
    client.create_topic("t", &[("flush.messages", "1")]);
    for _ in 0..3 {
        client
            .produce("t", &batch(&[b"a", b"b"]))
            .expect("it is appended");
    }
    assert_eq!(client.fetch("t", 0, 2).records.len(), 4);
    assert_eq!(client.fetch("t", 0, 99).error, OFFSET_OUT_OF_RANGE);
    join_a_group(&mut client);

    let samples = scrape(port);
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name}"));
    assert!((value("klamm_requests_total{api=\"Produce\"}") - 3.0).abs() < 0.1);
    assert!((value("klamm_requests_total{api=\"Fetch\"}") - 2.0).abs() < 0.1);
    let error = "klamm_request_errors_total{api=\"Fetch\",error=\"OFFSET_OUT_OF_RANGE\"}";
    assert!((value(error) - 1.0).abs() < 0.1);
    for (name, expected) in [
        ("klamm_topic_appended_records_total{topic=\"t\"}", 6.0),
        ("klamm_topic_fetched_records_total{topic=\"t\"}", 4.0),
        ("klamm_fetched_records_total", 4.0),
        ("klamm_request_seconds_count{request=\"produce\"}", 3.0),
        ("klamm_request_seconds_count{request=\"fetch\"}", 2.0),
        ("klamm_connections", 1.0),
        ("klamm_connections_accepted_total", 1.0),
        ("klamm_request_bytes_in_flight", 0.0),
        ("klamm_partitions{state=\"offline\"}", 0.0),
        ("klamm_groups{state=\"CompletingRebalance\"}", 1.0),
        ("klamm_groups{state=\"Stable\"}", 0.0),
        ("klamm_ready", 1.0),
    ] {
        assert!(
            (value(name) - expected).abs() < 0.1,
            "{name} {}",
            value(name)
        );
    }
    assert!(value("klamm_partitions{state=\"online\"}") >= 4.0);
    assert!(value("klamm_appended_records_total") >= 6.0);
    assert!(value("klamm_topic_appended_bytes_total{topic=\"t\"}") > 100.0);
    let dir_bytes = format!("klamm_log_dir_bytes{{dir=\"{}\"}}", dir.data().display());
    assert!(value(&dir_bytes) > 100.0);
    let took = value("klamm_request_seconds_sum{request=\"produce\"}");
    assert!(took > 0.0 && took < 30.0, "{took}");
    assert!(value("klamm_write_seconds_count") >= 3.0);
    assert!(value("klamm_fsync_seconds_count") >= 1.0);
    assert!(value("klamm_turn_records_sum") >= 6.0);
    assert!(value("klamm_turn_seconds_count{stage=\"staged\"}") >= 3.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") > 3.0);
    assert!(value("klamm_data_plane_cpu_seconds_total") > 0.0);
    assert!(value("klamm_heartbeat_age_seconds") < 30.0);
    broker.assert_no_errors();
    broker.stop();
}

#[test]
fn clients_that_are_throttled_are_in_the_metrics_and_do_not_hold_up_the_end() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[SOMEWHERE]);
    let port = port_of(&broker.process);
    let mut client = broker.client().named("app");
    client.create_topic("t", &[]);
    client.limit_default_producer(1.0);
    client
        .produce("t", &batch(&[&[7; 1_000]]))
        .expect("it is appended");
    let samples = scrape(port);
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name}"));
    for (name, expected) in [
        (
            "klamm_throttle_seconds_count{quota=\"producer_byte_rate\"}",
            1.0,
        ),
        (
            "klamm_throttle_seconds_count{quota=\"consumer_byte_rate\"}",
            0.0,
        ),
        (
            "klamm_throttle_seconds_count{quota=\"request_percentage\"}",
            0.0,
        ),
        ("klamm_muted_connections", 1.0),
        ("klamm_quota_sensors", 1.0),
    ] {
        assert!(
            (value(name) - expected).abs() < 0.1,
            "{name} {}",
            value(name)
        );
    }
    let told = value("klamm_throttle_seconds_sum{quota=\"producer_byte_rate\"}");
    assert!(told > 900.0, "{told}");
    broker.assert_no_errors();
    broker.stop();
}

/// Joins, and leaves the group waiting for its leader's assignment.
fn join_a_group(client: &mut crate::client::Client) {
    let group = || GroupId(text("g"));
    let find = FindCoordinatorRequest::default().with_key(text("g"));
    eventually("there is a coordinator", || {
        (client.call(1, &find).error_code == 0).then_some(())
    });
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
    let join = JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    eventually("the group takes a member", || {
        (client.call(2, &join).error_code == 0).then_some(())
    });
}

#[test]
fn the_names_are_those_of_the_table() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[SOMEWHERE]);
    let port = port_of(&broker.process);
    let text = get(port, "/metrics").body;
    let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let typed: BTreeSet<_> = typed.filter_map(|line| line.split(' ').next()).collect();
    let table: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(typed, table);
    for sample in scrape(port).keys() {
        assert!(table.contains(metric_of(sample)), "{sample}");
    }
    broker.stop();
}

#[test]
fn it_is_ready_when_it_says_so_and_not_once_it_stops() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[SOMEWHERE]);
    assert_eq!(broker.client().try_create_topic("t", 200, &[]).0, 0);
    broker.kill();

    // Until it says that it is ready, it may or may not be; then it is.
    let mut process = Process::start(serve(&dir, &[SOMEWHERE]));
    let port = port_of(&process);
    let mut answers = Vec::new();
    eventually("it is ready", || {
        let answer = get(port, "/health/ready");
        answers.push(answer.status);
        assert_eq!(get(port, "/health/live").status, 200);
        assert_eq!(answer.status == 503, answer.body.contains("starting"));
        (answer.status == 200).then_some(())
    });
    assert!(answers.iter().all(|status| matches!(status, 200 | 503)));
    process.says("is ready");

    // Once it says that it stops it is not ready, for as long as it answers at all.
    process.signal(Signal::TERM);
    process.says("stopping");
    while let Some(answer) = ask(port, "GET", "/health/ready", "") {
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("stopping"), "{}", answer.body);
    }
    assert_eq!(process.wait(crate::broker::STOP_LIMIT).code(), Some(0));
}

#[test]
fn the_log_level_changes_while_it_runs() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[SOMEWHERE]);
    let port = port_of(&broker.process);
    let put = |level: &str| ask(port, "PUT", "/log/level", level).expect("an answer");
    assert_eq!(get(port, "/log/level").body, "info\n");
    drop(broker.client());
    for wrong in ["loud", "", "info,klamm_broker=much", &"x".repeat(5_000)] {
        assert_eq!(put(wrong).status, 400, "{wrong:.20}");
    }
    assert_eq!(get(port, "/log/level").body, "info\n");
    let lines = broker.process.lines();
    assert!(
        lines
            .iter()
            .all(|line| !line.contains("the client closed it"))
    );

    let answer = put("Info, klamm_broker::net=debug\n");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "info,klamm_broker::net=debug\n")
    );
    assert_eq!(
        get(port, "/log/level").body,
        "info,klamm_broker::net=debug\n"
    );
    broker.client().metadata("t");
    broker.process.says("the client closed it");

    assert_eq!(put("off").status, 200);
    let lines = broker.process.lines().len();
    broker.client().metadata("t");
    assert_eq!(get(port, "/health/live").status, 200);
    assert_eq!(broker.process.lines().len(), lines, "not a word more");
}

#[test]
fn who_asks_wrongly_is_told_and_harms_nobody() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[SOMEWHERE]);
    let port = port_of(&broker.process);
    let answer = get(port, "/nowhere");
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("GET /metrics"), "{}", answer.body);
    let answer = ask(port, "DELETE", "/log/level", "").expect("an answer");
    assert_eq!(answer.status, 405);
    assert!(
        answer.head.contains("allow: get, head, put"),
        "{}",
        answer.head
    );
    assert_eq!(
        ask(port, "POST", "/metrics", "").expect("an answer").status,
        405
    );

    // Garbage, a head without end, and a body that is promised to be enormous.
    let mut garbage = connect(port).expect("it listens");
    garbage
        .write_all(&[0, 0, 0, 9, 255, 0, 13, 10, 13, 10])
        .expect("it is sent");
    let refused = read_answer(garbage);
    assert!(refused.is_none_or(|answer| answer.status == 400));
    let mut endless = connect(port).expect("it listens");
    endless
        .write_all(b"GET /metrics HTTP/1.1\r\n")
        .expect("it is sent");
    while endless
        .write_all(&b"X-Header: more and more of it\r\n".repeat(64))
        .is_ok()
    {}
    let enormous = "PUT /log/level HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\ninfo";
    let mut stream = connect(port).expect("it listens");
    stream.write_all(enormous.as_bytes()).expect("it is sent");
    stream.write_all(&[b'x'; 8_000]).expect("it is sent");
    assert_eq!(read_answer(stream).map(|answer| answer.status), Some(400));

    // More connections than there is room for that send nothing, or half of something.
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let mut slow = connect(port).expect("it listens");
            slow.write_all(b"GET /met").expect("it is sent");
            slow
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(get(port, "/health/live").status, 200);
    }
    drop(slow);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    assert_eq!(client.produce("t", &batch(&[b"a"])), Ok(0));
    broker.assert_no_errors();
    broker.stop();
}

#[test]
fn it_answers_while_the_broker_has_much_to_do() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[SOMEWHERE]);
    let port = port_of(&broker.process);
    broker.client().create_topic("t", &[]);
    let value = vec![b'x'; 500_000];
    let request = produce_request("t", 0, ALL, &batch(&[&value]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = broker.client();
                for _ in 0..30 {
                    client.send_produce(&request).expect("it is sent");
                    client
                        .receive_produced()
                        .expect("an answer")
                        .expect("it is appended");
                }
            });
        }
        for _ in 0..20 {
            assert_eq!(get(port, "/health/live").status, 200);
            scrape(port);
        }
    });
    let samples = scrape(port);
    assert!((samples["klamm_topic_appended_records_total{topic=\"t\"}"] - 120.0).abs() < 0.1);
    broker.assert_no_errors();
}

#[test]
fn a_port_in_use_is_named_with_the_setting() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("it is bound").to_string();
    let dir = TempDir::new();
    let texts = [
        address.as_str(),
        "setting klamm.admin.listener",
        "another process uses the port",
        "none with --set klamm.admin.listener=",
    ];
    refuses(serve(&dir, &[("klamm.admin.listener", &address)]), &texts);
    assert!(!dir.data().exists(), "nothing was made on the disk");
    refuses(
        serve(&dir, &[("klamm.admin.listener", "9644")]),
        &["klamm.admin.listener must look like 127.0.0.1:9644"],
    );
}

#[test]
fn the_default_port_is_done_without_and_none_is_opened_when_switched_off() {
    let dir = TempDir::new();
    let binary = crate::process::binary();
    let binary = binary.to_str().expect("the path is text");
    let first = format!("{binary} serve --set log.dirs=a");
    let second = format!("{binary} serve --set log.dirs=b --set listeners=PLAINTEXT://:0");
    // All of it ends with the first of its processes.
    let mut twice = command("unshare");
    twice.current_dir(dir.path());
    twice.args([
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--map-root-user",
    ]);
    twice.args(["sh", "-c"]);
    twice.arg(format!(
        "ip link set lo up && {{ {first} & {second} & wait; }}"
    ));
    let both = Process::start(twice);
    both.says("admin port: http://127.0.0.1:9644");
    both.says("there is no admin port: cannot listen on 127.0.0.1:9644");
    eventually("both are ready", || {
        let lines = both.lines();
        let ready = lines.iter().filter(|line| line.contains("is ready"));
        (ready.count() == 2).then_some(())
    });
    drop(both);

    let broker = Broker::start(&dir, &[("klamm.admin.listener", "")]);
    let lines = broker.process.lines();
    assert!(
        lines.iter().all(|line| !line.contains("admin port")),
        "{lines:?}"
    );
    broker.stop();
}

#[test]
fn a_fetch_that_nobody_waits_for_any_more_is_forgotten() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[SOMEWHERE]);
    let port = port_of(&broker.process);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    let wanted = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(TopicName(text("t")))
        .with_partitions(vec![wanted]);
    let request = FetchRequest::default()
        .with_max_wait_ms(i32::MAX)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic]);
    client.send(4, &request).expect("it is open");
    let waiting = |count: f64| {
        eventually("the number of requests that wait", || {
            (scrape(port)["klamm_delayed_requests"] == count).then_some(())
        });
    };
    waiting(1.0);
    drop(client);
    waiting(0.0);
    broker.assert_no_errors();
}
