//! When messages are due: at a fixed rate from a start, whatever the cluster does.

use std::time::Duration;

/// A rate, for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// Messages per second, at least one.
    pub(super) rate: u64,
    /// Seconds that are not measured.
    pub(super) warm_up: u64,
    /// Seconds that are.
    pub(super) seconds: u64,
}

impl Schedule {
    /// How many messages there are.
    pub(super) fn total(&self) -> u64 {
        self.rate * (self.warm_up + self.seconds)
    }

    /// Whether a message counts.
    pub(super) fn is_measured(&self, sequence: u64) -> bool {
        sequence >= self.rate * self.warm_up
    }

    /// How long after the start a message is due. Not a multiple of a rounded interval: that would
    /// be off by a second after an hour.
    pub(super) fn due(&self, sequence: u64) -> Duration {
        let seconds = sequence / self.rate;
        let rest = u128::from(sequence % self.rate);
        let nanos = rest * 1_000_000_000 / u128::from(self.rate);
        Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    }

    /// How many messages are due within `elapsed` of the start.
    pub(super) fn due_within(&self, elapsed: Duration) -> u64 {
        let due = elapsed.as_nanos() * u128::from(self.rate) / 1_000_000_000 + 1;
        u64::try_from(due).unwrap_or(u64::MAX).min(self.total())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        rate: 73_800,
        warm_up: 5,
        seconds: 60,
    };

    #[test]
    fn messages_are_due_at_a_steady_rate_without_drift() {
        assert_eq!(SCHEDULE.due(0), Duration::ZERO);
        assert_eq!(SCHEDULE.due(1), Duration::from_nanos(13_550));
        assert_eq!(SCHEDULE.due(73_800 * 3_600), Duration::from_secs(3_600));
        let interval = |sequence| SCHEDULE.due(sequence + 1) - SCHEDULE.due(sequence);
        for sequence in [0, 73_799, 73_800, 1 << 40] {
            assert!(interval(sequence).as_nanos().abs_diff(13_550) <= 1);
        }
    }

    #[test]
    fn what_is_due_before_the_end_of_the_warm_up_does_not_count() {
        assert_eq!(SCHEDULE.total(), 73_800 * 65);
        assert!(!SCHEDULE.is_measured(73_800 * 5 - 1));
        assert!(SCHEDULE.is_measured(73_800 * 5));
    }

    #[test]
    fn what_is_due_within_a_time_agrees_with_when_it_is_due() {
        for sequence in [0, 1, 73_799, 1_000_000] {
            assert_eq!(
                SCHEDULE.due_within(SCHEDULE.due(sequence + 1)),
                sequence
                    + 1
                    + u64::from(
                        (SCHEDULE.due(sequence + 1).as_nanos() * 73_800)
                            .is_multiple_of(1_000_000_000)
                    )
            );
        }
        assert_eq!(
            SCHEDULE.due_within(Duration::from_secs(10_000)),
            SCHEDULE.total()
        );
    }
}
