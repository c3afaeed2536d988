//! Clusters of the binary: three brokers that find each other, on one machine.

mod all_replicas;
mod asleep;
mod copies;
mod failover;
mod forming;
mod in_sync;
mod metrics;
mod moves;
mod refusals;
mod removal;
mod restarts;
mod segments;
mod succession;
mod unclean;
mod voters;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeQuorumRequest, MetadataRequest, MetadataResponse, TopicName,
};

use crate::broker::{Broker, serve};
use crate::client::Client;
use crate::process::Process;
use crate::requests::{NOT_LEADER_OR_FOLLOWER, OFFSET_NOT_AVAILABLE, text, texts};
use crate::segments::common_segments;
use crate::support::{LIMIT, TempDir, eventually};

/// Brokers of one cluster, each with a directory and ports that it keeps.
struct Cluster {
    seats: Vec<Seat>,
    seeds: String,
    /// What all are started with, beside what each needs.
    settings: &'static [(&'static str, &'static str)],
}

struct Seat {
    dir: TempDir,
    client_port: u16,
    peer_port: u16,
    broker: Option<Broker>,
}

/// Ports that are free now, and that nobody is given for a connection of its own: they lie below those. Each
/// is given once by this process, and others begin elsewhere.
fn free_ports(count: usize) -> Vec<u16> {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 10_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let offset = std::process::id().wrapping_mul(61);
    let next = || {
        let number = offset.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        u16::try_from(FIRST + number % COUNT).expect("a port")
    };
    let candidates = std::iter::repeat_with(next).take(COUNT as usize);
    let free = candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.take(count).collect()
}

impl Cluster {
    /// As many brokers as are said, none of them running.
    fn of(size: usize) -> Self {
        let ports = free_ports(2 * size);
        let seats: Vec<_> = ports
            .chunks(2)
            .map(|ports| Seat {
                dir: TempDir::new(),
                client_port: ports[0],
                peer_port: ports[1],
                broker: None,
            })
            .collect();
        let seeds: Vec<_> = seats
            .iter()
            .map(|seat| format!("127.0.0.1:{}", seat.peer_port))
            .collect();
        Self {
            seats,
            seeds: seeds.join(","),
            settings: &[],
        }
    }

    /// Three brokers that serve.
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// Three brokers that serve with these settings.
    fn start_with(settings: &'static [(&'static str, &'static str)]) -> Self {
        let mut cluster = Self::of(3);
        cluster.settings = settings;
        cluster.start_all();
        cluster
    }

    /// Three brokers that serve, and a seat for a fourth, of which they have not been told.
    fn start_three_of_four() -> Self {
        Self::start_three_of_four_with(&[])
    }

    fn start_three_of_four_with(settings: &'static [(&'static str, &'static str)]) -> Self {
        let mut cluster = Self::of(4);
        cluster.settings = settings;
        let fourth = cluster.seats.pop().expect("there are four");
        let three: Vec<_> = cluster.seeds.split(',').take(3).collect();
        cluster.seeds = three.join(",");
        cluster.start_all();
        cluster.seats.push(fourth);
        cluster
    }

    fn start_all(&mut self) {
        let waiting: Vec<_> = (0..self.seats.len())
            .filter(|at| self.seats[*at].broker.is_none())
            .map(|at| (at, Process::start(self.command(at, &[]))))
            .collect();
        for (at, process) in waiting {
            process.says("is ready");
            self.seats[at].broker = Some(Broker::that_runs(process, self.seats[at].client_port));
        }
        // Before that a founder is the only one who decides.
        eventually("three brokers vote on the metadata", || {
            (self.voters() == Some(3)).then_some(())
        });
    }

    /// How many brokers vote on the metadata.
    fn voters(&self) -> Option<usize> {
        self.voting().map(|voting| voting.len())
    }

