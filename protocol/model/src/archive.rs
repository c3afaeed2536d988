//! What of a partition lies in the archive, as its replicas agree on it.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{LeaderEpoch, Offset};

/// What lies in the archive, and what is on its way there: all that there is to know, so the latest
/// one that is committed says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveState {
    /// First offset that may be read from the archive: at most `end`.
    start: Offset,
    /// Everything from `start` to before this offset is in the archive.
    end: Offset,
    /// How many objects have been planned.
    plans: u64,
    plan: Option<ArchivePlan>,
}

/// An object of the archive that is to be written: it holds the records from the end of the archive on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchivePlan {
    /// The offset after its last record.
    pub end: Offset,
    /// The epoch of the leader that planned it.
    pub epoch: LeaderEpoch,
}

/// Bytes that are no state of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedArchiveState {
    /// They end too early, or too late.
    #[error("the state of the archive has the wrong length")]
    Length,
    /// A version that this broker does not know.
    #[error("unknown version of the state of an archive version={0}")]
    Version(u8),
    /// Ranges that do not follow each other, or negative numbers.
    #[error("impossible state of an archive")]
    Impossible,
}

impl ArchiveState {
    /// Bytes: version (1), `start`, `end`, `plans`, the plan's `end` and `epoch`, or -1 twice.
    const VERSION: u8 = 1;
    const SIZE_BYTES: usize = 1 + 8 + 8 + 8 + 8 + 4;

    /// Of a log that begins at `offset`, of which nothing is archived.
    pub const fn beginning_at(offset: Offset) -> Self {
        Self {
            start: offset,
            end: offset,
            plans: 0,
            plan: None,
        }
    }

    /// First offset that may be read from the archive; [`end`](Self::end) if there is nothing.
    pub const fn start(&self) -> Offset {
        self.start
    }

    /// The offset after the last that is archived.
    pub const fn end(&self) -> Offset {
        self.end
    }

    /// The object that is to be written next; it begins at [`end`](Self::end).
    pub const fn plan(&self) -> Option<ArchivePlan> {
        self.plan
    }

    /// The number of the plan, or of the last one if there is none.
    pub const fn plan_number(&self) -> u64 {
        self.plans
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether a record lies in the archive.
    pub fn contains(&self, offset: Offset) -> bool {
        (self.start..self.end).contains(&offset)
    }

    /// With a plan for the records up to an offset. Panics if there is a plan, or it holds nothing.
    #[must_use]
    pub fn planned(self, plan: ArchivePlan) -> Self {
        assert!(self.plan.is_none(), "one plan at a time");
        assert!(plan.end > self.end, "an object holds something");
        Self {
            plans: self.plans + 1,
            plan: Some(plan),
            ..self
        }
    }

    /// The plan has been carried out. Panics without one.
    #[must_use]
    pub fn carried_out(self) -> Self {
        let plan = self.plan.expect("there is a plan");
        Self {
            end: plan.end,
            plan: None,
            ..self
        }
    }

    /// Without what stands before an offset. A plan for records of which the first are gone is given up.
    #[must_use]
    pub fn without(self, before: Offset) -> Self {
        let end = self.end.max(before);
        Self {
            start: self.start.max(before),
            end,
            plan: self.plan.filter(|_| end == self.end),
            ..self
        }
    }

    /// As bytes, for an entry.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(Self::SIZE_BYTES);
        bytes.put_u8(Self::VERSION);
        bytes.put_i64(self.start.get());
        bytes.put_i64(self.end.get());
        bytes.put_u64(self.plans);
        bytes.put_i64(self.plan.map_or(-1, |plan| plan.end.get()));
        bytes.put_i32(self.plan.map_or(-1, |plan| plan.epoch.0));
        bytes.freeze()
    }

