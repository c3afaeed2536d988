//! What a reader who goes on in order will want next.
//!
//! Pure. A [`ReadAhead`] follows one reader; [`Readers`] knows many by where each is expected next, so that
//! nobody has to say who asks.

use std::ops::Range;

use klamm_model::Offset;
use klamm_storage::GroupId;

use crate::lru::Lru;

/// How far ahead is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAheadLimits {
    /// At the second read in order, in bytes; doubles from then on.
    pub bytes_min: u64,
    /// At most, in bytes; 0 switches it off.
    pub bytes_max: u64,
}

impl Default for ReadAheadLimits {
    fn default() -> Self {
        Self {
            bytes_min: 8 << 20,
            bytes_max: 64 << 20,
        }
    }
}

/// One reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReadAhead {
    window: u64,
    /// Up to where it has been asked for, in the object that is read.
    asked_to: u64,
}

impl ReadAhead {
    /// The reader goes on with `read`, bytes of an object of `size` bytes, right behind what it has read
    /// before. What to ask for now, if anything; it begins behind `read`.
    pub(crate) fn go_on(
        &mut self,
        read: &Range<u64>,
        size: u64,
        limits: ReadAheadLimits,
    ) -> Option<Range<u64>> {
        if read.start == 0 {
            self.asked_to = 0;
        }
        // As long as more than half of it lies ahead, there is no need.
        if self.asked_to >= (read.end + self.window / 2 + 1).min(size) {
            return None;
        }
        let doubled = (self.window * 2).max(limits.bytes_min);
        self.window = doubled.min(limits.bytes_max);
        let wanted = self.asked_to.max(read.end)..(read.end + self.window).min(size);
        self.asked_to = self.asked_to.max(wanted.end);
        (!wanted.is_empty()).then_some(wanted)
    }
}

/// Readers of all partitions, by where they are expected.
#[derive(Debug)]
pub(crate) struct Readers {
    limits: ReadAheadLimits,
    /// Each counts as one byte.
    expected: Lru<(GroupId, Offset), ReadAhead>,
}

/// Readers that are followed; who is forgotten begins anew.
const READERS_MAX: u64 = 4096;

impl Readers {
    pub(crate) fn new(limits: ReadAheadLimits) -> Self {
        Self {
            limits,
            expected: Lru::new(READERS_MAX),
        }
    }

    /// Somebody has read offsets `from..next`, which lie in bytes `read` of an object of `size` bytes. What
    /// to ask for now, if anything.
    pub(crate) fn have_read(
        &mut self,
        group: GroupId,
        (from, next): (Offset, Offset),
        read: &Range<u64>,
        size: u64,
    ) -> Option<Range<u64>> {
        if self.limits.bytes_max == 0 {
            return None;
        }
        let expected = self.expected.remove(&(group, from));
        let is_seek = expected.is_none();
        let mut reader = expected.unwrap_or_default();
        let ahead = match is_seek {
            true => None,
            false => reader.go_on(read, size, self.limits),
        };
        self.expected.insert((group, next), reader, 1);
        ahead
    }
}

#[cfg(test)]
mod tests {
    use klamm_model::{PartitionIndex, TopicId};

    use super::*;

    const MIB: u64 = 1 << 20;
    const GROUP: GroupId = GroupId {
        topic_id: TopicId::from_bytes([1; 16]),
        partition: PartitionIndex(0),
    };

    #[test]
    fn it_doubles_while_the_reader_goes_on_up_to_the_most() {
        let mut ahead = ReadAhead::default();
        let mut asked = Vec::new();
        for at in 1..100 {
            let read = at * MIB..(at + 1) * MIB;
            let wanted = ahead.go_on(&read, 1 << 40, ReadAheadLimits::default());
            if let Some(wanted) = wanted {
                assert!(wanted.start >= read.end);
                asked.push((wanted.start / MIB, wanted.end / MIB));
            }
        }
        let starts_where_the_last_ended = asked.windows(2).all(|two| two[0].1 == two[1].0);
        assert!(starts_where_the_last_ended, "{asked:?}");
        assert_eq!(asked[0], (2, 10));
        let (_, last) = asked[asked.len() - 1];
        assert!((100..=100 + 64).contains(&last), "{asked:?}");
        assert_eq!(ahead.window, 64 * MIB);
    }

    #[test]
    fn it_ends_with_the_object_and_begins_with_the_next() {
        let mut ahead = ReadAhead::default();
        let limits = ReadAheadLimits::default();
        assert_eq!(ahead.go_on(&(0..MIB), 4 * MIB, limits), Some(MIB..4 * MIB));
        assert_eq!(ahead.go_on(&(MIB..2 * MIB), 4 * MIB, limits), None);
        assert_eq!(ahead.go_on(&(3 * MIB..4 * MIB), 4 * MIB, limits), None);
        assert_eq!(
            ahead.go_on(&(0..MIB), 40 * MIB, limits),
            Some(MIB..17 * MIB)
        );
    }

    #[test]
    fn who_goes_elsewhere_begins_anew() {
        let mut readers = Readers::new(ReadAheadLimits::default());
        let mut read = |from: i64, next: i64| {
            let bytes = from as u64 * MIB..next as u64 * MIB;
            readers.have_read(
                GROUP,
                (Offset::new(from), Offset::new(next)),
                &bytes,
                1 << 40,
            )
        };
        assert_eq!(read(5, 6), None);
        assert_eq!(read(6, 7), Some(7 * MIB..15 * MIB));
        assert_eq!(read(50, 51), None);
        assert_eq!(read(51, 52), Some(52 * MIB..60 * MIB));
        assert_eq!(read(7, 8), None, "enough is on its way");
        assert_eq!(read(8, 12), Some(15 * MIB..28 * MIB));
    }

    #[test]
    fn it_can_be_switched_off() {
        let limits = ReadAheadLimits {
            bytes_max: 0,
            bytes_min: 0,
        };
        let mut readers = Readers::new(limits);
        for at in 0..10 {
            let offsets = (Offset::new(at), Offset::new(at + 1));
            assert_eq!(readers.have_read(GROUP, offsets, &(0..1), 100), None);
        }
    }
}
