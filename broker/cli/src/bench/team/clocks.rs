//! How far the clocks of the parts are apart.
//!
//! A part is asked what time it is, and the answer lies between the question and its arrival: the
//! quicker the round trip, the better the clock is known. The best of several counts. Where the
//! answer can be explained by clocks that agree, they are taken to agree: clocks that a network
//! keeps in step do so better than a round trip can tell.

use crate::bench::outcome::{Clocks, PartClock};

/// What one round trip says of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// How far it is ahead.
    ahead_us: i64,
    /// How much more or less that may be.
    uncertain_us: u64,
}

/// A part's clock; the same text in two of them says that they are one clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) boot: Option<String>,
    pub(super) reading: Reading,
}

impl Reading {
    /// A part on this machine, and this kernel.
    pub(super) const SAME: Self = Self {
        ahead_us: 0,
        uncertain_us: 0,
    };

    /// Asked at `asked` and answered at `answered` by our clock, `said` by the other.
    pub(super) fn of(asked: u64, said: u64, answered: u64) -> Self {
        let took = answered.saturating_sub(asked);
        let middle = asked + took / 2;
        Self {
            ahead_us: signed(said) - signed(middle),
            // The halves are rounded down, and so are the clocks.
            uncertain_us: took / 2 + 2,
        }
    }

    /// The better of two.
    pub(super) fn or(self, other: Self) -> Self {
        match other.uncertain_us < self.uncertain_us {
            true => other,
            false => self,
        }
    }

    /// What to allow for: no more than what is certain.
    pub(super) fn correction_us(self) -> i64 {
        let certain = (self.ahead_us.unsigned_abs()).saturating_sub(self.uncertain_us);
        signed(certain) * self.ahead_us.signum()
    }

    /// What a time that was corrected may be off.
    fn error_us(self) -> u64 {
        self.uncertain_us + self.correction_us().abs_diff(self.ahead_us)
    }
}

/// Parts that share a clock share the best reading of it.
pub(super) fn share_readings(clocks: &mut [Clock]) {
    for index in 0..clocks.len() {
        let Some(boot) = clocks[index].boot.clone() else {
            continue;
        };
        let same = clocks
            .iter()
            .filter(|other| other.boot.as_ref() == Some(&boot));
        let best = same.fold(clocks[index].reading, |best, one| best.or(one.reading));
        clocks[index].reading = best;
    }
}

/// What to report, for parts of these names.
pub(super) fn report(names: &[String], clocks: &[Clock]) -> Clocks {
    let parts = names.iter().zip(clocks).map(|(name, clock)| PartClock {
        part: name.clone(),
        ahead_us: clock.reading.ahead_us,
        uncertain_us: clock.reading.uncertain_us,
    });
    Clocks {
        parts: parts.collect(),
        error_us: pair_error_us(clocks),
    }
}

/// What a latency between two parts of different clocks may be off.
fn pair_error_us(clocks: &[Clock]) -> u64 {
    let pairs = clocks.iter().enumerate().flat_map(|(index, one)| {
        let others = clocks[..index].iter();
        others
            .filter(|other| one.boot.is_none() || other.boot != one.boot)
            .map(|other| one.reading.error_us() + other.reading.error_us())
    });
    pairs.max().unwrap_or(0)
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(boot: &str, ahead_us: i64, uncertain_us: u64) -> Clock {
        let reading = Reading {
            ahead_us,
            uncertain_us,
        };
        let boot = Some(boot.to_owned());
        Clock { boot, reading }
    }

    #[test]
    fn a_clock_is_as_far_ahead_as_its_answer_lies_off_the_middle() {
        let check = |said, ahead_us, correction_us| {
            let reading = Reading::of(1_000_000, said, 1_000_400);
            assert_eq!(reading.ahead_us, ahead_us);
            assert_eq!(reading.uncertain_us, 202);
            assert_eq!(reading.correction_us(), correction_us);
        };
        check(1_000_200, 0, 0);
        // Clocks that agree could give this answer.
        check(1_000_390, 190, 0);
        check(1_005_200, 5_000, 4_798);
        check(995_200, -5_000, -4_798);
    }

    #[test]
    fn the_quickest_answer_counts() {
        let slow = Reading::of(0, 9_000, 10_000);
        let quick = Reading::of(0, 4_100, 100);
        assert_eq!(slow.or(quick), quick);
        assert_eq!(quick.or(slow), quick);
    }

    #[test]
    fn one_clock_is_read_once() {
        let mut clocks = [
            clock("a", 900, 300),
            clock("b", 0, 50),
            clock("a", 700, 100),
        ];
        share_readings(&mut clocks);
        assert_eq!(clocks[0].reading, clocks[2].reading);
        // 100 for the answer and 100 for what was not allowed for; 50 of the other.
        assert_eq!(pair_error_us(&clocks), 250);
        assert_eq!(pair_error_us(&clocks[..1]), 0);
        let one = [clock("a", 900, 300), clock("a", 900, 300)];
        assert_eq!(pair_error_us(&one), 0);
    }
}
