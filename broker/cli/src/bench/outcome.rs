//! What came of a run, or of several: it can be written as JSON, read again, and added up.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::latencies::{Latencies, Leg};

/// What kind of document a result is; another number is another meaning of its fields.
const FORMAT: &str = "klamm-bench-1";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    /// Messages per second, of all processes together.
    pub(super) rate: u64,
    /// Bytes of a value; the mean, where messages come from a file.
    pub(super) size: u64,
    pub(super) seconds: u64,
    pub(super) warm_up: u64,
    pub(super) partitions: u64,
    pub(super) producers: u64,
    pub(super) consumers: u64,
    pub(super) linger_ms: u64,
    pub(super) acks: String,
    pub(super) compression: String,
    pub(super) bootstrap: String,
}

/// Messages that were due in the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) due: u64,
    /// Handed to the client.
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    /// Refused, or not acknowledged until the end.
    pub(super) failed: u64,
    pub(super) consumed: u64,
    /// Received more than once; counted apart.
    pub(super) duplicates: u64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) parameters: Parameters,
    /// How many processes' results are in it.
    pub(super) processes: u64,
    pub(super) counts: Counts,
    /// Messages per second, from the first that was due to the last that was acknowledged.
    pub(super) acknowledged_rate: f64,
    /// The same, to the last that was received.
    pub(super) consumed_rate: f64,
    /// Refusals and other errors of the clients, with how often.
    pub(super) errors: BTreeMap<String, u64>,
    /// The processes of one load that were started together, and their clocks.
    pub(super) clocks: Clocks,
    latencies: [Latencies; Leg::ALL.len()],
}

/// How comparable the clocks of several processes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Clocks {
    /// Empty for a process that was alone.
    pub(super) parts: Vec<PartClock>,
    /// What a latency may be off, where a message goes from one process to another.
    pub(super) error_us: u64,
}

/// The clock of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartClock {
    /// Where the process runs.
    pub(super) part: String,
    /// How far the clock is ahead of that of the machine that started it.
    pub(super) ahead_us: i64,
    /// How much more or less that may be; 0 if it is the same clock.
    pub(super) uncertain_us: u64,
}

