//! The one place where time enters. Everything below the shell is told what time it is.
#![expect(clippy::disallowed_methods, reason = "the clock enters here")]

use std::time::{Duration, SystemTime};

use klamm_model::{Instant, Timestamp};

/// The system's clocks: monotonic since the clock was made, and wall time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// Starts counting now.
    pub(crate) fn start() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }

    /// Monotonic time since the start.
    pub(crate) fn now(&self) -> Instant {
        Instant::after_start(self.start.elapsed())
    }

    /// Wall time; a clock before 1970 reads as 0.
    pub(crate) fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// Does something, and says how long it took.
    pub(crate) fn timed<T>(&self, work: impl FnOnce() -> T) -> (T, Duration) {
        let begun = self.now();
        let result = work();
        (result, self.now().since(begun))
    }

    /// The runtime's notion of `instant`, for its timers.
    pub(crate) fn at(&self, instant: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + instant.since_start())
    }
}
