//! Which replicas of a partition are in sync, as its leader sees it: what clients are told, and what
//! `min.insync.replicas` is held against while an acknowledgement waits.
//!
//! A follower comes in sync when its broker is reached and it has written all that is shown. It is
//! out of sync when its broker is not reached, or when it has not had everything that its leader had
//! for `replica.lag.time.max.ms`. Who leads anew begins with those who were in sync before and are
//! reached, and so gives each that time to be heard of.
//!
//! Not here: elections and watermarks. Those are the majority's, and ask nobody who is in sync.

use std::time::Duration;

use klamm_model::{BrokerId, Instant, LogIndex};

/// See the module. It means something as long as the replica here leads.
#[derive(Debug, Default)]
pub(crate) struct InSync {
    followers: Vec<Progress>,
}

/// How a follower keeps up.
#[derive(Debug)]
struct Progress {
    broker: BrokerId,
    is_in: bool,
    /// Then it had everything, as far as is known.
    caught_up: Instant,
    /// Where the log ended at some time after that: when the follower has come so far, it had
    /// everything then.
    mark: Mark,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    end: LogIndex,
    at: Instant,
}

/// What a leader knows of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The last entry that is written here.
    pub(crate) end: LogIndex,
    /// The last entry that is shown; `None` as long as that may be less than was shown before.
    pub(crate) shown: Option<LogIndex>,
    /// `replica.lag.time.max.ms`.
    pub(crate) lag_max: Duration,
}

/// What a leader knows of a follower.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follower {
    pub(crate) broker: BrokerId,
    /// The last entry that it is known to have written.
    pub(crate) written: LogIndex,
    pub(crate) is_reached: bool,
}

/// How many have left the set, and how many have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) left: usize,
    pub(crate) came: usize,
}

impl InSync {
    /// This replica leads from now on, and these followers are in sync.
    pub(crate) fn begin(&mut self, now: Instant, followers: impl Iterator<Item = BrokerId>) {
        let begun = |broker| Progress {
            is_in: true,
            ..Progress::new(broker, now)
        };
        self.followers = followers.map(begun).collect();
    }

    /// The followers that are in sync.
    pub(crate) fn followers(&self) -> impl Iterator<Item = BrokerId> + '_ {
        let in_sync = self.followers.iter().filter(|follower| follower.is_in);
        in_sync.map(|follower| follower.broker)
    }

    /// Looks at all followers there are now; what has changed.
    pub(crate) fn review(&mut self, now: Instant, view: View, followers: &[Follower]) -> Change {
        let mut change = Change::default();
        self.followers.retain(|known| {
            let stays = followers.iter().any(|one| one.broker == known.broker);
            change.left += usize::from(!stays && known.is_in);
            stays
        });
        for follower in followers {
            let progress = self.progress_of(follower.broker, now);
            let was_in = progress.is_in;
            progress.review(now, view, follower);
            change.left += usize::from(was_in && !progress.is_in);
            change.came += usize::from(!was_in && progress.is_in);
        }
        change
    }

    fn progress_of(&mut self, broker: BrokerId, now: Instant) -> &mut Progress {
        let mut known = self.followers.iter();
        let at = known.position(|known| known.broker == broker);
        let at = at.unwrap_or_else(|| {
            self.followers.push(Progress::new(broker, now));
            self.followers.len() - 1
        });
        &mut self.followers[at]
    }
}

impl Progress {
    fn new(broker: BrokerId, now: Instant) -> Self {
        Self {
            broker,
            is_in: false,
            caught_up: now,
            mark: Mark {
                // Nothing is known of where the log ended.
                end: LogIndex(u64::MAX),
                at: now,
            },
        }
    }

    fn review(&mut self, now: Instant, view: View, follower: &Follower) {
        if follower.written >= view.end {
            self.caught_up = now;
        } else if follower.written >= self.mark.end {
            self.caught_up = self.mark.at;
        }
        let here = Mark {
            end: view.end,
            at: now,
        };
        if follower.written >= self.mark.end || self.mark.end > view.end {
            self.mark = here;
        }
        let is_shown_there = view.shown.is_some_and(|shown| follower.written >= shown);
        self.is_in = follower.is_reached
            && match self.is_in {
                true => now <= self.caught_up + view.lag_max,
                false => is_shown_there,
            };
        if self.is_in && is_shown_there && now > self.caught_up + view.lag_max {
            // It has just come, and is given its time.
            self.caught_up = now;
        }
    }
}