impl Outcome {
    /// Nothing yet.
    pub(super) fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            processes: 1,
            counts: Counts::default(),
            acknowledged_rate: 0.0,
            consumed_rate: 0.0,
            errors: BTreeMap::new(),
            clocks: Clocks::default(),
            latencies: Default::default(),
        }
    }

    pub(super) fn of(&self, leg: Leg) -> &Latencies {
        &self.latencies[leg as usize]
    }

    pub(super) fn of_mut(&mut self, leg: Leg) -> &mut Latencies {
        &mut self.latencies[leg as usize]
    }

    /// Messages of which the whole way was not seen.
    pub(super) fn unfinished(&self) -> u64 {
        self.counts.due.saturating_sub(self.counts.consumed)
    }

    /// Adds the result of another process that ran at the same time; whether both had the same
    /// kind of load.
    pub(super) fn add(&mut self, other: &Self) -> bool {
        let alike = self.parameters.add(&other.parameters);
        self.add_measured(other);
        alike
    }

    /// Adds what another process has measured of the same load.
    pub(super) fn add_measured(&mut self, other: &Self) {
        self.processes += other.processes;
        self.acknowledged_rate += other.acknowledged_rate;
        self.consumed_rate += other.consumed_rate;
        let counts = &mut self.counts;
        counts.due += other.counts.due;
        counts.sent += other.counts.sent;
        counts.acknowledged += other.counts.acknowledged;
        counts.failed += other.counts.failed;
        counts.consumed += other.counts.consumed;
        counts.duplicates += other.counts.duplicates;
        for (why, times) in &other.errors {
            *self.errors.entry(why.clone()).or_default() += times;
        }
        for leg in Leg::ALL {
            self.of_mut(leg).add(other.of(leg));
        }
        let clocks = &mut self.clocks;
        clocks.parts.extend(other.clocks.parts.iter().cloned());
        clocks.error_us = clocks.error_us.max(other.clocks.error_us);
    }

    /// The document for programs, with everything that [`Self::from_json`] needs.
    pub(super) fn to_json(&self) -> Value {
        let each = |of: &dyn Fn(&Latencies) -> Value| {
            let legs = Leg::ALL.map(|leg| (leg.name().to_owned(), of(self.of(leg))));
            Value::Object(legs.into_iter().collect())
        };
        json!({
            "format": FORMAT,
            "klamm_version": env!("CARGO_PKG_VERSION"),
            "parameters": self.parameters.to_json(),
            "processes": self.processes,
            "messages": {
                "due": self.counts.due,
                "sent": self.counts.sent,
                "acknowledged": self.counts.acknowledged,
                "failed": self.counts.failed,
                "consumed": self.counts.consumed,
                "duplicates": self.counts.duplicates,
            },
            "rate": {
                "acknowledged": self.acknowledged_rate,
                "consumed": self.consumed_rate,
            },
            "errors": self.errors,
            "clocks": self.clocks.to_json(),
            "latency_ms": each(&Latencies::summary),
            "histograms_us": each(&|latencies| json!(latencies.encode())),
        })
    }

    /// What [`Self::to_json`] has made.
    ///
    /// # Errors
    /// It is another document.
    pub(super) fn from_json(value: &Value) -> Result<Self, String> {
        if value["format"] != FORMAT {
            return Err(format!(
                "it is no result of klamm bench: \"format\" is not \"{FORMAT}\""
            ));
        }
        let mut outcome = Self::new(Parameters::from_json(&value["parameters"])?);
        let messages = &value["messages"];
        outcome.processes = number(value, "processes")?;
        outcome.counts = Counts {
            due: number(messages, "due")?,
            sent: number(messages, "sent")?,
            acknowledged: number(messages, "acknowledged")?,
            failed: number(messages, "failed")?,
            consumed: number(messages, "consumed")?,
            duplicates: number(messages, "duplicates")?,
        };
        let rate = |name: &str| value["rate"][name].as_f64().ok_or_else(|| missing(name));
        outcome.acknowledged_rate = rate("acknowledged")?;
        outcome.consumed_rate = rate("consumed")?;
        let errors = value["errors"]
            .as_object()
            .ok_or_else(|| missing("errors"))?;
        for (why, times) in errors {
            let times = times.as_u64().ok_or_else(|| missing("errors"))?;
            outcome.errors.insert(why.clone(), times);
        }
        outcome.clocks = Clocks::from_json(&value["clocks"])?;
        for leg in Leg::ALL {
            let text = value["histograms_us"][leg.name()].as_str();
            let text = text.ok_or_else(|| missing(leg.name()))?;
            *outcome.of_mut(leg) = Latencies::decode(text)?;
        }
        Ok(outcome)
    }
}

impl Clocks {
    fn to_json(&self) -> Value {
        let parts = self.parts.iter().map(|clock| {
            json!({
                "part": clock.part,
                "ahead_us": clock.ahead_us,
                "uncertain_us": clock.uncertain_us,
            })
        });
        json!({ "parts": parts.collect::<Vec<_>>(), "error_us": self.error_us })
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        // Results of a process that knows no others do not have it.
        if value.is_null() {
            return Ok(Self::default());
        }
        let parts = value["parts"].as_array().ok_or_else(|| missing("parts"))?;
        let parts = parts.iter().map(|part| {
            let ahead_us = part["ahead_us"].as_i64();
            Ok(PartClock {
                part: part["part"]
                    .as_str()
                    .ok_or_else(|| missing("part"))?
                    .to_owned(),
                ahead_us: ahead_us.ok_or_else(|| missing("ahead_us"))?,
                uncertain_us: number(part, "uncertain_us")?,
            })
        });
        Ok(Self {
            parts: parts.collect::<Result<_, String>>()?,
            error_us: number(value, "error_us")?,
        })
    }
}

impl Parameters {
    /// Processes side by side: their rates and clients add up; whether the rest is the same.
    fn add(&mut self, other: &Self) -> bool {
        let kind = |all: &Self| {
            let texts = [all.acks.clone(), all.compression.clone()];
            ([all.size, all.linger_ms, all.seconds, all.warm_up], texts)
        };
        let alike = kind(self) == kind(other);
        self.rate += other.rate;
        self.partitions += other.partitions;
        self.producers += other.producers;
        self.consumers += other.consumers;
        self.seconds = self.seconds.max(other.seconds);
        self.warm_up = self.warm_up.max(other.warm_up);
        alike
    }

