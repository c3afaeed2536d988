//! Cells that one thread adds to and others read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows. One thread alone adds to it, so that adding is a load and a store
/// without a locked instruction; any thread may read it.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, number: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(number);
        self.0.store(sum, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often values lay between bounds. The bounds are whole numbers, nanoseconds for times.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what is above all of them.
    buckets: Box<[Count]>,
    sum: Count,
}

const fn micros(micros: u64) -> u64 {
    micros * 1_000
}

const fn millis(millis: u64) -> u64 {
    micros(millis * 1_000)
}

/// From 50 µs, below which nobody waits for a broker, to 10 s; finest where the promise of less
/// than a millisecond is kept or broken.
const TIMES: &[u64] = &[
    micros(50),
    micros(75),
    micros(100),
    micros(150),
    micros(200),
    micros(300),
    micros(500),
    micros(750),
    millis(1),
    micros(1_500),
    millis(2),
    millis(3),
    millis(5),
    millis(10),
    millis(20),
    millis(50),
    millis(100),
    millis(200),
    millis(500),
    millis(1_000),
    millis(2_500),
    millis(10_000),
];

/// How much one turn takes on.
const AMOUNTS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096, 16_384];

impl Histogram {
    pub(crate) fn of_times() -> Self {
        Self::new(TIMES)
    }

    pub(crate) fn of_amounts() -> Self {
        Self::new(AMOUNTS)
    }

    fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| Count::default()).collect(),
            sum: Count::default(),
        }
    }

    pub(crate) fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].add(1);
        self.sum.add(value);
    }

    pub(crate) fn observe_time(&self, took: Duration) {
        self.observe(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn sum(&self) -> u64 {
        self.sum.get()
    }

    /// Upper bound and number of values of each bucket but the last, and all values.
    pub(crate) fn read(&self) -> (impl Iterator<Item = (u64, u64)>, u64) {
        let counts: Vec<u64> = self.buckets.iter().map(Count::get).collect();
        let all = counts.iter().sum();
        (self.bounds.iter().copied().zip(counts), all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let times = Histogram::of_times();
        for nanos in [0, micros(50), micros(50) + 1, millis(1_000), u64::MAX / 2] {
            times.observe(nanos);
        }
        let (buckets, all) = times.read();
        let filled: Vec<_> = buckets.filter(|(_, count)| *count > 0).collect();
        assert_eq!(all, 5);
        assert_eq!(
            filled,
            [(micros(50), 2), (micros(75), 1), (millis(1_000), 1)]
        );
    }

    #[test]
    fn bounds_rise() {
        for bounds in [TIMES, AMOUNTS] {
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
