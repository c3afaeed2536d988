//! Three brokers of one contestant that are one cluster, with a replica of each partition on every
//! broker.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::contestant::{Broker, Brokers, Contestant, PARTITIONS, Setting};
use crate::watcher::Watcher;

pub(crate) const BROKERS: usize = 3;
/// Half of Kafka's default: three heaps have to fit where one does.
const HEAP_MIB: u32 = 512;
/// Klamm bounds them by half of the files that may be open, which here would be less than `idle`
/// makes; Kafka has no bound.
const PARTITIONS_MAX: u32 = 4_000;
/// A cluster that takes longer does not count as started.
const START_LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(50);
/// Below those that the kernel gives to outgoing connections: whoever knocks at a killed broker's
/// port again and again would one day be given that port, and keep the broker from coming back.
const PORTS: RangeInclusive<u16> = 20_000..=29_999;

/// Running brokers; killed when dropped, for nobody needs their data any more.
pub(crate) struct Cluster<'a> {
    setting: &'a Setting,
    contestant: Contestant,
    nodes: Vec<Node>,
}

/// A place for a broker, which runs or was killed.
struct Node {
    folder: PathBuf,
    port: u16,
    broker: Option<Broker>,
}

impl<'a> Cluster<'a> {
    /// Starts brokers on empty data folders, and waits until a client is told of all of them.
    pub(crate) fn start(contestant: Contestant, setting: &'a Setting) -> Result<Self, String> {
        let home = setting.folder().join(format!("cluster-{contestant:?}"));
        match std::fs::remove_dir_all(&home) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", home.display()));
            }
            _ => {}
        }
        let ports = free_ports(2 * BROKERS)?;
        let (ports, internal) = ports.split_at(BROKERS);
        let nodes = (1..).zip(ports).map(|(number, port)| Node {
            folder: home.join(format!("{number}")),
            port: *port,
            broker: None,
        });
        let mut cluster = Self {
            setting,
            contestant,
            nodes: nodes.collect(),
        };
        cluster.configure(internal)?;
        for node in 0..BROKERS {
            cluster.run(node)?;
        }
        cluster.wait_until_formed()?;
        Ok(cluster)
    }

    fn configure(&self, internal: &[u16]) -> Result<(), String> {
        for (index, node) in self.nodes.iter().enumerate() {
            std::fs::create_dir_all(&node.folder).map_err(|error| error.to_string())?;
            let data = node.folder.join("data");
            let text = match self.contestant {
                Contestant::Klamm => klamm_properties(node.port, index, internal, &data),
                Contestant::Kafka => kafka_properties(node.port, index, internal, &data),
            };
            let path = node.folder.join("server.properties");
            std::fs::write(path, text).map_err(|error| error.to_string())?;
        }
        match self.contestant {
            Contestant::Klamm => Ok(()),
            Contestant::Kafka => self.format(),
        }
    }

    /// All at the same time: each waits for a JVM.
    fn format(&self) -> Result<(), String> {
        std::thread::scope(|scope| {
            let formatting: Vec<_> = (self.nodes.iter())
                .map(|node| node.folder.join("server.properties"))
                .map(|properties| scope.spawn(move || self.setting.format(&properties)))
                .collect();
            formatting
                .into_iter()
                .try_for_each(|thread| thread.join().expect("it only starts a process"))
        })
    }

    /// Starts the broker of a node that does not run.
    pub(crate) fn run(&mut self, node: usize) -> Result<(), String> {
        let node = &mut self.nodes[node];
        let prepared = (self.setting).prepared(self.contestant, &node.folder, node.port, HEAP_MIB);
        node.broker = Some(prepared?.start()?);
        Ok(())
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self, node: usize) -> Result<(), String> {
        match self.nodes[node].broker.take() {
            Some(broker) => broker.kill().map(|_| ()),
            None => Ok(()),
        }
    }

    /// The error is that of a broker that ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        for node in &mut self.nodes {
            if node.broker.as_mut().is_some_and(Broker::has_ended) {
                let log = node.folder.join("output.log");
                return Err(format!("a broker ended, see {}", log.display()));
            }
        }
        Ok(())
    }

    fn wait_until_formed(&mut self) -> Result<(), String> {
        let watcher = self.watcher()?;
        let started = Instant::now();
        while watcher.brokers().len() < BROKERS {
            self.check()?;
            if started.elapsed() > START_LIMIT {
                let name = self.contestant.name();
                return Err(format!("{name} is no cluster after {START_LIMIT:?}"));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Somebody who asks the brokers that run now.
    pub(crate) fn watcher(&self) -> Result<Watcher, String> {
        Watcher::new(&self.addresses())
    }

    /// The node whose broker listens there.
    pub(crate) fn node_at(&self, port: u16) -> Option<usize> {
        self.nodes.iter().position(|node| node.port == port)
    }

    /// Where the broker of a node listens.
    pub(crate) fn port_of(&self, node: usize) -> u16 {
        self.nodes[node].port
    }
}

impl Brokers for Cluster<'_> {
    fn addresses(&self) -> String {
        let running = self.nodes.iter().filter(|node| node.broker.is_some());
        let addresses: Vec<_> = running
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        addresses.join(",")
    }

    fn pids(&self) -> Vec<u32> {
        let running = self.nodes.iter().filter_map(|node| node.broker.as_ref());
        running.map(Broker::pid).collect()
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for node in 0..self.nodes.len() {
            // It fails only for what has ended already.
            let _ = self.kill(node);
        }
    }
}

fn klamm_properties(port: u16, index: usize, internal: &[u16], data: &Path) -> String {
    let peers: Vec<_> = (internal.iter())
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    format!(
        "listeners=PLAINTEXT://127.0.0.1:{port}\n\
         klamm.admin.listener=\n\
         klamm.peer.listener={}\n\
         klamm.seed.brokers={}\n\
         klamm.partitions.max={PARTITIONS_MAX}\n\
         log.dirs={}\n\
         num.partitions={PARTITIONS}\n",
        peers[index],
        peers.join(","),
        data.display()
    )
}

/// Its own defaults ask for three replicas of the topics that it makes for itself.
fn kafka_properties(port: u16, index: usize, internal: &[u16], data: &Path) -> String {
    let voters: Vec<_> = (1..)
        .zip(internal)
        .map(|(id, port)| format!("{id}@127.0.0.1:{port}"))
        .collect();
    format!(
        "process.roles=broker,controller\n\
         node.id={}\n\
         controller.quorum.voters={}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\n\
         num.partitions={PARTITIONS}\n",
        index + 1,
        voters.join(","),
        internal[index],
        data.display()
    )
}

/// Ports that are free at this moment; nothing else on the machine is expected to take them.
fn free_ports(count: usize) -> Result<Vec<u16>, String> {
    let mut ports = BTreeSet::new();
    // Two runs at once begin at different places.
    let offset = usize::try_from(std::process::id()).expect("a small number") * 16 % PORTS.len();
    for port in PORTS.skip(offset).chain(PORTS) {
        if ports.len() == count {
            break;
        }
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.insert(port);
        }
    }
    match ports.len() {
        found if found == count => Ok(ports.into_iter().collect()),
        found => Err(format!("{found} of {count} ports are free in {PORTS:?}")),
    }
}
