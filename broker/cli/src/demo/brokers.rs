//! Three brokers as child processes, in a folder that goes when they do.
//!
//! They are in process groups of their own, so that Ctrl-C on a terminal is for this process, and
//! end with it however it ends.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::metadata::Metadata;

use super::ports;
use super::script::Victim;
use crate::clock::{self, Deadline};
use crate::cluster::Cluster;
use crate::error::{CliError, FAILED};
use crate::files;
use crate::interrupt::Interrupt;
use crate::output::note;

pub(super) const BROKERS: usize = 3;
const HOST: &str = "127.0.0.1";
/// Brokers that take longer do not start.
const START_LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// For one answer about partitions: the load is looked at meanwhile by nobody.
const PATIENCE: Duration = Duration::from_millis(500);
/// What a broker writes when it serves.
const READY: &str = "is ready";
/// So many lines of a broker that ended by itself are shown.
const LAST_LINES: usize = 5;

/// The brokers. When it is dropped, they end, and their folder goes.
pub(super) struct Brokers {
    program: PathBuf,
    folder: PathBuf,
    keep: bool,
    nodes: Vec<Node>,
}

struct Node {
    name: String,
    port: u16,
    /// What it is started with.
    words: Vec<String>,
    /// How often it was started; each life has a log of its own.
    lives: u32,
    child: Option<Child>,
}

impl Brokers {
    /// Starts them; `program` is the binary, this one if none is given.
    pub(super) fn start(program: Option<&Path>, keep: bool) -> Result<Self, CliError> {
        let program = program.map_or_else(std::env::current_exe, |path| Ok(path.to_owned()))?;
        let folder = std::env::temp_dir().join(format!("klamm-demo-{}", std::process::id()));
        files::make_folder(&folder)?;
        let mut brokers = Self {
            program,
            folder,
            keep,
            nodes: Vec::new(),
        };
        brokers.nodes = nodes(&brokers.folder)?;
        for index in 0..BROKERS {
            brokers.run(index)?;
        }
        Ok(brokers)
    }

    fn run(&mut self, index: usize) -> Result<(), CliError> {
        let node = &mut self.nodes[index];
        node.lives += 1;
        let log = files::create(&node.log(&self.folder))?;
        let mut command = Command::new(&self.program);
        command
            .arg("serve")
            .arg(format!("--with-parent={}", std::process::id()))
            .args(&node.words)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        // The settings of a broker that somebody runs here are not theirs.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KLAMM_") {
                command.env_remove(name);
            }
        }
        let child = command.spawn().map_err(|error| CliError::File {
            path: self.program.clone(),
            error,
        })?;
        node.child = Some(child);
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where those listen that run.
    pub(super) fn bootstrap(&self) -> String {
        let running = self.nodes.iter().filter(|node| node.child.is_some());
        let addresses = running.map(|node| format!("{HOST}:{}", node.port));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Waits until all of them serve.
    ///
    /// # Errors
    /// One ends, it takes too long, or Ctrl-C.
    pub(super) fn wait_until_ready(&mut self, interrupt: &Interrupt) -> Result<(), CliError> {
        let deadline = Deadline::after(START_LIMIT);
        while let Some(waiting) = self.nodes.iter().find(|node| !node.is_ready(&self.folder)) {
            if interrupt.asked() {
                return Err(CliError::Interrupted("nothing was sent yet".to_owned()));
            }
            if deadline.has_passed() {
                let seconds = START_LIMIT.as_secs();
                return Err(waiting.failed(&self.folder, &format!("not ready after {seconds} s")));
            }
            self.check()?;
            clock::sleep(LOOK);
        }
        Ok(())
    }

    /// # Errors
    /// A broker has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), CliError> {
        for node in &mut self.nodes {
            let Some(child) = &mut node.child else {
                continue;
            };
            if let Some(status) = child.try_wait()? {
                return Err(node.failed(&self.folder, &format!("it has ended, {status}")));
            }
        }
        Ok(())
    }

    /// Kills the leader of the first partition with SIGKILL; `None` if the cluster does not say
    /// who that is, and somebody should ask again.
    pub(super) fn kill_leader(
        &mut self,
        cluster: &Cluster,
        topic: &str,
    ) -> Result<Option<Victim>, CliError> {
        let Some((port, victim)) = leader(&metadata(cluster, topic)) else {
            return Ok(None);
        };
        let node = self.nodes.iter_mut().find(|node| node.port == port);
        let Some(mut child) = node.and_then(|node| node.child.take()) else {
            return Ok(None);
        };
        child.kill()?;
        child.wait()?;
        Ok(Some(victim))
    }

    /// Starts what was killed.
    pub(super) fn start_killed(&mut self) -> Result<(), CliError> {
        let killed = self.nodes.iter().position(|node| node.child.is_none());
        killed.map_or(Ok(()), |index| self.run(index))
    }

    /// Whether all brokers serve, and have what was acknowledged, as `cluster` says.
    pub(super) fn are_in_sync(&self, cluster: &Cluster, topic: &str) -> bool {
        if !self.nodes.iter().all(|node| node.is_ready(&self.folder)) {
            return false;
        }
        let metadata = metadata(cluster, topic);
        let topics = metadata.iter().flat_map(|metadata| metadata.topics());
        let mut partitions = topics.flat_map(|topic| topic.partitions()).peekable();
        partitions.peek().is_some() && partitions.all(|one| one.isr().len() == BROKERS)
    }
}

