//! What is shown while the load runs, on the standard error: a line that changes on a terminal, a
//! line every ten seconds elsewhere.

use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::load::Run;
use crate::clock;
use crate::output::note;

/// How often somebody looks.
const LOOK: Duration = Duration::from_millis(100);
/// Seconds between lines where no terminal is.
const LINE_EVERY: u64 = 10;

/// Follows a run.
pub(super) struct Progress<'a> {
    run: &'a Run,
    bar: ProgressBar,
    /// The second that was shown last.
    shown: u64,
    before: Totals,
}

/// Messages until a moment.
#[derive(Clone, Copy, Default)]
struct Totals {
    at: Duration,
    sent: u64,
    acknowledged: u64,
    consumed: u64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        let bar = ProgressBar::new(run.schedule.warm_up + run.schedule.seconds);
        // A style that the library does not take is not worth a failure.
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len} s  {msg}") {
            bar.set_style(style);
        }
        Self {
            run,
            bar,
            shown: 0,
            before: Totals::default(),
        }
    }

    /// Shows what happens until the run is over.
    pub(super) fn show_until_over(mut self) {
        while !self.run.is_over() {
            clock::sleep(LOOK);
            let second = self.run.elapsed().as_secs();
            let every = if self.bar.is_hidden() { LINE_EVERY } else { 1 };
            if second >= self.shown + every {
                self.shown = second;
                self.show(second);
            }
        }
        self.bar.finish_and_clear();
    }

    fn show(&mut self, second: u64) {
        let text = self.text();
        if self.bar.is_hidden() {
            note(&format!("{second} s: {text}"));
        } else {
            self.bar.set_position(second);
            self.bar.set_message(text);
        }
    }

    fn text(&mut self) -> String {
        let counters = self.run.counters();
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let now = Totals {
            at: self.run.elapsed(),
            sent: load(&counters.sent),
            acknowledged: load(&counters.acknowledged),
            consumed: load(&counters.consumed),
        };
        let failed = load(&counters.failed);
        let worst_ms = counters.worst_us.swap(0, Ordering::Relaxed) as f64 / 1e3;
        let before = std::mem::replace(&mut self.before, now);
        let took = (now.at - before.at).as_secs_f64().max(1e-3);
        let per_second = |now: u64, before: u64| (now - before) as f64 / took;
        let behind = self
            .run
            .schedule
            .due_within(now.at)
            .saturating_sub(now.consumed);
        format!(
            "sent {:.0}/s, acknowledged {:.0}/s, received {:.0}/s, {behind} under way, {failed} failed, longest {worst_ms:.1} ms",
            per_second(now.sent, before.sent),
            per_second(now.acknowledged, before.acknowledged),
            per_second(now.consumed, before.consumed),
        )
    }
}
