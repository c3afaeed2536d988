//! Percentiles and medians.

use std::time::Duration;

/// Latencies of one run, sorted; what never arrived counts as later than everything.
pub(crate) struct Latencies {
    sorted: Vec<Duration>,
    missing: usize,
}

impl Latencies {
    pub(crate) fn new(all: impl Iterator<Item = Option<Duration>>) -> Self {
        let mut missing = 0;
        let mut sorted: Vec<_> = all
            .inspect(|one| missing += usize::from(one.is_none()))
            .flatten()
            .collect();
        sorted.sort_unstable();
        Self { sorted, missing }
    }

    /// How many never arrived.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// The latency that `percent` of all messages do not exceed; infinite when they never arrived.
    pub(crate) fn percentile_ms(&self, percent: f64) -> f64 {
        let count = self.sorted.len() + self.missing;
        let rank = (count as f64 * percent / 100.0).ceil() as usize;
        let latency = self.sorted.get(rank.saturating_sub(1));
        latency.map_or(f64::INFINITY, |latency| latency.as_secs_f64() * 1e3)
    }

    /// The share, from 0 to 1, of messages that arrived within `limit`.
    pub(crate) fn share_within(&self, limit: Duration) -> f64 {
        let within = self.sorted.partition_point(|latency| *latency <= limit);
        within as f64 / (self.sorted.len() + self.missing).max(1) as f64
    }
}

/// The middle one; of two in the middle, their mean. NaN of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (length, middle) if length % 2 == 1 => sorted[middle],
        (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_arrived_is_later_than_everything() {
        let arrived = (1..=9).map(|ms| Some(Duration::from_millis(ms)));
        let latencies = Latencies::new(arrived.chain([None]));
        assert_eq!(latencies.percentile_ms(50.0), 5.0);
        assert_eq!(latencies.percentile_ms(90.0), 9.0);
        assert_eq!(latencies.percentile_ms(99.0), f64::INFINITY);
        assert_eq!(latencies.share_within(Duration::from_millis(3)), 0.3);
        assert_eq!(latencies.missing(), 1);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
