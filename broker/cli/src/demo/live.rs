//! A line for each second, while the load goes on.

use std::io::Write as _;

use crate::bench::Totals;

/// What was shown last.
#[derive(Default)]
pub(super) struct Live {
    shown: Totals,
    worst_us: u64,
}

impl Live {
    /// Shows the last second, if it is over.
    pub(super) fn show(&mut self, totals: &Totals) {
        self.worst_us = self.worst_us.max(totals.worst_us);
        let second = totals.at.as_secs();
        if second <= self.shown.at.as_secs() {
            return;
        }
        say(&line(second, &self.shown, totals, self.worst_us));
        self.shown = *totals;
        self.worst_us = 0;
    }

    /// Says what has happened.
    pub(super) fn note(&self, totals: &Totals, happened: &str) {
        say(&format!("{:4.1} s  {happened}", totals.at.as_secs_f64()));
    }
}

fn line(second: u64, before: &Totals, now: &Totals, worst_us: u64) -> String {
    let since = |now: u64, before: u64| now.saturating_sub(before);
    format!(
        "{second:4} s  sent {:5}  acknowledged {:5}  received {:5}  slowest {:7.1} ms",
        since(now.sent, before.sent),
        since(now.acknowledged, before.acknowledged),
        since(now.consumed, before.consumed),
        worst_us as f64 / 1e3,
    )
}

fn say(text: &str) {
    // Whoever has closed the standard error does not want to know.
    let _ = writeln!(anstream::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_last_second() {
        let before = Totals {
            sent: 2_000,
            acknowledged: 1_998,
            ..Totals::default()
        };
        let now = Totals {
            sent: 4_000,
            acknowledged: 2_500,
            consumed: 600,
            ..Totals::default()
        };
        assert_eq!(
            line(2, &before, &now, 1_360),
            "   2 s  sent  2000  acknowledged   502  received   600  slowest     1.4 ms"
        );
    }
}
