//! Lets replicas know that time passes: those that do not sleep, all in the same turn, so that what they
//! have to say leaves together.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use klamm_model::Instant;

use crate::partition::Partition;
use crate::shard::Shard;

/// Whose clocks run.
#[derive(Default)]
pub(crate) struct Clocks {
    running: RefCell<Vec<Rc<Partition>>>,
    sleepers_due: Cell<Instant>,
}

/// How often it is looked whether a sleep is over; they last for minutes.
const SLEEPERS_INTERVAL: Duration = Duration::from_secs(1);

impl Shard {
    /// The replica may have woken: its clock runs from here on.
    pub(crate) fn keep_time(&self, partition: &Rc<Partition>) {
        if partition.next_tick().is_some() && partition.begin_ticking() {
            self.clocks.running.borrow_mut().push(partition.clone());
        }
    }

    /// Lets each replica do what its time has come for.
    pub(crate) fn tick_replicas(self: &Rc<Self>) {
        let now = self.clock.now();
        if self.clocks.sleepers_due.get() <= now {
            self.clocks.sleepers_due.set(now + SLEEPERS_INTERVAL);
            self.wake_sleepers(now);
        }
        let mut running = self.clocks.running.take();
        for partition in &running {
            if partition.next_tick().is_some_and(|due| due <= now) {
                partition.tick(now);
                self.attend(partition);
            }
        }
        running.retain(|partition| {
            let runs = partition.next_tick().is_some() && !partition.is_deleted();
            if !runs {
                partition.end_ticking();
            }
            runs
        });
        self.clocks.running.borrow_mut().append(&mut running);
        self.peers.flush();
    }

    fn wake_sleepers(self: &Rc<Self>, now: Instant) {
        let is_due = |partition: &&Rc<Partition>| {
            let deadline = partition.driver().next_deadline();
            deadline.is_some_and(|deadline| deadline <= now)
        };
        let due: Vec<_> = {
            let topics = self.topics.borrow();
            let all = topics.partitions().chain([self.controller.partition()]);
            all.filter(is_due).cloned().collect()
        };
        for partition in due {
            partition.tick(now);
            self.attend(&partition);
        }
    }
}
