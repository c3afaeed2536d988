//! A fetch that waits: until there is enough to read, or until what there is has been brought
//! into memory.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use klamm_storage::PopulateTicket;

use super::plan::Plan;
use super::read::{self, Look};
use crate::background::POPULATE_ROUNDS_MAX;
use crate::dispatch::Call;
use crate::handler::succession;
use crate::metrics::counters::RequestKind;
use crate::net::connection::{Connection, Parked};
use crate::partition::{Partition, Waiter};
use crate::purgatory::{Delayed, Ticket};
use crate::tasks;

/// See the [module](self). Woken and expired as often as may be, it is answered once: whoever
/// answers takes the call.
pub(super) struct DelayedFetch {
    plan: Plan,
    call: RefCell<Option<Call>>,
    ticket: Cell<Option<Ticket>>,
    /// Bytes that have to become visible before another look can be worth it.
    missing_bytes: Cell<usize>,
    /// The client waits no longer: the next look is the answer.
    is_due: Cell<bool>,
    /// Somebody looks when it is known who leads next.
    awaits_successor: Cell<bool>,
    /// Something is being brought into memory. Nobody looks meanwhile; somebody does afterwards.
    populating: Cell<bool>,
    /// How often something was.
    rounds: Cell<usize>,
}

impl DelayedFetch {
    /// Answers, or waits in the list of every partition of the plan.
    pub(super) fn start(mut call: Call, plan: Plan) {
        let look = read::look(&plan, false);
        let is_due = plan.wait.is_zero();
        if look.cold.is_empty() && (is_due || plan.is_satisfied(&look)) {
            return plan.answer(call, look);
        }
        let shard = call.shard.clone();
        shard.counters().delayed_fetches.add(1);
        call.slot.is_of(RequestKind::DelayedFetch);
        let deadline = call.arrived() + plan.wait;
        let delayed = Rc::new(Self {
            plan,
            call: RefCell::new(Some(call)),
            ticket: Cell::new(None),
            missing_bytes: Cell::new(0),
            is_due: Cell::new(is_due),
            awaits_successor: Cell::new(false),
            populating: Cell::new(false),
            rounds: Cell::new(0),
        });
        for partition in delayed.partitions() {
            partition.add_waiter(delayed.clone());
        }
        if !is_due {
            let ticket = shard.purgatory.insert(deadline, delayed.clone());
            delayed.ticket.set(Some(ticket));
        }
        delayed.connection_of(|connection| connection.park(delayed.clone()));
        delayed.settle(look);
    }

    /// The partitions it waits for, each once: a client may name one as often as it likes.
    fn partitions(&self) -> Vec<&Rc<Partition>> {
        let mut partitions: Vec<_> = self.plan.hosted().collect();
        partitions.sort_unstable_by_key(|partition| Rc::as_ptr(partition));
        partitions.dedup_by_key(|partition| Rc::as_ptr(partition));
        partitions
    }

    /// Lets `work` have the connection that asked, if it has no answer yet.
    fn connection_of(&self, work: impl FnOnce(&Connection)) {
        if let Some(call) = &*self.call.borrow() {
            work(call.slot.connection());
        }
    }

    /// Looks, unless somebody will.
    fn look(self: &Rc<Self>) {
        let answered = self.call.borrow().is_none();
        if answered || self.populating.get() {
            return;
        }
        let waits = self.rounds.get() >= POPULATE_ROUNDS_MAX;
        self.settle(read::look(&self.plan, waits));
    }

    /// Answers, if what was found is an answer.
    fn settle(self: &Rc<Self>, mut look: Look) {
        let cold = std::mem::take(&mut look.cold);
        if !cold.is_empty() {
            self.populate(cold);
        } else if self.is_due.get() || self.plan.is_satisfied(&look) {
            self.answer(look);
        } else {
            let missing_bytes = self.plan.bytes_min.saturating_sub(look.bytes);
            self.missing_bytes.set(missing_bytes);
            if look.awaits_successor {
                self.await_successor();
            }
        }
    }

    /// Looks when it is known who leads next.
    fn await_successor(self: &Rc<Self>) {
        if self.awaits_successor.replace(true) {
            return;
        }
        let delayed = self.clone();
        tasks::spawn(async move {
            succession::ended(|| delayed.plan.has_open_succession()).await;
            delayed.awaits_successor.set(false);
            delayed.look();
        });
    }

    /// Has it all brought into memory, and looks again then.
    fn populate(self: &Rc<Self>, cold: Vec<(usize, PopulateTicket)>) {
        let Some(shard) = self.call.borrow().as_ref().map(|call| call.shard.clone()) else {
            return;
        };
        self.rounds.set(self.rounds.get() + 1);
        self.populating.set(true);
        let delayed = self.clone();
        tasks::spawn(async move {
            let (numbers, tickets): (Vec<_>, Vec<_>) = cold.into_iter().unzip();
            let populated = shard.background.populate_all(tickets).await;
            for (number, populated) in numbers.into_iter().zip(populated) {
                delayed.plan.partitions[number].populated(populated);
            }
            delayed.populating.set(false);
            delayed.look();
        });
    }

    fn answer(self: &Rc<Self>, look: Look) {
        if let Some(call) = self.wait_no_longer() {
            self.plan.answer(call, look);
        }
    }

    /// Takes the call out of everything that could wake it; `None` if that has been done.
    fn wait_no_longer(self: &Rc<Self>) -> Option<Call> {
        let call = self.call.take()?;
        if let Some(ticket) = self.ticket.take() {
            call.shard.purgatory.remove(ticket);
        }
        let waiter: Rc<dyn Waiter> = self.clone();
        for partition in self.partitions() {
            partition.remove_waiter(&waiter);
        }
        let parked: Rc<dyn Parked> = self.clone();
        call.slot.connection().unpark(&parked);
        Some(call)
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
        self.look();
    }
}

impl fmt::Debug for DelayedFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedFetch").finish_non_exhaustive()
    }
}

impl Parked for DelayedFetch {
    fn abandoned(self: Rc<Self>) {
        drop(self.wait_no_longer());
    }
}

impl Delayed for DelayedFetch {
    fn expire(self: Rc<Self>) {
        self.ticket.set(None);
        // What is being brought into memory is waited for even so, as for any read of a disk: an
        // answer without it would make the client ask for the same again.
        self.is_due.set(true);
        self.look();
    }
}
