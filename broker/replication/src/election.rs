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

/// This replica's time-out in ticks, between one and two times [`ELECTION_TICKS`]. raft-rs would
/// draw from the thread's own generator, which no seed reaches; a range of one value stops that.
pub(crate) fn timeout_ticks(seed: u64) -> usize {
    let draw = ChaCha8Rng::seed_from_u64(seed).next_u32() as usize;
    ELECTION_TICKS + draw % ELECTION_TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same_time_out_and_seeds_differ() {
        let draws: Vec<usize> = (0..100).map(timeout_ticks).collect();
        assert_eq!(draws, (0..100).map(timeout_ticks).collect::<Vec<_>>());
        assert!(draws.iter().all(|ticks| (20..40).contains(ticks)));
        let distinct: std::collections::BTreeSet<_> = draws.iter().collect();
        assert!(distinct.len() > 10, "{distinct:?}");
    }
}