    fn to_json(&self) -> Value {
        json!({
            "rate": self.rate,
            "size": self.size,
            "seconds": self.seconds,
            "warm_up": self.warm_up,
            "partitions": self.partitions,
            "producers": self.producers,
            "consumers": self.consumers,
            "linger_ms": self.linger_ms,
            "acks": self.acks,
            "compression": self.compression,
            "bootstrap": self.bootstrap,
        })
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        let text = |name: &str| {
            let text = value[name].as_str().map(str::to_owned);
            text.ok_or_else(|| missing(name))
        };
        Ok(Self {
            rate: number(value, "rate")?,
            size: number(value, "size")?,
            seconds: number(value, "seconds")?,
            warm_up: number(value, "warm_up")?,
            partitions: number(value, "partitions")?,
            producers: number(value, "producers")?,
            consumers: number(value, "consumers")?,
            linger_ms: number(value, "linger_ms")?,
            acks: text("acks")?,
            compression: text("compression")?,
            bootstrap: text("bootstrap")?,
        })
    }
}

/// A number, small enough that sums of many stay numbers.
pub(super) fn number(object: &Value, name: &str) -> Result<u64, String> {
    let found = object[name].as_u64().filter(|number| *number < 1 << 53);
    found.ok_or_else(|| missing(name))
}

pub(super) fn missing(name: &str) -> String {
    format!("\"{name}\" is missing, or not what it should be")
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    /// A result of `count` messages whose latencies are multiples of `step_us`.
    pub(in crate::bench) fn example(count: u64, step_us: u64) -> Outcome {
        let mut outcome = Outcome::new(Parameters {
            rate: count,
            size: 200,
            seconds: 1,
            warm_up: 0,
            partitions: 6,
            producers: 1,
            consumers: 2,
            linger_ms: 0,
            acks: "all".to_owned(),
            compression: "none".to_owned(),
            bootstrap: "127.0.0.1:9092".to_owned(),
        });
        outcome.counts = Counts {
            due: count,
            sent: count,
            acknowledged: count,
            consumed: count,
            ..Counts::default()
        };
        outcome.acknowledged_rate = count as f64;
        outcome.consumed_rate = count as f64;
        outcome.errors.insert("Timed out".to_owned(), 1);
        outcome.clocks = Clocks {
            parts: vec![PartClock {
                part: "load1".to_owned(),
                ahead_us: -812,
                uncertain_us: 201,
            }],
            error_us: 402,
        };
        for leg in Leg::ALL {
            for n in 1..=count {
                outcome
                    .of_mut(leg)
                    .record(Duration::from_micros(n * step_us));
            }
        }
        outcome
    }

    #[test]
    fn a_result_is_read_as_it_was_written() {
        let outcome = example(1_000, 7);
        let text = outcome.to_json().to_string();
        let value: Value = serde_json::from_str(&text).expect("valid");
        assert_eq!(Outcome::from_json(&value), Ok(outcome));
    }

    #[test]
    fn results_add_up_to_what_one_process_would_have_seen() {
        let mut sum = example(1_000, 7);
        assert!(sum.add(&example(500, 1_000)));
        assert_eq!(sum.processes, 2);
        assert_eq!(sum.parameters.rate, 1_500);
        assert_eq!(sum.parameters.consumers, 4);
        assert_eq!(sum.counts.consumed, 1_500);
        assert_eq!(sum.errors["Timed out"], 2);
        assert_eq!(sum.acknowledged_rate, 1_500.0);
        let latencies = sum.of(Leg::DueToConsumed);
        assert_eq!(latencies.count(), 1_500);
        assert!((latencies.percentile_ms(100.0) - 500.0).abs() < 0.5);
    }

    #[test]
    fn results_of_different_loads_are_told_apart() {
        let mut other = example(1, 1);
        other.parameters.linger_ms = 5;
        assert!(!example(1, 1).add(&other));
    }

    #[test]
    fn another_document_is_no_result() {
        let check = |change: &dyn Fn(&mut Value), expected: &str| {
            let mut value = example(1, 1).to_json();
            change(&mut value);
            let refused = Outcome::from_json(&value).expect_err(expected);
            assert!(refused.contains(expected), "{refused}");
        };
        check(&|value| value["format"] = json!("other"), "format");
        check(&|value| value["messages"]["due"] = json!(-1), "due");
        check(&|value| value["messages"]["due"] = json!(u64::MAX), "due");
        check(
            &|value| value["histograms_us"]["due_to_sent"] = json!("AAAA"),
            "histogram",
        );
    }
}
