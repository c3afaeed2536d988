//! Who does what when several processes make one load.
//!
//! Producers and consumers are numbered through all processes. Producer 2 of 5 sends messages 2, 7,
//! 12, … whatever process it is in, so the load is the same as one process would make, and each
//! partition has one consumer.

/// The clients of one process, by their numbers among all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) producers: Numbers,
    pub(super) consumers: Numbers,
}

/// Some of the numbers below `of`: every so many, from a first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) first: u64,
    pub(super) every: u64,
    /// How many there are in all processes.
    pub(super) of: u64,
}

impl Share {
    /// The share of one process of `parts`. Consumers are dealt from the other end: where there
    /// are fewer clients than processes, some send and others receive.
    pub(super) fn new(part: u64, parts: u64, producers: u64, consumers: u64) -> Self {
        let dealt = |first, of| Numbers {
            first,
            every: parts,
            of,
        };
        Self {
            producers: dealt(part, producers),
            consumers: dealt(parts - 1 - part, consumers),
        }
    }

    /// How many clients that is.
    pub(super) fn clients(&self) -> u64 {
        self.producers.count() + self.consumers.count()
    }
}

impl Numbers {
    pub(super) fn iter(self) -> impl Iterator<Item = u64> {
        let step = usize::try_from(self.every.max(1)).unwrap_or(usize::MAX);
        (self.first..self.of).step_by(step)
    }

    pub(super) fn count(self) -> u64 {
        self.of
            .saturating_sub(self.first)
            .div_ceil(self.every.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_in_one_process() {
        for (parts, producers, consumers) in [(1, 1, 1), (2, 3, 2), (3, 2, 7), (5, 1, 4)] {
            let shares = (0..parts).map(|part| Share::new(part, parts, producers, consumers));
            let shares: Vec<_> = shares.collect();
            let check = |of: &dyn Fn(&Share) -> Numbers, all: u64| {
                let mut numbers: Vec<_> = shares.iter().flat_map(|one| of(one).iter()).collect();
                numbers.sort_unstable();
                assert_eq!(numbers, (0..all).collect::<Vec<_>>());
                let counts = shares.iter().map(|one| of(one).count());
                assert_eq!(counts.sum::<u64>(), all);
            };
            check(&|share| share.producers, producers);
            check(&|share| share.consumers, consumers);
        }
    }

    #[test]
    fn of_two_processes_one_may_send_and_the_other_receive() {
        let shares = [Share::new(0, 2, 1, 1), Share::new(1, 2, 1, 1)];
        let counts = shares.map(|one| (one.producers.count(), one.consumers.count()));
        assert_eq!(counts, [(1, 0), (0, 1)]);
    }
}
