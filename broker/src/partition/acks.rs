//! Who waits for which offset of a partition.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use klamm_model::Offset;
use klamm_protocol::ErrorCode;

/// Somebody who is told what has become of an append.
pub(crate) trait AckTarget {
    /// `part` is the number under which the target knows the append.
    fn acknowledged(self: Rc<Self>, part: usize, result: Result<(), ErrorCode>);
}

struct Entry {
    next_offset: Offset,
    target: Rc<dyn AckTarget>,
    part: usize,
}

/// Appends that wait for a watermark, in order of offset. One of them for each watermark.
#[derive(Default)]
pub(crate) struct AckQueue {
    entries: VecDeque<Entry>,
}

impl AckQueue {
    /// Waits until everything below `next_offset` has been reached. Almost always the last in the
    /// queue; the exception is the repeat of a batch that is still waiting itself.
    pub(crate) fn push(&mut self, next_offset: Offset, target: Rc<dyn AckTarget>, part: usize) {
        let at = self
            .entries
            .partition_point(|entry| entry.next_offset <= next_offset);
        self.entries.insert(
            at,
            Entry {
                next_offset,
                target,
                part,
            },
        );
    }

    fn pop_below(&mut self, watermark: Offset) -> Option<Entry> {
        self.entries
            .pop_front_if(|entry| entry.next_offset <= watermark)
    }

    /// Tells everybody whose batches lie below `watermark`. The queue is not borrowed meanwhile,
    /// so that whoever is told may append again.
    pub(crate) fn complete_below(queue: &RefCell<Self>, watermark: Offset) {
        loop {
            let Some(entry) = queue.borrow_mut().pop_below(watermark) else {
                return;
            };
            entry.target.acknowledged(entry.part, Ok(()));
        }
    }

    /// Tells everybody that it will not happen.
    pub(crate) fn fail_all(queue: &RefCell<Self>, error: ErrorCode) {
        let entries = std::mem::take(&mut queue.borrow_mut().entries);
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
        let queue = RefCell::new(AckQueue::default());
        for (part, next_offset) in [(0, 10), (1, 20), (2, 10), (3, 30)] {
            queue
                .borrow_mut()
                .push(Offset::new(next_offset), told.clone(), part);
        }
        AckQueue::complete_below(&queue, Offset::new(9));
        assert!(told.0.borrow().is_empty());
        AckQueue::complete_below(&queue, Offset::new(20));
        assert_eq!(told.0.take(), [(0, true), (2, true), (1, true)]);
        AckQueue::fail_all(&queue, ErrorCode::KafkaStorageError);
        assert_eq!(told.0.take(), [(3, false)]);
    }
}
