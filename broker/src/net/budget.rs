//! How many bytes of requests may be inside the broker at once (`queued.max.request.bytes`,
//! KIP-72).
//!
//! Bytes are charged as they arrive and released when their request has been answered. While the
//! budget is used up, connections are not read, but for one: the first that was in the middle of a
//! request, since only a whole request can be answered and give its bytes back. So the budget is
//! overdrawn by one request at most. That one has [`OVERDRAFT_TIME`] to arrive: were it allowed to
//! dawdle, a stranger who begins large requests and never ends them would stop everybody else.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::Notify;

/// How long a request may take to arrive beyond the budget.
pub(crate) const OVERDRAFT_TIME: Duration = Duration::from_secs(5);

/// Names a connection to the budget.
pub(crate) type ReaderId = u64;

/// The budget that all connections share.
#[derive(Debug)]
pub(crate) struct RequestBudget {
    limit_bytes: usize,
    used_bytes: Cell<usize>,
    /// Who is read although the budget is used up.
    overdrawn_by: Cell<Option<ReaderId>>,
    next_reader: Cell<ReaderId>,
    released: Notify,
}

impl RequestBudget {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            used_bytes: Cell::new(0),
            overdrawn_by: Cell::new(None),
            next_reader: Cell::new(0),
            released: Notify::new(),
        }
    }

    /// A name that no other connection has.
    pub(crate) fn new_reader(&self) -> ReaderId {
        let id = self.next_reader.get();
        self.next_reader.set(id + 1);
        id
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.used_bytes.get() >= self.limit_bytes
    }

    /// Bytes of requests that are not answered, and of those that are being read.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.get()
    }

    pub(crate) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    pub(crate) fn charge(&self, bytes: usize) {
        self.used_bytes.set(self.used_bytes.get() + bytes);
    }

    pub(crate) fn release(&self, bytes: usize) {
        let was_exhausted = self.is_exhausted();
        let used = self.used_bytes.get();
        assert!(bytes <= used, "only what was charged is released");
        self.used_bytes.set(used - bytes);
        if was_exhausted && !self.is_exhausted() {
            self.released.notify_waiters();
        }
    }

    /// Whether `reader`, in the middle of a request, may be read although the budget is used up.
    pub(crate) fn may_overdraw(&self, reader: ReaderId) -> bool {
        match self.overdrawn_by.get() {
            Some(holder) => holder == reader,
            None => {
                self.overdrawn_by.set(Some(reader));
                true
            }
        }
    }

    /// `reader` overdraws no more: its request is whole, or its connection has ended.
    pub(crate) fn settle(&self, reader: ReaderId) {
        if self.overdrawn_by.get() == Some(reader) {
            self.overdrawn_by.set(None);
            self.released.notify_waiters();
        }
    }

    /// Waits until bytes were given back after the budget had been used up, or until another
    /// connection may overdraw it.
    pub(crate) async fn released(&self) {
        self.released.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_up_budget_opens_again_when_requests_are_answered() {
        let budget = RequestBudget::new(10);
        budget.charge(6);
        assert!(!budget.is_exhausted());
        budget.charge(6);
        assert!(budget.is_exhausted());
        budget.release(6);
        assert!(!budget.is_exhausted());
    }

    #[test]
    fn one_request_at_a_time_may_go_on_beyond_a_used_up_budget() {
        let budget = RequestBudget::new(10);
        let (first, second) = (budget.new_reader(), budget.new_reader());
        assert!(budget.may_overdraw(first) && budget.may_overdraw(first));
        assert!(!budget.may_overdraw(second));
        budget.settle(second);
        assert!(!budget.may_overdraw(second), "it was not the second's");
        budget.settle(first);
        assert!(budget.may_overdraw(second) && !budget.may_overdraw(first));
    }
}
