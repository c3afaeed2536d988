//! Who may depend on whom. Dependencies point one way:
//! `broker → {replication, coordinator, metadata, protocol, tiering, storage} → model`, and
//! `broker → s3 → tiering`.
//!
//! THINK TWICE before you widen this table. A line that is added here is a wall that is taken
//! down: a pure crate that links tokio can no longer be replayed by the simulation, and one that
//! links another pure crate can no longer be read alone. A new edge is a decision
//! (`docs/decisions/`).

use std::collections::BTreeSet;

use crate::tree::{assert_none, files};
use crate::workspace::{Member, members};

/// Crates of the house that each crate may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("klamm-model", &[]),
    ("klamm-protocol", &["klamm-model"]),
    // Its tests use what simulations are made of; the crate itself does not (see below).
    ("klamm-replication", &["klamm-model", "klamm-simulation"]),
    ("klamm-simulation", &["klamm-replication"]),
    ("klamm-coordinator", &["klamm-model"]),
    ("klamm-metadata", &["klamm-model"]),
    ("klamm-storage", &["klamm-model"]),
    ("klamm-tiering", &["klamm-model", "klamm-storage"]),
    // The one kind of store that brings an SDK: whoever uses tiering does not build it.
    ("klamm-s3", &["klamm-tiering"]),
    // A client as any other: it knows nothing of how the broker works.
    ("klamm-cli", &[]),
    (
        "klamm-broker",
        &[
            "klamm-cli",
            "klamm-coordinator",
            "klamm-metadata",
            "klamm-model",
            "klamm-protocol",
            "klamm-replication",
            "klamm-s3",
            "klamm-storage",
            "klamm-tiering",
        ],
    ),
    (
        "klamm-tests",
        &[
            "klamm-broker",
            "klamm-coordinator",
            "klamm-metadata",
            "klamm-model",
            "klamm-protocol",
            "klamm-replication",
            "klamm-simulation",
            "klamm-storage",
            "klamm-tiering",
        ],
    ),
    (
        "klamm-benches",
        &[
            "klamm-broker",
            "klamm-coordinator",
            "klamm-metadata",
            "klamm-model",
            "klamm-protocol",
            "klamm-replication",
            "klamm-storage",
            "klamm-tiering",
        ],
    ),
];

/// External crates with one home, and who may name them directly.
const HOMES: &[(&str, &[&str])] = &[
    ("kafka-protocol", &["klamm-protocol", "klamm-tests"]),
    ("raft", &["klamm-replication"]),
    ("slog", &["klamm-replication"]),
    ("memmap2", &["klamm-storage"]),
    // Object storage is asked by futures, and its SDK runs on tokio.
    (
        "tokio",
        &[
            "klamm-broker",
            "klamm-s3",
            "klamm-tiering",
            "klamm-tests",
            "klamm-benches",
        ],
    ),
    ("socket2", &["klamm-broker", "klamm-tests", "klamm-benches"]),
    ("clap", &["klamm-broker", "klamm-cli", "klamm-benches"]),
    ("hyper", &["klamm-broker"]),
    ("hyper-util", &["klamm-broker"]),
    ("http-body-util", &["klamm-broker"]),
    ("prometheus-client", &["klamm-broker"]),
    ("rdkafka", &["klamm-cli", "klamm-tests", "klamm-benches"]),
    ("hdrhistogram", &["klamm-cli"]),
    ("aws-config", &["klamm-s3"]),
    ("aws-credential-types", &["klamm-s3"]),
    ("aws-sdk-s3", &["klamm-s3"]),
    ("aws-smithy-http-client", &["klamm-s3"]),
    ("aws-smithy-types", &["klamm-s3"]),
];

/// Crates that perform no IO and know no clock, thread or randomness.
const PURE: &[&str] = &[
    "klamm-model",
    "klamm-protocol",
    "klamm-replication",
    "klamm-coordinator",
    "klamm-metadata",
];

