//! An idempotent producer of one partition, with a few batches in flight. What is not acknowledged is sent
//! again, with the same sequences, until too much time has passed: then nobody knows what has become of it,
//! and it goes on under another identity.

use std::collections::VecDeque;

use klamm_model::record_batch::BatchBuilder;
use klamm_model::{Offset, ProducerEpoch, ProducerId, RecordBatch, Timestamp};
use klamm_simulation::history::event::{Event, Partition, Value};
use klamm_simulation::history::payload::payload;

use super::super::messages::{Refusal, Reply, Request};
use super::{CALL_TIMEOUT_US, Client, Line, Map, Moment, PAUSE_US};

/// Batches in flight at most.
const IN_FLIGHT_MAX: usize = 3;
/// How long a record is tried to be sent, in µs.
const DELIVERY_TIMEOUT_US: u64 = 20_000_000;
/// Numbers of the batches' calls, which are not those of the line.
const CALLS: u64 = 1 << 32;

/// See the module.
pub(in super::super) struct Producer {
    name: String,
    partition: Partition,
    map: Map,
    line: Line,
    /// The number of its runs in the history.
    run: u32,
    number: u64,
    id: Option<ProducerId>,
    sequence: i32,
    in_flight: VecDeque<Sent>,
    calls: u64,
    /// Batches go one at a time: a leader takes any sequence of a producer that it does not know, as Kafka
    /// does, and what is sent again must not be overtaken.
    is_careful: bool,
    looks_for_leader: bool,
    next_us: u64,
    pace_us: u64,
    is_ending: bool,
    is_done: bool,
}

struct Sent {
    values: Vec<Value>,
    batch: RecordBatch,
    sequence: i32,
    begun_us: u64,
    /// It has been sent before.
    is_repeated: bool,
    /// The call that it is under way in, and until when.
    call: Option<(u64, u64)>,
}

impl Producer {
    /// The runs of different producers have different numbers.
    pub(in super::super) fn new(nth: u32, partition: Partition, pace_us: u64) -> Self {
        Self {
            name: format!("producer {nth}"),
            partition,
            map: Map::default(),
            line: Line::default(),
            run: nth * 1_000,
            number: 0,
            id: None,
            sequence: 0,
            in_flight: VecDeque::new(),
            calls: CALLS,
            is_careful: true,
            looks_for_leader: true,
            next_us: 0,
            pace_us,
            is_ending: false,
            is_done: false,
        }
    }

    fn take_in(&mut self, at: &mut Moment<'_>, answer: Option<(u64, Reply)>) {
        if let Some((call, reply)) = answer.as_ref().filter(|(call, _)| *call > CALLS) {
            return self.delivered(at, *call, reply);
        }
        match self.line.answered(answer) {
            Some(Reply::ProducerId(id)) => {
                self.id = Some(id);
                self.sequence = 0;
            }
            Some(Reply::Metadata(known)) => {
                self.map.learn(known);
                self.looks_for_leader = self.map.leader(&self.partition).is_none();
                self.pause(at);
            }
            Some(_) => self.pause(at),
            None => {}
        }
    }

    fn pause(&mut self, at: &Moment<'_>) {
        self.next_us = self.next_us.max(at.now_us + PAUSE_US);
    }

    fn delivered(&mut self, at: &mut Moment<'_>, call: u64, reply: &Reply) {
        let is_it = |sent: &Sent| sent.call.is_some_and(|(under_way, _)| under_way == call);
        let Some(place) = self.in_flight.iter().position(is_it) else {
            return;
        };
        match reply {
            Reply::Produced { base_offset } => {
                let sent = self.in_flight.remove(place).expect("it is there");
                self.is_careful &= self.in_flight.iter().any(|sent| sent.is_repeated);
                self.acknowledge(at, sent, *base_offset);
                // Answers come in order: those before it will have none.
                if place > 0 {
                    self.send_again(at);
                }
            }
            Reply::Refused(refusal) => {
                // Those before it may not be there yet; if there are none, what was acknowledged is lost.
                let is_out_of_order = *refusal == Refusal::Sequence && place == 0;
                assert!(!is_out_of_order, "{}: its sequence is not known", self.name);
                self.send_again(at);
            }
            other => panic!("no answer to a batch: {other}"),
        }
    }

