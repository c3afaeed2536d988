//! Real clients: librdkafka, Kafka's Java client and franz-go, as the conformance tests install
//! them. Each program is a producer and two members of a group, and writes an operation log.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::bed::Bed;
use crate::history::event::Entry;
use crate::history::lines;
use crate::process::{Process, command};
use crate::run::{PARTITIONS, TOPIC};
use crate::support::TempDir;

/// Records a second of each producer.
const RATE: u32 = 150;
/// A client that was asked to end has so long to be told how its last sends ended.
const END_LIMIT: Duration = Duration::from_secs(90);
/// What they use of the conformance tests' groups of clients.
const GROUPS: [&str; 2] = ["java-new", "confluent-kafka"];

/// The programs, ready to be started.
pub(crate) struct Programs {
    cache: PathBuf,
}

impl Programs {
    /// Installs what is missing.
    pub(crate) fn install() -> Self {
        let programs = Self {
            cache: cache_home().join("klamm-tests"),
        };
        if !programs.python().is_file() || !programs.cache.join("maven/java-new").is_dir() {
            install_with_conformance();
        }
        let mut go = Command::new("go");
        go.args(["build", "-mod=readonly", "-o"]);
        go.arg(programs.go()).arg(".");
        run(go.current_dir(sources().join("go")));
        programs
    }

    fn python(&self) -> PathBuf {
        self.cache.join("python/bin/python")
    }

    fn go(&self) -> PathBuf {
        self.cache.join("cluster-client")
    }

    /// The programs' names, and how each is started.
    fn commands(&self) -> [(&'static str, Command); 3] {
        let mut python = command(self.python());
        python.arg(sources().join("python/cluster_client.py"));
        let mut java = command("java");
        java.args([
            "-Xmx128m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
        ]);
        java.arg(format!("{}/*", self.cache.join("maven/java-new").display()));
        java.arg(sources().join("java/ClusterClient.java"));
        let go = command(self.go());
        [("librdkafka", python), ("java", java), ("franz-go", go)]
    }
}

/// Clients that run.
pub(crate) struct RealClients {
    dir: TempDir,
    running: Vec<(&'static str, Process)>,
}

impl RealClients {
    /// Starts all, with producers that are numbered from `first` on.
    pub(crate) fn start(bed: &Bed, programs: &Programs, first: u32) -> Self {
        let dir = TempDir::new();
        let bootstrap: Vec<_> = bed.bootstrap().iter().map(SocketAddr::to_string).collect();
        let numbered = (first..).zip(programs.commands());
        let running = numbered.map(|(number, (name, mut command))| {
            command
                .arg(bootstrap.join(","))
                .arg(TOPIC)
                .arg(PARTITIONS.to_string())
                .arg(number.to_string())
                .arg(RATE.to_string())
                .arg(log_path(&dir, name))
                .arg(stop_path(&dir));
            (name, Process::start(command))
        });
        let running = running.collect();
        Self { dir, running }
    }

    /// Asks them to end; what each did.
    pub(crate) fn stop(self) -> Vec<Vec<Entry>> {
        std::fs::write(stop_path(&self.dir), []).expect("a file can be made");
        let ended = self.running.into_iter().map(|(name, mut process)| {
            let status = process.wait(END_LIMIT);
            assert!(status.success(), "{name}: {:#?}", process.lines());
            let text = std::fs::read_to_string(log_path(&self.dir, name));
            let text = text.expect("it wrote its operation log");
            lines::parse(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"))
        });
        ended.collect()
    }
}

fn log_path(dir: &TempDir, name: &str) -> PathBuf {
    dir.join(&format!("{name}.jsonl"))
}

fn stop_path(dir: &TempDir) -> PathBuf {
    dir.join("stop")
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/clients")
}

/// Where the conformance tests keep what they install.
fn cache_home() -> PathBuf {
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME") {
        return PathBuf::from(cache);
    }
    let home = std::env::var_os("HOME");
    home.map_or_else(std::env::temp_dir, PathBuf::from)
        .join(".cache")
}

fn install_with_conformance() {
    let mut install = Command::new(env!("CARGO"));
    install.args([
        "test",
        "--package",
        "klamm-tests",
        "--test",
        "conformance",
        "--",
    ]);
    run(install.arg("install").args(GROUPS));
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
