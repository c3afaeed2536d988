//! Receives messages, and knows each again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::message::BorrowedMessage;

use super::Consumer;
use super::run::{Measured, Run};
use crate::bench::stamp::Stamp;

/// How long nothing may come before somebody looks whether the run has ended.
const TURN: Duration = Duration::from_millis(20);

/// What one consumer received.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) measured: Measured,
    pub(super) duplicates: u64,
    /// One bit for each message of the run.
    seen: Vec<u64>,
}

/// Receives until the run has ended.
pub(super) fn receive(run: &Run, consumer: &Consumer) -> Received {
    let mut received = Received::of(run.schedule.total());
    while !run.has_ended() {
        match consumer.poll(TURN) {
            None => {}
            Some(Ok(message)) => received.take(run, &message),
            // What goes on by itself shows as latency; the rest as messages that are missing.
            Some(Err(error)) => run.count_error(&error),
        }
    }
    received
}

impl Received {
    fn of(total: u64) -> Self {
        let words = usize::try_from(total / 64 + 1).unwrap_or(usize::MAX);
        Self {
            measured: Measured::default(),
            duplicates: 0,
            seen: vec![0; words],
        }
    }

    fn take(&mut self, run: &Run, message: &BorrowedMessage<'_>) {
        let elapsed = run.elapsed();
        let Some(stamp) = Stamp::of(message).filter(|stamp| stamp.run == run.id) else {
            return;
        };
        let is_new = self.is_new(stamp.sequence);
        if let Some(witness) = run.witness().filter(|_| is_new.is_some()) {
            witness.received(stamp.sequence);
        }
        match is_new {
            None => {}
            Some(false) => self.duplicates += 1,
            Some(true) => {
                let way = self.measured.record(run.schedule, stamp, elapsed);
                let us = u64::try_from(way.as_micros()).unwrap_or(u64::MAX);
                let counters = run.counters();
                counters.worst_us.fetch_max(us, Ordering::Relaxed);
                counters.consumed.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Whether a message comes for the first time; `None` if the run has no such message.
    fn is_new(&mut self, sequence: u64) -> Option<bool> {
        let word = self.seen.get_mut(usize::try_from(sequence / 64).ok()?)?;
        let bit = 1 << (sequence % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        Some(is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once() {
        let mut received = Received::of(100);
        for sequence in [0, 63, 64, 99] {
            assert_eq!(received.is_new(sequence), Some(true));
            assert_eq!(received.is_new(sequence), Some(false));
        }
        assert_eq!(received.is_new(1_000_000), None);
    }
}