impl Node {
    fn log(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}-{}.log", self.name, self.lives))
    }

    /// Whether it has said so in this life.
    fn is_ready(&self, folder: &Path) -> bool {
        let log = files::read_text(&self.log(folder));
        self.child.is_some() && log.is_ok_and(|text| text.contains(READY))
    }

    fn failed(&self, folder: &Path, why: &str) -> CliError {
        let log = files::read_text(&self.log(folder)).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        CliError::Part {
            part: self.name.clone(),
            why: format!("{why}; it said:\n{}", last.join("\n")),
            code: FAILED,
        }
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                // Both fail only if it has ended already.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        if self.keep {
            note(&format!("kept: {}", self.folder.display()));
        } else if let Err(error) = files::remove_folder(&self.folder) {
            note(&error.to_string());
        }
    }
}

fn nodes(folder: &Path) -> Result<Vec<Node>, CliError> {
    let ports = ports::free(2 * BROKERS)?;
    let (ports, peers) = ports.split_at(BROKERS);
    let peers: Vec<_> = peers.iter().map(|port| format!("{HOST}:{port}")).collect();
    let seeds = peers.join(",");
    let node = |(number, (port, peer)): (usize, (&u16, &String))| {
        let name = format!("broker-{number}");
        let data = folder.join(&name);
        let settings = [
            ("log.dirs", data.display().to_string()),
            ("listeners", format!("PLAINTEXT://{HOST}:{port}")),
            ("klamm.admin.listener", String::new()),
            ("klamm.peer.listener", peer.clone()),
            ("klamm.seed.brokers", seeds.clone()),
        ];
        let words = settings.map(|(name, value)| format!("--set={name}={value}"));
        Node {
            name,
            port: *port,
            words: words.to_vec(),
            lives: 0,
            child: None,
        }
    };
    Ok((1..).zip(ports.iter().zip(&peers)).map(node).collect())
}

/// What the cluster says of a topic; nothing if it does not answer in time.
fn metadata(cluster: &Cluster, topic: &str) -> Option<Metadata> {
    let asked = cluster.consumer().fetch_metadata(Some(topic), PATIENCE);
    asked.ok()
}

/// The leader of the first partition, and the port at which it listens.
fn leader(metadata: &Option<Metadata>) -> Option<(u16, Victim)> {
    let metadata = metadata.as_ref()?;
    let partitions = metadata.topics().first()?.partitions();
    let leader = partitions.iter().find(|one| one.id() == 0)?.leader();
    let broker = metadata.brokers().iter().find(|one| one.id() == leader)?;
    let led = partitions.iter().filter(|one| one.leader() == leader);
    let mut led: Vec<_> = led.map(|one| one.id()).collect();
    led.sort_unstable();
    let victim = Victim {
        name: format!(
            "broker {leader}, which leads {} of the partitions,",
            led.len()
        ),
        led,
    };
    Some((u16::try_from(broker.port()).ok()?, victim))
}
