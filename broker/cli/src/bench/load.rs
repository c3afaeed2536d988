//! The load itself: threads that send messages when they are due, clients that notice
//! acknowledgements, and threads that receive.

mod receiver;
mod run;
mod sender;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{Producer as _, ThreadedProducer};

use self::receiver::Received;
pub(super) use self::run::Run;
use self::sender::{Acknowledgements, Sent};
use super::latencies::Leg;
use super::outcome::{Outcome, Parameters};
use super::payload::Payload;
use super::plan::Plan;
use super::progress::{LOOK, Progress};
use super::share::Share;
use super::topic::Topic;
use super::totals::Ending;
use super::witness::Witness;
use crate::clock;
use crate::cluster::{self, Cluster, Watch};
use crate::error::CliError;
use crate::interrupt::Interrupt;

type Producer = ThreadedProducer<Acknowledgements>;
type Consumer = BaseConsumer<Watch>;

/// Messages that wait in a producer while the cluster is slow; they stay due.
const QUEUED_MAX: &str = "1000000";
/// Threads are up and waiting by then.
pub(super) const START: Duration = Duration::from_millis(500);

/// What a load needs to know, and the clients of this process, which are connected and wait.
pub(super) struct Load<'a> {
    plan: &'a Plan,
    cluster: &'a Cluster,
    topic: &'a Topic,
    share: Share,
    run: Arc<Run>,
    consumers: Vec<Consumer>,
    producers: Vec<Producer>,
}

impl<'a> Load<'a> {
    /// Makes the clients of one share. `id` tells the run's messages from those of others; the
    /// witness is told of each.
    ///
    /// # Errors
    /// A client cannot be made.
    pub(super) fn prepare(
        plan: &'a Plan,
        cluster: &'a Cluster,
        topic: &'a Topic,
        share: Share,
        id: u64,
        witness: Option<Arc<dyn Witness>>,
    ) -> Result<Self, CliError> {
        let count = share.producers.count();
        let run = Run::new(id, plan.schedule(), plan.drain, count, witness);
        Ok(Self {
            consumers: consumers(cluster, topic, &share)?,
            producers: producers(plan, cluster, topic, &share, &run)?,
            plan,
            cluster,
            topic,
            share,
            run,
        })
    }

    /// Sends and receives from `origin` on, with `follow` on this thread: the run ends when
    /// `follow` says so, and when it returns. Ctrl-C ends it early, and what was measured until
    /// then is the outcome.
    pub(super) fn run<T>(
        &self,
        payload: &Payload,
        origin: Instant,
        interrupt: &Interrupt,
        follow: impl FnOnce(&Run) -> T,
    ) -> (Outcome, T) {
        let run = &*self.run;
        run.begin(origin);
        let (sent, received, followed) = std::thread::scope(|scope| {
            let receiving: Vec<_> = (self.consumers.iter())
                .map(|consumer| scope.spawn(|| receiver::receive(run, consumer)))
                .collect();
            let numbers = self.share.producers;
            let sending: Vec<_> = (self.producers.iter().zip(numbers.iter()))
                .map(|(producer, first)| {
                    let every = numbers.of;
                    let turn = sender::Turn { first, every };
                    let topic = self.topic.name.as_str();
                    scope
                        .spawn(move || sender::send(run, producer, topic, payload, turn, interrupt))
                })
                .collect();
            let followed = follow(run);
            run.end();
            (joined(sending), joined(receiving), followed)
        });
        (self.outcome(payload, &sent, &received), followed)
    }

    /// The same for a process that is alone: progress is shown, and it decides itself when it is
    /// over.
    pub(super) fn run_alone(&self, payload: &Payload, interrupt: &Interrupt) -> Outcome {
        let follow = |run: &Run| {
            let mut progress = Progress::new(run.schedule);
            let mut ending = Ending::new(self.plan.drain);
            loop {
                clock::sleep(LOOK);
                let totals = run.totals();
                progress.show(&totals);
                if ending.has_come(&totals) {
                    return;
                }
            }
        };
        self.run(payload, clock::now() + START, interrupt, follow).0
    }
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
    share: &Share,
    run: &Arc<Run>,
) -> Result<Vec<Producer>, CliError> {
    let mut config = cluster.config();
    set_default(&mut config, "queue.buffering.max.messages", QUEUED_MAX);
    config.set("linger.ms", plan.linger.to_string());
    config.set("acks", plan.acks.name());
    config.set("compression.type", plan.compression.name());
    let made = share.producers.iter().map(|_| {
        let context = Acknowledgements::new(Arc::clone(run));
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

fn consumers(cluster: &Cluster, topic: &Topic, share: &Share) -> Result<Vec<Consumer>, CliError> {
    let mut config = cluster.config();
    config.set("enable.auto.commit", "false");
    config.set("allow.auto.create.topics", "false");
    // librdkafka wants a name; the consumers take their partitions without a group.
    set_default(&mut config, "group.id", "klamm-bench");
    let numbers = share.consumers;
    let made = numbers.iter().map(|number| {
        let consumer: Consumer = cluster::client(&config)?;
        consumer
            .assign(&topic.share(number, numbers.of)?)
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

impl Load<'_> {
    /// What was measured here. The parameters are those of the whole load, whatever share of it is
    /// this process's.
    fn outcome(&self, payload: &Payload, sent: &[Sent], received: &[Received]) -> Outcome {
        let (plan, run) = (self.plan, &*self.run);
        let config = self.cluster.config();
        let mut outcome = Outcome::new(Parameters {
            rate: plan.rate,
            size: payload.mean_bytes(),
            seconds: plan.seconds.into(),
            warm_up: plan.warm_up.into(),
            partitions: self.topic.ends.len() as u64,
            producers: self.share.producers.of,
            consumers: self.share.consumers.of,
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
        let mut last = Duration::ZERO;
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
}
