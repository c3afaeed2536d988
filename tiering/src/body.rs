//! What is to be written: a content of known size that is read piece by piece.
//!
//! A segment may be larger than what a broker can spare of its memory, so a store asks for a piece when
//! it can send it on, and for the same one again if it has to repeat itself.

use std::io;
use std::ops::Range;

use bytes::Bytes;

use crate::object_store::StoreError;

/// How much of a body is read at once, in bytes.
pub const PIECE_BYTES: u64 = 8 * 1024 * 1024;

/// The content of an object that is to be written. It never changes.
pub trait ObjectBody: Send + Sync {
    /// How large it is.
    fn size_bytes(&self) -> u64;

    /// Bytes `range`, which lie within the size: all of them.
    ///
    /// It may wait for a disk, so stores call it where that keeps nobody waiting.
    ///
    /// # Errors
    /// If the bytes cannot be had.
    fn read(&self, range: Range<u64>) -> io::Result<Bytes>;
}

impl ObjectBody for Bytes {
    fn size_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let position = |at: u64| usize::try_from(at).map_err(io::Error::other);
        Ok(self.slice(position(range.start)?..position(range.end)?))
    }
}

/// Reads a piece of a body.
///
/// # Errors
/// [`StoreError::Unreadable`] if the body does not give it.
pub fn read_piece(body: &dyn ObjectBody, range: Range<u64>) -> Result<Bytes, StoreError> {
    let unreadable = |reason| StoreError::Unreadable { reason };
    let piece = body.read(range.clone());
    let piece = piece.map_err(|error| unreadable(error.to_string()))?;
    if piece.len() as u64 != range.end - range.start {
        let found = piece.len();
        return Err(unreadable(format!(
            "the body ends early range={range:?} found={found}"
        )));
    }
    Ok(piece)
}

/// Ranges of at most `piece_bytes` that together are `size_bytes`, in their order.
pub fn pieces(size_bytes: u64, piece_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let count = size_bytes.div_ceil(piece_bytes);
    (0..count).map(move |piece| {
        let start = piece * piece_bytes;
        start..size_bytes.min(start + piece_bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_end_to_end() {
        let of = |size, piece| pieces(size, piece).collect::<Vec<_>>();
        assert_eq!(of(0, 4), Vec::<Range<u64>>::new());
        assert_eq!(of(4, 4), vec![0..4; 1]);
        assert_eq!(of(9, 4), [0..4, 4..8, 8..9]);
    }

    #[test]
    fn a_body_that_is_shorter_than_it_says_is_not_taken() {
        struct Short;
        impl ObjectBody for Short {
            fn size_bytes(&self) -> u64 {
                10
            }
            fn read(&self, _: Range<u64>) -> io::Result<Bytes> {
                Ok(Bytes::from_static(b"123"))
            }
        }
        let read = read_piece(&Short, 0..10);
        assert!(
            matches!(read, Err(StoreError::Unreadable { .. })),
            "{read:?}"
        );
    }
}
