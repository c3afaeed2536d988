//! Timers as data: what is due when.

use std::collections::{BTreeMap, BTreeSet};

use klamm_model::Instant;

use crate::{GroupId, MemberId};

/// What a deadline is for. Ordered by group, so that a group's deadlines lie together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) group_id: GroupId,
    pub(crate) kind: TimerKind,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKind {
    /// The members have had their time to join.
    Join,
    /// The members have had their time to ask for their assignment.
    Sync,
    /// The member, pending or not, has been silent for too long.
    Session(MemberId),
}

/// At most one deadline per timer.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    by_timer: BTreeMap<Timer, Instant>,
    by_time: BTreeSet<(Instant, Timer)>,
}

impl Deadlines {
    /// Sets the timer's deadline, in place of an earlier one.
    pub(crate) fn schedule(&mut self, timer: Timer, at: Instant) {
        if let Some(before) = self.by_timer.insert(timer.clone(), at) {
            let entry = (before, timer.clone());
            assert!(
                self.by_time.remove(&entry),
                "both indexes hold the same deadlines"
            );
        }
        self.by_time.insert((at, timer));
    }

    /// Forgets the timer's deadline, if it has one.
    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some(at) = self.by_timer.remove(timer) {
            self.by_time.remove(&(at, timer.clone()));
        }
    }

    /// Forgets all deadlines of a group.
    pub(crate) fn cancel_group(&mut self, group_id: &GroupId) {
        let first = Timer {
            group_id: group_id.clone(),
            kind: TimerKind::Join,
        };
        let timers: Vec<Timer> = self
            .by_timer
            .range(first..)
            .map(|(timer, _)| timer)
            .take_while(|timer| timer.group_id == *group_id)
            .cloned()
            .collect();
        for timer in timers {
            self.cancel(&timer);
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest deadline that has passed.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.by_timer.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::after_start(Duration::from_secs(seconds))
    }

    fn timer(group: &str, kind: TimerKind) -> Timer {
        Timer {
            group_id: GroupId::new(group),
            kind,
        }
    }

    #[test]
    fn deadlines_come_in_order_and_a_later_one_replaces_an_earlier_one() {
        let mut deadlines = Deadlines::default();
        deadlines.schedule(timer("a", TimerKind::Join), at(1));
        deadlines.schedule(timer("b", TimerKind::Join), at(2));
        deadlines.schedule(timer("a", TimerKind::Join), at(3));
        assert_eq!(deadlines.next(), Some(at(2)));
        assert_eq!(deadlines.pop_due(at(1)), None);
        assert_eq!(deadlines.pop_due(at(9)), Some(timer("b", TimerKind::Join)));
        assert_eq!(deadlines.pop_due(at(9)), Some(timer("a", TimerKind::Join)));
        assert_eq!(deadlines.pop_due(at(9)), None);
    }

    #[test]
    fn a_group_is_cancelled_alone() {
        let mut deadlines = Deadlines::default();
        for group in ["a", "ab", "b"] {
            deadlines.schedule(timer(group, TimerKind::Join), at(1));
            deadlines.schedule(timer(group, TimerKind::Session(MemberId::new("m"))), at(1));
        }
        deadlines.cancel_group(&GroupId::new("a"));
        let left: Vec<Timer> = std::iter::from_fn(|| deadlines.pop_due(at(1))).collect();
        assert_eq!(left.len(), 4);
        assert!(left.iter().all(|timer| timer.group_id.as_str() != "a"));
    }
}
