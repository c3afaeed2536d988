//! Lives worlds of a simulation, or runs tests of one case, and reads what came of them.

use std::fmt;
use std::process::{Command, Output};

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
    /// Whole clusters, with metadata, groups and idempotent clients: `tests/simulation/whole`.
    Whole,
    /// No worlds, but one log whose end is cut, with the machine stopped at every operation:
    /// `storage/src/log/tests/cuts.rs`. For what takes so many coincidences in a world that hardly any has
    /// them.
    Cuts,
    /// No worlds either, but what one replica is told and says: `broker/replication/testdata`.
    Scripts,
}

impl Simulation {
    /// What Cargo calls the tests' target.
    fn target(self) -> &'static [&'static str] {
        match self {
            Self::Replicas | Self::Scripts => &["--workspace", "--test", "replica"],
            Self::Brokers | Self::OneBroker | Self::Whole => {
                &["--workspace", "--test", "simulation"]
            }
            Self::Cuts => &["--package", "klamm-storage", "--lib"],
        }
    }

    /// The variable that says how many worlds are lived.
    fn variable(self) -> Option<&'static str> {
        match self {
            Self::Replicas => Some("KLAMM_GROUP_SEEDS"),
            Self::Brokers => Some("KLAMM_CLUSTER_SEEDS"),
            Self::OneBroker => Some("KLAMM_SEEDS"),
            Self::Whole => Some("KLAMM_WHOLE_SEEDS"),
            Self::Cuts | Self::Scripts => None,
        }
    }

    /// The tests that live worlds, or are the cases.
    fn tests(self) -> &'static [&'static str] {
        match self {
            Self::Replicas => &[
                "group::what_was_acknowledged_survives_the_power_loss",
                "group::what_was_acknowledged_survives_any_number",
                "group::a_group_that_lost_power_as_a_whole",
                "group::with_an_fsync_before_each_acknowledgement",
                "group::what_was_acknowledged_since_an_unclean_election",
            ],
            Self::Brokers => &["cluster::acknowledged_records"],
            Self::OneBroker => &["no_acknowledged_record_is_lost"],
            Self::Whole => &["whole::clients_find_nothing"],
            Self::Cuts => &["log::tests::cuts"],
            Self::Scripts => &["scripts"],
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
    let target = simulation.target();
    let built = cargo(tree, target).arg("--no-run").output();
    let built = built.expect("cargo can be started");
    if !built.status.success() {
        let errors = String::from_utf8_lossy(&built.stderr).into_owned();
        let first = errors.lines().find(|line| line.starts_with("error"));
        return Verdict::NotBuilt(first.unwrap_or("for no reason given").to_owned());
    }
    let mut verdicts = simulation.tests().iter().map(|test| {
        let mut command = cargo(tree, target);
        command.args(["--", test]);
        command.envs(simulation.variable().map(|name| (name, worlds.to_string())));
        verdict_of(&command.output().expect("cargo can be started"))
    });
    let noticed = verdicts.find(Verdict::is_noticed);
    noticed.unwrap_or(Verdict::Unnoticed)
}

fn verdict_of(lived: &Output) -> Verdict {
    match lived.status.code() {
        Some(0) => Verdict::Unnoticed,
        Some(TIMED_OUT) => Verdict::Stuck,
        _ => {
            let mut said = String::from_utf8_lossy(&lived.stdout).into_owned();
            said.push_str(&String::from_utf8_lossy(&lived.stderr));
            Verdict::Noticed {
                seed: seed_in(&said),
                why: first_panic(&said).to_owned(),
            }
        }
    }
}

/// What the command `timeout` exits with.
const TIMED_OUT: i32 = 124;

/// `cargo test` of one target. Its build directory is its own: Cargo tells a crate of the copy from the same
/// crate of the workspace by its path below their roots, so in one directory either would be taken for built
/// when the other is.
fn cargo(tree: &Tree, target: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["20m", "cargo", "test", "--quiet"])
        .args(target)
        .current_dir(tree.root())
        .env("CARGO_TARGET_DIR", tree.root().join("../build"))
        // Five hundred worlds take longer than to optimise the crates that they live in.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
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
    let mut lines = said
        .lines()
        .skip_while(|line| !line.contains("panicked at"));
    lines.nth(1).map_or("no panic", str::trim)
}
