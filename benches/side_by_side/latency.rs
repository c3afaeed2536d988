//! End-to-end latency under open loop: messages are due at fixed times whatever the broker does,
//! carry the time they were due, and are late by what the consumer's clock says more.
//!
//! Producer and consumer are threads of this process, and both read one monotonic clock. Two
//! clients take turns: librdkafka ([`librdkafka`]), which is what people use and adds two threads'
//! wake-ups of its own, and bare requests over TCP ([`bare`]), which show the broker alone.

mod bare;
mod librdkafka;
mod schedule;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::contestant::Brokers;
use crate::machine::{self, InstructionCount, StealWatch};
use crate::statistics::Latencies;
pub(crate) use schedule::Schedule;

/// Who sends and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Librdkafka,
    Bare,
}

impl Client {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Librdkafka => "librdkafka",
            Self::Bare => "bare client",
        }
    }
}

/// What is sent.
pub(crate) struct Load {
    pub(crate) client: Client,
    /// Messages per second.
    pub(crate) rate: u64,
    /// How long a client of [`Client::Librdkafka`] waits for more to send at once (`linger.ms`).
    pub(crate) linger_ms: f64,
    /// Bytes of each, at least 16.
    pub(crate) size_bytes: usize,
    pub(crate) topic: String,
}

impl Load {
    /// Telemetry as it comes: 200 bytes each, and no waiting for more.
    pub(crate) fn single(client: Client, rate: u64, topic: impl Into<String>) -> Self {
        Self {
            client,
            rate,
            linger_ms: 0.0,
            size_bytes: 200,
            topic: topic.into(),
        }
    }
}

/// What sender and receiver saw, by message; `None` is never.
struct Seen {
    /// How much later than due each was sent.
    sent_late: Vec<Option<Duration>>,
    /// How long after it was due each arrived.
    arrived: Vec<Option<Duration>>,
    /// Messages that the broker refused.
    refused: u64,
}

/// What came of it.
pub(crate) struct Outcome {
    latencies: Latencies,
    /// Counted from when each message was sent.
    from_sending: Latencies,
    /// How much later than due the generator itself sent, in quiet seconds.
    lateness: Latencies,
    cpu_per_message: Duration,
    /// Where they were counted.
    instructions_per_message: Option<f64>,
    /// Of all cores.
    idle_share: f64,
    seconds: u64,
    quiet_seconds: u64,
    refused: u64,
}

impl Outcome {
    /// In milliseconds; infinite if more never arrived.
    pub(crate) fn percentile_ms(&self, percent: f64) -> f64 {
        self.latencies.percentile_ms(percent)
    }

    /// Name and value of these percentiles of `what`.
    pub(crate) fn percentiles(&self, what: &str, percents: &[f64]) -> Vec<(String, f64)> {
        let figure = |percent: &f64| {
            let name = format!("{what}: p{percent}, ms");
            (name, self.percentile_ms(*percent))
        };
        percents.iter().map(figure).collect()
    }

    /// The share, from 0 to 1, of messages that arrived within `limit`.
    pub(crate) fn share_within(&self, limit: Duration) -> f64 {
        self.latencies.share_within(limit)
    }

    /// The share, from 0 to 1, of the machine's time that brokers and clients leave to others. It
    /// comes from their CPU time: what the kernel counts as idle time leaves out what begins and
    /// ends between two ticks, which is most of what happens at low rates.
    pub(crate) fn idle_share(&self) -> f64 {
        self.idle_share
    }

    /// Whether every message arrived.
    pub(crate) fn is_complete(&self) -> bool {
        self.latencies.missing() == 0
    }

    /// Name and value of each figure.
    pub(crate) fn figures(&self) -> Vec<(String, f64)> {
        let latencies = &self.latencies;
        let instructions = self
            .instructions_per_message
            .map(|count| ("broker instructions per message".into(), count));
        let figures = vec![
            ("p50, ms".into(), latencies.percentile_ms(50.0)),
            (
                "p50 from sending, ms".into(),
                self.from_sending.percentile_ms(50.0),
            ),
            ("p99, ms".into(), latencies.percentile_ms(99.0)),
            ("p99.9, ms".into(), latencies.percentile_ms(99.9)),
            (
                "share within 1 ms, %".into(),
                latencies.share_within(Duration::from_millis(1)) * 100.0,
            ),
            (
                "broker CPU per message, µs".into(),
                self.cpu_per_message.as_secs_f64() * 1e6,
            ),
        ];
        figures.into_iter().chain(instructions).collect()
    }

