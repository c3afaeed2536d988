//! The way to a partition's leader, found again whenever it is lost.

use std::net::SocketAddr;
use std::time::Duration;

use crate::bed::{leader, metadata};
use crate::client::Client;
use crate::clients::own::{ANSWER_LIMIT, Task};

/// Between two attempts that failed at once.
const PAUSE: Duration = Duration::from_millis(5);

/// A connection to whoever leads.
pub(super) struct Route<'a> {
    task: &'a Task,
    leader: Option<Client>,
    /// The epoch in which it leads.
    epoch: i32,
    /// Which broker is asked next; one that gives a wrong answer is not asked twice in a row.
    next: usize,
}

impl<'a> Route<'a> {
    pub(super) fn new(task: &'a Task) -> Self {
        Self {
            task,
            leader: None,
            epoch: -1,
            next: 0,
        }
    }

    /// The leader and its epoch, if one of the brokers can be found that knows it.
    pub(super) fn leader(&mut self) -> Option<(&mut Client, i32)> {
        if self.leader.is_none() {
            if let Some((address, epoch)) = self.find() {
                self.leader = connect(address);
                self.epoch = epoch;
            }
            if self.leader.is_none() {
                std::thread::sleep(PAUSE);
            }
        }
        let epoch = self.epoch;
        Some((self.leader.as_mut()?, epoch))
    }

    /// It did not answer, or says that it does not lead.
    pub(super) fn lost(&mut self) {
        self.leader = None;
        // It takes a moment until the others know better.
        std::thread::sleep(PAUSE);
    }

    /// Any broker that listens.
    pub(super) fn anyone(&mut self) -> Option<Client> {
        let brokers = &self.task.bootstrap;
        let at = self.next % brokers.len();
        self.next += 1;
        connect(brokers[at])
    }

    fn find(&mut self) -> Option<(SocketAddr, i32)> {
        let mut client = self.anyone()?;
        let partition = &self.task.partition;
        let metadata = metadata(&mut client, &partition.topic)?;
        leader(&metadata, partition.index)
    }
}

fn connect(address: SocketAddr) -> Option<Client> {
    Client::try_connect_to(address, ANSWER_LIMIT).ok()
}
