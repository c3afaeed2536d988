//! Somebody who creates topics, and then has partitions moved to other brokers.

use std::collections::VecDeque;

use klamm_metadata::NewTopic;
use klamm_metadata::controller::Reassignment;
use klamm_model::BrokerId;

use super::super::messages::{Refusal, Reply, Request};
use super::super::rules::broker_id;
use super::{Client, Line, Moment, PAUSE_US};

/// See the module.
pub(in super::super) struct Admin {
    line: Line,
    to_create: VecDeque<NewTopic>,
    /// Those that there are, as topic and number of partitions.
    topics: Vec<(String, i32)>,
    /// What is to be decided, and is not known to be.
    wanted: Option<Reassignment>,
    moves_every_us: Option<u64>,
    next_us: u64,
    is_ending: bool,
    is_done: bool,
}

impl Admin {
    /// Who creates these topics, and moves something from time to time if there is anywhere to move it.
    pub(in super::super) fn new(topics: Vec<NewTopic>, moves_every_us: Option<u64>) -> Self {
        Self {
            line: Line::default(),
            to_create: topics.into(),
            topics: Vec::new(),
            wanted: None,
            moves_every_us,
            next_us: 0,
            is_ending: false,
            is_done: false,
        }
    }

    fn take_in(&mut self, at: &mut Moment<'_>, reply: Reply) {
        self.next_us = at.now_us + PAUSE_US;
        match (reply, self.to_create.front()) {
            (Reply::Done, Some(topic)) => {
                let created = (topic.name.clone(), topic.num_partitions);
                self.topics.push(created);
                self.to_create.pop_front();
            }
            (Reply::Done | Reply::Refused(Refusal::Undesired), None) => self.wanted = None,
            // There are not so many brokers yet, or nobody decides.
            _ => {}
        }
    }

    fn next_move(&mut self, at: &mut Moment<'_>) -> Option<Reassignment> {
        let every_us = self.moves_every_us?;
        self.next_us = at.now_us + at.random.below(2 * every_us);
        let (topic, partitions) = &self.topics[at.random.place(&self.topics)];
        let mut brokers: Vec<BrokerId> = (0..at.brokers).map(broker_id).collect();
        while brokers.len() > 3 {
            let leaves = at.random.place(&brokers);
            brokers.remove(leaves);
        }
        let first = at.random.place(&brokers);
        brokers.rotate_left(first);
        Some(Reassignment {
            topic: topic.clone(),
            partition: at.random.below(*partitions as u64) as i32,
            replicas: (!at.random.one_in(5)).then_some(brokers),
        })
    }
}

impl Client for Admin {
    fn name(&self) -> &str {
        "admin"
    }

    fn act(&mut self, at: &mut Moment<'_>, answer: Option<(u64, Reply)>) {
        if let Some(reply) = self.line.answered(answer) {
            self.take_in(at, reply);
        }
        if self.is_ending && self.to_create.is_empty() {
            self.is_done = true;
            return;
        }
        if self.line.is_busy(at) {
            return;
        }
        if at.now_us < self.next_us {
            return at.wake_in(self.next_us - at.now_us);
        }
        if let Some(topic) = self.to_create.front() {
            let broker = at.any_broker();
            return self
                .line
                .ask(at, broker, Request::CreateTopic(topic.clone()));
        }
        if self.wanted.is_none() {
            self.wanted = self.next_move(at);
            return at.wake_in(PAUSE_US);
        }
        if let Some(wanted) = self.wanted.clone() {
            let broker = at.any_broker();
            self.line.ask(at, broker, Request::Reassign(wanted));
        }
    }

    fn wind_up(&mut self) {
        self.is_ending = true;
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}
