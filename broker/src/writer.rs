//! Who writes to a log directory: the data plane itself, or a thread of the directory's own.
//!
//! A write to the page cache takes microseconds, less than handing it to another thread does. But a
//! filesystem can hold one up for milliseconds (its journal commits, dirty pages are throttled),
//! and then every partition and every connection of the data plane would stand still with it. So
//! by default the data plane writes, and once it has been held up for longer than the detour would
//! cost, the directory's thread does for a while.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use klamm_model::Instant;
use klamm_storage::{AppendDone, AppendTicket};
use nix::sys::resource::{UsageWho, getrusage};

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
        let (done, wait, end) = Wait::of(self.clock, ticket);
        self.note(end, wait);
        (done, end)
    }

    /// Writes on the directory's thread. The write begins before the future is awaited.
    pub(crate) fn write_there(
        self: Rc<Self>,
        ticket: AppendTicket,
    ) -> impl Future<Output = AppendDone> + 'static {
        let clock = self.clock;
        let written = self.thread.start_work(move || Wait::of(clock, ticket));
        async move {
            let (done, wait, end) = written.await;
            self.note(end, wait);
            done
        }
    }

    fn note(&self, now: Instant, wait: Wait) {
        self.counters.write_times.observe_time(wait.took);
        if wait.is_stall() {
            self.counters.write_stalls.add(1);
        }
        if self.stalls.borrow_mut().wrote(now, wait) {
            tracing::debug!(
                took = ?wait.took,
                "a write was held up; a thread of its own writes for a while"
            );
        }
    }
}

/// How a write went.
#[derive(Clone, Copy, Debug)]
struct Wait {
    took: Duration,
    /// Whether the thread slept meanwhile. If not, a long write lost its processor to others, and
    /// would have lost it on another thread too.
    slept: bool,
}

/// A write that takes longer, and sleeps, was held up.
const STALL: Duration = Duration::from_micros(500);

impl Wait {
    /// Writes, and sees how that goes and when it ends.
    fn of(clock: Clock, ticket: AppendTicket) -> (AppendDone, Self, Instant) {
        let sleeps_before = sleeps_of_this_thread();
        let begun = clock.now();
        let done = ticket.run();
        let end = clock.now();
        let took = end.since(begun);
        let slept = took > STALL && sleeps_of_this_thread() != sleeps_before;
        (done, Self { took, slept }, end)
    }

    fn is_stall(self) -> bool {
        self.slept && self.took > STALL
    }
}

/// How often this thread has given up its processor of its own accord, which in the middle of a
/// write it does to wait for the filesystem. 0 where the kernel does not tell.
fn sleeps_of_this_thread() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.voluntary_context_switches())
}

/// Finds out that writes are held up for longer than may be.
///
/// Time lost fills a bucket that leaks. An fsync each second that holds one write up for a
/// millisecond costs less than two changes of threads for every write; a hundred milliseconds at
/// once, or a few in every second, cost more.
#[derive(Debug, Default)]
struct StallDetector {
    /// What was lost and has not leaked yet, when last looked at.
    lost: Duration,
    looked_at: Instant,
    until: Option<Instant>,
}

/// More than this in the bucket, and the thread takes over.
const LOST_MAX: Duration = Duration::from_millis(10);

/// What leaks is the elapsed time divided by this: losing 0.5 % of it is accepted.
const LEAK_DIVISOR: u32 = 200;

/// How long the thread writes after writes were held up.
const OFFLOAD: Duration = Duration::from_secs(10);

impl StallDetector {
    fn is_offloading(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Takes note of a write; whether the thread takes over with it.
    fn wrote(&mut self, now: Instant, wait: Wait) -> bool {
        if !wait.is_stall() {
            return false;
        }
        let leaked = now.since(self.looked_at) / LEAK_DIVISOR;
        // Not more than twice what is too much: the bucket is not to be full for minutes.
        self.lost = (self.lost.saturating_sub(leaked) + wait.took).min(2 * LOST_MAX);
        self.looked_at = now;
        if self.lost <= LOST_MAX {
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

    fn wait(took: Duration, slept: bool) -> Wait {
        Wait { took, slept }
    }

    fn at(ms: u64) -> Instant {
        Instant::after_start(Duration::from_millis(ms))
    }

    #[test]
    fn the_thread_writes_for_a_while_after_a_write_was_held_up_for_long() {
        let held_up = wait(LOST_MAX + STALL, true);
        let mut stalls = StallDetector::default();
        assert!(!stalls.wrote(at(0), wait(STALL, true)));
        assert!(!stalls.is_offloading(at(0)));
        assert!(stalls.wrote(at(1), held_up));
        assert!(stalls.is_offloading(at(2)));
        assert!(!stalls.wrote(at(9_000), held_up), "it does already");
        assert!(stalls.is_offloading(at(18_999)));
        assert!(!stalls.is_offloading(at(19_000)));
    }

    #[test]
    fn a_millisecond_in_each_second_is_cheaper_than_the_detour() {
        let mut stalls = StallDetector::default();
        let each_second = (0..1_000).map(|second| at(second * 1_000));
        for now in each_second {
            assert!(!stalls.wrote(now, wait(Duration::from_millis(4), true)));
        }
        assert!(
            (1..20)
                .any(|ms| stalls.wrote(at(1_000_000 + ms), wait(Duration::from_millis(1), true)))
        );
    }

    #[test]
    fn a_write_that_lost_its_processor_was_not_held_up() {
        let mut stalls = StallDetector::default();
        assert!(!stalls.wrote(at(1), wait(Duration::from_millis(40), false)));
        assert!(!stalls.is_offloading(at(1)));
    }

    #[test]
    fn a_thread_that_waits_has_slept() {
        let before = sleeps_of_this_thread();
        let (_sender, receiver) = std::sync::mpsc::channel::<()>();
        assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
        assert!(sleeps_of_this_thread() > before);
    }
}
