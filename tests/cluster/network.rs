//! A network of its own on this machine: a namespace for each broker, one for the clients, and one
//! with the bridge that joins them. Nothing in the machine's own namespace is touched.
//!
//! A namespace is a host with one address. nftables cut hosts off from one another.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where `ip netns` keeps the names.
const NAMES: &str = "/run/netns";
const PREFIX: &str = "klamm-faults";
/// Programs without which there is no network.
const PROGRAMS: [&str; 3] = ["ip", "nft", "nsenter"];

/// The hosts of one test. The thread that made it is among the clients until it goes.
pub(crate) struct Network {
    /// Part of the names of its namespaces.
    name: String,
    brokers: usize,
    /// The namespace from which the thread came.
    home: File,
}

/// Why there can be no network here; `None` if there can.
pub(crate) fn obstacle() -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &&&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if let Some(missing) = PROGRAMS.iter().find(|program| !is_there(program)) {
        return Some(format!("{missing} is not installed"));
    }
    let probe = format!("{PREFIX}-{}-probe", std::process::id());
    let made = try_run("ip", &["netns", "add", &probe]);
    if let Err(problem) = made {
        return Some(format!("no network namespace can be made: {problem}"));
    }
    let ruled = try_run(
        "nsenter",
        &[
            &namespace_flag(&probe),
            "nft",
            "add",
            "table",
            "inet",
            "faults",
        ],
    );
    run("ip", &["netns", "del", &probe]);
    let problem = ruled.err()?;
    Some(format!("nftables do not work in a namespace: {problem}"))
}

impl Network {
    /// As many hosts for brokers as are said. The calling thread moves to the clients.
    pub(crate) fn new(brokers: usize) -> Self {
        remove_left_over();
        let home = File::open("/proc/thread-self/ns/net").expect("every thread has a network");
        let name = format!("{PREFIX}-{}", std::process::id());
        let network = Self {
            name,
            brokers,
            home,
        };
        network.make_bridge();
        for host in 0..=brokers {
            network.make_host(host);
        }
        network.enter();
        network
    }

    /// The broker's address.
    pub(crate) fn address(&self, broker: usize) -> Ipv4Addr {
        assert!(broker < self.brokers, "there is no broker {broker}");
        address(broker)
    }

    /// Words that run a command at a broker's host.
    pub(crate) fn at_broker(&self, broker: usize) -> [String; 2] {
        [
            "nsenter".to_owned(),
            namespace_flag(&self.namespace(broker)),
        ]
    }

    /// Moves the calling thread, and what it starts from now on, to the clients.
    pub(crate) fn enter(&self) {
        let path = Path::new(NAMES).join(self.namespace(self.brokers));
        move_to(&File::open(path).expect("the clients have a namespace"));
    }

    /// Nothing that `from` sends reaches `to`.
    pub(crate) fn block(&self, from: usize, to: usize) {
        let from = address(from).to_string();
        self.rule(
            to,
            &format!("add rule inet faults input ip saddr {from} drop"),
        );
    }

    /// Neither reaches the other.
    pub(crate) fn part(&self, one: usize, other: usize) {
        self.block(one, other);
        self.block(other, one);
    }

    /// As if the host's cable were out: neither brokers nor clients reach it, and nobody says so.
    pub(crate) fn unplug(&self, broker: usize) {
        self.rule(broker, "add rule inet faults input iifname != lo drop");
        self.rule(broker, "add rule inet faults output oifname != lo drop");
    }

    /// Everybody reaches everybody.
    pub(crate) fn heal(&self) {
        for broker in 0..self.brokers {
            self.rule(broker, "flush table inet faults");
        }
    }

    fn make_bridge(&self) {
        let hub = self.hub();
        run("ip", &["netns", "add", &hub]);
        run(
            "ip",
            &["-n", &hub, "link", "add", "bridge", "type", "bridge"],
        );
        run("ip", &["-n", &hub, "link", "set", "bridge", "up"]);
    }

    /// Brokers' hosts are numbered from 0; the one after them is the clients'.
    fn make_host(&self, host: usize) {
        let (hub, name) = (self.hub(), self.namespace(host));
        let port = format!("port{host}");
        let cidr = format!("{}/24", address(host));
        run("ip", &["netns", "add", &name]);
        let pair = [
            "-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns",
            &name,
        ];
        run("ip", &pair);
        run(
            "ip",
            &["-n", &hub, "link", "set", &port, "master", "bridge", "up"],
        );
        run("ip", &["-n", &name, "address", "add", &cidr, "dev", "eth0"]);
        for device in ["lo", "eth0"] {
            run("ip", &["-n", &name, "link", "set", device, "up"]);
        }
        self.rule(host, "add table inet faults");
        for hook in ["input", "output"] {
            let chain = format!(
                "add chain inet faults {hook} {{ type filter hook {hook} priority 0; policy accept; }}"
            );
            self.rule(host, &chain);
        }
    }

    fn rule(&self, host: usize, rule: &str) {
        run(
            "nsenter",
            &[&namespace_flag(&self.namespace(host)), "nft", rule],
        );
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    fn namespace(&self, host: usize) -> String {
        format!("{}-{host}", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        move_to(&self.home);
        for host in 0..=self.brokers {
            let _ = try_run("ip", &["netns", "del", &self.namespace(host)]);
        }
        let _ = try_run("ip", &["netns", "del", &self.hub()]);
    }
}

fn address(host: usize) -> Ipv4Addr {
    let last = u8::try_from(host + 1).expect("few hosts");
    Ipv4Addr::new(10, 77, 0, last)
}

fn namespace_flag(name: &str) -> String {
    format!("--net={NAMES}/{name}")
}

fn move_to(namespace: &File) {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("the thread may go there");
}

/// Namespaces of runs that were killed.
fn remove_left_over() {
    let names = std::fs::read_dir(NAMES).into_iter().flatten().flatten();
    for name in names {
        let name = name.file_name().to_string_lossy().into_owned();
        let rest = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix('-'));
        let process = rest.and_then(|rest| rest.split('-').next());
        let runs = |process: &str| PathBuf::from("/proc").join(process).exists();
        if process.is_some_and(|process| !runs(process)) {
            let _ = try_run("ip", &["netns", "del", &name]);
        }
    }
}

fn run(program: &str, words: &[&str]) {
    try_run(program, words).unwrap_or_else(|problem| panic!("{program} {words:?}: {problem}"));
}

fn try_run(program: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(words).output();
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
