//! librdkafka, the client library that most clients are built on.

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

use super::{Load, Schedule, Seen};
use crate::contestant::{Brokers, PARTITIONS};

/// How long topic creation and first connections may take.
const PREPARATION: Duration = Duration::from_secs(30);

/// A producer and a consumer of all partitions.
pub(super) struct Clients {
    topic: String,
    producer: BaseProducer<CountFailures>,
    consumer: BaseConsumer,
    failures: Arc<AtomicU64>,
}

impl Clients {
    pub(super) fn new(brokers: &dyn Brokers, load: &Load) -> Result<Self, String> {
        let failures = Arc::new(AtomicU64::new(0));
        let producer = producer(brokers, load.linger_ms, Arc::clone(&failures))?;
        let begin_at = prepare_topic(&producer, &load.topic)?;
        Ok(Self {
            topic: load.topic.clone(),
            consumer: consumer(brokers, &begin_at)?,
            producer,
            failures,
        })
    }
}

impl super::Clients for Clients {
    fn run(self, schedule: Schedule, size_bytes: usize) -> Result<Seen, String> {
        let consuming = consume(self.consumer, schedule);
        let sent_late = produce(&self.producer, &self.topic, schedule, size_bytes);
        let arrived = consuming.join().expect("the consumer only counts")?;
        Ok(Seen {
            sent_late,
            arrived,
            refused: self.failures.load(Ordering::Relaxed),
        })
    }
}

/// Sends each message when it is due, and says how much later than due that was. What could not be
/// sent until the end stays `None`.
fn produce(
    producer: &BaseProducer<CountFailures>,
    topic: &str,
    schedule: Schedule,
    size_bytes: usize,
) -> Vec<Option<Duration>> {
    let mut late = schedule.places();
    let mut payload = vec![b'k'; size_bytes];
    for sequence in 0..schedule.total {
        if schedule.wait_for(sequence) {
            producer.poll(Duration::ZERO);
        }
        schedule.stamp(&mut payload, sequence);
        let partition = i32::try_from(sequence % PARTITIONS as u64).expect("a small number");
        loop {
            let record = BaseRecord::<(), [u8]>::to(topic)
                .partition(partition)
                .payload(&payload);
            match producer.send(record) {
                Ok(()) => {
                    late[sequence as usize] =
                        Some(Instant::now().saturating_duration_since(schedule.due(sequence)));
                    break;
                }
                // The broker is behind by a full queue: the message stays due.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                    if Instant::now() < schedule.deadline =>
                {
                    producer.poll(Duration::from_millis(1));
                }
                Err(_) => return late,
            }
        }
    }
    // Whoever still waits for an acknowledgement gets as long as the consumer.
    while producer.in_flight_count() > 0 && Instant::now() < schedule.deadline {
        producer.poll(Duration::from_millis(1));
    }
    late
}

/// Receives until all have arrived or the deadline has passed; latency by sequence.
fn consume(
    consumer: BaseConsumer,
    schedule: Schedule,
) -> JoinHandle<Result<Vec<Option<Duration>>, String>> {
    std::thread::spawn(move || {
        let mut arrived = schedule.places();
        let mut missing = schedule.total;
        while missing > 0 && Instant::now() < schedule.deadline {
            let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                continue;
            };
            let message = message.map_err(|error| format!("the consumer failed: {error}"))?;
            let payload = message.payload().unwrap_or_default();
            missing -= u64::from(schedule.arrived(payload, &mut arrived));
        }
        Ok(arrived)
    })
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
    brokers: &dyn Brokers,
    linger_ms: f64,
    failures: Arc<AtomicU64>,
) -> Result<BaseProducer<CountFailures>, String> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers.addresses())
        .set("acks", "all")
        .set("linger.ms", linger_ms.to_string())
        .set("allow.auto.create.topics", "true")
        .create_with_context(CountFailures(failures))
        .map_err(|error| error.to_string())
}

fn consumer(brokers: &dyn Brokers, begin_at: &TopicPartitionList) -> Result<BaseConsumer, String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers.addresses())
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