    /// The numbers of those that do.
    fn voting(&self) -> Option<BTreeSet<i32>> {
        let partition = PartitionData::default().with_partition_index(0);
        let topic = TopicData::default()
            .with_topic_name(TopicName(text("__cluster_metadata")))
            .with_partitions(vec![partition]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let answer = self.any_client().try_call(0, &request).ok()?;
        let partition = answer.topics.first()?.partitions.first()?;
        let voters = partition.current_voters.iter();
        let voters = voters.map(|voter| voter.replica_id.0);
        (partition.error_code == 0).then(|| voters.collect())
    }

    fn start_one(&mut self, at: usize) {
        self.start_one_with(at, &[]);
    }

    fn start_one_with(&mut self, at: usize, settings: &[(&str, &str)]) {
        let process = Process::start(self.command(at, settings));
        process.says("is ready");
        self.seats[at].broker = Some(Broker::that_runs(process, self.seats[at].client_port));
    }

    fn command(&self, at: usize, settings: &[(&str, &str)]) -> Command {
        let seat = &self.seats[at];
        let listeners = format!("PLAINTEXT://127.0.0.1:{}", seat.client_port);
        let peers = format!("127.0.0.1:{}", seat.peer_port);
        let mut all = vec![
            ("listeners", listeners.as_str()),
            ("klamm.peer.listener", peers.as_str()),
            ("klamm.seed.brokers", self.seeds.as_str()),
            ("default.replication.factor", "3"),
            ("klamm.admin.listener", "127.0.0.1:0"),
        ];
        all.extend(self.settings);
        all.extend(settings);
        serve(&seat.dir, &all)
    }

    fn broker(&self, at: usize) -> &Broker {
        self.seats[at].broker.as_ref().expect("it runs")
    }

    /// SIGKILL.
    fn kill(&mut self, at: usize) {
        self.seats[at].broker.take().expect("it runs").kill();
    }

    /// SIGTERM.
    fn stop(&mut self, at: usize) {
        self.seats[at].broker.take().expect("it runs").stop();
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        let running = self.seats.iter().enumerate();
        let running = running.filter(|(_, seat)| seat.broker.is_some());
        running.map(|(at, _)| at)
    }

    fn client(&self, at: usize) -> Client {
        self.broker(at).client()
    }

    /// A client of the first that runs.
    fn any_client(&self) -> Client {
        self.client(self.running().next().expect("one runs"))
    }

    /// The number of the broker in a seat.
    fn number_of(&self, at: usize) -> i32 {
        let told = metadata(&mut self.client(at), "nothing");
        let port = i32::from(self.seats[at].client_port);
        let mut brokers = told.brokers.iter();
        let own = brokers.find(|broker| broker.port == port);
        own.expect("it knows itself").node_id.0
    }

    /// Where a broker that was told to serve its admin port does so.
    fn admin_port(&self, at: usize) -> u16 {
        let line = self.broker(at).process.says("admin port: http://");
        let port = line.trim().rsplit_once(':').expect("it ends with the port");
        port.1.parse().expect("a port")
    }

    /// The seat of the broker with that port.
    fn seat_of(&self, port: i32) -> Option<usize> {
        let mut seats = self.seats.iter();
        seats.position(|seat| i32::from(seat.client_port) == port)
    }

    /// The seat of the broker with that number.
    fn seat_of_broker(&self, id: i32) -> usize {
        let known = metadata(&mut self.any_client(), "t");
        let mut brokers = known.brokers.iter();
        let found = brokers.find(|broker| broker.node_id.0 == id);
        let seat = found.and_then(|broker| self.seat_of(broker.port));
        seat.expect("it has a seat")
    }

    /// Creates a topic with a replica on each broker, and waits until each partition is led.
    fn create_topic(&self, name: &str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]);
    }

    fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let settings = settings.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(partitions)
            .with_configs(settings.collect())
            .with_replication_factor(3);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(20_000);
        let answer = self.any_client().call(5, &request);
        assert_eq!(
            answer.topics[0].error_code, 0,
            "{:?}",
            answer.topics[0].error_message
        );
        for partition in 0..partitions {
            self.leader(name, partition);
        }
    }

    /// The seat of the broker that leads a partition, as all that run agree.
    fn leader(&self, topic: &str, partition: i32) -> usize {
        let what = format!("{topic}-{partition} has a leader");
        eventually(&what, || {
            let said: BTreeSet<_> = self
                .running()
                .map(|at| leader_as_told(&mut self.client(at), topic, partition))
                .collect();
            let leader = match said.first() {
                Some(Some(port)) if said.len() == 1 => self.seat_of(*port)?,
                _ => return None,
            };
            self.seats[leader].broker.is_some().then_some(leader)
        })
    }

    /// Of three brokers: the port of the one that led the topic, and a client of another, which has been
    /// connected all the time.
    fn create_topic_and_kill_its_leader(&mut self, topic: &str) -> (i32, Client) {
        self.create_topic(topic, 1);
        let leader = self.leader(topic, 0);
        let dead = i32::from(self.seats[leader].client_port);
        let other = (0..3).find(|at| *at != leader).expect("there are three");
        let client = self.client(other);
        self.kill(leader);
        (dead, client)
    }

    /// Everything a partition holds, as its leader says.
    fn values(&self, topic: &str, partition: i32) -> Vec<String> {
        eventually("a leader gives its records", || {
            let leader = self.leader(topic, partition);
            match self.client(leader).try_read_all(topic, partition) {
                Ok(read) => Some(texts(read)),
                // As every client does, after an election.
                Err(NOT_LEADER_OR_FOLLOWER | OFFSET_NOT_AVAILABLE) => None,
                Err(code) => panic!("{topic}-{partition}: error code {code}"),
            }
        })
    }

    /// Waits until every broker that runs has the same segments of a partition, byte for byte.
    fn assert_replicas_equal(&self, topic: &str, partition: i32) {
        let running: Vec<_> = self.running().collect();
        self.assert_equal_on(&running, topic, partition);
    }

    fn assert_equal_on(&self, seats: &[usize], topic: &str, partition: i32) {
        let folder = format!("{topic}-{partition}");
        eventually("these replicas have the same segments", || {
            let seats = seats.iter().map(|at| &self.seats[*at]);
            common_segments(seats.map(|seat| seat.dir.data().join(&folder)))
        });
    }
}

