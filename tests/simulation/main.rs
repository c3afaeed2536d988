//! One broker's partitions through crashes, one partition on several brokers ([`cluster`]), and whole
//! clusters with clients ([`whole`]).
//!
//! Here: partitions of one broker, on a disk that loses, tears and refuses: the product's
//! own driver, replica and log, under a clock and a disk that follow from a seed.
//!
//! `KLAMM_SEEDS=10000 cargo test --test simulation` lives that many worlds. A seed that fails is
//! printed; `KLAMM_SEED=<it>` lives it alone.

mod broker;
mod checker;
mod cluster;
mod disk;
mod oracle;
mod whole;
mod workload;
mod world;

use klamm_simulation::{Seeds, Tally, any_fails, lived_twice};
use world::Planted;

/// Worlds of an ordinary run.
const SEEDS: Seeds = Seeds {
    one: "KLAMM_SEED",
    many: "KLAMM_SEEDS",
    ordinary: 200,
};

#[test]
fn no_acknowledged_record_is_lost_in_any_world() {
    let lived = SEEDS.live(|seed, trace| world::live(seed, None, trace));
    println!("one broker: {}", Tally::sum(&lived));
}

#[test]
fn a_seed_lives_the_same_life_twice() {
    let mut compacted = 0;
    for seed in 0..5 {
        let life = lived_twice(seed, |seed, trace| world::live(seed, None, trace));
        let swaps = life.iter().filter(|line| line.contains("swapped"));
        compacted += swaps.count();
    }
    assert!(compacted > 0, "something is compacted");
}

#[test]
fn an_acknowledgement_before_the_write_is_noticed() {
    check_noticed(Planted::AckBeforeWrite);
}

#[test]
fn an_acknowledgement_before_the_flush_is_noticed_when_strict() {
    check_noticed(Planted::AckBeforeFlush);
}

#[test]
fn a_segment_that_was_never_synced_is_noticed() {
    check_noticed(Planted::SegmentSyncIsALie);
}

#[test]
fn a_journal_that_was_never_synced_is_noticed() {
    check_noticed(Planted::JournalSyncIsALie);
}

#[test]
fn a_failed_fsync_that_is_forgotten_is_noticed() {
    check_noticed(Planted::FailedSyncIsForgotten);
}

/// A simulation that finds nothing wrong with a planted fault proves nothing.
fn check_noticed(planted: Planted) {
    let worlds = SEEDS.ordinary;
    let noticed = any_fails(worlds, |seed, trace| {
        world::live(seed, Some(planted), trace);
    });
    assert!(noticed, "{planted:?} went unnoticed in {worlds} worlds");
}
