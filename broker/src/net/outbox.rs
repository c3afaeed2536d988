//! Replies in request order.
//!
//! Requests of one connection are answered whenever they are done, but leave in the order in which
//! they came: each takes a slot when it arrives, and only the completed slots at the front move on
//! to the bytes that are to be written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// The number of a request on its connection, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SlotNumber(u64);

#[derive(Debug)]
enum Slot {
    Waiting,
    Done(Vec<Bytes>),
    /// The connection ends in place of this reply.
    End,
}

impl Slot {
    fn bytes(&self) -> usize {
        match self {
            Self::Done(pieces) => pieces.iter().map(Bytes::len).sum(),
            Self::Waiting | Self::End => 0,
        }
    }
}

/// What one connection has yet to answer and to write.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    first: u64,
    slots: VecDeque<Slot>,
    unsent: VecDeque<Bytes>,
    unsent_bytes: usize,
    /// Of replies that are done and wait for one before them.
    held_bytes: usize,
    /// Of all these, what may lie in memory; the rest is pages of files.
    memory_bytes: usize,
    ended: bool,
}

impl Outbox {
    /// Takes the next place in the order of replies.
    pub(crate) fn take_slot(&mut self) -> SlotNumber {
        let number = self.first + self.slots.len() as u64;
        self.slots.push_back(Slot::Waiting);
        SlotNumber(number)
    }

    /// Fills a slot with the pieces of its reply; none for a request that gets no reply.
    pub(crate) fn complete(&mut self, number: SlotNumber, pieces: Vec<Bytes>) {
        self.fill(number, Slot::Done(pieces));
    }

    /// Ends the connection in place of a reply: those before it still leave, those after do not.
    pub(crate) fn end_at(&mut self, number: SlotNumber) {
        self.fill(number, Slot::End);
    }

    fn fill(&mut self, number: SlotNumber, content: Slot) {
        if self.ended {
            return;
        }
        let position = usize::try_from(number.0 - self.first).expect("slots are few");
        let slot = &mut self.slots[position];
        assert!(matches!(slot, Slot::Waiting), "a request is answered once");
        self.held_bytes += content.bytes();
        self.memory_bytes += content.bytes();
        *slot = content;
        while let Some(slot) = self
            .slots
            .pop_front_if(|slot| !matches!(slot, Slot::Waiting))
        {
            self.first += 1;
            let bytes = slot.bytes();
            self.held_bytes -= bytes;
            match slot {
                Slot::Done(pieces) => {
                    self.unsent_bytes += bytes;
                    self.unsent
                        .extend(pieces.into_iter().filter(|piece| !piece.is_empty()));
                }
                Slot::End | Slot::Waiting => {
                    self.ended = true;
                    self.slots.clear();
                    self.held_bytes = 0;
                }
            }
        }
    }

    /// Whether the connection has to end once everything unsent is written.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Requests that have come and are not answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.slots.len()
    }

    /// Bytes that may be written now.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    /// Bytes of all replies that are here: those that may be written, and those that wait for an
    /// earlier one.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.unsent_bytes + self.held_bytes
    }

    /// So many bytes of the reply that was just completed are pages of files, which the system
    /// takes back when it needs them.
    pub(crate) fn are_pages(&mut self, bytes: usize) {
        self.memory_bytes = self.memory_bytes.saturating_sub(bytes);
    }

    /// What the replies that are here take in memory, at most.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes.min(self.stored_bytes())
    }

    /// Throws everything away; what is completed later goes the same way.
    pub(crate) fn abandon(&mut self) {
        *self = Self {
            ended: true,
            ..Self::default()
        };
    }

    /// The next pieces to write, at most as many as `slices` holds.
    pub(crate) fn gather<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>, pieces_max: usize) {
        slices.extend(
            self.unsent
                .iter()
                .take(pieces_max)
                .map(|piece| IoSlice::new(piece)),
        );
    }

    /// Removes the first `bytes` bytes, which have been written.
    pub(crate) fn advance(&mut self, mut bytes: usize) {
        self.unsent_bytes -= bytes;
        self.memory_bytes = self.memory_bytes();
        while bytes > 0 {
            let piece = self
                .unsent
                .front_mut()
                .expect("no more is written than was there");
            if piece.len() > bytes {
                piece.advance(bytes);
                return;
            }
            bytes -= piece.len();
            self.unsent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsent(outbox: &Outbox) -> Vec<u8> {
        outbox.unsent.iter().flatten().copied().collect()
    }

    #[test]
    fn replies_leave_in_the_order_of_their_requests() {
        let mut outbox = Outbox::default();
        let slots: Vec<_> = (0..4).map(|_| outbox.take_slot()).collect();
        outbox.complete(slots[1], vec![Bytes::from_static(b"b")]);
        assert_eq!((outbox.unsent_bytes(), outbox.in_flight()), (0, 4));
        assert_eq!(outbox.stored_bytes(), 1, "it is held all the same");
        outbox.complete(
            slots[0],
            vec![Bytes::from_static(b"a1"), Bytes::from_static(b"a2")],
        );
        assert_eq!(unsent(&outbox), b"a1a2b");
        outbox.complete(slots[3], vec![Bytes::from_static(b"d")]);
        outbox.complete(slots[2], Vec::new());
        assert_eq!(
            (unsent(&outbox), outbox.in_flight()),
            (b"a1a2bd".to_vec(), 0)
        );
    }

    #[test]
    fn an_end_lets_replies_before_it_leave_and_none_after_it() {
        let mut outbox = Outbox::default();
        let slots: Vec<_> = (0..4).map(|_| outbox.take_slot()).collect();
        outbox.complete(slots[2], vec![Bytes::from_static(b"c")]);
        outbox.end_at(slots[1]);
        assert!(!outbox.has_ended());
        outbox.complete(slots[0], vec![Bytes::from_static(b"a")]);
        assert!(outbox.has_ended());
        outbox.complete(slots[3], vec![Bytes::from_static(b"d")]);
        assert_eq!((unsent(&outbox), outbox.in_flight()), (b"a".to_vec(), 0));
    }

    #[test]
    fn what_is_held_in_memory_leaves_out_pages_and_what_is_written() {
        let mut outbox = Outbox::default();
        let slots: Vec<_> = (0..2).map(|_| outbox.take_slot()).collect();
        outbox.complete(slots[1], vec![Bytes::from_static(b"held")]);
        assert_eq!(outbox.memory_bytes(), 4, "it waits for the first");
        let pieces = vec![Bytes::from_static(b"head"), Bytes::from_static(b"records")];
        outbox.complete(slots[0], pieces);
        outbox.are_pages(7);
        assert_eq!(outbox.memory_bytes(), 8);
        outbox.advance(12);
        assert_eq!(outbox.memory_bytes(), 3);
        outbox.advance(3);
        assert_eq!(outbox.memory_bytes(), 0);
        let slot = outbox.take_slot();
        outbox.abandon();
        outbox.complete(slot, vec![Bytes::from_static(b"late")]);
        assert_eq!((outbox.memory_bytes(), outbox.stored_bytes()), (0, 0));
    }

    #[test]
    fn a_short_write_goes_on_where_it_stopped() {
        let mut outbox = Outbox::default();
        let slot = outbox.take_slot();
        outbox.complete(
            slot,
            vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def")],
        );
        outbox.advance(4);
        assert_eq!(
            (unsent(&outbox), outbox.unsent_bytes()),
            (b"ef".to_vec(), 2)
        );
        let mut slices = Vec::new();
        outbox.gather(&mut slices, 8);
        assert_eq!(slices.len(), 1);
    }
}
