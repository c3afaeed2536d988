//! Brokers, each on a host of its own, and what can be done to them.

use std::collections::BTreeSet;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeQuorumRequest, MetadataRequest, MetadataResponse, TopicName,
};
use rustix::process::Signal;

use crate::broker::add_settings;
use crate::client::Client;
use crate::disks::{self, Disk};
use crate::network::{self, Network};
use crate::process::{Process, binary, command};
use crate::requests::text;
use crate::support::{TempDir, eventually};

/// As many as most clusters have.
const BROKERS: usize = 3;
/// Brokers that vote on the metadata, unless settings say otherwise.
const METADATA_VOTERS: usize = 3;
/// Every host has the ports for itself.
const CLIENT_PORT: u16 = 9092;
const PEER_PORT: u16 = 9192;
/// How long a question to a broker may take.
const ASK_LIMIT: Duration = Duration::from_secs(2);
/// An orderly stop takes no longer.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// System calls that wait for a disk.
const SYNCS: &str = "fsync,fdatasync,sync_file_range";

/// One at a time: its brokers and their clients are enough for a machine.
static TURN: Mutex<()> = Mutex::new(());

/// The brokers and their network.
pub(crate) struct Bed {
    // Fields go in this order: brokers end before their network does.
    seats: Vec<Seat>,
    pub(crate) network: Network,
    settings: Vec<(String, String)>,
    _turn: MutexGuard<'static, ()>,
}

struct Seat {
    process: Option<Process>,
    /// Makes its syncs slow.
    brake: Option<Process>,
    // Before the directory in which it is mounted.
    disk: Option<Disk>,
    dir: TempDir,
    is_paused: bool,
    /// Its disk is as it is after a loss of power or an error.
    is_unplugged: bool,
}

/// Where brokers have their data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disks {
    /// In a directory.
    Shared,
    /// Each on a disk that can be struck.
    Own,
}

impl Bed {
    /// Three brokers that serve; `None`, with the reason printed, where there can be none.
    pub(crate) fn start(disks: Disks, settings: &[(&str, &str)]) -> Option<Self> {
        Self::of(BROKERS, disks, settings)
    }

