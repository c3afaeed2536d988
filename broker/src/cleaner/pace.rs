//! How fast compactions go: `log.cleaner.io.max.bytes.per.second`, and not at all when the process
//! ends.
#![expect(
    clippy::disallowed_methods,
    reason = "the cleaner's threads wait where they are"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use klamm_model::Instant;
use klamm_storage::Pace;

use crate::clock::Clock;

/// Stops all compactions.
#[derive(Clone, Debug, Default)]
pub(super) struct Brake(Arc<AtomicBool>);

impl Brake {
    pub(super) fn pull(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_pulled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Holds one compaction to a rate, counted from its start.
#[derive(Debug)]
pub(super) struct Throttle {
    clock: Clock,
    begun: Instant,
    bytes_per_second: f64,
    brake: Brake,
    bytes: u64,
    /// Since the clock was looked at.
    unchecked_bytes: u64,
}

/// Bytes between two looks at the clock: a fraction of a millisecond of work.
const CHECK_BYTES: u64 = 64 << 10;

/// The longest wait before the brake is looked at again.
const WAIT_MAX: Duration = Duration::from_millis(100);

impl Throttle {
    pub(super) fn new(clock: Clock, bytes_per_second: f64, brake: Brake) -> Self {
        Self {
            clock,
            begun: clock.now(),
            bytes_per_second,
            brake,
            bytes: 0,
            unchecked_bytes: 0,
        }
    }

    /// When as many bytes as were moved are allowed.
    fn due_after(&self) -> Duration {
        let seconds = self.bytes as f64 / self.bytes_per_second;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

impl Pace for Throttle {
    fn moved(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        self.unchecked_bytes += bytes;
        if self.unchecked_bytes >= CHECK_BYTES {
            self.unchecked_bytes = 0;
            let due = self.due_after();
            loop {
                let ahead = due.saturating_sub(self.clock.now().since(self.begun));
                if ahead.is_zero() || self.brake.is_pulled() {
                    break;
                }
                std::thread::sleep(ahead.min(WAIT_MAX));
            }
        }
        !self.brake.is_pulled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compaction_is_no_faster_than_allowed() {
        let clock = Clock::start();
        let mut throttle = Throttle::new(clock, 10e6, Brake::default());
        for _ in 0..20 {
            assert!(throttle.moved(CHECK_BYTES));
        }
        let allowed = Duration::from_secs_f64(20.0 * CHECK_BYTES as f64 / 10e6);
        assert!(clock.now().since(throttle.begun) >= allowed);
    }

    #[test]
    fn the_brake_ends_a_wait_of_years() {
        let brake = Brake::default();
        let mut throttle = Throttle::new(Clock::start(), 1e-3, brake.clone());
        brake.pull();
        assert!(!throttle.moved(CHECK_BYTES));
    }
}
