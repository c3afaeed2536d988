//! Election time-outs: drawn from the replica's seed, so that the same seed gives the same world.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// How long one tick of raft-rs is.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// 100 ms between two heartbeats.
pub(crate) const HEARTBEAT_TICKS: usize = 2;
/// 1 s at least without a leader before an election.
pub(crate) const ELECTION_TICKS: usize = 20;

/// An election time-out in ticks, from [`ELECTION_TICKS`] to twice as many (exclusive). raft-rs would
/// draw from the thread's own generator, which no seed reaches.
///
/// `nth` counts the elections of a replica: two that wait equally long and whose logs are better than
/// the others' would keep each other from winning for ever if they did not draw anew each time.
pub(crate) fn timeout_ticks(seed: u64, nth: u64) -> usize {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(nth);
    ELECTION_TICKS + random.next_u32() as usize % ELECTION_TICKS
}

/// Ticks until a replica tries again that has lost an election out of turn: long enough for a round of
/// votes, and different for two that would get in each other's way.
pub(crate) fn retry_ticks(seed: u64, nth: u64) -> u64 {
    let mut random = ChaCha8Rng::seed_from_u64(!seed);
    random.set_stream(nth);
    2 + u64::from(random.next_u32() % 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same_time_outs_and_seeds_differ() {
        let draws = |seed| -> Vec<usize> { (0..20).map(|nth| timeout_ticks(seed, nth)).collect() };
        assert_eq!(draws(1), draws(1));
        assert!(draws(1).iter().all(|ticks| (20..40).contains(ticks)));
        let distinct: std::collections::BTreeSet<_> = (0..100).map(draws).collect();
        assert_eq!(distinct.len(), 100);
    }
}
