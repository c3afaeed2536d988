//! One partition on several brokers: the product's own drivers, replicas and logs, each on a disk of
//! its own that loses what was not synced, with a network between them that delays, reorders and
//! loses messages.
//!
//! `KLAMM_CLUSTER_SEEDS=10000 cargo test --test simulation cluster` lives that many worlds,
//! `KLAMM_CLUSTER_SEED` one of them alone.

mod copying;
mod ledger;
mod node;
mod segments;
mod world;

use klamm_simulation::{Seeds, Tally, Trace, any_fails, lived_twice};
use world::{Lived, Sabotage, World};

/// Worlds of an ordinary run.
const SEEDS: Seeds = Seeds {
    one: "KLAMM_CLUSTER_SEED",
    many: "KLAMM_CLUSTER_SEEDS",
    ordinary: 200,
};

#[test]
fn acknowledged_records_survive_and_replicas_become_equal() {
    let lived = SEEDS.live(|seed, trace| live(seed, None, trace));
    let sum = |of: fn(&Lived) -> u64| lived.iter().map(of).sum::<u64>();
    let (records, changes) = (sum(|life| life.records), sum(|life| life.changes));
    let tally = Tally::sum(lived.iter().map(|life| &life.tally));
    println!("clusters: {tally}; {records} records acknowledged, {changes} changes of members");
    let worlds = tally.lives();
    assert!(
        worlds < 10 || records > 20 * worlds,
        "little was acknowledged: {records}"
    );
    let sleeps = sum(|life| life.sleeps);
    assert!(worlds < 10 || sleeps > 2 * worlds, "little sleep: {sleeps}");
    assert!(worlds < 10 || changes > worlds, "few changes: {changes}");
    let copies = sum(|life| life.copies);
    assert!(worlds < 10 || copies > worlds / 10, "few copies: {copies}");
}

#[test]
fn a_seed_lives_the_same_cluster_life_twice() {
    for seed in 0..3 {
        lived_twice(seed, |seed, trace| live(seed, None, trace));
    }
}

#[test]
fn a_replica_that_votes_without_what_it_acknowledged_is_noticed() {
    check_noticed(Sabotage::NoVoteBar);
}

#[test]
fn a_segment_of_a_replica_that_was_never_synced_is_noticed() {
    check_noticed(Sabotage::SegmentSyncIsALie);
}

#[test]
fn a_journal_of_a_replica_that_was_never_synced_is_noticed() {
    check_noticed(Sabotage::JournalSyncIsALie);
}

#[test]
fn an_acknowledgement_by_the_leader_alone_is_noticed() {
    check_noticed(Sabotage::AckByLeaderAlone);
}

fn check_noticed(sabotage: Sabotage) {
    const WORLDS: u64 = 500;
    let noticed = any_fails(WORLDS, |seed, trace| live(seed, Some(sabotage), trace));
    assert!(noticed, "{sabotage:?} went unnoticed in {WORLDS} worlds");
}

fn live(seed: u64, sabotage: Option<Sabotage>, trace: &Trace) -> Lived {
    World::new(seed, sabotage, trace).live()
}
