//! How much is used in a second, over a sliding window: Kafka's `Rate` and `SampledStat`, and the
//! throttle time of its `QuotaUtils`.
//!
//! Time is cut into samples. The rate is the sum of all samples that overlap the window, by the
//! time since the oldest of them began; samples that are missing, because there was nothing to
//! record, count as empty ones. So a client that comes after a pause may use up the limits of
//! almost a whole window at once.
//!
//! A throttle that outlasts the window ends with an empty one. So who asks at once for the limits
//! of many seconds gets more than the limit for good, up to twice as much. That is Kafka's measure,
//! and kept.

use std::time::Duration;

use klamm_model::Instant;

/// What a rate is measured over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// How many samples (`quota.window.num`), at least one.
    pub(crate) samples: u32,
    /// How long each is (`quota.window.size.seconds`), at least a second.
    pub(crate) length: Duration,
}

/// Less than this is not told apart, as by Kafka's clock.
const RESOLUTION: Duration = Duration::from_millis(1);
/// The longest throttle: what a client can be told.
const THROTTLE_MILLIS_MAX: f64 = i32::MAX as f64;

/// What was recorded.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// One more than the window has: the oldest may still reach into it.
    samples: Vec<Sample>,
    current: usize,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    began: Instant,
    last_recorded: Instant,
    amount: f64,
}

impl Window {
    /// From beginning to end.
    pub(crate) fn span(self) -> Duration {
        self.length * self.samples
    }

    /// What any rate is at least measured over: all samples but the current one.
    pub(crate) fn elapsed_at_least(self) -> Duration {
        (self.length * (self.samples - 1)).max(RESOLUTION)
    }
}

impl Sample {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            last_recorded: now,
            amount: 0.0,
        }
    }
}

impl Rate {
    /// Adds an amount; a negative one takes back what was added before.
    pub(crate) fn record(&mut self, window: Window, amount: f64, now: Instant) {
        match self.samples.get(self.current) {
            None => self.samples.push(Sample::new(now)),
            Some(sample) if now.since(sample.began) >= window.length => self.advance(window, now),
            Some(_) => {}
        }
        let sample = &mut self.samples[self.current];
        sample.amount += amount;
        sample.last_recorded = now;
    }

    fn advance(&mut self, window: Window, now: Instant) {
        self.current = (self.current + 1) % (window.samples as usize + 1);
        match self.samples.get_mut(self.current) {
            Some(sample) => *sample = Sample::new(now),
            None => self.samples.push(Sample::new(now)),
        }
    }

    /// What is left in the window.
    pub(crate) fn sum(&mut self, window: Window, now: Instant) -> f64 {
        self.purge(window, now);
        self.samples.iter().map(|sample| sample.amount).sum()
    }

    /// How long to record nothing until the rate is back at `limit` per second; zero if it is not
    /// above it. Rounded to milliseconds.
    pub(crate) fn throttle_time(&mut self, window: Window, limit: f64, now: Instant) -> Duration {
        let sum = self.sum(window, now);
        let elapsed = self.elapsed(window, now).as_secs_f64();
        let rate = sum / elapsed;
        if rate <= limit {
            return Duration::ZERO;
        }
        let seconds = (rate - limit) / limit * elapsed;
        let millis = (seconds * 1_000.0).round().min(THROTTLE_MILLIS_MAX);
        Duration::from_millis(millis as u64)
    }

    fn purge(&mut self, window: Window, now: Instant) {
        let span = window.span();
        for sample in &mut self.samples {
            if now.since(sample.last_recorded) >= span {
                *sample = Sample::new(now);
            }
        }
    }

    /// Since the oldest sample began, but never less than all whole samples of the window.
    fn elapsed(&self, window: Window, now: Instant) -> Duration {
        let oldest = self.samples.iter().map(|sample| sample.began).min();
        let elapsed = oldest.map_or(Duration::ZERO, |began| now.since(began));
        let whole = elapsed.as_nanos() / window.length.as_nanos();
        let missing = u128::from(window.samples - 1).saturating_sub(whole);
        let missing = window.length * u32::try_from(missing).expect("no more than samples");
        (elapsed + missing).max(RESOLUTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window {
        samples: 11,
        length: Duration::from_secs(1),
    };

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    fn rate(window: Window, recorded: &[(u64, f64)]) -> Rate {
        let mut rate = Rate::default();
        for (millis, amount) in recorded {
            rate.record(window, *amount, at(*millis));
        }
        rate
    }

    #[test]
    fn throttle_times_are_kafkas() {
        // The sums of Kafka's `ClientQuotaManagerTest`: a limit of 500, 11 samples of a second.
        let check = |recorded: &[(u64, f64)], now, expected| {
            let throttle = rate(WINDOW, recorded).throttle_time(WINDOW, 500.0, at(now));
            assert_eq!(throttle, Duration::from_millis(expected), "{recorded:?}");
        };
        let tens: Vec<_> = (0..10).map(|second| (second * 1_000, 400.0)).collect();
        check(&tens, 9_000, 0);
        // 4,000 in 10 s, and half a second later 2,300 more: 600 a second over 10.5 s.
        let mut burst = tens.clone();
        burst.push((10_500, 2_300.0));
        check(&burst, 10_500, 2_100);
        check(&[(0, 5_000.0)], 0, 0);
        check(&[(0, 5_001.0)], 0, 2);
        check(&[(0, 50_000.0)], 0, 90_000);
        check(&[(0, 1e300)], 0, i32::MAX as u64);
    }

    #[test]
    fn who_waits_as_told_gets_about_the_limit_and_one_window_ahead() {
        // A client that always asks, for no more at once than the limit of a sample.
        const INEXACT: f64 = 1.05;
        let mut seed = 1_u64;
        for samples in [1, 2, 11] {
            let window = Window {
                samples,
                length: Duration::from_secs(1),
            };
            let (limit, mut now, mut total) = (1_000.0, Instant::START, 0.0);
            let mut used = Rate::default();
            for _ in 0..5_000 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let amount = limit * (seed >> 40) as f64 / f64::from(1 << 24);
                used.record(window, amount, now);
                total += amount;
                let throttle = used.throttle_time(window, limit, now);
                now = now + throttle + Duration::from_millis(seed >> 60);
            }
            let elapsed = now.since_start().as_secs_f64();
            let ahead = limit * window.span().as_secs_f64();
            let allowed = limit * elapsed * INEXACT + ahead;
            assert!(total <= allowed, "{samples}: {total} of {allowed}");
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_and_what_is_taken_back_never_was() {
        let mut used = rate(WINDOW, &[(0, 9_000.0)]);
        assert_eq!(used.sum(WINDOW, at(10_999)), 9_000.0);
        assert_eq!(used.sum(WINDOW, at(11_000)), 0.0);
        let mut used = rate(WINDOW, &[(0, 10.0), (3_000, 70.0), (5_000, -70.0)]);
        assert_eq!(used.sum(WINDOW, at(5_000)), 10.0);
    }

    #[test]
    fn there_is_one_sample_more_than_the_window_has_and_no_more() {
        let all: Vec<_> = (0..100).map(|second| (second * 1_000, 1.0)).collect();
        let mut used = rate(WINDOW, &all);
        assert_eq!(used.samples.len(), 12);
        assert_eq!(used.sum(WINDOW, at(99_000)), 11.0);
    }
}
