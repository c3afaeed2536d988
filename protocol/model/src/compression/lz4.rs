//! LZ4 in its frame format, in independent blocks of 64 KiB as Kafka's Java client writes them.
//! The broken frame checksum of message format 0 has no place in v2 batches.
//!
//! A frame's header names its block size, of which the format allows 4 MiB at the most; liblz4
//! sets aside two blocks on its word, and touches them only as far as data really comes out.

use std::io::{self, ErrorKind, Read, Write};

use lz4::liblz4::BlockChecksum;
use lz4::{BlockMode, BlockSize, ContentChecksum, EncoderBuilder};

use super::Compression;

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
/// Bits of the byte after [`MAGIC`] that are zero in every frame Kafka reads: reserved, and "needs
/// a dictionary". liblz4 would inflate such a frame without its dictionary.
const FLAGS_REFUSED: u8 = 0b11;

/// What liblz4 calls its fast compressor.
const FAST: u32 = 0;
/// The levels of its high compressor, which those of Kafka reach beyond at both ends.
const HIGH_MIN: u32 = 2;
const HIGH_MAX: u32 = 12;

pub(super) fn deflate(level: i32, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = EncoderBuilder::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent)
        .block_checksum(BlockChecksum::NoBlockChecksum)
        .checksum(ContentChecksum::NoChecksum)
        .level(level_of(level))
        .build(Vec::new())?;
    encoder.write_all(bytes)?;
    let (deflated, ended) = encoder.finish();
    ended.map(|()| deflated)
}

/// The level of liblz4 for one of Kafka's. Kafka's default stands for the fast compressor, for the
/// sake of the time when there was no level, and every other for the high one.
fn level_of(level: i32) -> u32 {
    if level == Compression::Lz4.default_level() {
        return FAST;
    }
    u32::try_from(level).map_or(HIGH_MIN, |level| level.clamp(HIGH_MIN, HIGH_MAX))
}

/// Inflates the first frame, as Kafka does: whatever stands behind it is not looked at.
pub(super) fn decoder(bytes: &[u8]) -> io::Result<Decoder<'_>> {
    let flags = bytes.strip_prefix(&MAGIC).and_then(|rest| rest.first());
    match flags {
        // liblz4 skips what is marked to be skipped, and an empty frame is not one of records.
        None => Err(damaged("not an LZ4 frame")),
        Some(flags) if flags & FLAGS_REFUSED != 0 => Err(damaged("flags that are not known")),
        Some(_) => Ok(Decoder {
            frame: Some(lz4::Decoder::new(bytes)?),
        }),
    }
}

/// Reads one frame to its end mark.
pub(super) struct Decoder<'a> {
    /// `None` once it has ended.
    frame: Option<lz4::Decoder<&'a [u8]>>,
}

impl Read for Decoder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(frame) = &mut self.frame else {
            return Ok(0);
        };
        let length = frame.read(buffer)?;
        if length == 0
            && !buffer.is_empty()
            && let Some(frame) = self.frame.take()
        {
            // The library takes a frame that is cut short for one that has ended.
            let (_, ended) = frame.finish();
            ended.map_err(|_| damaged("the frame is cut short"))?;
        }
        Ok(length)
    }
}

fn damaged(reason: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::InflateError;
    use super::*;

    /// Lines that look alike, as those of a log do.
    fn lines() -> Vec<u8> {
        let mut state = 1_u32;
        let mut bytes = Vec::new();
        while bytes.len() < 200_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let line = format!("user={} page=/p/{}\n", state >> 20, state >> 27);
            bytes.extend_from_slice(line.as_bytes());
        }
        bytes
    }

    fn inflate(bytes: Vec<u8>) -> Result<Bytes, InflateError> {
        Compression::Lz4.inflate(&bytes.into(), 1 << 20)
    }

    #[test]
    fn a_higher_level_makes_fewer_bytes_and_kafkas_default_is_the_fast_one() {
        let bytes = lines();
        let size = |level| deflate(level, &bytes).unwrap().len();
        let sizes = [9, 1, 3, 12].map(size);
        assert!(sizes.is_sorted_by(|more, less| more > less), "{sizes:?}");
        assert_eq!(size(17), size(12), "there are no more than twelve");
        assert_eq!(size(2), size(1), "the lowest of the high ones");
    }

    #[test]
    fn every_level_comes_back_as_it_went() {
        let bytes = lines();
        for level in 1..=17 {
            let deflated = deflate(level, &bytes).unwrap();
            assert_eq!(inflate(deflated).unwrap(), bytes, "level {level}");
        }
    }

    #[test]
    fn a_frame_is_one_that_kafka_reads() {
        for level in [1, 9, 17] {
            let deflated = deflate(level, &lines()).unwrap();
            let version_1_independent_blocks_nothing_else = 0b0110_0000;
            let blocks_of_64_kib = 4 << 4;
            assert_eq!(deflated[..4], MAGIC);
            assert_eq!(deflated[4], version_1_independent_blocks_nothing_else);
            assert_eq!(deflated[5], blocks_of_64_kib);
            assert!(deflated.ends_with(&[0; 4]), "an end mark");
        }
    }

    #[test]
    fn only_the_first_frame_is_read() {
        let frame = deflate(9, b"one").unwrap();
        let two = [frame.clone(), frame.clone()].concat();
        assert_eq!(inflate(two).unwrap(), b"one".as_slice());
        let behind = [frame, b"junk".to_vec()].concat();
        assert_eq!(inflate(behind).unwrap(), b"one".as_slice());
    }

    #[test]
    fn what_is_no_whole_frame_is_refused() {
        let frame = deflate(9, b"some bytes").unwrap();
        for cut in 0..frame.len() {
            assert!(inflate(frame[..cut].to_vec()).is_err(), "cut at {cut}");
        }
        let skippable = [
            &0x184d_2a50_u32.to_le_bytes()[..],
            &[4, 0, 0, 0, 1, 2, 3, 4],
        ]
        .concat();
        let legacy = [&0x184c_2102_u32.to_le_bytes()[..], &[0; 8]].concat();
        for odd in [skippable, legacy, b"no frame at all".to_vec()] {
            assert!(inflate(odd).is_err());
        }
    }

    #[test]
    fn a_frame_that_needs_a_dictionary_is_refused() {
        let mut frame = deflate(9, b"some bytes").unwrap();
        frame[4] |= 1;
        assert!(matches!(
            inflate(frame),
            Err(InflateError::Damaged { reason, .. }) if reason == "flags that are not known"
        ));
    }
}
