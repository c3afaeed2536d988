//! The broker under test: start it fresh, wait until it answers, kill it, start it again.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::args::{Args, Target};
use crate::places::Places;
use crate::process::{Invocation, Output, POLL, Process};

pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Settings of both targets; everything else is at its default.
const SETTINGS: [(&str, &str); 3] = [
    ("group.initial.rebalance.delay.ms", "0"),
    ("log.cleaner.backoff.ms", "100"),
    ("offsets.topic.num.partitions", "8"),
];

/// What Apache Kafka needs beyond that to run as a single node.
pub(crate) const KAFKA_SETTINGS: [(&str, &str); 6] = [
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
];

/// The broker under test, or several that are one cluster, with their data; ports stay over restarts.
pub(crate) struct Broker {
    target: Target,
    nodes: Vec<Node>,
    data: PathBuf,
}

struct Node {
    port: u16,
    start: Invocation,
    log: PathBuf,
    process: Option<Process>,
}

impl Broker {
    /// Starts brokers on an empty data directory below `dir` and waits until they answer.
    pub(crate) fn start(args: &Args, places: &Places, dir: &Path) -> Result<Self, String> {
        let data = dir.join("data");
        let nodes = match (args.target, args.brokers) {
            (Target::Klamm, 1) => {
                let port = free_port()?;
                let start = klamm(places, dir, port, &data);
                vec![Node::new(port, start, dir.join("broker.log"))]
            }
            (Target::Klamm, count) => klamm_cluster(places, dir, &data, count)?,
            (Target::Kafka, _) => {
                let port = free_port()?;
                let log = dir.join("broker.log");
                let start = kafka(places, dir, port, &data, &log)?;
                vec![Node::new(port, start, log)]
            }
        };
        let mut broker = Self {
            target: args.target,
            nodes,
            data,
        };
        broker.launch()?;
        Ok(broker)
    }

    /// Where clients ask first; they learn of the others there.
    pub(crate) fn bootstrap(&self) -> String {
        self.nodes[0].address()
    }

    /// Where all of them are, separated by commas.
    pub(crate) fn addresses(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(Node::address).collect();
        addresses.join(",")
    }

    pub(crate) fn target(&self) -> Target {
        self.target
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// `kill -9` of all, then the same brokers on the same ports and data.
    pub(crate) fn kill_and_restart(&mut self) -> Result<(), String> {
        for node in &mut self.nodes {
            node.process = None; // dropping it is SIGKILL and a wait
        }
        self.launch()
    }

    /// An orderly stop of all, then the same brokers on the same ports and data.
    pub(crate) fn stop_and_restart(&mut self) -> Result<(), String> {
        self.stop()?;
        self.launch()
    }

    /// SIGTERM; an exit other than 0 (143 from a JVM, which is its way to say so) is a failure.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        let expected = if self.target == Target::Kafka { 143 } else { 0 };
        self.nodes
            .iter_mut()
            .try_for_each(|node| node.stop(expected))
    }

    fn launch(&mut self) -> Result<(), String> {
        for node in &mut self.nodes {
            let process = Process::start(&mut node.start, &node.log, Output::Log)
                .map_err(|error| format!("the broker does not start error={error}"))?;
            node.process = Some(process);
        }
        let count = self.nodes.len();
        self.nodes.iter_mut().try_for_each(|node| {
            let process = node.process.as_mut().expect("it was just started");
            await_brokers(node.port, process, count)
        })
    }
}

impl Node {
    fn new(port: u16, start: Invocation, log: PathBuf) -> Self {
        Self {
            port,
            start,
            log,
            process: None,
        }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn stop(&mut self, expected: i32) -> Result<(), String> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        if let Some(status) = process.exited() {
            return Err(format!(
                "the broker was gone before it was told to stop {status}"
            ));
        }
        process.signal(Signal::TERM);
        let status = process
            .wait(STOP_LIMIT)
            .ok_or_else(|| format!("the broker still runs {STOP_LIMIT:?} after SIGTERM"))?;
        if status.code() != Some(expected) {
            return Err(format!("the broker stopped with an error {status}"));
        }
        Ok(())
    }
}

/// Waits until a broker that was started answers without TLS and login.
pub(crate) fn await_answers(port: u16, process: &mut Process) -> Result<(), String> {
    await_brokers(port, process, 1)
}

