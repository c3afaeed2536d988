//! One broker's partitions through crashes, on a disk that loses, tears and refuses: the product's
//! own driver, replica and log, under a clock and a disk that follow from a seed.
//!
//! `KLAMM_SEEDS=10000 cargo test --test simulation` lives that many worlds. A seed that fails is
//! printed; `KLAMM_SEED=<it>` lives it alone.

mod broker;
mod checker;
mod cluster;
mod disk;
mod oracle;
mod random;
mod trace;
mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use trace::Trace;
use world::Planted;

/// Worlds of an ordinary run.
const SEEDS: u64 = 200;

#[test]
fn no_acknowledged_record_is_lost_in_any_world() {
    let seeds = match number_from("KLAMM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_from("KLAMM_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let trace = Trace::default();
        if let Err(panic) = live(seed, None, &trace) {
            eprintln!("{}", trace.tail(60));
            eprintln!("seed {seed} failed: KLAMM_SEED={seed} lives it alone");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_seed_lives_the_same_life_twice() {
    let mut compacted = 0;
    for seed in 0..5 {
        let lives = [(); 2].map(|()| {
            let trace = Trace::default();
            // Whether the world is in order is for the other test to say.
            let _ = live(seed, None, &trace);
            trace.lines()
        });
        assert!(lives[0].len() > 100, "something happens");
        assert_eq!(lives[0], lives[1], "seed {seed}");
        let swaps = lives[0].iter().filter(|line| line.contains("swapped"));
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
    let noticed = (0..SEEDS).any(|seed| live(seed, Some(planted), &Trace::default()).is_err());
    assert!(noticed, "{planted:?} went unnoticed in {SEEDS} worlds");
}

fn live(seed: u64, planted: Option<Planted>, trace: &Trace) -> std::thread::Result<()> {
    catch_unwind(AssertUnwindSafe(|| world::live(seed, planted, trace)))
}

#[expect(clippy::disallowed_methods, reason = "a test is told what to do")]
pub(crate) fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}
