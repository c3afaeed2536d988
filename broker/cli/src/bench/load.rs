//! The load itself: threads that send messages when they are due, clients that notice
//! acknowledgements, and threads that receive.

mod receiver;
mod run;
mod sender;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{Producer as _, ThreadedProducer};

use self::receiver::Received;
pub(super) use self::run::Run;
use self::sender::{Acknowledgements, Sent};
use super::Plan;
use super::latencies::Leg;
use super::outcome::{Outcome, Parameters};
use super::payload::Payload;
use super::progress::Progress;
use super::schedule::Schedule;
use super::topic::Topic;
use crate::cluster::{self, Cluster, Watch};
use crate::error::CliError;
use crate::interrupt::Interrupt;

type Producer = ThreadedProducer<Acknowledgements>;
type Consumer = BaseConsumer<Watch>;

/// Messages that wait in a producer while the cluster is slow; they stay due.
const QUEUED_MAX: &str = "1000000";

/// Puts the load on the topic; what was measured. Ctrl-C ends it early, and what was measured until
/// then is the outcome.
///
/// # Errors
/// A client cannot be made.
pub(super) fn run(
    plan: &Plan,
    cluster: &Cluster,
    topic: &Topic,
    payload: &Payload,
    schedule: Schedule,
    interrupt: &Interrupt,
) -> Result<Outcome, CliError> {
    let run = Run::new(schedule, plan.drain, u64::from(plan.producers));
    let consumers = consumers(plan, cluster, topic)?;
    let producers = producers(plan, cluster, topic, &run)?;
    run.begin();
    let (sent, received) = std::thread::scope(|scope| {
        let receiving: Vec<_> = consumers
            .iter()
            .map(|consumer| scope.spawn(|| receiver::receive(&run, consumer)))
            .collect();
        let sending: Vec<_> = producers
            .iter()
            .enumerate()
            .map(|(index, producer)| {
                let turn = sender::Turn {
                    first: index as u64,
                    every: producers.len() as u64,
                };
                let topic = topic.name.as_str();
                let run = &run;
                scope.spawn(move || sender::send(run, producer, topic, payload, turn, interrupt))
            })
            .collect();
        Progress::new(&run).show_until_over();
        (joined(sending), joined(receiving))
    });
    Ok(outcome(
        plan, cluster, topic, payload, &run, &sent, &received,
    ))
}

fn joined<T>(threads: Vec<std::thread::ScopedJoinHandle<'_, T>>) -> Vec<T> {
    let ended = threads.into_iter().map(|thread| thread.join());
    ended
        .map(|ended| ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        .collect()
}

fn producers(
    plan: &Plan,
    cluster: &Cluster,
    topic: &Topic,
    run: &std::sync::Arc<Run>,
) -> Result<Vec<Producer>, CliError> {
    let mut config = cluster.config();
    set_default(&mut config, "queue.buffering.max.messages", QUEUED_MAX);
    config.set("linger.ms", plan.linger.to_string());
    config.set("acks", plan.acks.name());
    config.set("compression.type", plan.compression.name());
    let made = (0..plan.producers).map(|_| {
        let context = Acknowledgements::new(std::sync::Arc::clone(run));
        let producer: Producer = cluster::client_with(&config, context)?;
        // Connections and leaders are known before the first message is due.
        producer
            .client()
            .fetch_metadata(Some(&topic.name), cluster.timeout())
            .map_err(|error| cluster.failed(format!("topic {}", topic.name), &error))?;
        Ok(producer)
    });
    made.collect()
}

fn consumers(plan: &Plan, cluster: &Cluster, topic: &Topic) -> Result<Vec<Consumer>, CliError> {
    let mut config = cluster.config();
    config.set("enable.auto.commit", "false");
    config.set("allow.auto.create.topics", "false");
    // librdkafka wants a name; the consumers take their partitions without a group.
    set_default(&mut config, "group.id", "klamm-bench");
    // More consumers than partitions would have nothing to do.
    let count = usize::try_from(plan.consumers)
        .unwrap_or(1)
        .min(topic.ends.len());
    let made = (0..count).map(|index| {
        let consumer: Consumer = cluster::client(&config)?;
        consumer
            .assign(&topic.share(index, count)?)
            .map_err(|error| cluster.failed(format!("topic {}", topic.name), &error))?;
        Ok(consumer)
    });
    made.collect()
}

/// What the user has set with `-X` stays.
fn set_default(config: &mut ClientConfig, key: &str, value: &str) {
    if config.get(key).is_none() {
        config.set(key, value);
    }
}

fn outcome(
    plan: &Plan,
    cluster: &Cluster,
    topic: &Topic,
    payload: &Payload,
    run: &Run,
    sent: &[Sent],
    received: &[Received],
) -> Outcome {
    let config = cluster.config();
    let mut outcome = Outcome::new(Parameters {
        rate: plan.rate,
        size: payload.mean_bytes(),
        seconds: plan.seconds.into(),
        warm_up: plan.warm_up.into(),
        partitions: topic.ends.len() as u64,
        producers: plan.producers.into(),
        consumers: received.len() as u64,
        linger_ms: plan.linger.into(),
        acks: plan.acks.name().to_owned(),
        compression: plan.compression.name().to_owned(),
        bootstrap: config
            .get("bootstrap.servers")
            .unwrap_or_default()
            .to_owned(),
    });
    outcome.errors = run.errors();
    let acknowledged = run.acknowledged();
    for sent in sent {
        outcome.counts.due += sent.due;
        outcome.counts.sent += sent.latencies.count();
        outcome.of_mut(Leg::DueToSent).add(&sent.latencies);
    }
    let counts = &mut outcome.counts;
    counts.acknowledged = acknowledged.from_due.count();
    counts.failed = counts.due.saturating_sub(counts.acknowledged);
    outcome
        .of_mut(Leg::DueToAcknowledged)
        .add(&acknowledged.from_due);
    outcome
        .of_mut(Leg::SentToAcknowledged)
        .add(&acknowledged.from_sent);
    let mut last = std::time::Duration::ZERO;
    for received in received {
        outcome.counts.consumed += received.measured.from_due.count();
        outcome.counts.duplicates += received.duplicates;
        outcome
            .of_mut(Leg::DueToConsumed)
            .add(&received.measured.from_due);
        outcome
            .of_mut(Leg::SentToConsumed)
            .add(&received.measured.from_sent);
        last = last.max(received.measured.last);
    }
    let rate = |count: u64, last| count as f64 / run.measured_until(last).as_secs_f64();
    outcome.acknowledged_rate = rate(outcome.counts.acknowledged, acknowledged.last);
    outcome.consumed_rate = rate(outcome.counts.consumed, last);
    outcome
}
