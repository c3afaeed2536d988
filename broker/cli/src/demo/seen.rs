//! What became of each message.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bench::{Acknowledged, Witness};

/// What clients have seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    acknowledged: Mutex<Vec<Acknowledged>>,
    /// How often each message was received, by its sequence.
    received: Mutex<BTreeMap<u64, u32>>,
}

impl Witness for Seen {
    fn acknowledged(&self, message: Acknowledged) {
        locked(&self.acknowledged).push(message);
    }

    fn received(&self, sequence: u64) {
        *locked(&self.received).entry(sequence).or_default() += 1;
    }
}

impl Seen {
    /// Acknowledgements, in the order in which they came.
    pub(super) fn acknowledgements(&self) -> Vec<Acknowledged> {
        locked(&self.acknowledged).clone()
    }

    /// How many messages were acknowledged and not received.
    pub(super) fn lost(&self) -> u64 {
        let received = locked(&self.received);
        let acknowledged = locked(&self.acknowledged);
        let lost = acknowledged.iter().map(|message| message.sequence);
        lost.filter(|sequence| !received.contains_key(sequence))
            .count() as u64
    }

    /// How many were received.
    pub(super) fn arrived(&self) -> u64 {
        locked(&self.received).len() as u64
    }

    /// How often a message was received that had been received before.
    pub(super) fn arrived_again(&self) -> u64 {
        let received = locked(&self.received);
        received.values().map(|times| u64::from(times - 1)).sum()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lost_is_what_was_acknowledged_and_never_received() {
        let seen = Seen::default();
        for sequence in [0, 1, 2] {
            seen.acknowledged(Acknowledged {
                sequence,
                partition: 0,
                at: Duration::ZERO,
                took: Duration::ZERO,
            });
        }
        // 3 was not acknowledged, and may be there.
        for sequence in [0, 2, 2, 3] {
            seen.received(sequence);
        }
        assert_eq!(
            (seen.lost(), seen.arrived(), seen.arrived_again()),
            (1, 3, 1)
        );
    }
}
