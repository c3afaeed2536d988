//! Lives worlds of a simulation, and reads what came of them.

use std::fmt;
use std::process::Command;

use crate::tree::Tree;

/// Who is to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Simulation {
    /// Groups of replicas on disks and a network of their own: `broker/replication/tests/replica`.
    Replicas,
    /// One partition on several brokers, with the product's drivers and logs:
    /// `tests/simulation/cluster`.
    Brokers,
    /// The partitions of one broker: `tests/simulation/world`.
    OneBroker,
}

impl Simulation {
    /// The package, the target and the tests of it that live worlds, and the variable that says how
    /// many.
    fn tests(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Replicas => (
                "klamm-replication",
                "replica",
                "group::what_was_acknowledged",
                "KLAMM_GROUP_SEEDS",
            ),
            Self::Brokers => (
                "klamm-tests",
                "simulation",
                "cluster::acknowledged_records",
                "KLAMM_CLUSTER_SEEDS",
            ),
            Self::OneBroker => (
                "klamm-tests",
                "simulation",
                "no_acknowledged_record_is_lost",
                "KLAMM_SEEDS",
            ),
        }
    }
}

/// What a simulation made of the sources.
pub(crate) enum Verdict {
    /// A world failed, or something that should happen in them did not.
    Noticed { seed: Option<u64>, why: String },
    /// It did not come to an end.
    Stuck,
    /// Every world was in order.
    Unnoticed,
    /// The sources do not compile: the mutation is to be mended.
    NotBuilt(String),
}

impl Verdict {
    pub(crate) fn is_noticed(&self) -> bool {
        matches!(self, Self::Noticed { .. } | Self::Stuck)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noticed {
                seed: Some(seed),
                why,
            } => write!(f, "noticed at seed {seed}: {why}"),
            Self::Noticed { seed: None, why } => write!(f, "noticed in the end: {why}"),
            Self::Stuck => f.write_str("noticed: it never ends"),
            Self::Unnoticed => f.write_str("nothing noticed"),
            Self::NotBuilt(why) => write!(f, "cannot be built: {why}"),
        }
    }
}

/// Builds the simulation and lives so many of its worlds, one after the other, until one fails.
pub(crate) fn live(tree: &Tree, simulation: Simulation, worlds: u64) -> Verdict {
    let (package, target, tests, variable) = simulation.tests();
    let built = cargo(tree, package, target).arg("--no-run").output();
    let built = built.expect("cargo can be started");
    if !built.status.success() {
        let errors = String::from_utf8_lossy(&built.stderr).into_owned();
        let first = errors.lines().find(|line| line.starts_with("error"));
        return Verdict::NotBuilt(first.unwrap_or("for no reason given").to_owned());
    }
    let lived = cargo(tree, package, target)
        .args(["--", tests])
        .env(variable, worlds.to_string())
        .output()
        .expect("cargo can be started");
    if lived.status.success() {
        return Verdict::Unnoticed;
    }
    if lived.status.code() == Some(TIMED_OUT) {
        return Verdict::Stuck;
    }
    let mut said = String::from_utf8_lossy(&lived.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&lived.stderr));
    Verdict::Noticed {
        seed: seed_in(&said),
        why: first_panic(&said).to_owned(),
    }
}

/// What the command `timeout` exits with.
const TIMED_OUT: i32 = 124;

/// `cargo test` of one target, which shares with the workspace what is built of other crates.
fn cargo(tree: &Tree, package: &str, target: &str) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["20m", "cargo", "test", "--quiet"])
        .args(["--package", package, "--test", target])
        .current_dir(tree.root())
        .env("CARGO_TARGET_DIR", tree.root().join("../../"));
    command
}

/// The seed of the world that failed, as the simulations print it.
fn seed_in(said: &str) -> Option<u64> {
    said.split("seed ").skip(1).find_map(|rest| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    })
}

/// What the first panic said.
fn first_panic(said: &str) -> &str {
    let mut lines = said.lines().skip_while(|line| !line.contains("panicked at"));
    lines.nth(1).map_or("no panic", str::trim)
}
