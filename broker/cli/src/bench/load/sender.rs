//! Sends messages when they are due, and notices their acknowledgements.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::Producer;
use super::run::Run;
use crate::bench::latencies::Latencies;
use crate::bench::payload::{Body, Payload};
use crate::bench::stamp::{HEADER, Stamp};
use crate::bench::witness::Acknowledged;
use crate::clock;
use crate::interrupt::Interrupt;

/// How long a full queue is left alone before it is tried again.
const QUEUE_FULL: Duration = Duration::from_millis(1);
/// How long a wait may be before somebody looks whether Ctrl-C was pressed.
const TURN: Duration = Duration::from_millis(100);

/// Which messages a producer sends: with three producers the first sends 0, 3, 6, …
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) first: u64,
    pub(super) every: u64,
}

/// What one producer did.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Measured messages that were due to it.
    pub(super) due: u64,
    /// How much later than due each of them was handed to the client.
    pub(super) latencies: Latencies,
}

/// Sends its share, each message when it is due, and waits for the acknowledgements.
pub(super) fn send(
    run: &Run,
    producer: &Producer,
    topic: &str,
    payload: &Payload,
    turn: Turn,
    interrupt: &Interrupt,
) -> Sent {
    let mut sent = Sent::default();
    let mut sequence = turn.first;
    while sequence < run.schedule.total() && wait(run, sequence, interrupt) {
        let measured = run.schedule.is_measured(sequence);
        sent.due += u64::from(measured);
        if let Some(late) = send_one(
            run,
            producer,
            topic,
            payload.of(sequence),
            sequence,
            interrupt,
        ) {
            run.counters().sent.fetch_add(1, Ordering::Relaxed);
            if measured {
                sent.latencies.record(late);
            }
        }
        sequence += turn.every;
    }
    // A time-out shows as messages without acknowledgement.
    let _ = producer.flush(run.drain());
    run.producer_ended();
    sent
}

/// Waits until the message is due; false if the user does not want to.
fn wait(run: &Run, sequence: u64, interrupt: &Interrupt) -> bool {
    loop {
        let left = run.until_due(sequence);
        if left.is_zero() || interrupt.asked() {
            return !interrupt.asked();
        }
        clock::sleep(left.min(TURN));
    }
}

/// Hands one message to the client; how late that was, or `None` if the client did not take it.
fn send_one(
    run: &Run,
    producer: &Producer,
    topic: &str,
    body: &Body,
    sequence: u64,
    interrupt: &Interrupt,
) -> Option<Duration> {
    loop {
        let late = run.elapsed().saturating_sub(run.schedule.due(sequence));
        let stamp = Stamp {
            run: run.id,
            sequence,
            late_us: u32::try_from(late.as_micros()).unwrap_or(u32::MAX),
        };
        let stamp = stamp.encode();
        let mut record = BaseRecord::<[u8], [u8]>::to(topic)
            .payload(&body.value)
            .headers(OwnedHeaders::new_with_capacity(1).insert(Header {
                key: HEADER,
                value: Some(&stamp),
            }));
        record.key = body.key.as_deref();
        match producer.send(record) {
            Ok(()) => return Some(late),
            // The cluster is behind by a full queue: the message stays due.
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                if run.may_send() && !interrupt.asked() =>
            {
                clock::sleep(QUEUE_FULL);
            }
            Err((error, _)) => {
                run.counters().failed.fetch_add(1, Ordering::Relaxed);
                run.count_error(&error);
                return None;
            }
        }
    }
}

/// The context of a producer: it is told what became of each message.
pub(super) struct Acknowledgements(Arc<Run>);

impl Acknowledgements {
    pub(super) fn new(run: Arc<Run>) -> Self {
        Self(run)
    }
}

impl ClientContext for Acknowledgements {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, _: &str) {
        self.0.count_error(&error);
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let run = &self.0;
        match result {
            Ok(message) => {
                let elapsed = run.elapsed();
                if let Some(stamp) = Stamp::of(message) {
                    let took = run.acknowledged().record(run.schedule, stamp, elapsed);
                    if let Some(witness) = run.witness() {
                        witness.acknowledged(Acknowledged {
                            sequence: stamp.sequence,
                            partition: message.partition(),
                            at: elapsed,
                            took,
                        });
                    }
                }
                run.counters().acknowledged.fetch_add(1, Ordering::Release);
            }
            Err((error, _)) => {
                run.counters().failed.fetch_add(1, Ordering::Relaxed);
                run.count_error(error);
            }
        }
    }
}
