//! Whole clusters: three to five brokers that host several groups at once (the metadata, a partition of
//! `__consumer_offsets`, and data partitions that are created and moved through the metadata), each on a
//! disk and by clocks of its own, and clients that write down what they did and what they were told.
//!
//! What is the product's own: drivers, replicas, logs and their directories, the metadata's decisions and
//! image, the steps of reassignments, and the coordinator. Its asynchronous shell is written again, as thin
//! as possible ([`process`], [`changes`], [`hosting`], [`groups`], [`service`]).
//!
//! What goes wrong is in [`faults`] and [`cruelty`]. After every event a replica's watermarks must be in order, a term must
//! have one leader, and whatever is shown must be the same everywhere and for ever ([`oracle`]). When faults
//! have ended, every group must be led within ten seconds and all clients must end; replicas and images
//! must be equal, and the checker of histories must find nothing ([`settle`]).
//!
//! `KLAMM_WHOLE_SEEDS=10000 cargo test --test simulation whole` lives that many, `KLAMM_WHOLE_SEED` one of
//! them alone.

mod broker;
mod changes;
mod clients;
mod cruelty;
mod faults;
mod groups;
mod hosted;
mod hosting;
mod messages;
mod oracle;
mod process;
mod rules;
mod service;
mod settle;
mod world;

use klamm_simulation::{Seeds, Tally, Trace, any_fails, lived_twice};
use rules::Sabotage;
use settle::Lived;
use world::World;

/// Lives of an ordinary run.
const SEEDS: Seeds = Seeds {
    one: "KLAMM_WHOLE_SEED",
    many: "KLAMM_WHOLE_SEEDS",
    ordinary: 200,
};

#[test]
fn clients_find_nothing_wrong_with_clusters_that_fail() {
    let lived = SEEDS.live(|seed, trace| live(seed, None, trace));
    let sum = |of: fn(&Lived) -> u64| lived.iter().map(of).sum::<u64>();
    let acknowledged = sum(|life| life.acknowledged);
    let corrections = sum(|life| life.corrections);
    let tally = Tally::sum(lived.iter().map(|life| &life.tally));
    println!(
        "whole clusters: {tally}; {acknowledged} records acknowledged, {} polled, {} commits of \
         offsets, {} records of metadata, {corrections} logs cut",
        sum(|life| life.polled),
        sum(|life| life.commits),
        sum(|life| life.changes),
    );
    let lives = tally.lives();
    assert!(
        lives < 10 || acknowledged > 20 * lives,
        "little was acknowledged"
    );
    assert!(lives < 50 || 2 * corrections > lives, "few logs are cut");
}

#[test]
fn a_seed_lives_the_same_whole_life_twice() {
    for seed in 0..2 {
        lived_twice(seed, |seed, trace| live(seed, None, trace));
    }
}

#[test]
fn an_acknowledgement_by_the_leader_alone_is_noticed_by_clients() {
    check_noticed(Sabotage::AckByLeaderAlone);
}

#[test]
fn offsets_that_are_answered_before_they_are_committed_are_noticed() {
    check_noticed(Sabotage::OffsetsBeforeCommit);
}

#[test]
fn metadata_that_are_applied_before_they_are_committed_are_noticed() {
    check_noticed(Sabotage::ImageBeforeCommit);
}

#[test]
fn a_leader_that_has_forgotten_its_producers_is_noticed() {
    check_noticed(Sabotage::ProducersAreForgotten);
}

#[test]
fn a_broker_that_votes_without_what_it_acknowledged_is_noticed() {
    check_noticed(Sabotage::NoVoteBar);
}

#[test]
fn segments_of_brokers_that_were_never_synced_are_noticed() {
    check_noticed(Sabotage::SegmentSyncIsALie);
}

#[test]
fn journals_of_brokers_that_were_never_synced_are_noticed() {
    check_noticed(Sabotage::JournalSyncIsALie);
}

fn check_noticed(sabotage: Sabotage) {
    const LIVES: u64 = 500;
    let noticed = any_fails(LIVES, |seed, trace| live(seed, Some(sabotage), trace));
    assert!(noticed, "{sabotage:?} went unnoticed in {LIVES} lives");
}

fn live(seed: u64, sabotage: Option<Sabotage>, trace: &Trace) -> Lived {
    World::new(seed, sabotage, trace).live()
}
