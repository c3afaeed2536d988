//! Snappy in the framing of snappy-java, which Kafka's Java client writes; and bare, as others do.
//!
//! ```text
//!  0 magic           8 bytes  82 53 4e 41 50 50 59 00
//!  8 version         i32      1
//! 12 compatible with i32      1
//! 16 blocks                   each an i32 length and so many bytes of raw snappy
//! ```
//! Source: snappy-java's `SnappyCodec` and `SnappyOutputStream`.

use bytes::Bytes;
use snap::raw::{Decoder, Encoder, decompress_len};

use super::{Compression, InflateError};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_BYTES: usize = 16;
const VERSION: i32 = 1;
/// Uncompressed bytes per block: snappy-java's default.
const BLOCK_BYTES: usize = 32 * 1024;
/// No snappy element makes more of a byte: a copy of 64 bytes takes three.
const RATIO_MAX: usize = 32;

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut framed = MAGIC.to_vec();
    framed.extend_from_slice(&VERSION.to_be_bytes());
    framed.extend_from_slice(&VERSION.to_be_bytes());
    let mut encoder = Encoder::new();
    for block in bytes.chunks(BLOCK_BYTES) {
        let block = encoder
            .compress_vec(block)
            .expect("a block is far below the 4 GiB that snappy can do");
        let length = i32::try_from(block.len()).expect("a block stays small");
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&block);
    }
    framed
}

pub(super) fn inflate(bytes: &[u8], max_bytes: usize) -> Result<Bytes, InflateError> {
    let mut inflated = Vec::new();
    if !bytes.starts_with(&MAGIC) {
        inflate_block(bytes, &mut inflated, max_bytes)?;
        return Ok(inflated.into());
    }
    let mut rest = bytes
        .get(HEADER_BYTES..)
        .ok_or_else(|| damaged("the header is cut short"))?;
    while !rest.is_empty() {
        let (length, after) = rest
            .split_first_chunk()
            .ok_or_else(|| damaged("a block length is cut short"))?;
        let length = usize::try_from(i32::from_be_bytes(*length))
            .ok()
            .filter(|length| *length <= after.len())
            .ok_or_else(|| damaged("a block is cut short"))?;
        inflate_block(&after[..length], &mut inflated, max_bytes)?;
        rest = &after[length..];
    }
    Ok(inflated.into())
}

fn inflate_block(
    block: &[u8],
    inflated: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<(), InflateError> {
    let claimed = decompress_len(block).map_err(|error| damaged(&error.to_string()))?;
    if claimed > block.len().saturating_mul(RATIO_MAX) {
        return Err(damaged("a block claims more than snappy can hold"));
    }
    let start = inflated.len();
    if claimed > max_bytes - start {
        return Err(InflateError::TooLarge(max_bytes));
    }
    inflated.resize(start + claimed, 0);
    Decoder::new()
        .decompress(block, &mut inflated[start..])
        .map_err(|error| damaged(&error.to_string()))?;
    Ok(())
}

fn damaged(reason: &str) -> InflateError {
    InflateError::Damaged {
        codec: Compression::Snappy.name(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_snappy_is_read_as_well() {
        let bytes = b"abcabcabcabcabcabcabcabcabc".repeat(100);
        let bare = Encoder::new().compress_vec(&bytes).unwrap();
        assert_eq!(inflate(&bare, 10_000).unwrap(), bytes);
    }

    #[test]
    fn a_claim_of_4_gib_is_refused_before_memory_is_reserved() {
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
        assert!(matches!(
            inflate(&bomb, usize::MAX),
            Err(InflateError::Damaged { .. })
        ));
    }
}
