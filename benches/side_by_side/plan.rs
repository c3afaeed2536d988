//! What is measured, in which order: A B A B, so that a slow minute of the machine hits both.

use std::path::PathBuf;
use std::time::Duration;

use crate::contestant::{Broker, Contestant, Setting};
use crate::latency::{self, Client, Load};
use crate::machine;
use crate::report::{Measurement, Report};
use crate::{
    compaction, failover, growth, highest_rate, idle, large_log, moving, replicated, scale, start,
    throughput,
};

/// A run of the comparison.
pub(crate) struct Plan {
    pub(crate) contestants: Vec<Contestant>,
    /// How often each is measured.
    pub(crate) pairs: u32,
    /// How long, at each rate.
    pub(crate) measured: Duration,
    /// How long before that a broker is under the same load.
    pub(crate) warm_up: Duration,
    pub(crate) parts: Vec<Part>,
    /// Those of each part, unless they are given.
    pub(crate) rates: Option<Vec<Rate>>,
    /// How often a leader is killed.
    pub(crate) kills: u32,
    /// Whether three brokers are measured once more where acknowledged means synced.
    pub(crate) strict: bool,
    /// How many MiB a second are moved at most.
    pub(crate) throttle_mib: Option<u64>,
    /// Bytes of a message's value.
    pub(crate) size_bytes: usize,
    /// Klamm's binary.
    pub(crate) klamm: PathBuf,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Cold start, and memory at rest.
    Start,
    /// End-to-end latency at each rate.
    Latency,
    /// As much as goes through.
    Throughput,
    /// How many messages per second go through in time.
    HighestRate,
    /// Many partitions and connections.
    Scale,
    /// CPU time with many partitions and groups.
    Growth,
    /// 10 GiB, and a start after `kill -9`.
    LargeLog,
    /// Latency beside a compaction.
    Compaction,
    /// Latency of three brokers.
    Replicated,
    /// Leaders are killed.
    Failover,
    /// Three brokers with many partitions that nobody uses.
    Idle,
    /// Latency of three brokers while a log of 5 GiB is copied.
    Moving,
}

impl Part {
    /// Those of one broker, which are measured if nobody says what. Three brokers have a machine of
    /// their own to ask for: what they take of the same two cores says little beside the rest.
    pub(crate) const OF_ONE: [Self; 8] = [
        Self::Start,
        Self::Latency,
        Self::Throughput,
        Self::HighestRate,
        Self::Scale,
        Self::Growth,
        Self::LargeLog,
        Self::Compaction,
    ];
    /// Those of three brokers.
    const OF_THREE: [Self; 4] = [Self::Replicated, Self::Failover, Self::Idle, Self::Moving];

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::OF_ONE.into_iter().chain(Self::OF_THREE)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Latency => "latency",
            Self::Throughput => "throughput",
            Self::HighestRate => "highest-rate",
            Self::Scale => "scale",
            Self::Growth => "growth",
            Self::LargeLog => "large-log",
            Self::Compaction => "compaction",
            Self::Replicated => "replicated",
            Self::Failover => "failover",
            Self::Idle => "idle",
            Self::Moving => "moving",
        }
    }

    /// Whether Kafka's own tools make the load.
    fn needs_tools(self) -> bool {
        matches!(
            self,
            Self::Throughput | Self::Growth | Self::LargeLog | Self::Moving
        )
    }
}

/// How much is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Messages per second.
    pub(crate) per_second: u64,
    /// `linger.ms` of the producer.
    pub(crate) linger_ms: f64,
}

impl Rate {
    pub(crate) fn name(self) -> String {
        match self.linger_ms {
            0.0 => format!("{}/s", self.per_second),
            linger => format!("{}/s, linger.ms={linger}", self.per_second),
        }
    }

    /// A request for each message shows a broker as long as the machine has time for as many.
    fn clients(self) -> &'static [Client] {
        const REQUESTS_MAX: u64 = 10_000;
        match self.linger_ms == 0.0 && self.per_second <= REQUESTS_MAX {
            true => &[Client::Librdkafka, Client::Bare],
            false => &[Client::Librdkafka],
        }
    }
}

/// Messages per second, and linger in milliseconds, unless they are given.
const RATES: [(u64, f64); 5] = [
    (1_000, 0.0),
    (73_800, 0.0),
    (73_800, 0.5),
    (73_800, 1.0),
    (73_800, 5.0),
];
/// The same of three brokers.
const REPLICATED_RATES: [(u64, f64); 10] = [
    (500, 0.0),
    (2_000, 0.0),
    (10_000, 0.0),
    (20_000, 0.0),
    (73_800, 0.0),
    (500, 5.0),
    (2_000, 5.0),
    (10_000, 5.0),
    (20_000, 5.0),
    (73_800, 5.0),
];

