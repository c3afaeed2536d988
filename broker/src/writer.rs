//! Who writes to a log directory: the data plane itself, or a thread of the directory's own.
//!
//! A write to the page cache takes microseconds, less than handing it to another thread does. But a
//! filesystem can hold one up for milliseconds (its journal commits, dirty pages are throttled),
//! and then every partition and every connection of the data plane would stand still with it. So
//! by default the data plane writes, and once it has been held up, the directory's thread does for
//! a while.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use klamm_model::Instant;
use klamm_storage::{AppendDone, AppendTicket};

use crate::background::Background;
use crate::clock::Clock;
use crate::config::WriterMode;
use crate::metrics::counters::Counters;

/// Writes for one log directory.
#[derive(Debug)]
pub(crate) struct Writer {
    mode: WriterMode,
    clock: Clock,
    thread: Background,
    stalls: RefCell<StallDetector>,
    counters: Arc<Counters>,
}

impl Writer {
    /// `thread` runs one thing at a time: the directory's writes and nothing else.
    pub(crate) fn new(
        mode: WriterMode,
        clock: Clock,
        thread: Background,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            mode,
            clock,
            thread,
            stalls: RefCell::default(),
            counters,
        }
    }

    /// Whether the thread is to write.
    pub(crate) fn is_offloading(&self, now: Instant) -> bool {
        match self.mode {
            WriterMode::Inline => false,
            WriterMode::Offload => true,
            WriterMode::Auto => self.stalls.borrow().is_offloading(now),
        }
    }

    /// Writes on this thread; also returns what time it is then.
    pub(crate) fn write_here(&self, ticket: AppendTicket) -> (AppendDone, Instant) {
        let begun = self.clock.now();
        let done = ticket.run();
        let end = self.clock.now();
        self.note(end, end.since(begun));
        (done, end)
    }

    /// Writes on the directory's thread. The write begins before the future is awaited.
    pub(crate) fn write_there(
        self: Rc<Self>,
        ticket: AppendTicket,
    ) -> impl Future<Output = AppendDone> + 'static {
        let clock = self.clock;
        let written = self.thread.start_work(move || clock.timed(|| ticket.run()));
        async move {
            let (done, took) = written.await;
            self.note(self.clock.now(), took);
            done
        }
    }

    fn note(&self, now: Instant, took: Duration) {
        self.counters.write_times.observe_time(took);
        if took > STALL {
            self.counters.write_stalls.add(1);
        }
        if self.stalls.borrow_mut().wrote(now, took) {
            tracing::debug!(
                ?took,
                "a write was held up; a thread of its own writes for a while"
            );
        }
    }
}

/// Finds out that writes are being held up.
#[derive(Debug, Default)]
struct StallDetector {
    until: Option<Instant>,
}

/// A write that takes longer was held up.
const STALL: Duration = Duration::from_micros(500);

/// How long the thread writes after a write was held up.
const OFFLOAD: Duration = Duration::from_secs(10);

impl StallDetector {
    fn is_offloading(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Takes note of a write; whether the thread takes over with it.
    fn wrote(&mut self, now: Instant, took: Duration) -> bool {
        if took <= STALL {
            return false;
        }
        let begins = !self.is_offloading(now);
        self.until = Some(now + OFFLOAD);
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_writes_for_a_while_after_a_write_was_held_up() {
        let at = |ms| Instant::after_start(Duration::from_millis(ms));
        let mut stalls = StallDetector::default();
        assert!(!stalls.wrote(at(0), STALL));
        assert!(!stalls.is_offloading(at(0)));
        assert!(stalls.wrote(at(1), Duration::from_millis(1)));
        assert!(stalls.is_offloading(at(2)));
        assert!(
            !stalls.wrote(at(9_000), Duration::from_millis(1)),
            "it does already"
        );
        assert!(stalls.is_offloading(at(18_999)));
        assert!(!stalls.is_offloading(at(19_000)));
    }
}
