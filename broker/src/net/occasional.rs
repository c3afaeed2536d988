//! A line of the log for what strangers can cause as often as they like.

use std::cell::Cell;
use std::time::Duration;

use klamm_model::Instant;

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counts occurrences of one kind, and says when to write a line about them: at the first, and
/// then once per [`INTERVAL`] at most. What happens after the last line is told with the next
/// occurrence, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Occasional {
    last_line: Cell<Option<Instant>>,
    untold: Cell<u64>,
}

impl Occasional {
    /// Counts one more; how many a line is to tell of, if it is time for one.
    pub(crate) fn count(&self, now: Instant) -> Option<u64> {
        let count = self.untold.get() + 1;
        let last_line = self.last_line.get();
        if last_line.is_some_and(|last| now.since(last) < INTERVAL) {
            self.untold.set(count);
            return None;
        }
        self.untold.set(0);
        self.last_line.set(Some(now));
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_has_a_line_and_then_each_second_has_one_with_a_count() {
        let refused = Occasional::default();
        let at = |ms| Instant::after_start(Duration::from_millis(ms));
        let lines: Vec<_> = [0, 1, 500, 999, 1000, 1001, 1999, 5000, 5001, 9000]
            .map(|ms| refused.count(at(ms)))
            .to_vec();
        let told = [
            Some(1),
            None,
            None,
            None,
            Some(4),
            None,
            None,
            Some(3),
            None,
            Some(2),
        ];
        assert_eq!(lines, told);
    }
}