impl Change {
    /// Whether anything has changed.
    pub(crate) fn is_any(self) -> bool {
        self != Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG_MAX: Duration = Duration::from_secs(30);

    /// A leader with one follower, on broker 2.
    #[derive(Default)]
    struct Pair {
        in_sync: InSync,
    }

    impl Pair {
        fn that_begins() -> Self {
            let mut pair = Self::default();
            pair.in_sync.begin(at(0), [BrokerId(2)].into_iter());
            pair
        }

        /// Whether the follower is in sync, where it has written up to `written` of `end` entries
        /// of which `shown` are shown.
        fn is_in(&mut self, seconds: u64, written: u64, shown: u64, end: u64) -> bool {
            let follower = Follower {
                broker: BrokerId(2),
                written: LogIndex(written),
                is_reached: true,
            };
            let view = View {
                end: LogIndex(end),
                shown: Some(LogIndex(shown)),
                lag_max: LAG_MAX,
            };
            self.in_sync.review(at(seconds), view, &[follower]);
            self.in_sync.followers().count() == 1
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_follower_stays_in_sync_as_long_as_it_had_everything_not_long_ago() {
        let mut pair = Pair::that_begins();
        assert!(pair.is_in(1, 10, 10, 10));
        // Behind all the time, and never by more than ten seconds.
        for step in 1..20 {
            assert!(pair.is_in(1 + 10 * step, 10 * step, 100 * step, 10 + 10 * step));
        }
    }

    #[test]
    fn one_that_stands_still_is_out_of_sync_after_a_time_and_back_with_all_that_is_shown() {
        let mut pair = Pair::that_begins();
        assert!(pair.is_in(1, 10, 10, 10));
        assert!(pair.is_in(31, 10, 20, 20));
        assert!(!pair.is_in(32, 10, 30, 30));
        assert!(!pair.is_in(33, 39, 40, 50));
        assert!(pair.is_in(34, 40, 40, 50));
        assert!(pair.is_in(61, 40, 50, 50), "it had everything at 31");
        assert!(!pair.is_in(62, 40, 50, 50));
    }

    #[test]
    fn one_that_has_all_of_an_idle_log_stays_for_ever() {
        let mut pair = Pair::that_begins();
        for minute in 0..100 {
            assert!(pair.is_in(60 * minute, 10, 10, 10));
        }
        assert!(pair.is_in(60 * 99 + 1, 10, 10, 11), "one is on its way");
    }

    #[test]
    fn a_new_leader_waits_for_word_of_those_who_were_in_sync() {
        let mut pair = Pair::that_begins();
        assert!(pair.is_in(1, 0, 10, 10));
        assert!(pair.is_in(30, 0, 10, 10));
        assert!(!pair.is_in(31, 0, 10, 10));
    }

    #[test]
    fn one_that_is_not_reached_or_no_member_any_more_leaves_at_once() {
        let view = View {
            end: LogIndex(10),
            shown: Some(LogIndex(10)),
            lag_max: LAG_MAX,
        };
        let follower = |broker, is_reached| Follower {
            broker: BrokerId(broker),
            written: LogIndex(10),
            is_reached,
        };
        let mut in_sync = InSync::default();
        let both = [follower(2, true), follower(3, true)];
        let came = in_sync.review(at(1), view, &both);
        assert_eq!(came, Change { left: 0, came: 2 });
        assert!(!in_sync.review(at(1), view, &both).is_any());
        let left = in_sync.review(at(2), view, &[follower(2, false)]);
        assert_eq!(left, Change { left: 2, came: 0 });
        let unknown = View {
            shown: None,
            ..view
        };
        assert!(!in_sync.review(at(3), unknown, &both).is_any());
    }
}
