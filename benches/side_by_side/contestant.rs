//! Starting and stopping the two brokers, each in a folder and on a port of its own.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Apache Kafka's version, as in `benches/kafka/pom.xml`.
const KAFKA_VERSION: &str = "4.4.0";
/// What Kafka's own start script passes to Java.
const JVM_OPTIONS: &[&str] = &[
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];
/// Kafka's own default for the heap of a broker.
const HEAP_MIB: u32 = 1_024;
/// A fixed cluster id: Kafka wants 16 bytes in URL-safe base 64.
const CLUSTER_ID: &str = "S2xhbW1CZW5jaG1hcmsxMg";
/// Partitions of every topic.
pub(crate) const PARTITIONS: i32 = 6;
/// A broker that has not ended by then is killed.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    Klamm,
    Kafka,
}

impl Contestant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Contestant::Klamm => "Klamm",
            Contestant::Kafka => "Apache Kafka 4.4",
        }
    }
}

/// Where both find what they need.
pub(crate) struct Setting {
    folder: PathBuf,
    klamm: PathBuf,
    kafka_jars: PathBuf,
    tool_jars: PathBuf,
}

impl Setting {
    /// Makes the folder, fetches Kafka from Maven Central when it is not there yet, and sees that
    /// Klamm's binary exists.
    pub(crate) fn prepare(
        klamm: &Path,
        contestants: &[Contestant],
        with_tools: bool,
    ) -> Result<Self, String> {
        let folder = root().join("target/bench");
        std::fs::create_dir_all(&folder).map_err(|error| format!("target/bench: {error}"))?;
        let kafka_jars = folder.join(format!("kafka-{KAFKA_VERSION}"));
        if contestants.contains(&Contestant::Kafka) && !kafka_jars.is_dir() {
            fetch("Apache Kafka", "benches/kafka/pom.xml", &kafka_jars)?;
        }
        let tool_jars = folder.join("kafka-tools");
        if with_tools && !tool_jars.is_dir() {
            fetch("Kafka's tools", "benches/kafka/tools/pom.xml", &tool_jars)?;
        }
        if contestants.contains(&Contestant::Klamm) && !klamm.is_file() {
            let klamm = klamm.display();
            return Err(format!(
                "{klamm} does not exist: run `cargo build --release` first"
            ));
        }
        Ok(Self {
            folder,
            klamm: klamm.to_owned(),
            kafka_jars,
            tool_jars,
        })
    }

    /// Where reports and logs go.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// An empty data folder, configured and formatted, ready to be started.
    pub(crate) fn fresh(&self, contestant: Contestant) -> Result<Prepared, String> {
        let folder = self.home(contestant);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", folder.display()));
            }
            _ => {}
        }
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let port = free_port();
        let properties = folder.join("server.properties");
        let data = folder.join("data");
        let text = match contestant {
            Contestant::Klamm => klamm_properties(port, &data),
            Contestant::Kafka => kafka_properties(port, &data),
        };
        std::fs::write(&properties, text).map_err(|error| error.to_string())?;
        if contestant == Contestant::Kafka {
            self.format(&properties)?;
        }
        self.prepared(contestant, &folder, port, HEAP_MIB)
    }

    /// The same broker with the data that a killed one left behind, on the same port.
    pub(crate) fn again(
        &self,
        contestant: Contestant,
        killed: &Killed,
    ) -> Result<Prepared, String> {
        self.prepared(contestant, &self.home(contestant), killed.port, HEAP_MIB)
    }

    fn home(&self, contestant: Contestant) -> PathBuf {
        self.folder.join(format!("run-{contestant:?}"))
    }

    /// Where a broker keeps its logs.
    pub(crate) fn data(&self, contestant: Contestant) -> PathBuf {
        self.home(contestant).join("data")
    }

    /// A broker whose `server.properties` and data are in `folder`.
    pub(crate) fn prepared(
        &self,
        contestant: Contestant,
        folder: &Path,
        port: u16,
        heap_mib: u32,
    ) -> Result<Prepared, String> {
        let properties = folder.join("server.properties");
        let mut command = match contestant {
            Contestant::Klamm => Command::new(&self.klamm),
            Contestant::Kafka => self.java(JVM_OPTIONS, Some(heap_mib)),
        };
        match contestant {
            Contestant::Klamm => command.args(["serve", "--config"]),
            Contestant::Kafka => command.arg("kafka.Kafka"),
        };
        command.arg(&properties);
        let mut log = File::options();
        let log = log
            .create(true)
            .append(true)
            .open(folder.join("output.log"))
            .map_err(|error| error.to_string())?;
        let same_log = log.try_clone().map_err(|error| error.to_string())?;
        command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(same_log)
            .current_dir(folder);
        Ok(Prepared { command, port })
    }

    /// Writes what Kafka wants to find in an empty data folder.
    pub(crate) fn format(&self, properties: &Path) -> Result<(), String> {
        let mut command = self.java(&[], None);
        command
            .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
            .arg(properties);
        succeed(command)
    }

    /// One of Kafka's tools, by its class.
    pub(crate) fn tool(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.arg("-cp").arg(self.tool_jars.join("*")).arg(class);
        command
    }

    fn java(&self, options: &[&str], heap_mib: Option<u32>) -> Command {
        let mut command = Command::new("java");
        if let Some(mib) = heap_mib {
            command.args([format!("-Xmx{mib}M"), format!("-Xms{mib}M")]);
        }
        command
            .args(options)
            .arg("-cp")
            .arg(self.kafka_jars.join("*"));
        command
    }
}