/// Waits until a broker that was started knows of so many.
fn await_brokers(port: u16, process: &mut Process, count: usize) -> Result<(), String> {
    let deadline = Instant::now() + START_LIMIT;
    while !answers(port, count) {
        if let Some(status) = process.exited() {
            return Err(format!("the broker ended while starting {status}"));
        }
        if Instant::now() >= deadline {
            return Err(format!("the broker does not answer after {START_LIMIT:?}"));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

fn klamm(places: &Places, dir: &Path, port: u16, data: &Path) -> Invocation {
    let listeners = format!("listeners=PLAINTEXT://127.0.0.1:{port}");
    let log_dirs = format!("log.dirs={}", data.display());
    let mut start = Invocation::new(places.binary.to_string_lossy())
        .args(["serve", "--set", &listeners, "--set", &log_dirs])
        .dir(dir);
    for (key, value) in SETTINGS {
        start = start.arg("--set").arg(format!("{key}={value}"));
    }
    start
}

/// Brokers that find each other.
fn klamm_cluster(
    places: &Places,
    dir: &Path,
    data: &Path,
    count: usize,
) -> Result<Vec<Node>, String> {
    let ports: Vec<_> = (0..2 * count)
        .map(|_| free_port())
        .collect::<Result<_, _>>()?;
    let (ports, peers) = ports.split_at(count);
    let seeds: Vec<_> = peers
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let nodes = ports
        .iter()
        .zip(peers)
        .enumerate()
        .map(|(number, (port, peer))| {
            let mut start = klamm(places, dir, *port, &data.join(number.to_string()));
            let settings = [
                format!("klamm.peer.listener=127.0.0.1:{peer}"),
                format!("klamm.seed.brokers={}", seeds.join(",")),
                "klamm.admin.listener=".to_owned(),
                "default.replication.factor=3".to_owned(),
            ];
            for setting in settings {
                start = start.arg("--set").arg(setting);
            }
            let log = match number {
                0 => "broker.log".to_owned(),
                _ => format!("broker-{number}.log"),
            };
            Node::new(*port, start, dir.join(log))
        });
    Ok(nodes.collect())
}

/// Writes `server.properties` and formats the storage.
fn kafka(
    places: &Places,
    dir: &Path,
    port: u16,
    data: &Path,
    log: &Path,
) -> Result<Invocation, String> {
    let controller = free_port()?;
    let mut properties = format!(
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         log.dirs={}\n",
        data.display()
    );
    for (key, value) in SETTINGS.iter().chain(&KAFKA_SETTINGS) {
        properties.push_str(&format!("{key}={value}\n"));
    }
    let config = dir.join("server.properties");
    std::fs::write(&config, properties).map_err(|error| error.to_string())?;
    formatted_kafka(places, &config, &[], log)
}

/// Formats the storage that `config` names, with `options` of the tool; what starts the broker.
pub(crate) fn formatted_kafka(
    places: &Places,
    config: &Path,
    options: &[&str],
    log: &Path,
) -> Result<Invocation, String> {
    let class_path = places.jars("kafka");
    Invocation::java(&class_path, 256, "kafka.tools.StorageTool")
        .args(["format", "-t", "a2xhbW0tY29uZm9ybWFuYw"])
        .args(options)
        .arg("-c")
        .arg(config)
        .run(log, START_LIMIT)?;
    Ok(Invocation::java(&class_path, 512, "kafka.Kafka").arg(config))
}

/// A port that was free a moment ago: restarts need the same one, so 0 will not do.
pub(crate) fn free_port() -> Result<u16, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port error={error}"))
}

/// Whether Metadata names so many brokers: Kafka listens before it is part of its cluster.
fn answers(port: u16, count: usize) -> bool {
    let named = broker_count(port)
        .ok()
        .and_then(|named| usize::try_from(named).ok());
    named.is_some_and(|named| named >= count)
}

fn broker_count(port: u16) -> std::io::Result<i32> {
    /// Metadata v1 of no topics, correlation id 7, client id "probe".
    const REQUEST: &[u8] = b"\0\0\0\x13\0\x03\0\x01\0\0\0\x07\0\x05probe\0\0\0\0";
    let limit = Duration::from_secs(5);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(REQUEST)?;
    let mut head = [0; 12]; // size, correlation id, number of brokers
    stream.read_exact(&mut head)?;
    Ok(i32::from_be_bytes([head[8], head[9], head[10], head[11]]))
}