/// How long an idle broker is left alone before its memory is read.
const REST: Duration = Duration::from_secs(10);

impl Plan {
    /// Runs everything, prints as it goes, and writes the report. The error is the text to print.
    pub(crate) fn run(&self) -> Result<(), String> {
        let setting = Setting::prepare(
            &self.klamm,
            &self.contestants,
            self.parts.iter().any(|part| part.needs_tools()),
        )?;
        let mut report = Report::new(self.contestants.clone());
        println!("{}", machine::description());
        for pair in 1..=self.pairs {
            for &contestant in &self.contestants {
                println!("\npair {pair} of {}: {}", self.pairs, contestant.name());
                self.measure(contestant, &setting, &mut report)?;
            }
        }
        let path = setting.folder().join("report.md");
        let text = report.to_markdown(&machine::description());
        println!("\n{text}");
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("written to {}", path.display());
        Ok(())
    }

    /// The lives of one broker in one pair.
    fn measure(
        &self,
        contestant: Contestant,
        setting: &Setting,
        report: &mut Report,
    ) -> Result<(), String> {
        let mut record = |name: String, value: f64| {
            println!("  {name}: {value:.3}");
            report.add(Measurement {
                contestant,
                name,
                value,
            });
        };
        let measures = |part| self.parts.contains(&part);
        if measures(Part::Start) || measures(Part::Latency) {
            let (broker, cold_start) = start::to_first_produce(contestant, setting)?;
            if measures(Part::Start) {
                record(
                    "cold start to first acknowledged record, ms".into(),
                    millis(cold_start),
                );
                std::thread::sleep(REST);
                let name = "resident memory at rest, MiB";
                record(name.into(), machine::resident_mib(broker.pid())?);
            }
            if measures(Part::Latency) {
                self.measure_latency(&broker, &mut record)?;
                let name = "resident memory after the load, MiB";
                record(name.into(), machine::resident_mib(broker.pid())?);
            }
        }
        for &part in &self.parts {
            let figures = match part {
                Part::Start | Part::Latency => continue,
                Part::Throughput => throughput::run(contestant, setting)?,
                Part::HighestRate => highest_rate::run(contestant, setting)?,
                Part::Scale => scale::run(contestant, setting)?,
                Part::Growth => growth::run(contestant, setting)?,
                Part::LargeLog => large_log::run(contestant, setting)?,
                Part::Compaction => compaction::run(contestant, setting)?,
                Part::Replicated => self.measure_replicated(contestant, setting)?,
                Part::Failover => failover::run(contestant, setting, self.kills)?,
                Part::Idle => idle::run(contestant, setting)?,
                Part::Moving => moving::run(contestant, setting, self.throttle_mib)?,
            };
            for (name, value) in figures {
                record(name, value);
            }
        }
        Ok(())
    }

    fn measure_replicated(
        &self,
        contestant: Contestant,
        setting: &Setting,
    ) -> Result<Vec<(String, f64)>, String> {
        let wanted = replicated::Wanted {
            rates: &self.rates_or(&REPLICATED_RATES),
            warm_up: self.warm_up,
            measured: self.measured,
            size_bytes: self.size_bytes,
            strict: self.strict,
        };
        replicated::run(contestant, setting, &wanted)
    }

    /// What was asked for, or else these.
    fn rates_or(&self, usual: &[(u64, f64)]) -> Vec<Rate> {
        let usual = usual.iter().map(|(per_second, linger_ms)| Rate {
            per_second: *per_second,
            linger_ms: *linger_ms,
        });
        self.rates.clone().unwrap_or_else(|| usual.collect())
    }

    fn measure_latency(
        &self,
        broker: &Broker,
        record: &mut dyn FnMut(String, f64),
    ) -> Result<(), String> {
        for rate in self.rates_or(&RATES) {
            for &client in rate.clients() {
                let load = Load {
                    client,
                    rate: rate.per_second,
                    linger_ms: rate.linger_ms,
                    size_bytes: self.size_bytes,
                    topic: format!("latency-{}-{}", rate.per_second, rate.linger_ms),
                };
                latency::run(broker, &load, self.warm_up)?;
                let result = latency::run(broker, &load, self.measured)?;
                for (name, value) in result.figures() {
                    record(format!("{}, {}: {name}", rate.name(), client.name()), value);
                }
                println!("  {}", result.remarks());
            }
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
