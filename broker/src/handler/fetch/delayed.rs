//! A fetch that waits until there is enough to read.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::plan::Plan;
use super::read::{self, Look};
use crate::dispatch::Call;
use crate::partition::Waiter;
use crate::purgatory::{Delayed, Ticket};

/// See the [module](self).
pub(super) struct DelayedFetch {
    plan: Plan,
    call: RefCell<Option<Call>>,
    ticket: Cell<Option<Ticket>>,
    /// Bytes that have to become visible before another look can be worth it.
    missing_bytes: Cell<usize>,
}

impl DelayedFetch {
    /// Answers, or waits in the list of every partition of the plan.
    pub(super) fn start(call: Call, plan: Plan) {
        let look = read::look(&plan);
        if plan.is_satisfied(&look) || plan.wait.is_zero() {
            let response = plan.response(&call.shard, look);
            return call.reply(response);
        }
        let shard = call.shard.clone();
        let missing_bytes = plan.bytes_min - look.bytes;
        let delayed = Rc::new(Self {
            plan,
            call: RefCell::new(Some(call)),
            ticket: Cell::new(None),
            missing_bytes: Cell::new(missing_bytes),
        });
        for partition in delayed.plan.hosted() {
            partition.add_waiter(delayed.clone());
        }
        let deadline = shard.clock.now() + delayed.plan.wait;
        delayed
            .ticket
            .set(Some(shard.purgatory.insert(deadline, delayed.clone())));
    }

    fn answer(self: &Rc<Self>, look: Look) {
        let Some(call) = self.call.take() else { return };
        if let Some(ticket) = self.ticket.take() {
            call.shard.purgatory.remove(ticket);
        }
        let waiter: Rc<dyn Waiter> = self.clone();
        for partition in self.plan.hosted() {
            partition.remove_waiter(&waiter);
        }
        let response = self.plan.response(&call.shard, look);
        call.reply(response);
    }
}

impl Waiter for DelayedFetch {
    fn woken(self: Rc<Self>, bytes: usize) {
        let missing = self.missing_bytes.get().saturating_sub(bytes);
        self.missing_bytes.set(missing);
        // No bytes at all: the partition has other news, such as that it is gone.
        if missing > 0 && bytes > 0 {
            return;
        }
        let look = read::look(&self.plan);
        if self.plan.is_satisfied(&look) {
            self.answer(look);
        } else {
            self.missing_bytes
                .set(self.plan.bytes_min.saturating_sub(look.bytes));
        }
    }
}

impl Delayed for DelayedFetch {
    fn expire(self: Rc<Self>) {
        self.ticket.set(None);
        let look = read::look(&self.plan);
        self.answer(look);
    }
}
