//! One partition on several brokers: the product's own drivers, replicas and logs, each on a disk of
//! its own that loses what was not synced, with a network between them that delays, reorders and
//! loses messages.
//!
//! `KLAMM_CLUSTER_SEEDS=10000 cargo test --test simulation cluster` lives that many worlds,
//! `KLAMM_CLUSTER_SEED` one of them alone.

mod ledger;
mod node;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::{Sabotage, World};

use crate::number_from;
use crate::trace::Trace;

/// Worlds of an ordinary run.
const SEEDS: u64 = 200;

#[test]
fn acknowledged_records_survive_and_replicas_become_equal() {
    let seeds = match number_from("KLAMM_CLUSTER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_from("KLAMM_CLUSTER_SEEDS").unwrap_or(SEEDS),
    };
    let (mut acknowledged, mut worlds) = (0, 0);
    for seed in seeds {
        let trace = Trace::default();
        match live(seed, None, &trace) {
            Ok(records) => acknowledged += records,
            Err(panic) => {
                eprintln!("{}", trace.tail(80));
                eprintln!("seed {seed} failed: KLAMM_CLUSTER_SEED={seed} lives it alone");
                std::panic::resume_unwind(panic);
            }
        }
        worlds += 1;
    }
    assert!(
        acknowledged > 20 * worlds,
        "little was acknowledged: {acknowledged}"
    );
}

#[test]
fn a_seed_lives_the_same_cluster_life_twice() {
    for seed in 0..3 {
        let lives = [(); 2].map(|()| {
            let trace = Trace::default();
            let _ = live(seed, None, &trace);
            trace.lines()
        });
        assert!(lives[0].len() > 100, "something happens");
        assert_eq!(lives[0], lives[1], "seed {seed}");
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
    const SEEDS: u64 = 500;
    let noticed = (0..SEEDS).any(|seed| live(seed, Some(sabotage), &Trace::default()).is_err());
    assert!(noticed, "{sabotage:?} went unnoticed in {SEEDS} worlds");
}

fn live(seed: u64, sabotage: Option<Sabotage>, trace: &Trace) -> std::thread::Result<u64> {
    catch_unwind(AssertUnwindSafe(|| {
        World::new(seed, sabotage, trace).live()
    }))
}
