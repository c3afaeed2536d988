//! How fast logs are copied, all together: `leader.replication.throttled.rate` and
//! `follower.replication.throttled.rate` (KIP-73).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use klamm_model::Instant;

use crate::clock::Clock;

/// Shared by all copies of one direction.
#[derive(Debug)]
pub(crate) struct Throttle {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` if nothing is held back.
    bytes_per_second: Option<u64>,
    /// When what was let through will have taken the time that it may take.
    free_at: Instant,
}

impl Throttle {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::new(State {
                bytes_per_second: None,
                free_at: clock.now(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on; `None` for no limit.
    pub(crate) fn set_rate(&self, bytes_per_second: Option<u64>) {
        let mut state = self.state();
        if state.bytes_per_second != bytes_per_second {
            state.bytes_per_second = bytes_per_second;
            // What a slower rate has run up is forgiven.
            state.free_at = self.clock.now();
        }
    }

    /// Counts bytes that travel now; how long the next have to wait.
    pub(super) fn count(&self, bytes: usize) -> Duration {
        let now = self.clock.now();
        let mut state = self.state();
        let Some(rate) = state.bytes_per_second else {
            return Duration::ZERO;
        };
        let seconds = bytes as f64 / rate.max(1) as f64;
        let takes = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST);
        state.free_at = state.free_at.max(now) + takes.min(LONGEST);
        state.free_at.since(now)
    }
}

/// Of one part.
const LONGEST: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_travels_takes_the_time_that_the_rate_gives_it_and_none_without_a_rate() {
        let throttle = Throttle::new(Clock::start());
        assert_eq!(throttle.count(1 << 30), Duration::ZERO);
        throttle.set_rate(Some(1_000));
        let first = throttle.count(60_000);
        assert!(first > Duration::from_secs(50) && first <= Duration::from_secs(60));
        let second = throttle.count(60_000);
        assert!(second > Duration::from_secs(110) && second <= Duration::from_secs(120));
        throttle.set_rate(None);
        assert_eq!(throttle.count(1 << 30), Duration::ZERO);
    }
}
