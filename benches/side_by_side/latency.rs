//! End-to-end latency under open loop: messages are due at fixed times whatever the broker does,
//! carry the time they were due, and are late by what the consumer's clock says more.
//!
//! Producer and consumer are threads of this process, and both read one monotonic clock. Two
//! clients take turns: librdkafka ([`librdkafka`]), which is what people use and adds two threads'
//! wake-ups of its own, and bare requests over TCP ([`bare`]), which show the broker alone.

mod bare;
mod librdkafka;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::contestant::Broker;
use crate::machine::{self, StealWatch};
use crate::statistics::Latencies;

/// A message that arrives later than this after the last was due counts as never arrived.
const STRAGGLERS: Duration = Duration::from_secs(5);

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
    pub(crate) linger_ms: u32,
    /// Bytes of each, at least 16.
    pub(crate) size_bytes: usize,
    pub(crate) topic: String,
}

/// When messages are due, whoever sends them.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    origin: Instant,
    interval: Duration,
    /// How many there are.
    total: u64,
    /// When senders and receivers give up.
    deadline: Instant,
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

impl Schedule {
    fn of(load: &Load, duration: Duration) -> Self {
        let origin = Instant::now() + Duration::from_millis(500);
        Self {
            origin,
            interval: Duration::from_secs(1) / u32::try_from(load.rate).expect("a lawful rate"),
            total: load.rate * duration.as_secs(),
            deadline: origin + duration + STRAGGLERS,
        }
    }

    /// How long after the origin a message is due.
    fn due_after(&self, sequence: u64) -> Duration {
        self.interval * u32::try_from(sequence).expect("a run of minutes")
    }

    /// Waits until a message is due; when that was.
    fn wait_for(&self, sequence: u64) -> Instant {
        let due = self.origin + self.due_after(sequence);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due
    }

    /// One place for each message.
    fn places(&self) -> Vec<Option<Duration>> {
        vec![None; usize::try_from(self.total).expect("it fits into memory")]
    }

    /// What a message carries at its front, to be told apart.
    fn stamp(&self, payload: &mut [u8], sequence: u64) {
        payload[..8].copy_from_slice(&sequence.to_be_bytes());
        let nanos = self.due_after(sequence).as_nanos();
        let nanos = u64::try_from(nanos).expect("a run of minutes");
        payload[8..16].copy_from_slice(&nanos.to_be_bytes());
    }

    /// Takes note of a message that has arrived; whether it is a new one of ours.
    fn arrived(&self, payload: &[u8], arrived: &mut [Option<Duration>]) -> bool {
        let after = Instant::now().saturating_duration_since(self.origin);
        let Some((sequence, due)) = stamps(payload) else {
            return false;
        };
        let place = usize::try_from(sequence)
            .ok()
            .and_then(|index| arrived.get_mut(index));
        match place {
            Some(place @ None) => {
                *place = Some(after.saturating_sub(due));
                true
            }
            _ => false,
        }
    }
}

/// What came of it.
pub(crate) struct Outcome {
    latencies: Latencies,
    /// Counted from when each message was sent.
    from_sending: Latencies,
    /// How much later than due the generator itself sent, in quiet seconds.
    lateness: Latencies,
    cpu_per_message: Duration,
    seconds: u64,
    quiet_seconds: u64,
    refused: u64,
}

impl Outcome {
    /// In milliseconds; infinite if more never arrived.
    pub(crate) fn p99_ms(&self) -> f64 {
        self.latencies.percentile_ms(99.0)
    }

    /// Name and value of each figure.
    pub(crate) fn figures(&self) -> Vec<(String, f64)> {
        let latencies = &self.latencies;
        vec![
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
        ]
    }

    /// What a reader must know to trust the figures.
    pub(crate) fn remarks(&self) -> String {
        format!(
            "{} of {} s were quiet; the generator was late by p50 {:.3} ms, p99 {:.3} ms; {} never arrived, {} refused",
            self.quiet_seconds,
            self.seconds,
            self.lateness.percentile_ms(50.0),
            self.lateness.percentile_ms(99.0),
            self.latencies.missing(),
            self.refused,
        )
    }
}

/// Puts `load` on the broker for `duration`.
pub(crate) fn run(broker: &Broker, load: &Load, duration: Duration) -> Result<Outcome, String> {
    let (seen, cpu, disturbed) = match load.client {
        Client::Librdkafka => measure(
            broker,
            librdkafka::Clients::new(broker, load)?,
            load,
            duration,
        )?,
        Client::Bare => measure(broker, bare::Clients::new(broker, load)?, load, duration)?,
    };
    let schedule_interval =
        Duration::from_secs(1) / u32::try_from(load.rate).expect("a lawful rate");
    let is_quiet = |sequence: usize| {
        let due = schedule_interval * u32::try_from(sequence).expect("a run of minutes");
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
    Ok(Outcome {
        from_sending: quiet(&mut from_sending),
        latencies: quiet(&mut seen.arrived.iter().copied()),
        lateness: quiet(&mut seen.sent_late.iter().copied()),
        cpu_per_message: cpu.div_f64((load.rate * seconds) as f64),
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

fn measure(
    broker: &Broker,
    clients: impl Clients,
    load: &Load,
    duration: Duration,
) -> Result<(Seen, Duration, BTreeSet<u64>), String> {
    let schedule = Schedule::of(load, duration);
    let watch = StealWatch::start(schedule.origin);
    let cpu_before = machine::cpu_time(broker.pid())?;
    let seen = clients.run(schedule, load.size_bytes)?;
    let cpu = machine::cpu_time(broker.pid())? - cpu_before;
    Ok((seen, cpu, watch.disturbed_seconds()))
}

/// Sequence number and due time of a message of ours.
fn stamps(payload: &[u8]) -> Option<(u64, Duration)> {
    let sequence = payload.first_chunk()?;
    let nanos = payload.get(8..)?.first_chunk()?;
    Some((
        u64::from_be_bytes(*sequence),
        Duration::from_nanos(u64::from_be_bytes(*nanos)),
    ))
}