    /// Reads what [`encode`](Self::encode) has written. Nothing is believed: the bytes may have come
    /// from another broker.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, MalformedArchiveState> {
        match bytes.first() {
            None => return Err(MalformedArchiveState::Length),
            Some(&Self::VERSION) if bytes.len() == Self::SIZE_BYTES => bytes.advance(1),
            Some(&Self::VERSION) => return Err(MalformedArchiveState::Length),
            Some(version) => return Err(MalformedArchiveState::Version(*version)),
        }
        Self::take(bytes).ok_or(MalformedArchiveState::Impossible)
    }

    fn take(mut bytes: &[u8]) -> Option<Self> {
        let start = Offset::checked(bytes.get_i64())?;
        let end = Offset::checked(bytes.get_i64())?;
        let plans = bytes.get_u64();
        let plan = match (bytes.get_i64(), bytes.get_i32()) {
            (-1, -1) => None,
            (end, epoch @ 0..) => Some(ArchivePlan {
                end: Offset::checked(end)?,
                epoch: LeaderEpoch(epoch),
            }),
            _ => return None,
        };
        let is_sound = start <= end && plan.is_none_or(|plan| plan.end > end && plans > 0);
        is_sound.then_some(Self {
            start,
            end,
            plans,
            plan,
        })
    }
}

impl fmt::Display for ArchiveState {
    /// `10..20`, or `10..20 3:30/7`: the third plan, of epoch 7, ends at 30.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)?;
        match self.plan {
            Some(plan) => write!(f, " {}:{}/{}", self.plans, plan.end, plan.epoch.0),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> Offset {
        Offset::new(offset)
    }

    fn plan(end: i64) -> ArchivePlan {
        ArchivePlan {
            end: at(end),
            epoch: LeaderEpoch(7),
        }
    }

    #[test]
    fn an_archive_grows_by_plans_and_loses_its_beginning() {
        let empty = ArchiveState::beginning_at(at(10));
        assert!(empty.is_empty() && !empty.contains(at(10)));
        let planned = empty.planned(plan(20));
        assert_eq!((planned.plan(), planned.end()), (Some(plan(20)), at(10)));
        let grown = planned.carried_out();
        assert_eq!((grown.start(), grown.end()), (at(10), at(20)));
        assert!(grown.plan().is_none() && grown.contains(at(19)) && !grown.contains(at(20)));
        let shorter = grown.planned(plan(30)).without(at(15));
        assert_eq!(shorter.start(), at(15));
        assert_eq!(shorter.plan(), Some(plan(30)), "its records are all there");
        assert_eq!(shorter.plan_number(), 2);
    }

    #[test]
    fn a_plan_whose_first_records_are_gone_is_given_up() {
        let planned = ArchiveState::beginning_at(at(0)).planned(plan(20));
        let without = planned.without(at(5));
        assert_eq!((without.start(), without.end()), (at(5), at(5)));
        assert_eq!(without.plan(), None);
        assert_eq!(without.plan_number(), 1, "no number is used twice");
        assert_eq!(without.without(at(3)), without);
    }

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else_is() {
        let empty = ArchiveState::beginning_at(at(3));
        let planned = empty.planned(plan(1 << 40));
        for state in [empty, planned, planned.carried_out()] {
            let bytes = state.encode();
            assert_eq!(ArchiveState::decode(&bytes), Ok(state));
            for cut in 0..bytes.len() {
                let decoded = ArchiveState::decode(&bytes[..cut]);
                assert_eq!(decoded, Err(MalformedArchiveState::Length));
            }
            let longer = [&bytes[..], &[0]].concat();
            let decoded = ArchiveState::decode(&longer);
            assert_eq!(decoded, Err(MalformedArchiveState::Length));
        }
        let newer = ArchiveState::decode(&[2, 0]);
        assert_eq!(newer, Err(MalformedArchiveState::Version(2)));
    }

    #[test]
    fn impossible_states_are_refused() {
        let refuse = |start: i64, end: i64, plans: u64, plan: (i64, i32)| {
            let mut bytes = vec![1];
            bytes.put_i64(start);
            bytes.put_i64(end);
            bytes.put_u64(plans);
            bytes.put_i64(plan.0);
            bytes.put_i32(plan.1);
            let decoded = ArchiveState::decode(&bytes);
            assert_eq!(decoded, Err(MalformedArchiveState::Impossible));
        };
        refuse(-1, 0, 0, (-1, -1));
        refuse(2, 1, 0, (-1, -1));
        refuse(0, 5, 1, (5, 0));
        refuse(0, 5, 1, (6, -1));
        refuse(0, 5, 0, (6, 0));
        refuse(0, 5, 1, (-1, 0));
    }
}
