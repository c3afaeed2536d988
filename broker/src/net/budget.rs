//! How many bytes of requests may be inside the broker at once (`queued.max.request.bytes`,
//! KIP-72).
//!
//! Bytes are charged as they arrive and released when their request has been answered. While the
//! budget is used up, connections between two requests are not read; one in the middle of a
//! request goes on, since only a whole request can be answered and give its bytes back.

use std::cell::Cell;

use tokio::sync::Notify;

/// The budget that all connections share.
#[derive(Debug)]
pub(crate) struct RequestBudget {
    limit_bytes: usize,
    used_bytes: Cell<usize>,
    released: Notify,
}

impl RequestBudget {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            used_bytes: Cell::new(0),
            released: Notify::new(),
        }
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

    /// Waits until bytes were given back after the budget had been used up.
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
}
