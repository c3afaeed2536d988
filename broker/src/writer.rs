//! Who writes to a log directory: the data plane itself, or a thread of the directory's own.
//!
//! A write to the page cache takes microseconds, less than handing it to another thread does. But a
//! filesystem can hold one up for milliseconds (its journal commits, dirty pages are throttled),
//! and then every partition and every connection of the data plane would stand still with it. So
//! by default the data plane writes, and once it has been held up, the directory's thread does for
//! a while.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use klamm_model::Instant;
use klamm_storage::{AppendDone, AppendTicket};

use crate::background::Background;
use crate::clock::Clock;
use crate::config::WriterMode;

/// Writes for one log directory.
#[derive(Debug)]
pub(crate) struct Writer {
    mode: WriterMode,
    clock: Clock,
    thread: Background,
    stalls: RefCell<StallDetector>,
}

impl Writer {
    /// `thread` runs one thing at a time: the directory's writes and nothing else.
    pub(crate) fn new(mode: WriterMode, clock: Clock, thread: Background) -> Self {
        Self {
            mode,
            clock,
            thread,
            stalls: RefCell::default(),
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

    /// Writes on this thread.
    pub(crate) fn write_here(&self, ticket: AppendTicket) -> AppendDone {
        let (done, took) = timed(self.clock, ticket);
        self.note(took);
        done
    }

    /// Writes on the directory's thread. The write begins before the future is awaited.
    pub(crate) fn write_there(
        self: Rc<Self>,
        ticket: AppendTicket,
    ) -> impl Future<Output = AppendDone> + 'static {
        let clock = self.clock;
        let written = self.thread.start_work(move || timed(clock, ticket));
        async move {
            let (done, took) = written.await;
            self.note(took);
            done
        }
    }

    fn note(&self, took: Duration) {
        if self.stalls.borrow_mut().wrote(self.clock.now(), took) {
            tracing::debug!(
                ?took,
                "a write was held up; a thread of its own writes for a while"
            );
        }
    }
}

fn timed(clock: Clock, ticket: AppendTicket) -> (AppendDone, Duration) {
    let begun = clock.now();
    let done = ticket.run();
    (done, clock.now().since(begun))
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
