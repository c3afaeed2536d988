//! What has happened so far in a load, the warm-up included, and when it is over.

use std::time::Duration;

/// Messages until a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// The moment, counted from the start.
    pub(crate) at: Duration,
    /// Producers that still send, or wait for acknowledgements.
    pub(crate) sending: u64,
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) failed: u64,
    pub(crate) consumed: u64,
    /// The longest way from due to consumed since somebody asked, in microseconds.
    pub(crate) worst_us: u64,
}

impl Totals {
    /// Adds those of another process of the same load.
    pub(super) fn add(&mut self, other: &Self) {
        self.at = self.at.max(other.at);
        self.sending += other.sending;
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.failed += other.failed;
        self.consumed += other.consumed;
        self.worst_us = self.worst_us.max(other.worst_us);
    }
}

/// Decides when a load is over: all is sent, and received or given up.
#[derive(Debug)]
pub(super) struct Ending {
    /// How long messages are waited for.
    drain: Duration,
    sent_all: Option<Duration>,
}

impl Ending {
    pub(super) fn new(drain: Duration) -> Self {
        Self {
            drain,
            sent_all: None,
        }
    }

    /// Whether these are the last totals.
    pub(super) fn has_come(&mut self, totals: &Totals) -> bool {
        if totals.sending > 0 {
            return false;
        }
        let sent_all = *self.sent_all.get_or_insert(totals.at);
        let waited = totals.at.saturating_sub(sent_all);
        totals.consumed >= totals.acknowledged || waited > self.drain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_over_when_what_was_acknowledged_has_come_or_is_given_up() {
        let seconds = Duration::from_secs;
        let mut ending = Ending::new(seconds(15));
        let mut check = |at, sending, acknowledged, consumed, over| {
            let totals = Totals {
                at: seconds(at),
                sending,
                acknowledged,
                consumed,
                ..Totals::default()
            };
            assert_eq!(ending.has_come(&totals), over, "{totals:?}");
        };
        check(100, 1, 5, 5, false);
        check(110, 0, 5, 4, false);
        check(111, 0, 5, 5, true);
        check(125, 0, 5, 4, false);
        check(126, 0, 5, 4, true);
    }
}
