//! Requests that wait, and the time at which each must be answered all the same.
//!
//! What wakes a request early lives with the partition it waits for; this is only the clock. One
//! task sleeps until the earliest deadline: a request that is answered in time costs an insertion
//! and a removal here, and no timer of its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use klamm_model::Instant;
use tokio::sync::Notify;

use crate::clock::Clock;

/// Something with a deadline.
pub(crate) trait Delayed {
    /// The deadline has come.
    fn expire(self: Rc<Self>);
}

/// Names an entry, to take it out again.
pub(crate) type Ticket = (Instant, u64);

/// All deadlines of the shard.
#[derive(Default)]
pub(crate) struct Purgatory {
    entries: RefCell<BTreeMap<Ticket, Rc<dyn Delayed>>>,
    next: Cell<u64>,
    sleeping_until: Cell<Option<Instant>>,
    earlier: Notify,
}

impl Purgatory {
    /// Calls [`Delayed::expire`] at `deadline`, unless [`remove`](Self::remove)d before.
    pub(crate) fn insert(&self, deadline: Instant, delayed: Rc<dyn Delayed>) -> Ticket {
        let ticket = (deadline, self.next.get());
        self.next.set(ticket.1 + 1);
        self.entries.borrow_mut().insert(ticket, delayed);
        if self
            .sleeping_until
            .get()
            .is_none_or(|until| deadline < until)
        {
            self.earlier.notify_one();
        }
        ticket
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Takes an entry out; nothing happens if it has expired.
    pub(crate) fn remove(&self, ticket: Ticket) {
        self.entries.borrow_mut().remove(&ticket);
    }

    /// Expires entries as their time comes. `work` runs each batch of them.
    pub(crate) async fn run(&self, clock: Clock, work: impl Fn(Vec<Rc<dyn Delayed>>)) {
        loop {
            let due = self.take_due(clock.now());
            if !due.is_empty() {
                work(due);
            }
            let next = self
                .entries
                .borrow()
                .first_key_value()
                .map(|((deadline, _), _)| *deadline);
            self.sleeping_until.set(next);
            match next {
                None => self.earlier.notified().await,
                Some(deadline) => tokio::select! {
                    () = tokio::time::sleep_until(clock.at(deadline)) => {}
                    () = self.earlier.notified() => {}
                },
            }
        }
    }

    fn take_due(&self, now: Instant) -> Vec<Rc<dyn Delayed>> {
        let mut entries = self.entries.borrow_mut();
        let mut due = Vec::new();
        while let Some(entry) = entries.first_entry() {
            if entry.key().0 > now {
                break;
            }
            due.push(entry.remove());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Flag(Cell<bool>);

    impl Delayed for Flag {
        fn expire(self: Rc<Self>) {
            self.0.set(true);
        }
    }

    #[test]
    fn only_what_is_due_and_was_not_removed_expires() {
        let purgatory = Purgatory::default();
        let at = |millis| Instant::START + Duration::from_millis(millis);
        let flags: Vec<Rc<Flag>> = (0..3).map(|_| Rc::new(Flag(Cell::new(false)))).collect();
        purgatory.insert(at(20), flags[0].clone());
        let removed = purgatory.insert(at(10), flags[1].clone());
        purgatory.insert(at(10), flags[2].clone());
        purgatory.remove(removed);
        for due in purgatory.take_due(at(10)) {
            due.expire();
        }
        assert_eq!(
            flags.iter().map(|flag| flag.0.get()).collect::<Vec<_>>(),
            [false, false, true]
        );
    }
}
