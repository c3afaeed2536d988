//! Measures the turns of the data plane, and with them the requests.
//!
//! Clocks cost, so the turn is the unit: the first request that is read after a turn takes the
//! time for all that come before the next one, and the end of the turn is the end of every request
//! that was answered in it. What is seen so is at most a turn too long, never too short by more
//! than the kernel held a request back.
//!
//! A request, or an answer given outside of a turn, makes a turn happen even if there is nothing
//! to append: otherwise a broker that is only read from would never look at the clock again.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use klamm_model::Instant;
use tokio::sync::Notify;

use super::counters::{Counters, RequestKind, Stage};
use crate::clock::Clock;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Meter {
    clock: Clock,
    counters: Arc<Counters>,
    /// When the first request since the last turn was read.
    begun: Cell<Option<Instant>>,
    /// Requests answered since the last turn. As many as were in flight: bounded by the limits on
    /// those.
    answered: RefCell<Vec<Answered>>,
    batches: Cell<u64>,
    records: Cell<u64>,
    is_wanted: Cell<bool>,
    turn_wanted: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    kind: RequestKind,
    arrived: Instant,
}

/// When a turn had got how far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// Everything was staged; the turn itself begins.
    pub(crate) staged: Instant,
    /// Everything was written, or given to the writer's thread.
    pub(crate) written: Instant,
}

impl Meter {
    pub(crate) fn new(clock: Clock, counters: Arc<Counters>) -> Self {
        Self {
            clock,
            counters,
            begun: Cell::new(None),
            answered: RefCell::default(),
            batches: Cell::new(0),
            records: Cell::new(0),
            is_wanted: Cell::new(false),
            turn_wanted: Notify::new(),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    // ---- When a turn is wanted ----

    /// Has a turn run once everything that is ready now has been handled.
    pub(crate) fn want_turn(&self) {
        if !self.is_wanted.replace(true) {
            self.turn_wanted.notify_one();
        }
    }

    /// Waits until a turn is wanted.
    pub(crate) async fn turn_wanted(&self) {
        self.turn_wanted.notified().await;
    }

    // ---- What happens between two turns ----

    /// A request has been read; the time that counts as its arrival.
    pub(crate) fn arrived(&self) -> Instant {
        self.begun.get().unwrap_or_else(|| {
            let now = self.clock.now();
            self.begun.set(Some(now));
            self.want_turn();
            now
        })
    }

    /// A batch has been staged.
    pub(crate) fn staged(&self, records: u64) {
        self.batches.set(self.batches.get() + 1);
        self.records.set(self.records.get() + records);
    }

    /// A request has been answered.
    pub(crate) fn answered(&self, kind: RequestKind, arrived: Instant) {
        self.answered.borrow_mut().push(Answered { kind, arrived });
        self.want_turn();
    }

    // ---- The turn ----

    /// A turn that had nothing to append is over.
    pub(crate) fn end_idle(&self) {
        self.count_answered(self.clock.now());
        self.begun.set(None);
        self.is_wanted.set(false);
    }

    /// A turn is over; who waited for it has been answered.
    pub(crate) fn end(&self, marks: Marks, now: Instant) {
        let batches = self.batches.take();
        if batches > 0 {
            self.counters.turn_batches.observe(batches);
            self.counters.turn_records.observe(self.records.take());
            if let Some(begun) = self.begun.get() {
                let took = marks.staged.since(begun);
                self.counters.turn_time(Stage::Staged).observe_time(took);
            }
            let took = marks.written.since(marks.staged);
            self.counters.turn_time(Stage::Written).observe_time(took);
        }
        let took = now.since(marks.written);
        self.counters.turn_time(Stage::Answered).observe_time(took);
        self.count_answered(now);
        self.begun.set(None);
        self.is_wanted.set(false);
    }

    fn count_answered(&self, now: Instant) {
        for Answered { kind, arrived } in self.answered.borrow_mut().drain(..) {
            self.counters
                .request_time(kind)
                .observe_time(now.since(arrived));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn meter() -> Meter {
        Meter::new(Clock::start(), Arc::default())
    }

    fn at(micros: u64) -> Instant {
        Instant::START + Duration::from_micros(micros)
    }

    fn count_and_micros(histogram: &super::super::count::Histogram) -> (u64, u64) {
        (histogram.read().1, histogram.sum() / 1_000)
    }

    #[test]
    fn a_turn_is_split_into_stages_and_ends_the_requests_answered_in_it() {
        let meter = meter();
        meter.begun.set(Some(at(100)));
        assert_eq!(meter.arrived(), at(100), "one clock for all of a turn");
        meter.staged(3);
        meter.staged(4);
        meter.answered(RequestKind::Produce, at(100));
        meter.answered(RequestKind::DelayedFetch, at(10));
        let marks = Marks {
            staged: at(120),
            written: at(150),
        };
        meter.end(marks, at(190));
        let counters = meter.counters();
        let stages = Stage::ALL.map(|stage| count_and_micros(counters.turn_time(stage)));
        assert_eq!(stages, [(1, 20), (1, 30), (1, 40)]);
        let requests = RequestKind::ALL.map(|kind| count_and_micros(counters.request_time(kind)));
        assert_eq!(requests, [(1, 90), (0, 0), (1, 180), (0, 0), (0, 0)]);
        assert_eq!(counters.turn_batches.sum(), 2);
        assert_eq!(counters.turn_records.sum(), 7);
    }

    #[test]
    fn a_turn_that_only_tells_of_a_write_made_elsewhere_counts_no_batches() {
        let meter = meter();
        let marks = Marks {
            staged: at(5),
            written: at(5),
        };
        meter.end(marks, at(9));
        let counters = meter.counters();
        let stages = Stage::ALL.map(|stage| count_and_micros(counters.turn_time(stage)));
        assert_eq!(stages, [(0, 0), (0, 0), (1, 4)]);
        assert_eq!(counters.turn_batches.read().1, 0);
    }

    #[test]
    fn each_turn_takes_the_time_anew() {
        let meter = meter();
        let first = meter.arrived();
        assert!(meter.is_wanted.get(), "so that the time does not grow old");
        assert_eq!(meter.arrived(), first);
        meter.answered(RequestKind::Fetch, first);
        meter.end_idle();
        assert_eq!(meter.begun.get(), None);
        assert!(!meter.is_wanted.get());
        assert_eq!(
            meter.counters().request_time(RequestKind::Fetch).read().1,
            1
        );
    }
}
