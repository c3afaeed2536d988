//! What waits to be written to a socket: small messages are gathered in one piece of memory, large
//! ones stay the slices that they are.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    pieces: VecDeque<Bytes>,
    /// The end of it, still growing.
    tail: BytesMut,
    bytes: usize,
}

/// Up to so many bytes copying is cheaper than another piece, and than the buffer that the piece
/// would keep from being freed.
const COPIED_BYTES_MAX: usize = 2 << 10;
const TAIL_BYTES: usize = 16 << 10;

impl Unsent {
    /// Bytes in all.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        if piece.len() <= COPIED_BYTES_MAX {
            self.room(piece.len()).extend_from_slice(&piece);
        } else {
            self.seal();
            self.pieces.push_back(piece);
        }
    }

    /// Lets `write` add a few bytes.
    pub(super) fn push_with(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let tail = self.room(64);
        let before = tail.len();
        write(tail);
        self.bytes += tail.len() - before;
    }

    fn room(&mut self, bytes: usize) -> &mut BytesMut {
        if self.tail.capacity() - self.tail.len() < bytes {
            self.seal();
            self.tail.reserve(TAIL_BYTES.max(bytes));
        }
        &mut self.tail
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
    }

    /// The first pieces, for one vectored write.
    pub(super) fn gather<'a>(&'a mut self, slices: &mut Vec<IoSlice<'a>>, pieces_max: usize) {
        self.seal();
        let first = self.pieces.iter().take(pieces_max);
        slices.extend(first.map(|piece| IoSlice::new(piece)));
    }

    /// So many bytes were written.
    pub(super) fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while written > 0 {
            let first = self.pieces.front_mut().expect("what was written was here");
            let part = written.min(first.len());
            first.advance(part);
            written -= part;
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_whatever_its_size_and_however_it_is_written() {
        let mut unsent = Unsent::default();
        let mut expected = Vec::new();
        for number in 0..200_usize {
            let piece = vec![number as u8; number * 97 % 5_000];
            expected.extend_from_slice(&piece);
            if number % 3 == 0 && piece.len() <= 64 {
                unsent.push_with(|out| out.extend_from_slice(&piece));
            } else {
                unsent.push(piece.into());
            }
        }
        assert_eq!(unsent.bytes(), expected.len());
        let mut written = Vec::new();
        while unsent.bytes() > 0 {
            let mut slices = Vec::new();
            unsent.gather(&mut slices, 4);
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let part = all.len().min(1_000);
            written.extend_from_slice(&all[..part]);
            unsent.advance(part);
        }
        assert_eq!(written, expected);
    }
}
