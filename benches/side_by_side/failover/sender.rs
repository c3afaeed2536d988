//! The load: an idempotent producer under open loop, which notes when each message was
//! acknowledged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::message::Message as _;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};

use crate::contestant::{Brokers, PARTITIONS};
use crate::latency::Schedule;

const SIZE_BYTES: usize = 200;
/// More than can be under way while a cluster is away for minutes: messages stay due.
const QUEUED_MAX: &str = "1000000";
/// A run does not take as long.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// What is under way at the end may take this long.
const FLUSH: Duration = Duration::from_secs(60);

/// An acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) partition: i32,
    pub(super) sequence: u64,
    /// After the first message was due.
    pub(super) at: Duration,
}

/// A running load.
pub(super) struct Sender {
    schedule: Schedule,
    stop: Arc<AtomicBool>,
    notes: Arc<Notes>,
    thread: JoinHandle<u64>,
}

/// What became of the messages.
pub(super) struct Sent {
    pub(super) messages: u64,
    pub(super) acknowledged: Vec<Acknowledged>,
    pub(super) refused: u64,
}

impl Sender {
    pub(super) fn start(brokers: &dyn Brokers, topic: &str, rate: u64) -> Result<Self, String> {
        let schedule = Schedule::of(rate, LONGEST);
        let notes = Arc::new(Notes::new(schedule.origin));
        let producer = producer(brokers, Context(Arc::clone(&notes)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (topic, asked_to_stop) = (topic.to_owned(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || send(&producer, &topic, schedule, &asked_to_stop));
        Ok(Self {
            schedule,
            stop,
            notes,
            thread,
        })
    }

    /// Time since the first message was due.
    pub(super) fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.schedule.origin)
    }

    /// Whether every partition has acknowledged a message that was due later than that.
    pub(super) fn all_acknowledge_since(&self, moment: Duration) -> bool {
        let notes = self.notes.acknowledged();
        let since =
            |acknowledged: &&Acknowledged| self.schedule.due_after(acknowledged.sequence) > moment;
        // The newest are at the end, and those before the moment tell nothing.
        let recent = notes.iter().rev();
        let mut partitions: Vec<_> = recent
            .take_while(|acknowledged| acknowledged.at > moment)
            .filter(since)
            .map(|acknowledged| acknowledged.partition)
            .collect();
        partitions.sort_unstable();
        partitions.dedup();
        partitions.len() == PARTITIONS as usize
    }

    pub(super) fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let messages = self.thread.join().expect("it only sends");
        let acknowledged = std::mem::take(&mut *self.notes.acknowledged());
        Sent {
            messages,
            acknowledged,
            refused: self.notes.refused.load(Ordering::Relaxed),
        }
    }
}

fn producer(brokers: &dyn Brokers, context: Context) -> Result<ThreadedProducer<Context>, String> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers.addresses())
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("queue.buffering.max.messages", QUEUED_MAX)
        .set("log_level", "0")
        .create_with_context(context)
        .map_err(|error| error.to_string())
}

/// Sends each message when it is due, in turn to all partitions; how many.
fn send(
    producer: &ThreadedProducer<Context>,
    topic: &str,
    schedule: Schedule,
    stop: &AtomicBool,
) -> u64 {
    let mut payload = [b'k'; SIZE_BYTES];
    let mut sequence = 0;
    while !stop.load(Ordering::Relaxed) {
        schedule.wait_for(sequence);
        schedule.stamp(&mut payload, sequence);
        let partition = i32::try_from(sequence % PARTITIONS as u64).expect("a small number");
        let record = BaseRecord::<(), [u8]>::to(topic)
            .partition(partition)
            .payload(&payload);
        if let Err((error, _)) = producer.send(record) {
            println!("  message {sequence} could not be sent: {error}");
            break;
        }
        sequence += 1;
    }
    if let Err(error) = producer.flush(FLUSH) {
        println!("  not all messages were acknowledged: {error}");
    }
    sequence
}

/// What the producer is told.
struct Notes {
    origin: Instant,
    acknowledged: Mutex<Vec<Acknowledged>>,
    refused: AtomicU64,
}

impl Notes {
    fn new(origin: Instant) -> Self {
        Self {
            origin,
            acknowledged: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    fn acknowledged(&self) -> MutexGuard<'_, Vec<Acknowledged>> {
        self.acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

struct Context(Arc<Notes>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let notes = &self.0;
        let Ok(message) = result else {
            notes.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let stamp = message.payload().unwrap_or_default().first_chunk();
        notes.acknowledged().push(Acknowledged {
            partition: message.partition(),
            sequence: u64::from_be_bytes(*stamp.expect("a message of ours")),
            at: Instant::now().saturating_duration_since(notes.origin),
        });
    }
}
