//! One chunk on the disk, and whether what is read of it is what was written.

use std::ops::Range;

/// Bytes with a checksum of their own, so that a small read does not need the whole chunk.
const BLOCK_BYTES: usize = 256 << 10;

/// A chunk on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptChunk {
    /// The number of its file.
    pub(super) file: u64,
    length: usize,
    /// CRC-32 of each block.
    checksums: Vec<u32>,
}

impl KeptChunk {
    pub(super) fn new(file: u64, bytes: &[u8]) -> Self {
        Self {
            file,
            length: bytes.len(),
            checksums: bytes.chunks(BLOCK_BYTES).map(crc32fast::hash).collect(),
        }
    }

    /// The whole blocks that hold a range of the chunk.
    pub(super) fn blocks_of(&self, range: &Range<usize>) -> Range<usize> {
        let start = range.start / BLOCK_BYTES * BLOCK_BYTES;
        let end = range.end.next_multiple_of(BLOCK_BYTES).min(self.length);
        start.min(end)..end
    }

    /// Whether `bytes` are those of the blocks that begin at `start`.
    pub(super) fn is_right(&self, start: usize, bytes: &[u8]) -> bool {
        let checksums = self.checksums.iter().skip(start / BLOCK_BYTES);
        let blocks = bytes.chunks(BLOCK_BYTES).map(crc32fast::hash);
        blocks
            .zip(checksums)
            .all(|(found, expected)| found == *expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_checked_by_the_blocks_around_it() {
        let mut bytes: Vec<_> = (0..BLOCK_BYTES * 2 + 100).map(|at| at as u8).collect();
        bytes[BLOCK_BYTES] = 99;
        let chunk = KeptChunk::new(1, &bytes);
        let check = |range: Range<usize>, expected: Range<usize>| {
            let blocks = chunk.blocks_of(&range);
            assert_eq!(blocks, expected);
            assert!(chunk.is_right(blocks.start, &bytes[blocks.clone()]));
            let mut damaged = bytes[blocks.clone()].to_vec();
            let last = damaged.len() - 1;
            damaged[last] ^= 1;
            assert!(!chunk.is_right(blocks.start, &damaged));
        };
        check(0..1, 0..BLOCK_BYTES);
        check(BLOCK_BYTES - 1..BLOCK_BYTES + 1, 0..BLOCK_BYTES * 2);
        check(
            BLOCK_BYTES * 2 + 50..BLOCK_BYTES * 2 + 100,
            BLOCK_BYTES * 2..bytes.len(),
        );
    }
}
