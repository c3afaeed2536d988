//! A consumer that was told which partitions to read, and reads them from their beginning; for ever, or
//! once to their ends.

use klamm_model::Offset;
use klamm_simulation::history::event::{Event, Partition};

use super::super::messages::{Refusal, Reply, Request};
use super::{Client, Line, Map, Moment, PAUSE_US, poll};

/// See the module.
pub(in super::super) struct Reader {
    name: String,
    positions: Vec<(Partition, Offset)>,
    /// Whether it ends where the partitions end.
    drains: bool,
    map: Map,
    line: Line,
    /// Which partition is read next.
    turn: usize,
    looks_for_leader: bool,
    has_begun: bool,
    next_us: u64,
    is_ending: bool,
    is_done: bool,
}

impl Reader {
    /// One that goes on until it is told to stop.
    pub(in super::super) fn new(nth: usize, partitions: &[Partition]) -> Self {
        Self::named(format!("reader {nth}"), partitions, false)
    }

    /// One that reads everything once, when nobody writes any more.
    pub(in super::super) fn draining(partitions: &[Partition]) -> Self {
        Self::named("drain".to_owned(), partitions, true)
    }

    fn named(name: String, partitions: &[Partition], drains: bool) -> Self {
        let partitions = partitions.iter().cloned();
        Self {
            name,
            positions: partitions.map(|one| (one, Offset::ZERO)).collect(),
            drains,
            map: Map::default(),
            line: Line::default(),
            turn: 0,
            looks_for_leader: true,
            has_begun: false,
            next_us: 0,
            is_ending: false,
            is_done: false,
        }
    }

    fn begin(&mut self, at: &mut Moment<'_>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        let partitions = self.positions.iter().map(|(one, _)| one.clone());
        at.note(Event::Assigned {
            consumer: self.name.clone(),
            group: None,
            partitions: partitions.collect(),
        });
    }

    fn take_in(&mut self, at: &mut Moment<'_>, reply: Reply) {
        self.next_us = at.now_us + PAUSE_US + at.random.below(PAUSE_US);
        match reply {
            Reply::Metadata(known) => {
                self.map.learn(known);
                self.looks_for_leader = false;
            }
            Reply::Fetched {
                records,
                high_watermark,
            } => self.fetched(at, records, high_watermark),
            Reply::Refused(refusal) => {
                assert!(refusal != Refusal::OutOfRange, "what was read is gone");
                self.looks_for_leader = true;
                self.turn += 1;
            }
            other => panic!("no answer to a consumer: {other}"),
        }
    }

    fn fetched(&mut self, at: &mut Moment<'_>, records: bytes::Bytes, shown: Option<Offset>) {
        let (partition, from) = &mut self.positions[self.turn];
        *from = poll(at, &self.name, partition, *from, records);
        let position = *from;
        let (consumer, partition) = (self.name.clone(), partition.clone());
        if let Some(shown) = shown {
            at.note(Event::Watermark {
                consumer: consumer.clone(),
                partition: partition.clone(),
                high_watermark: shown.get(),
            });
        }
        if self.drains && shown == Some(position) {
            at.note(Event::Drained {
                consumer,
                partition,
            });
            self.positions.remove(self.turn);
            self.is_done = self.positions.is_empty();
        } else {
            self.turn += 1;
        }
    }
}

impl Client for Reader {
    fn name(&self) -> &str {
        &self.name
    }

    fn act(&mut self, at: &mut Moment<'_>, answer: Option<(u64, Reply)>) {
        self.begin(at);
        self.looks_for_leader |= self.line.has_given_up(at);
        if let Some(reply) = self.line.answered(answer) {
            self.take_in(at, reply);
        }
        self.is_done |= self.is_ending;
        if self.is_done || self.line.is_busy(at) {
            return;
        }
        if at.now_us < self.next_us {
            return at.wake_in(self.next_us - at.now_us);
        }
        self.turn %= self.positions.len();
        let (partition, from) = &self.positions[self.turn];
        let leader = self.map.leader(partition);
        match leader.filter(|_| !self.looks_for_leader) {
            Some((group, leader, epoch)) => {
                let from = *from;
                self.line
                    .ask(at, leader, Request::Fetch { group, from, epoch });
            }
            None => {
                let broker = at.any_broker();
                self.line.ask(at, broker, Request::Metadata);
            }
        }
    }

    fn wind_up(&mut self) {
        self.is_ending = !self.drains;
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}
