//! Clients, each with at most a few calls under way: they time out, look for leaders anew, try again, and
//! write down what they did and what they were told.

pub(super) mod admin;
pub(super) mod member;
pub(super) mod producer;
pub(super) mod reader;

use std::collections::BTreeMap;

use klamm_model::{LeaderEpoch, Offset, RecordBatch};
use klamm_simulation::Random;
use klamm_simulation::history::event::{Entry, Event, Partition};
use klamm_simulation::history::payload;

use super::hosted::records;
use super::messages::{Group, Known, Reply, Request};

/// How long a client waits for an answer, in µs.
const CALL_TIMEOUT_US: u64 = 1_500_000;
/// How long it waits before it tries again.
const PAUSE_US: u64 = 100_000;

/// See the module.
pub(super) trait Client {
    /// What it is called in the history.
    fn name(&self) -> &str;

    /// An answer has come, or its time: what it does next.
    fn act(&mut self, at: &mut Moment<'_>, answer: Option<(u64, Reply)>);

    /// The run ends: it ends what it has begun, and stops.
    fn wind_up(&mut self);

    /// Whether it has stopped.
    fn is_done(&self) -> bool;
}

/// What a client has to work with.
pub(super) struct Moment<'a> {
    pub(super) now_us: u64,
    pub(super) brokers: usize,
    pub(super) random: &'a mut Random,
    pub(super) history: &'a mut Vec<Entry>,
    /// Requests to brokers, each under a number of the client's.
    pub(super) asked: Vec<(usize, u64, Request)>,
    /// When to act again at the latest.
    pub(super) wake_us: u64,
}

impl Moment<'_> {
    pub(super) fn note(&mut self, event: Event) {
        let at_us = self.now_us;
        self.history.push(Entry { at_us, event });
    }

    pub(super) fn any_broker(&mut self) -> usize {
        self.random.below(self.brokers as u64) as usize
    }

    pub(super) fn wake_in(&mut self, us: u64) {
        self.wake_us = self.wake_us.min(self.now_us + us);
    }
}

/// A call under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Line {
    calls: u64,
    waits: Option<(u64, u64)>,
    begun_us: u64,
}

impl Line {
    /// Asks a broker.
    pub(super) fn ask(&mut self, at: &mut Moment<'_>, broker: usize, request: Request) {
        self.ask_for(at, broker, request, CALL_TIMEOUT_US);
    }

    /// Asks a broker that may take so long.
    pub(super) fn ask_for(
        &mut self,
        at: &mut Moment<'_>,
        broker: usize,
        request: Request,
        timeout_us: u64,
    ) {
        self.calls += 1;
        self.waits = Some((self.calls, at.now_us + timeout_us));
        self.begun_us = at.now_us;
        at.asked.push((broker, self.calls, request));
        at.wake_in(timeout_us);
    }

    /// When the last call was begun.
    pub(super) fn begun_us(&self) -> u64 {
        self.begun_us
    }

    /// The answer to the call under way; any other is of one that was given up.
    pub(super) fn answered(&mut self, answer: Option<(u64, Reply)>) -> Option<Reply> {
        let (call, reply) = answer?;
        let is_ours = self.waits.is_some_and(|(waits, _)| waits == call);
        is_ours.then(|| {
            self.waits = None;
            reply
        })
    }

    /// Whether an answer is waited for.
    pub(super) fn is_busy(&self, at: &mut Moment<'_>) -> bool {
        let waits = self.waits.filter(|(_, until)| at.now_us < *until);
        if let Some((_, until)) = waits {
            at.wake_in(until - at.now_us);
        }
        waits.is_some()
    }

    /// Whether an answer has not come in time, once for each call.
    pub(super) fn has_given_up(&mut self, at: &Moment<'_>) -> bool {
        let late = self.waits.take_if(|(_, until)| at.now_us >= *until);
        late.is_some()
    }
}

/// A broker that leads, and its epoch.
type Leader = (usize, LeaderEpoch);

/// What a client knows of partitions: it may be old.
#[derive(Debug, Default)]
pub(super) struct Map {
    known: BTreeMap<(String, i32), (Group, Option<Leader>)>,
}

impl Map {
    /// Takes in what a broker says; of leaders, the newest that was ever heard of.
    pub(super) fn learn(&mut self, known: Vec<Known>) {
        for Known {
            topic,
            group,
            leader,
        } in known
        {
            let place = self.known.entry((topic, group.index.0));
            let (_, before) = place.or_insert((group, None));
            let epoch = |leader: &Option<Leader>| leader.map(|(_, epoch)| epoch);
            if epoch(before) <= epoch(&leader) {
                *before = leader;
            }
        }
    }

    /// A partition's group and leader.
    pub(super) fn leader(&self, partition: &Partition) -> Option<(Group, usize, LeaderEpoch)> {
        let key = (partition.topic.clone(), partition.index);
        let (group, leader) = self.known.get(&key)?;
        let (broker, epoch) = (*leader)?;
        Some((*group, broker, epoch))
    }
}

/// Gives records to an application that stands at an offset; where it stands then.
pub(super) fn poll(
    at: &mut Moment<'_>,
    consumer: &str,
    partition: &Partition,
    from: Offset,
    mut bytes: bytes::Bytes,
) -> Offset {
    let mut next = from;
    while !bytes.is_empty() {
        let batch = RecordBatch::parse(&mut bytes).expect("a whole batch");
        for record in records(&batch).filter(|record| record.offset >= from) {
            let value = record.value.unwrap_or_default();
            at.note(Event::Polled {
                consumer: consumer.to_owned(),
                partition: partition.clone(),
                offset: record.offset.get(),
                value: payload::value(partition, &value),
                leader_epoch: Some(batch.header().leader_epoch().0),
            });
        }
        next = batch.next_offset();
    }
    next
}
