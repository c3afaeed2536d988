//! Index and offset of the entries that are not yet committed, side by side: stored when an entry
//! is appended, never counted.

use std::collections::VecDeque;
use std::fmt;

use klamm_model::{LogIndex, Offset};

/// The end of a stretch of log: its last entry, and the offset that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last entry.
    pub index: LogIndex,
    /// The offset after its last record; of an entry without records, the offset it stands before.
    pub offset: Offset,
}

impl Position {
    /// Of an empty log.
    pub const START: Self = Self {
        index: LogIndex::ZERO,
        offset: Offset::ZERO,
    };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}@{}", self.index, self.offset)
    }
}

/// The position of every entry from the committed one to the last. Eight bytes an entry; the
/// replica refuses proposals before it holds [`Positions::ENTRIES_MAX`].
#[derive(Debug)]
pub(crate) struct Positions {
    /// Everything up to here has been dropped.
    base: Position,
    /// The offset after each entry that follows `base`.
    next_offsets: VecDeque<Offset>,
}

impl Positions {
    /// Entries between two fsyncs: 8 MiB of offsets, some seconds at the highest rates.
    pub(crate) const ENTRIES_MAX: usize = 1 << 20;

    pub(crate) fn new(base: Position) -> Self {
        Self {
            base,
            next_offsets: VecDeque::new(),
        }
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Position {
        let index = LogIndex(self.base.index.0 + self.next_offsets.len() as u64);
        let offset = self.next_offsets.back().copied();
        Position {
            index,
            offset: offset.unwrap_or(self.base.offset),
        }
    }

    pub(crate) fn has_room_for(&self, entries: usize) -> bool {
        self.next_offsets.len() + entries <= Self::ENTRIES_MAX
    }

    /// How many entries are not yet committed.
    pub(crate) fn len(&self) -> usize {
        self.next_offsets.len()
    }

    pub(crate) fn push(&mut self, position: Position) {
        let last = self.last();
        assert_eq!(position.index, last.index.next(), "no index is left out");
        assert!(position.offset >= last.offset, "offsets do not go back");
        self.next_offsets.push_back(position.offset);
    }

    /// The position of an entry that has not been dropped.
    pub(crate) fn at(&self, index: LogIndex) -> Position {
        if index == self.base.index {
            return self.base;
        }
        assert!(index > self.base.index, "asked for a committed entry");
        let nth = (index.0 - self.base.index.0 - 1) as usize;
        let offset = self.next_offsets[nth];
        Position { index, offset }
    }

    /// The position before the first that is held.
    pub(crate) fn base(&self) -> Position {
        self.base
    }

    /// The log ends at `end` now.
    pub(crate) fn cut(&mut self, end: Position) {
        if end.index < self.base.index {
            *self = Self::new(end);
            return;
        }
        let left = (end.index.0 - self.base.index.0) as usize;
        self.next_offsets.truncate(left);
        assert_eq!(self.last(), end, "replicas agree on what stays");
    }

    /// Forgets what lies before `index`.
    pub(crate) fn drop_before(&mut self, index: LogIndex) {
        let base = self.at(index);
        let count = (index.0 - self.base.index.0) as usize;
        self.next_offsets.drain(..count);
        if self.next_offsets.is_empty() && self.next_offsets.capacity() > 1_024 {
            // An idle partition does not keep the memory of its busiest second.
            self.next_offsets = VecDeque::new();
        }
        self.base = base;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64, offset: i64) -> Position {
        Position {
            index: LogIndex(index),
            offset: Offset::new(offset),
        }
    }

    #[test]
    fn positions_are_found_until_they_are_dropped() {
        let mut positions = Positions::new(at(7, 70));
        assert_eq!(positions.last(), at(7, 70));
        positions.push(at(8, 70));
        positions.push(at(9, 75));
        assert_eq!(positions.at(LogIndex(8)), at(8, 70));
        positions.drop_before(LogIndex(8));
        assert_eq!(positions.at(LogIndex(8)), at(8, 70));
        assert_eq!(positions.last(), at(9, 75));
        positions.drop_before(LogIndex(9));
        assert_eq!((positions.last(), positions.len()), (at(9, 75), 0));
    }

    #[test]
    #[should_panic(expected = "asked for a committed entry")]
    fn a_dropped_position_is_not_guessed() {
        Positions::new(at(7, 70)).at(LogIndex(6));
    }
}