/// What a broker knows of the cluster, without having anything created.
fn metadata(client: &mut Client, topic: &str) -> MetadataResponse {
    let wanted = MetadataRequestTopic::default().with_name(Some(TopicName(text(topic))));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![wanted]))
        .with_allow_auto_topic_creation(false);
    client.call(9, &request)
}

/// The port of the broker that leads a partition, as this one says.
fn leader_as_told(client: &mut Client, topic: &str, partition: i32) -> Option<i32> {
    let metadata = metadata(client, topic);
    let partitions = &metadata.topics.first()?.partitions;
    let mut partitions = partitions.iter();
    let found = partitions.find(|found| found.partition_index == partition)?;
    let mut brokers = metadata.brokers.iter();
    let leader = brokers.find(|broker| broker.node_id == found.leader_id)?;
    Some(leader.port)
}

/// A producer that follows its partition's leader, and repeats what was not acknowledged.
struct Follower<'a> {
    cluster: &'a Cluster,
    topic: &'a str,
    producer: i64,
    sent: i32,
    client: Option<Client>,
    /// The longest it has waited for one batch.
    longest: Duration,
    errors: usize,
}

impl<'a> Follower<'a> {
    fn new(cluster: &'a Cluster, topic: &'a str) -> Self {
        Self {
            cluster,
            topic,
            producer: cluster.any_client().producer_id(),
            sent: 0,
            client: None,
            longest: Duration::ZERO,
            errors: 0,
        }
    }

    /// As it was with the cluster before.
    fn resumed(cluster: &'a Cluster, topic: &'a str, producer: i64, sent: i32) -> Self {
        Self {
            producer,
            sent,
            ..Self::new(cluster, topic)
        }
    }

    /// Appends one record, wherever its partition is led.
    fn produce(&mut self) {
        let value = self.sent.to_string();
        let batch =
            crate::requests::idempotent_batch(self.producer, self.sent, &[value.as_bytes()]);
        let begun = Instant::now();
        loop {
            if let Some(client) = &mut self.client
                && let Ok(Ok(offset)) = client.try_produce(self.topic, 0, &batch)
            {
                assert_eq!(offset, i64::from(self.sent), "one batch, one offset");
                break;
            }
            self.errors += usize::from(self.client.is_some());
            assert!(begun.elapsed() < LIMIT, "nobody takes the record");
            self.client = self.find_leader();
            if self.client.is_none() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.longest = self.longest.max(begun.elapsed());
        self.sent += 1;
    }

    fn find_leader(&self) -> Option<Client> {
        for at in self.cluster.running() {
            let port = self.cluster.seats[at].client_port;
            let Ok(mut client) = Client::try_connect(port) else {
                continue;
            };
            if let Some(port) = leader_as_told(&mut client, self.topic, 0) {
                let port = u16::try_from(port).expect("a port");
                return Client::try_connect(port).ok();
            }
        }
        None
    }
}

fn numbers(count: i32) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}
