//! Latencies, counted in histograms that can be written, read, and added up.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde_json::{Map, Value, json};

/// From when to when; each has a name for people and one for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    DueToSent,
    DueToAcknowledged,
    DueToConsumed,
    SentToAcknowledged,
    SentToConsumed,
}

impl Leg {
    pub(super) const ALL: [Self; 5] = [
        Self::DueToSent,
        Self::DueToAcknowledged,
        Self::DueToConsumed,
        Self::SentToAcknowledged,
        Self::SentToConsumed,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DueToSent => "due_to_sent",
            Self::DueToAcknowledged => "due_to_acknowledged",
            Self::DueToConsumed => "due_to_consumed",
            Self::SentToAcknowledged => "sent_to_acknowledged",
            Self::SentToConsumed => "sent_to_consumed",
        }
    }

    pub(super) fn title(self) -> String {
        self.name().replace('_', " ")
    }
}

/// Longer ones count as this: an hour, in microseconds.
const LONGEST_US: u64 = 3_600_000_000;
/// Significant digits.
const DIGITS: u8 = 3;

/// Percentiles that are told, with their names.
pub(super) const PERCENTILES: [(f64, &str); 6] = [
    (50.0, "p50"),
    (90.0, "p90"),
    (99.0, "p99"),
    (99.9, "p99.9"),
    (99.99, "p99.99"),
    (100.0, "max"),
];

/// Latencies of one leg, in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, DIGITS);
        Self(histogram.expect("bounds and digits are constants that the library takes"))
    }
}

impl Latencies {
    pub(super) fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(LONGEST_US);
        self.0.saturating_record(us);
    }

    /// As if all of `other` had been recorded here.
    pub(super) fn add(&mut self, other: &Self) {
        self.0
            .add(&other.0)
            .expect("both have the same bounds and digits");
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(super) fn percentile_ms(&self, percentile: f64) -> f64 {
        // The histogram tells the upper end of a bucket; nothing was longer than the longest.
        let us = self.0.value_at_percentile(percentile).min(self.0.max());
        us as f64 / 1e3
    }

    pub(super) fn mean_ms(&self) -> f64 {
        self.0.mean() / 1e3
    }

    /// The share that took no longer, in percent.
    pub(super) fn within_percent(&self, limit: Duration) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        let us = u64::try_from(limit.as_micros()).unwrap_or(LONGEST_US);
        self.0.count_between(0, us) as f64 * 100.0 / self.0.len() as f64
    }

    /// What programs are told.
    pub(super) fn summary(&self) -> Value {
        let mut object = Map::new();
        object.insert("count".into(), json!(self.count()));
        object.insert("mean".into(), json!(self.mean_ms()));
        for (percentile, name) in PERCENTILES {
            object.insert(name.into(), json!(self.percentile_ms(percentile)));
        }
        let share = self.within_percent(Duration::from_millis(1));
        object.insert("within_1_ms_percent".into(), json!(share));
        Value::Object(object)
    }

    /// All that was counted, in HdrHistogram's own compressed form, in base 64.
    pub(super) fn encode(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.0, &mut bytes)
            .expect("a vector takes all that is written");
        STANDARD.encode(bytes)
    }

    /// What [`Self::encode`] has written.
    ///
    /// # Errors
    /// It is something else, or cut.
    pub(super) fn decode(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
        let read: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| format!("it is no histogram: {error}"))?;
        let mut ours = Self::default();
        ours.0
            .add(&read)
            .map_err(|error| format!("it is no histogram of latencies: {error}"))?;
        Ok(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(us: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        us.into_iter()
            .for_each(|us| latencies.record(Duration::from_micros(us)));
        latencies
    }

    #[test]
    fn the_sum_is_as_if_one_had_counted_all() {
        let mut sum = of((1..=1_000).map(|n| n * 10));
        sum.add(&of((1..=1_000).map(|n| n * 1_000)));
        let all = (1..=1_000)
            .map(|n| n * 10)
            .chain((1..=1_000).map(|n| n * 1_000));
        assert_eq!(sum, of(all));
        assert_eq!(sum.count(), 2_000);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let latencies = of([1, 250, 999, 1_000, 1_001, 73_000, LONGEST_US]);
        assert_eq!(Latencies::decode(&latencies.encode()), Ok(latencies));
        assert_eq!(Latencies::decode(&of([]).encode()), Ok(of([])));
        assert!(Latencies::decode("AAAA").is_err());
        assert!(Latencies::decode("%").is_err());
    }

    #[test]
    fn percentiles_and_shares_are_of_all_messages() {
        let latencies = of((1..=10_000).map(|n| if n <= 9_995 { 500 } else { 100_000 }));
        assert_eq!(latencies.percentile_ms(50.0), 0.5);
        assert_eq!(latencies.percentile_ms(99.9), 0.5);
        assert!((latencies.percentile_ms(99.99) - 100.0).abs() < 0.1);
        assert!((latencies.within_percent(Duration::from_millis(1)) - 99.95).abs() < 1e-9);
        assert_eq!(of([]).within_percent(Duration::from_millis(1)), 0.0);
    }

    #[test]
    fn what_takes_longer_than_an_hour_counts_as_an_hour() {
        let latencies = of([LONGEST_US * 5]);
        assert!(latencies.percentile_ms(100.0) >= LONGEST_US as f64 / 1e3);
    }
}
