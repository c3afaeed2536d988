//! Where time enters, and where a command waits for it.
#![expect(
    clippy::disallowed_methods,
    reason = "the command line's one clock: time-outs, and when a message of the load is due"
)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    unix_us() / 1_000
}

/// Microseconds since 1970: what clocks of different machines are compared by.
pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    })
}

/// Waits. For what has no event to wait for: the time at which the next message of a load is due,
/// a client's queue that is full, a cluster that has no leader yet.
pub(crate) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

/// Until when something may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(duration: Duration) -> Self {
        Self(now() + duration)
    }

    /// What is left; zero when it has passed.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(now())
    }

    pub(crate) fn has_passed(self) -> bool {
        self.left().is_zero()
    }
}
