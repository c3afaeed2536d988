//! fsyncs of the journals: one for each log directory at a time, for all partitions in it that wait.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::log_dirs::LogDirs;
use crate::partition::Partition;
use crate::shard::Shard;
use crate::tasks;

/// Those who wait, by log directory.
#[derive(Default)]
pub(crate) struct Journals {
    dirs: Vec<Waiting>,
}

#[derive(Default)]
struct Waiting {
    partitions: RefCell<Vec<Rc<Partition>>>,
    is_syncing: Cell<bool>,
}

impl Journals {
    pub(crate) fn of(dirs: &LogDirs) -> Self {
        Self {
            dirs: dirs.iter().map(|_| Waiting::default()).collect(),
        }
    }
}

impl Shard {
    /// Has the journal synced if the partition waits for that.
    pub(crate) fn sync_journal_when_due(self: &Rc<Self>, partition: &Rc<Partition>) {
        if !partition.driver().awaits_journal() || !partition.queue_for_journal() {
            return;
        }
        let number = self.log_dirs.number_of(partition.id());
        let waiting = &self.journals.dirs[number];
        waiting.partitions.borrow_mut().push(partition.clone());
        if !waiting.is_syncing.replace(true) {
            tasks::spawn(self.clone().sync_journal(number));
        }
    }

    /// Syncs a journal until nobody waits for it.
    async fn sync_journal(self: Rc<Self>, number: usize) {
        let waiting = &self.journals.dirs[number];
        loop {
            let partitions = waiting.partitions.take();
            if partitions.is_empty() {
                break;
            }
            // What is written from here on waits for the next.
            let tickets: Vec<_> = partitions
                .iter()
                .map(|partition| partition.journal_sync_begins())
                .collect();
            let journal = self.log_dirs.dir(number).journal().clone();
            let result = self.background.run(move || journal.sync()).await;
            let now = self.clock.now();
            for (partition, ticket) in partitions.iter().zip(tickets) {
                partition.drive(|driver, outcomes| {
                    driver.journal_sync_ended(now, ticket, &result, outcomes);
                });
                self.attend(partition);
            }
            self.peers.flush();
        }
        waiting.is_syncing.set(false);
    }
}
