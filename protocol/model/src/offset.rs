//! Positions: what clients see, and what Raft sees.
//!
//! [`Offset`] counts records, [`LogIndex`] counts Raft entries (a batch of any number of records
//! is one entry, and some entries hold no record at all). There is no conversion between the two:
//! the pair is stored beside each batch and read back, because what is derived by counting goes
//! wrong once and stays wrong.

use std::fmt;

/// Where a record stands in its partition. Clients see it, Raft does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(i64);

impl Offset {
    /// The first offset of every partition.
    pub const ZERO: Self = Self(0);

    /// Panics if `offset` is negative: negative numbers on the wire mean something else and are
    /// told apart at the border.
    #[track_caller]
    pub const fn new(offset: i64) -> Self {
        assert!(offset >= 0, "an offset is not negative");
        Self(offset)
    }

    /// `None` for a negative number.
    pub const fn checked(offset: i64) -> Option<Self> {
        if offset >= 0 {
            Some(Self(offset))
        } else {
            None
        }
    }

    /// The number as it stands on the wire.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The offset `records` further on.
    #[must_use]
    #[track_caller]
    pub const fn plus(self, records: i64) -> Self {
        match self.0.checked_add(records) {
            Some(sum) => Self::new(sum),
            None => panic!("an offset fits 63 bits"),
        }
    }

    /// How many offsets lie between `earlier` and `self`; negative if it is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// Where an entry stands in a partition's Raft log, from 1; 0 is "before the first".
/// Raft sees it, clients do not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogIndex(pub u64);

impl LogIndex {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// The index after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Raft's count of elections. Shown to clients as [`LeaderEpoch`], which is 31 bits wide, so a
/// term never exceeds `i32::MAX` (pre-vote keeps it small).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Term(u64);

impl Term {
    /// Before the first election.
    pub const ZERO: Self = Self(0);

    /// Panics above `i32::MAX`.
    #[track_caller]
    pub const fn new(term: u64) -> Self {
        assert!(term <= i32::MAX as u64, "a term fits a leader epoch");
        Self(term)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// What clients and batches call this term.
    pub const fn leader_epoch(self) -> LeaderEpoch {
        LeaderEpoch(self.0 as i32)
    }
}

/// Which leadership wrote a batch; -1 means "unknown" (KIP-101, KIP-320). Equal to the [`Term`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    /// "I do not know", which switches checks off.
    pub const UNKNOWN: Self = Self(-1);

    /// The term this epoch shows; `None` for a negative epoch.
    pub const fn term(self) -> Option<Term> {
        if self.0 >= 0 {
            Some(Term(self.0 as u64))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_add_and_subtract_records() {
        let five = Offset::new(5);
        assert_eq!(five.plus(3), Offset::new(8));
        assert_eq!(Offset::new(8).since(five), 3);
        assert_eq!(Offset::checked(-1), None);
    }

    #[test]
    fn a_term_is_a_leader_epoch_and_back() {
        assert_eq!(Term::new(7).leader_epoch(), LeaderEpoch(7));
        assert_eq!(LeaderEpoch(7).term(), Some(Term::new(7)));
        assert_eq!(LeaderEpoch::UNKNOWN.term(), None);
    }
}