/// What must not even be linked, however indirectly, with a pure crate. Storage is not pure, but
/// synchronous and without a network.
const NEVER_LINKED_WITH_PURE: &[&str] = &[
    "async-std",
    "aws-config",
    "aws-sdk-s3",
    "hyper",
    "memmap2",
    "mio",
    "reqwest",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "tracing-subscriber",
];
const NEVER_LINKED_WITH_STORAGE: &[&str] = &[
    "async-std",
    "aws-config",
    "aws-sdk-s3",
    "hyper",
    "mio",
    "raft",
    "reqwest",
    "socket2",
    "tokio",
];

#[test]
fn crates_depend_only_as_the_table_says() {
    let mut findings = Vec::new();
    for member in members() {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == member.name) else {
            findings.push(format!("{} is not in the table", member.name));
            continue;
        };
        let house = member
            .dependencies
            .iter()
            .filter(|name| name.starts_with("klamm-"));
        // Its own name: a dev-dependency of a crate on itself enables its test features.
        for used in house.filter(|name| **name != member.name && !allowed.contains(&name.as_str()))
        {
            findings.push(format!("{} must not use {used}", member.name));
        }
    }
    assert_none(&findings, "dependencies point one way, towards klamm-model");
}

#[test]
fn external_crates_stay_in_their_home() {
    let mut findings = Vec::new();
    for member in members() {
        for (external, homes) in HOMES {
            if member.dependencies.contains(*external) && !homes.contains(&member.name.as_str()) {
                findings.push(format!("{} must not use {external}", member.name));
            }
        }
    }
    assert_none(&findings, "some crates have one home");
}

#[test]
fn pure_crates_link_nothing_that_performs_io() {
    let mut findings = Vec::new();
    for member in members() {
        let forbidden = match member.name.as_str() {
            name if PURE.contains(&name) => NEVER_LINKED_WITH_PURE,
            "klamm-storage" => NEVER_LINKED_WITH_STORAGE,
            _ => continue,
        };
        findings.extend(links(&member, forbidden));
    }
    assert_none(
        &findings,
        "pure crates know no IO, clock, thread, randomness or runtime",
    );
}

#[test]
fn the_broker_as_a_library_does_not_know_the_command_line() {
    // `Cargo.toml` cannot say that a dependency is the binary's only.
    const BINARY: [&str; 3] = [
        "broker/src/main.rs",
        "broker/src/cli.rs",
        "broker/src/dump.rs",
    ];
    let findings: Vec<_> = files(&[".rs"])
        .iter()
        .filter(|file| file.path.starts_with("broker/src/"))
        .filter(|file| !BINARY.contains(&file.path.as_str()))
        .filter(|file| file.text.contains("klamm_cli") || file.text.contains("clap::"))
        .map(|file| file.path.clone())
        .collect();
    assert_none(&findings, "librdkafka is linked with the binary only");
}

#[test]
fn nothing_depends_on_tests_or_benches() {
    let mut findings = Vec::new();
    for member in members() {
        for leaf in ["klamm-tests", "klamm-benches"] {
            if member.dependencies.contains(leaf) {
                findings.push(format!("{} must not use {leaf}", member.name));
            }
        }
    }
    assert_none(&findings, "tests and benches are leaves");
}

#[test]
fn what_simulations_are_made_of_is_linked_with_tests_only() {
    let members = members();
    let others = members.iter().filter(|one| one.name != "klamm-simulation");
    let findings: Vec<_> = others
        .flat_map(|member| links(member, &["klamm-simulation"]))
        .collect();
    assert_none(&findings, "it is a dev-dependency");
}

#[test]
fn the_table_names_only_crates_that_exist() {
    let existing: BTreeSet<_> = members().into_iter().map(|member| member.name).collect();
    let findings: Vec<_> = MAY_USE
        .iter()
        .filter(|(name, _)| !existing.contains(*name))
        .map(|(name, _)| format!("{name} does not exist"))
        .collect();
    assert_none(&findings, "the table describes the house as it is");
}

fn links(member: &Member, forbidden: &[&str]) -> Vec<String> {
    forbidden
        .iter()
        .filter(|name| member.linked.contains(**name))
        .map(|name| format!("{} links {name}", member.name))
        .collect()
}