/// A broker that could be started now.
pub(crate) struct Prepared {
    command: Command,
    port: u16,
}

impl Prepared {
    /// `host:port`, known before the broker runs.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn start(mut self) -> Result<Broker, String> {
        let address = self.address();
        let program = self.command.get_program().to_string_lossy().into_owned();
        let child = self
            .command
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        Ok(Broker {
            child,
            address,
            port: self.port,
        })
    }
}

/// What clients talk to, and the kernel counts.
pub(crate) trait Brokers {
    /// `host:port` of each, with commas between them.
    fn addresses(&self) -> String;
    /// The processes.
    fn pids(&self) -> Vec<u32>;
}

impl Brokers for Broker {
    fn addresses(&self) -> String {
        self.address.clone()
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.pid()]
    }
}

/// A running broker; stopped when dropped.
pub(crate) struct Broker {
    child: Child,
    address: String,
    port: u16,
}

/// What is left of a broker that was killed.
pub(crate) struct Killed {
    port: u16,
}

impl Broker {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// As `kill -9` does.
    pub(crate) fn kill(mut self) -> Result<Killed, String> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_err(|error| error.to_string())?;
        Ok(Killed { port: self.port })
    }

    /// Whether the process has ended, which it should not have.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        let deadline = Instant::now() + STOP_LIMIT;
        while asked.is_ok() && Instant::now() < deadline && !self.has_ended() {
            std::thread::sleep(Duration::from_millis(20));
        }
        // Both fail only when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir
        .parent()
        .expect("benches/ lies inside the workspace")
        .to_owned()
}

fn klamm_properties(port: u16, data: &Path) -> String {
    format!(
        "listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={}\nnum.partitions={PARTITIONS}\n",
        data.display()
    )
}

fn kafka_properties(port: u16, data: &Path) -> String {
    let controller = free_port();
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\n\
         num.partitions={PARTITIONS}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n",
        data.display()
    )
}

/// A port that is free at this moment; nothing else on the machine is expected to take it.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

fn fetch(what: &str, pom: &str, jars: &Path) -> Result<(), String> {
    println!("fetching {what} from Maven Central");
    let mut command = Command::new("mvn");
    command
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(root().join(pom));
    command.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
    command.arg(format!("-DoutputDirectory={}", jars.display()));
    succeed(command)
}

fn succeed(mut command: Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program} cannot be started: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(format!(
                "{program} failed: {said}{}",
                String::from_utf8_lossy(&output.stdout)
            ))
        }
    }
}