    /// The same of so many brokers, at least three.
    pub(crate) fn of(brokers: usize, disks: Disks, settings: &[(&str, &str)]) -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let of_disks = || (disks == Disks::Own).then(disks::obstacle).flatten();
        if let Some(obstacle) = network::obstacle().or_else(of_disks) {
            println!("skipped: {obstacle}");
            return None;
        }
        let seat = |_| {
            let dir = TempDir::new();
            Seat {
                process: None,
                brake: None,
                disk: (disks == Disks::Own).then(|| Disk::mount(&dir)),
                dir,
                is_paused: false,
                is_unplugged: false,
            }
        };
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut bed = Self {
            seats: (0..brokers).map(seat).collect(),
            network: Network::new(brokers),
            settings: settings.iter().map(own).collect(),
            _turn: turn,
        };
        bed.start_all();
        // Before that a founder is the only one who decides.
        eventually("three brokers vote on the metadata", || {
            (bed.voters() == Some(METADATA_VOTERS)).then_some(())
        });
        Some(bed)
    }

    /// How many brokers there are.
    pub(crate) fn size(&self) -> usize {
        self.seats.len()
    }

    /// Starts all brokers that do not run, at once, and waits until each is ready.
    pub(crate) fn start_all(&mut self) {
        for at in 0..self.size() {
            if self.seats[at].process.is_none() {
                self.seats[at].process = Some(Process::start(self.command(at)));
            }
        }
        for seat in &self.seats {
            let process = seat.process.as_ref().expect("it was started");
            process.says("is ready");
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, at: usize) {
        self.seats[at].is_paused = false;
        self.seats[at].process.take().expect("it runs").kill();
    }

    /// SIGTERM, and the end in good order.
    pub(crate) fn stop(&mut self, at: usize) {
        let mut process = self.seats[at].process.take().expect("it runs");
        process.signal(Signal::TERM);
        let status = process.wait(STOP_LIMIT);
        assert_eq!(status.code(), Some(0), "{:#?}", process.lines());
    }

    /// SIGSTOP: it is there, and does nothing.
    pub(crate) fn pause(&mut self, at: usize) {
        self.process(at).signal(Signal::STOP);
        self.seats[at].is_paused = true;
    }

    /// SIGCONT for all that are paused.
    pub(crate) fn resume(&mut self) {
        for seat in &mut self.seats {
            if std::mem::take(&mut seat.is_paused)
                && let Some(process) = &seat.process
            {
                process.signal(Signal::CONT);
            }
        }
    }

    /// Its disk forgets what was not synced, and it is killed.
    pub(crate) fn cut_power(&mut self, at: usize) {
        self.disk(at).cut_power();
        self.seats[at].is_unplugged = true;
        self.kill(at);
    }

    /// Nothing it writes from now on reaches its disk.
    pub(crate) fn fail_disk(&mut self, at: usize) {
        self.disk(at).fail();
        self.seats[at].is_unplugged = true;
    }

    pub(crate) fn fill_disk(&mut self, at: usize) {
        self.disk(at).fill();
    }

    /// Every sync takes so much longer.
    pub(crate) fn slow_disk(&mut self, at: usize, by: Duration) {
        let id = self.process(at).id().to_string();
        let delay = format!("inject={SYNCS}:delay_enter={}", by.as_micros());
        let mut strace = command("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={SYNCS}")]);
        strace.args(["-e", &delay, "-p", &id]);
        let brake = Process::start(strace);
        brake.says("attached");
        self.seats[at].brake = Some(brake);
    }

    /// Undoes every fault: all run, none is paused, each reaches each, and disks are sound.
    pub(crate) fn heal(&mut self) {
        self.network.heal();
        self.resume();
        for at in 0..self.size() {
            self.heal_disk(at);
        }
        self.start_all();
    }

    fn heal_disk(&mut self, at: usize) {
        if let Some(mut brake) = self.seats[at].brake.take() {
            // It lets go of the broker, which runs on.
            brake.signal(Signal::TERM);
            brake.wait(STOP_LIMIT);
        }
        if std::mem::take(&mut self.seats[at].is_unplugged) {
            if self.runs(at) {
                self.kill(at);
            }
            self.disk(at).replug();
        }
        if let Some(disk) = &self.seats[at].disk {
            disk.free();
        }
    }

    fn disk(&self, at: usize) -> &Disk {
        let disk = self.seats[at].disk.as_ref();
        disk.expect("the bed was started with disks")
    }

    pub(crate) fn runs(&self, at: usize) -> bool {
        self.seats[at].process.is_some()
    }

    /// Whether it runs and is not paused.
    pub(crate) fn is_active(&self, at: usize) -> bool {
        self.runs(at) && !self.seats[at].is_paused
    }

    fn process(&self, at: usize) -> &Process {
        self.seats[at].process.as_ref().expect("it runs")
    }

    /// Where clients find the brokers.
    pub(crate) fn bootstrap(&self) -> Vec<SocketAddr> {
        (0..self.size())
            .map(|at| self.address(at, CLIENT_PORT).into())
            .collect()
    }

    /// A broker's data.
    pub(crate) fn data(&self, at: usize) -> PathBuf {
        self.seats[at].dir.data()
    }

    /// Creates a topic with a replica on each broker, and waits until each partition is led.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32) {
        // Many segments, so that their beginnings are compared, too.
        let small = CreatableTopicConfig::default()
            .with_name(text("internal.segment.bytes"))
            .with_value(Some(text("100000")));
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(partitions)
            .with_configs(vec![small])
            .with_replication_factor(i16::try_from(self.size()).expect("a few"));
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(20_000);
        let mut client = self.client(0).expect("the broker listens");
        let answer = client.call(5, &request);
        let topic = &answer.topics[0];
        assert_eq!(topic.error_code, 0, "{:?}", topic.error_message);
        self.all_led(name, partitions);
    }

    /// Waits until all brokers agree on who leads each partition.
    pub(crate) fn all_led(&self, topic: &str, partitions: i32) {
        for partition in 0..partitions {
            self.leader(topic, partition);
        }
    }

    /// The broker that leads a partition, as all agree. All have to be reached.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> usize {
        let what = format!("{topic}-{partition} has a leader");
        eventually(&what, || {
            let told = |at| self.leader_as_told(at, topic, partition);
            let told: BTreeSet<_> = (0..self.size()).map(told).collect();
            match told.first() {
                Some(Some(leader)) if told.len() == 1 => Some(*leader),
                _ => None,
            }
        })
    }

    /// The broker that leads a partition, as one of them says.
    fn leader_as_told(&self, at: usize, topic: &str, partition: i32) -> Option<usize> {
        let mut client = self.client(at)?;
        let metadata = metadata(&mut client, topic)?;
        let (leader, _) = leader(&metadata, partition)?;
        let mut brokers = self.bootstrap().into_iter();
        brokers.position(|broker| broker == leader)
    }

    /// How many brokers vote on the metadata.
    fn voters(&self) -> Option<usize> {
        let partition = PartitionData::default().with_partition_index(0);
        let topic = TopicData::default()
            .with_topic_name(TopicName(text("__cluster_metadata")))
            .with_partitions(vec![partition]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let answer = self.client(0)?.try_call(0, &request).ok()?;
        let partition = answer.topics.first()?.partitions.first()?;
        (partition.error_code == 0).then_some(partition.current_voters.len())
    }

    /// A connection to one of the brokers, if it listens.
    pub(crate) fn client(&self, at: usize) -> Option<Client> {
        let address = self.address(at, CLIENT_PORT).into();
        Client::try_connect_to(address, ASK_LIMIT).ok()
    }

    fn command(&self, at: usize) -> Command {
        let listeners = format!("PLAINTEXT://{}", self.address(at, CLIENT_PORT));
        let peers = self.address(at, PEER_PORT).to_string();
        let seeds: Vec<_> = (0..self.size())
            .map(|broker| self.address(broker, PEER_PORT).to_string())
            .collect();
        let seeds = seeds.join(",");
        let mut settings = vec![
            ("listeners", listeners.as_str()),
            ("klamm.peer.listener", peers.as_str()),
            ("klamm.seed.brokers", seeds.as_str()),
            ("default.replication.factor", "3"),
            ("offsets.topic.replication.factor", "3"),
        ];
        let own = self.settings.iter();
        settings.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
        let [program, host] = self.network.at_broker(at);
        let mut command = command(program);
        let dir = &self.seats[at].dir;
        command.current_dir(dir.path());
        command.arg(host).arg(binary()).arg("serve");
        add_settings(&mut command, dir, &settings);
        command
    }

    fn address(&self, at: usize, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.network.address(at), port)
    }
}

/// What a broker knows of a topic, without having anything created.
pub(crate) fn metadata(client: &mut Client, topic: &str) -> Option<MetadataResponse> {
    let wanted = MetadataRequestTopic::default().with_name(Some(TopicName(text(topic))));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![wanted]))
        .with_allow_auto_topic_creation(false);
    client.try_call(9, &request).ok()
}

/// Who leads a partition of the topic that was asked for: where it is, and in which epoch.
pub(crate) fn leader(metadata: &MetadataResponse, partition: i32) -> Option<(SocketAddr, i32)> {
    let mut partitions = metadata.topics.first()?.partitions.iter();
    let partition = partitions.find(|found| found.partition_index == partition)?;
    let mut brokers = metadata.brokers.iter();
    let leader = brokers.find(|broker| broker.node_id == partition.leader_id)?;
    let port = u16::try_from(leader.port).ok()?;
    let address = SocketAddr::new(leader.host.parse().ok()?, port);
    Some((address, partition.leader_epoch))
}
