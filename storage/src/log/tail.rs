//! The end of a log that is sure to be in memory, because it was written a moment ago.
//!
//! "A moment" is counted in bytes that all logs of a directory have appended: without a clock, and
//! so that the end of a log nobody has written to for long does not count. Whoever reads there
//! asks nobody, and so pays no system call: these are the consumers that keep up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the logs of a directory have appended since the process started.
#[derive(Clone, Debug, Default)]
pub(crate) struct AppendedBytes(Arc<AtomicU64>);

/// Half of the bytes after which something does not count as written a moment ago: little beside
/// what a machine has for its page cache, much beside how far a consumer lags that keeps up.
const HALF_BYTES: u64 = 16 << 20;

/// How much of one log's end was written a moment ago.
#[derive(Debug)]
pub(super) struct Tail {
    all: AppendedBytes,
    /// When the current half began.
    since: u64,
    /// Bytes of this log from the half before.
    before: u64,
    /// And from the current one.
    current: u64,
}

impl Tail {
    pub(super) fn new(all: AppendedBytes) -> Self {
        Self {
            all,
            since: 0,
            before: 0,
            current: 0,
        }
    }

    pub(super) fn appended(&mut self, bytes: u64) {
        let now = self.all.0.fetch_add(bytes, Ordering::Relaxed);
        let passed = now.saturating_sub(self.since);
        if passed >= HALF_BYTES {
            self.before = match passed < 2 * HALF_BYTES {
                true => self.current,
                false => 0,
            };
            self.current = 0;
            self.since = now;
        }
        self.current += bytes;
    }

    /// Bytes at the end of the log that were written a moment ago.
    pub(super) fn size_bytes(&self) -> u64 {
        let passed = self
            .all
            .0
            .load(Ordering::Relaxed)
            .saturating_sub(self.since);
        match passed {
            _ if passed < HALF_BYTES => self.before + self.current,
            _ if passed < 2 * HALF_BYTES => self.current,
            _ => 0,
        }
    }

    /// The end was cut: another one is written now.
    pub(super) fn cut(&mut self) {
        (self.before, self.current) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_long_ago_by_the_measure_of_all_logs_does_not_count() {
        let all = AppendedBytes::default();
        let (mut ours, mut others) = (Tail::new(all.clone()), Tail::new(all));
        assert_eq!(ours.size_bytes(), 0);
        ours.appended(100);
        ours.appended(50);
        assert_eq!(ours.size_bytes(), 150);
        others.appended(HALF_BYTES - 200);
        assert_eq!(ours.size_bytes(), 150);
        others.appended(100);
        ours.appended(7);
        assert_eq!(ours.size_bytes(), 157);
        others.appended(HALF_BYTES);
        assert_eq!(ours.size_bytes(), 7);
        others.appended(HALF_BYTES);
        assert_eq!(ours.size_bytes(), 0);
        ours.appended(9);
        assert_eq!(ours.size_bytes(), 9);
        ours.cut();
        assert_eq!(ours.size_bytes(), 0);
    }

    #[test]
    fn a_log_that_is_written_alone_has_a_tail_of_a_half_at_least_and_two_at_most() {
        let mut tail = Tail::new(AppendedBytes::default());
        for written in 1..100 {
            tail.appended(1 << 20);
            let least = HALF_BYTES.min(written << 20);
            assert!(tail.size_bytes() >= least, "{written}");
            assert!(tail.size_bytes() <= 2 * HALF_BYTES, "{written}");
        }
    }
}
