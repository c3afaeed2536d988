//! End-to-end latency under open loop: messages are due at fixed times whatever the broker does,
//! carry the time they were due, and are late by what the consumer's clock says more.
//!
//! Producer and consumer are librdkafka in this process, each with threads of its own; both
//! read one monotonic clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::contestant::{Broker, PARTITIONS};
use crate::machine::{self, StealWatch};
use crate::statistics::Latencies;

/// A message that arrives later than this after the last was due counts as never arrived.
const STRAGGLERS: Duration = Duration::from_secs(5);
/// How long topic creation and first connections may take.
const PREPARATION: Duration = Duration::from_secs(30);

/// What is sent.
pub(crate) struct Load {
    /// Messages per second.
    pub(crate) rate: u64,
    /// Bytes of each, at least 16.
    pub(crate) size_bytes: usize,
    pub(crate) topic: String,
}

/// What came of it.
pub(crate) struct Outcome {
    latencies: Latencies,
    /// How much later than due the generator itself sent, in quiet seconds.
    lateness: Latencies,
    cpu_per_message: Duration,
    seconds: u64,
    quiet_seconds: u64,
    refused: u64,
}

impl Outcome {
    /// Name and value of each figure.
    pub(crate) fn figures(&self) -> Vec<(String, f64)> {
        let latencies = &self.latencies;
        vec![
            ("p50, ms".into(), latencies.percentile_ms(50.0)),
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
    let failures = Arc::new(AtomicU64::new(0));
    let producer = producer(broker, Arc::clone(&failures))?;
    let begin_at = prepare_topic(&producer, &load.topic)?;
    let total = load.rate * duration.as_secs();
    let origin = Instant::now() + Duration::from_millis(500);
    let consumer = consumer(broker, &begin_at)?;
    let consuming = consume(consumer, origin, total, origin + duration + STRAGGLERS);
    let watch = StealWatch::start(origin);

    let cpu_before = machine::cpu_time(broker.pid())?;
    let sent_late = produce(&producer, load, origin, total, duration);
    let arrived = consuming.join().expect("the consumer only counts")?;
    let cpu = machine::cpu_time(broker.pid())? - cpu_before;

    let disturbed = watch.disturbed_seconds();
    let interval = Duration::from_secs(1) / u32::try_from(load.rate).expect("a lawful rate");
    let is_quiet = |sequence: usize| {
        let due = interval * u32::try_from(sequence).expect("a run of minutes");
        !disturbed.contains(&due.as_secs())
    };
    let quiet = |all: Vec<Option<Duration>>| {
        Latencies::new(
            all.into_iter()
                .enumerate()
                .filter(|(i, _)| is_quiet(*i))
                .map(|(_, l)| l),
        )
    };
    let seconds = duration.as_secs();
    Ok(Outcome {
        latencies: quiet(arrived),
        lateness: quiet(sent_late),
        cpu_per_message: cpu.div_f64(total as f64),
        seconds,
        quiet_seconds: (0..seconds)
            .filter(|second| !disturbed.contains(second))
            .count() as u64,
        refused: failures.load(Ordering::Relaxed),
    })
}

/// Sends each message when it is due, and says how much later than due that was. What could not be
/// sent until the end stays `None`.
fn produce(
    producer: &BaseProducer<CountFailures>,
    load: &Load,
    origin: Instant,
    total: u64,
    duration: Duration,
) -> Vec<Option<Duration>> {
    let end = origin + duration + STRAGGLERS;
    let interval = Duration::from_secs(1) / u32::try_from(load.rate).expect("a lawful rate");
    let mut late = vec![None; usize::try_from(total).expect("it fits into memory")];
    let mut payload = vec![b'k'; load.size_bytes];
    for sequence in 0..total {
        let due_after = interval * u32::try_from(sequence).expect("a run of minutes");
        let due = origin + due_after;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        payload[..8].copy_from_slice(&sequence.to_be_bytes());
        let nanos = u64::try_from(due_after.as_nanos()).expect("a run of minutes");
        payload[8..16].copy_from_slice(&nanos.to_be_bytes());
        let partition = i32::try_from(sequence % PARTITIONS as u64).expect("a small number");
        loop {
            let record = BaseRecord::<(), [u8]>::to(&load.topic)
                .partition(partition)
                .payload(&payload);
            match producer.send(record) {
                Ok(()) => {
                    late[sequence as usize] = Some(Instant::now().saturating_duration_since(due));
                    break;
                }
                // The broker is behind by a full queue: the message stays due.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                    if Instant::now() < end =>
                {
                    producer.poll(Duration::from_millis(1));
                }
                Err(_) => return late,
            }
        }
        producer.poll(Duration::ZERO);
    }
    // Whoever still waits for an acknowledgement gets as long as the consumer.
    while producer.in_flight_count() > 0 && Instant::now() < end {
        producer.poll(Duration::from_millis(1));
    }
    late
}

/// Receives until all have arrived or `deadline` has passed; latency by sequence.
fn consume(
    consumer: BaseConsumer,
    origin: Instant,
    total: u64,
    deadline: Instant,
) -> JoinHandle<Result<Vec<Option<Duration>>, String>> {
    std::thread::spawn(move || {
        let mut arrived = vec![None; usize::try_from(total).expect("it fits into memory")];
        let mut missing = total;
        while missing > 0 && Instant::now() < deadline {
            let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                continue;
            };
            let after = Instant::now().saturating_duration_since(origin);
            let message = message.map_err(|error| format!("the consumer failed: {error}"))?;
            let Some((sequence, due)) = message.payload().and_then(stamps) else {
                continue;
            };
            let place = usize::try_from(sequence)
                .ok()
                .and_then(|index| arrived.get_mut(index));
            if let Some(place @ None) = place {
                *place = Some(after.saturating_sub(due));
                missing -= 1;
            }
        }
        Ok(arrived)
    })
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

/// Has the topic created, opens the connections, and says where each partition ends.
fn prepare_topic(
    producer: &BaseProducer<CountFailures>,
    topic: &str,
) -> Result<TopicPartitionList, String> {
    let deadline = Instant::now() + PREPARATION;
    let mut begin_at = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let record = BaseRecord::<(), [u8]>::to(topic)
            .partition(partition)
            .payload(b"warm-up");
        producer
            .send(record)
            .map_err(|(error, _)| error.to_string())?;
    }
    producer
        .flush(PREPARATION)
        .map_err(|error| format!("{topic}: {error}"))?;
    for partition in 0..PARTITIONS {
        let left = deadline.saturating_duration_since(Instant::now());
        let (_, end) = producer
            .client()
            .fetch_watermarks(topic, partition, left)
            .map_err(|error| format!("{topic}-{partition}: {error}"))?;
        begin_at
            .add_partition_offset(topic, partition, Offset::Offset(end))
            .map_err(|error| error.to_string())?;
    }
    Ok(begin_at)
}

fn producer(
    broker: &Broker,
    failures: Arc<AtomicU64>,
) -> Result<BaseProducer<CountFailures>, String> {
    ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("allow.auto.create.topics", "true")
        .create_with_context(CountFailures(failures))
        .map_err(|error| error.to_string())
}

fn consumer(broker: &Broker, begin_at: &TopicPartitionList) -> Result<BaseConsumer, String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .create()
        .map_err(|error| error.to_string())?;
    consumer
        .assign(begin_at)
        .map_err(|error| error.to_string())?;
    Ok(consumer)
}

/// Counts messages that the broker refused.
struct CountFailures(Arc<AtomicU64>);

impl ClientContext for CountFailures {}

impl ProducerContext for CountFailures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
