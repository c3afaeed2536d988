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

use world::World;

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
        match live(seed, &trace) {
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
            let _ = live(seed, &trace);
            trace.lines()
        });
        assert!(lives[0].len() > 100, "something happens");
        assert_eq!(lives[0], lives[1], "seed {seed}");
    }
}

fn live(seed: u64, trace: &Trace) -> std::thread::Result<u64> {
    catch_unwind(AssertUnwindSafe(|| World::new(seed, trace).live()))
}