    /// What a reader must know to trust the figures.
    pub(crate) fn remarks(&self) -> String {
        format!(
            "{} of {} s were quiet; the generator was late by p50 {:.3} ms, p99 {:.3} ms; {} never arrived, {} refused{}",
            self.quiet_seconds,
            self.seconds,
            self.lateness.percentile_ms(50.0),
            self.lateness.percentile_ms(99.0),
            self.latencies.missing(),
            self.refused,
            match self.instructions_per_message {
                Some(_) => "",
                None => "; this machine does not count instructions",
            },
        )
    }
}

/// Puts `load` on the brokers for `duration`. The bare client knows one broker only: it leads all.
pub(crate) fn run(
    brokers: &dyn Brokers,
    load: &Load,
    duration: Duration,
) -> Result<Outcome, String> {
    let measured = match load.client {
        Client::Librdkafka => measure(
            brokers,
            librdkafka::Clients::new(brokers, load)?,
            load,
            duration,
        )?,
        Client::Bare => measure(brokers, bare::Clients::new(brokers, load)?, load, duration)?,
    };
    let Measured {
        seen, disturbed, ..
    } = &measured;
    let interval = Duration::from_secs(1) / u32::try_from(load.rate).expect("a lawful rate");
    let is_quiet = |sequence: usize| {
        let due = interval * u32::try_from(sequence).expect("a run of minutes");
        !disturbed.contains(&due.as_secs())
    };
    let quiet = |all: &mut dyn Iterator<Item = Option<Duration>>| {
        Latencies::new(
            all.enumerate()
                .filter(|(i, _)| is_quiet(*i))
                .map(|(_, l)| l),
        )
    };
    let pairs = seen.arrived.iter().zip(&seen.sent_late);
    let mut from_sending =
        pairs.map(|(arrived, late)| Some(arrived.as_ref()?.saturating_sub((*late)?)));
    let seconds = duration.as_secs();
    let messages = (load.rate * seconds) as f64;
    let available = duration * u32::try_from(machine::cores()).expect("a number of cores");
    let used = measured.cpu + measured.clients_cpu;
    Ok(Outcome {
        from_sending: quiet(&mut from_sending),
        latencies: quiet(&mut seen.arrived.iter().copied()),
        lateness: quiet(&mut seen.sent_late.iter().copied()),
        cpu_per_message: measured.cpu.div_f64(messages),
        instructions_per_message: measured.instructions.map(|count| count as f64 / messages),
        idle_share: 1.0 - used.div_duration_f64(available),
        seconds,
        quiet_seconds: (0..seconds)
            .filter(|second| !disturbed.contains(second))
            .count() as u64,
        refused: seen.refused,
    })
}

/// A producer and a consumer that are connected.
trait Clients {
    /// Sends everything when it is due, and receives it.
    fn run(self, schedule: Schedule, size_bytes: usize) -> Result<Seen, String>;
}

/// What the clients saw, and what the kernel counted meanwhile.
struct Measured {
    seen: Seen,
    cpu: Duration,
    /// Of this process.
    clients_cpu: Duration,
    instructions: Option<u64>,
    /// Seconds in which the neighbours were loud.
    disturbed: BTreeSet<u64>,
}

fn measure(
    brokers: &dyn Brokers,
    generator: impl Clients,
    load: &Load,
    duration: Duration,
) -> Result<Measured, String> {
    let pids = brokers.pids();
    let counting = InstructionCount::start(&pids);
    let schedule = Schedule::of(load.rate, duration);
    let watch = StealWatch::start(schedule.origin);
    let clients = [std::process::id()];
    let before = (
        machine::cpu_time_of(&pids)?,
        machine::cpu_time_of(&clients)?,
    );
    let seen = generator.run(schedule, load.size_bytes)?;
    let cpu = machine::cpu_time_of(&pids)? - before.0;
    let clients_cpu = machine::cpu_time_of(&clients)? - before.1;
    Ok(Measured {
        seen,
        cpu,
        clients_cpu,
        instructions: counting.stop(),
        disturbed: watch.disturbed_seconds(),
    })
}
