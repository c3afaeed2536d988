//! Who waits for how far a partition's records have got.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use klamm_model::{LogIndex, Offset};
use klamm_protocol::ErrorCode;

/// Somebody who is told what has become of an append.
pub(crate) trait AckTarget {
    /// `part` is the number under which the target knows the append.
    fn acknowledged(self: Rc<Self>, part: usize, result: Result<(), ErrorCode>);
}

/// All who wait for a partition.
#[derive(Default)]
pub(crate) struct Acks {
    until_written: RefCell<AckQueue<Offset>>,
    until_visible: RefCell<AckQueue<Offset>>,
    until_held: RefCell<AckQueue<LogIndex>>,
}

/// How far an append must have got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckPoint {
    /// Everything below is written by the leader.
    Written(Offset),
    /// Everything below is shown.
    Visible(Offset),
    /// So is this entry, and more replicas than a majority have written it: as many as the topic wants
    /// (`min.insync.replicas`).
    Held(LogIndex),
}

impl Acks {
    pub(crate) fn push(&self, point: AckPoint, target: Rc<dyn AckTarget>, part: usize) {
        match point {
            AckPoint::Written(end) => self.until_written.borrow_mut().push(end, target, part),
            AckPoint::Visible(end) => self.until_visible.borrow_mut().push(end, target, part),
            AckPoint::Held(entry) => self.until_held.borrow_mut().push(entry, target, part),
        }
    }

    /// Answers those who waited for what is reached now.
    pub(crate) fn complete(&self, point: AckPoint) {
        match point {
            AckPoint::Written(end) => self.until_written.answer(end, Ok(())),
            AckPoint::Visible(end) => self.until_visible.answer(end, Ok(())),
            AckPoint::Held(entry) => self.until_held.answer(entry, Ok(())),
        }
    }

    /// The first entry that somebody waits for until enough replicas have written it.
    pub(crate) fn first_to_be_held(&self) -> Option<LogIndex> {
        let queue = self.until_held.borrow();
        queue.entries.front().map(|entry| entry.point)
    }

    /// Not enough replicas will write what is shown, up to this entry.
    pub(crate) fn give_up_holding(&self, visible: LogIndex) {
        let error = ErrorCode::NotEnoughReplicasAfterAppend;
        self.until_held.answer(visible, Err(error));
    }

    /// Tells everybody that it will not happen.
    pub(crate) fn fail_all(&self, error: ErrorCode) {
        self.until_written.fail_all(error);
        self.until_visible.fail_all(error);
        self.until_held.fail_all(error);
    }
}

struct Entry<P> {
    point: P,
    target: Rc<dyn AckTarget>,
    part: usize,
}

/// Appends that wait for a watermark, in order. One of them for each watermark.
struct AckQueue<P> {
    entries: VecDeque<Entry<P>>,
}

impl<P> Default for AckQueue<P> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
        }
    }
}

impl<P: Copy + Ord> AckQueue<P> {
    /// Waits until `point` has been reached. Almost always the last in the queue; the exception is
    /// the repeat of a batch that is still waiting itself.
    fn push(&mut self, point: P, target: Rc<dyn AckTarget>, part: usize) {
        let at = self.entries.partition_point(|entry| entry.point <= point);
        self.entries.insert(
            at,
            Entry {
                point,
                target,
                part,
            },
        );
    }

    fn pop_reached(&mut self, watermark: P) -> Option<Entry<P>> {
        self.entries.pop_front_if(|entry| entry.point <= watermark)
    }
}

/// Telling what has become of appends. The queue is not borrowed meanwhile, so that whoever is told
/// may append again.
trait Answering<P> {
    /// Tells everybody who waits for no more than `watermark`.
    fn answer(&self, watermark: P, result: Result<(), ErrorCode>);
    /// Tells everybody.
    fn fail_all(&self, error: ErrorCode);
}

impl<P: Copy + Ord> Answering<P> for RefCell<AckQueue<P>> {
    fn answer(&self, watermark: P, result: Result<(), ErrorCode>) {
        loop {
            let Some(entry) = self.borrow_mut().pop_reached(watermark) else {
                return;
            };
            entry.target.acknowledged(entry.part, result);
        }
    }

    fn fail_all(&self, error: ErrorCode) {
        let entries = std::mem::take(&mut self.borrow_mut().entries);
        for entry in entries {
            entry.target.acknowledged(entry.part, Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Told(RefCell<Vec<(usize, bool)>>);

    impl AckTarget for Told {
        fn acknowledged(self: Rc<Self>, part: usize, result: Result<(), ErrorCode>) {
            self.0.borrow_mut().push((part, result.is_ok()));
        }
    }

    #[test]
    fn acknowledgements_follow_the_watermark_and_failures_take_the_rest() {
        let told = Rc::new(Told(RefCell::default()));
        let acks = Acks::default();
        let visible = |offset| AckPoint::Visible(Offset::new(offset));
        for (part, next_offset) in [(0, 10), (1, 20), (2, 10), (3, 30)] {
            acks.push(visible(next_offset), told.clone(), part);
        }
        acks.complete(visible(9));
        assert!(told.0.borrow().is_empty());
        acks.complete(visible(20));
        assert_eq!(told.0.take(), [(0, true), (2, true), (1, true)]);
        acks.fail_all(ErrorCode::KafkaStorageError);
        assert_eq!(told.0.take(), [(3, false)]);
    }

    #[test]
    fn who_waits_for_more_than_a_majority_is_answered_for_itself() {
        let told = Rc::new(Told(RefCell::default()));
        let acks = Acks::default();
        for part in 0..4 {
            let entry = LogIndex(10 + part as u64);
            acks.push(AckPoint::Held(entry), told.clone(), part);
        }
        acks.complete(AckPoint::Visible(Offset::new(1_000)));
        assert!(told.0.borrow().is_empty());
        assert_eq!(acks.first_to_be_held(), Some(LogIndex(10)));
        acks.complete(AckPoint::Held(LogIndex(10)));
        assert_eq!(told.0.take(), [(0, true)]);
        acks.give_up_holding(LogIndex(12));
        assert_eq!(told.0.take(), [(1, false), (2, false)]);
        acks.fail_all(ErrorCode::NotLeaderOrFollower);
        assert_eq!(told.0.take(), [(3, false)]);
        assert_eq!(acks.first_to_be_held(), None);
    }
}
