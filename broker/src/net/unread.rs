//! How much memory the replies may take that clients do not take off their sockets, of all
//! connections together (`klamm.queued.max.response.bytes`).
//!
//! One connection alone is not read any more when it has left some of its replies lying; with
//! thousands of them that is still more than there is. So when all of them hold too much, the one
//! is closed that has held the most for the longest: the product of both, since a client that has
//! just asked for much, or that takes its replies slowly but does, harms less than one that stands
//! still.

use std::cell::Cell;
use std::time::Duration;

use super::occasional::Occasional;

/// What all connections hold.
#[derive(Debug)]
pub(crate) struct UnreadReplies {
    limit_bytes: usize,
    held_bytes: Cell<usize>,
    /// Lines of the log about connections that were closed for it.
    pub(super) closed: Occasional,
}

impl UnreadReplies {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            held_bytes: Cell::new(0),
            closed: Occasional::default(),
        }
    }

    /// One connection holds so much now, and held so much before.
    pub(super) fn change(&self, before: usize, after: usize) {
        self.held_bytes.set(self.held_bytes.get() - before + after);
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.held_bytes.get() > self.limit_bytes
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes.get()
    }

    pub(crate) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }
}

/// By what connections compare when one has to go: the greatest goes.
pub(super) fn burden(held_bytes: usize, stands_still_for: Duration) -> u128 {
    // Of those that have only just begun, the one that holds the most.
    held_bytes as u128 * (stands_still_for.as_nanos() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_the_sum_over_all_connections() {
        let unread = UnreadReplies::new(10);
        unread.change(0, 6);
        unread.change(0, 4);
        assert!(!unread.is_exceeded());
        unread.change(4, 5);
        assert!(unread.is_exceeded());
        unread.change(6, 0);
        assert_eq!((unread.held_bytes(), unread.is_exceeded()), (5, false));
    }

    #[test]
    fn much_for_long_goes_before_more_for_a_moment() {
        let seconds = Duration::from_secs;
        assert!(burden(100, seconds(60)) > burden(1_000, seconds(1)));
        assert!(burden(1_000, seconds(60)) > burden(100, seconds(60)));
        assert!(burden(1_000, seconds(0)) > burden(100, seconds(0)));
    }
}