    fn acknowledge(&mut self, at: &mut Moment<'_>, sent: Sent, base_offset: Offset) {
        for (nth, value) in (0..).zip(sent.values) {
            let offset = Some(base_offset.get() + nth);
            at.note(Event::Acknowledged { value, offset });
        }
    }

    /// Everything in flight is to be sent once more, to whoever leads then.
    fn send_again(&mut self, at: &Moment<'_>) {
        for sent in &mut self.in_flight {
            sent.call = None;
            sent.is_repeated = true;
        }
        self.is_careful = true;
        self.looks_for_leader = true;
        self.pause(at);
    }

    /// Nobody knows what has become of what is in flight.
    fn give_up(&mut self, at: &mut Moment<'_>) {
        for sent in std::mem::take(&mut self.in_flight) {
            for value in sent.values {
                at.note(Event::Unknown { value });
            }
        }
        self.id = None;
        self.is_careful = true;
        self.run += 1;
        self.number = 0;
    }

    fn next_batch(&mut self, at: &mut Moment<'_>, id: ProducerId) {
        let mut values = Vec::new();
        let mut batch = BatchBuilder::new().producer(id, ProducerEpoch(0), self.sequence);
        for _ in 0..=at.random.below(2) {
            let value = Value {
                producer: self.run,
                number: self.number,
            };
            self.number += 1;
            let size = at.random.below(120) as usize;
            let bytes = payload(&self.partition, value, size);
            batch.append(Timestamp(1_700_000_000_000), None, Some(&bytes), &[]);
            at.note(Event::Send {
                value,
                partition: self.partition.clone(),
            });
            values.push(value);
        }
        let sequence = self.sequence;
        self.sequence += values.len() as i32;
        self.in_flight.push_back(Sent {
            values,
            batch: batch.build(),
            sequence,
            begun_us: at.now_us,
            is_repeated: false,
            call: None,
        });
    }

    fn send(&mut self, at: &mut Moment<'_>) {
        let Some((group, leader, _)) = self.map.leader(&self.partition) else {
            self.looks_for_leader = true;
            return;
        };
        let mut sequence = None;
        let at_once = if self.is_careful { 1 } else { IN_FLIGHT_MAX };
        for sent in self.in_flight.iter_mut().take(at_once) {
            assert!(
                sequence < Some(sent.sequence),
                "in the order of their sequences"
            );
            sequence = Some(sent.sequence);
            if sent.call.is_none() {
                self.calls += 1;
                sent.call = Some((self.calls, at.now_us + CALL_TIMEOUT_US));
                let batch = sent.batch.clone();
                at.asked
                    .push((leader, self.calls, Request::Produce { group, batch }));
            }
        }
    }

    fn go_on(&mut self, at: &mut Moment<'_>) {
        let oldest = self.in_flight.front();
        if oldest.is_some_and(|sent| at.now_us >= sent.begun_us + DELIVERY_TIMEOUT_US) {
            self.give_up(at);
        }
        let is_late = |sent: &Sent| sent.call.is_some_and(|(_, until)| at.now_us >= until);
        if self.in_flight.iter().any(is_late) {
            self.send_again(at);
        }
        self.line.has_given_up(at);
        if self.line.is_busy(at) || at.now_us < self.next_us {
            return;
        }
        let Some(id) = self.id else {
            let broker = at.any_broker();
            return self.line.ask(at, broker, Request::ProducerId);
        };
        if self.looks_for_leader {
            let broker = at.any_broker();
            return self.line.ask(at, broker, Request::Metadata);
        }
        let at_once = if self.is_careful { 1 } else { IN_FLIGHT_MAX };
        if self.in_flight.len() < at_once && !self.is_ending {
            self.next_batch(at, id);
        }
        self.send(at);
        self.next_us = at.now_us + 1 + at.random.below(2 * self.pace_us);
    }
}

impl Client for Producer {
    fn name(&self) -> &str {
        &self.name
    }

    fn act(&mut self, at: &mut Moment<'_>, answer: Option<(u64, Reply)>) {
        self.take_in(at, answer);
        if self.is_ending && self.in_flight.is_empty() {
            self.is_done = true;
            return;
        }
        self.go_on(at);
        let wait_us = self.next_us.saturating_sub(at.now_us).max(1_000);
        at.wake_in(wait_us.min(PAUSE_US));
    }

    fn wind_up(&mut self) {
        self.is_ending = true;
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}
