//! What is shown while the load runs, on the standard error: a line that changes on a terminal, a
//! line every ten seconds elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::schedule::Schedule;
use super::totals::Totals;
use crate::output::note;

/// How often somebody should look.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// Seconds between lines where no terminal is.
const LINE_EVERY: u64 = 10;

/// Follows a load until it is dropped.
pub(super) struct Progress {
    schedule: Schedule,
    bar: ProgressBar,
    /// What was shown last.
    shown: Totals,
    worst_us: u64,
}

impl Progress {
    pub(super) fn new(schedule: Schedule) -> Self {
        let bar = ProgressBar::new(schedule.warm_up + schedule.seconds);
        // A style that the library does not take is not worth a failure.
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len} s  {msg}") {
            bar.set_style(style);
        }
        Self {
            schedule,
            bar,
            shown: Totals::default(),
            worst_us: 0,
        }
    }

    /// Shows where the load is, if that is due.
    pub(super) fn show(&mut self, totals: &Totals) {
        self.worst_us = self.worst_us.max(totals.worst_us);
        let every = if self.bar.is_hidden() { LINE_EVERY } else { 1 };
        let second = totals.at.as_secs();
        if second < self.shown.at.as_secs() + every {
            return;
        }
        let text = self.text(totals);
        if self.bar.is_hidden() {
            note(&format!("{second} s: {text}"));
        } else {
            self.bar.set_position(second);
            self.bar.set_message(text);
        }
        self.shown = *totals;
        self.worst_us = 0;
    }

    fn text(&self, now: &Totals) -> String {
        let before = &self.shown;
        let took = (now.at - before.at).as_secs_f64().max(1e-3);
        let per_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / took;
        let due = self.schedule.due_within(now.at);
        format!(
            "sent {:.0}/s, acknowledged {:.0}/s, received {:.0}/s, {} under way, {} failed, longest {:.1} ms",
            per_second(now.sent, before.sent),
            per_second(now.acknowledged, before.acknowledged),
            per_second(now.consumed, before.consumed),
            due.saturating_sub(now.consumed),
            now.failed,
            self.worst_us as f64 / 1e3,
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
