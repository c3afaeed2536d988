//! The four codecs of record batches, with a limit on what may come out.
//!
//! What a client sent is inflated in steps and given up once it exceeds the caller's limit, so a
//! small batch that inflates to gigabytes costs no more than the limit. Memory follows what has
//! come out, never a size that the compressed bytes claim.

mod lz4;
mod snappy;

use std::io::{self, Read, Write};

use bytes::{BufMut, Bytes, BytesMut};

pub use crate::record_batch::Compression;

/// Bytes inflated at a time, and the least room reserved.
const STEP_BYTES: usize = 16 * 1024;

/// The largest zstd window read, as a power of two: what zstd and Kafka's Java library allow by
/// default. The window's pages are touched only as far as data really comes out.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Why bytes do not inflate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// They are not what the codec writes.
    #[error("{codec} data is damaged: {reason}")]
    Damaged {
        /// The codec's name.
        codec: &'static str,
        /// What the codec says.
        reason: String,
    },
    /// More comes out than the caller allows.
    #[error("inflates to more than allowed max_bytes={0}")]
    TooLarge(usize),
}

impl Compression {
    /// Kafka's name, as in `compression.type`; "none" for no compression.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The level that Kafka uses unless told otherwise (`compression.gzip.level` and so on);
    /// 0 for codecs without levels.
    pub const fn default_level(self) -> i32 {
        match self {
            Self::None | Self::Snappy => 0,
            Self::Gzip => -1,
            Self::Lz4 => 9,
            Self::Zstd => 3,
        }
    }

    /// Compresses. `level` is that of Kafka's topic settings: 1 to 9 or -1 for gzip, 1 to 17
    /// for LZ4, the range of the library for zstd.
    pub fn deflate(self, level: i32, bytes: &[u8]) -> Bytes {
        let done = match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Gzip => gzip(level, bytes),
            Self::Snappy => Ok(snappy::deflate(bytes)),
            Self::Lz4 => lz4::deflate(level, bytes),
            Self::Zstd => zstd(level, bytes),
        };
        done.expect("writing to memory does not fail").into()
    }

    /// Inflates to at most `max_bytes`. Uncompressed bytes are shared, not copied.
    pub fn inflate(self, bytes: &Bytes, max_bytes: usize) -> Result<Bytes, InflateError> {
        let input = bytes.as_ref();
        match self {
            Self::None if bytes.len() > max_bytes => Err(InflateError::TooLarge(max_bytes)),
            Self::None => Ok(bytes.clone()),
            Self::Gzip => self.drain(flate2::read::MultiGzDecoder::new(input), max_bytes),
            Self::Snappy => snappy::inflate(input, max_bytes),
            Self::Lz4 => {
                let decoder = lz4::decoder(input).map_err(|error| self.damaged(&error))?;
                self.drain(decoder, max_bytes)
            }
            Self::Zstd => {
                let decoder = zstd_decoder(input).map_err(|error| self.damaged(&error))?;
                self.drain(decoder, max_bytes)
            }
        }
    }

    fn drain(self, mut decoder: impl Read, max_bytes: usize) -> Result<Bytes, InflateError> {
        let mut inflated = BytesMut::new();
        let mut step = [0; STEP_BYTES];
        loop {
            let length = match decoder.read(&mut step) {
                Ok(0) => return Ok(inflated.freeze()),
                Ok(length) => length,
                Err(error) => return Err(self.damaged(&error)),
            };
            if inflated.len() + length > max_bytes {
                return Err(InflateError::TooLarge(max_bytes));
            }
            inflated.put_slice(&step[..length]);
        }
    }

    fn damaged(self, error: &io::Error) -> InflateError {
        InflateError::Damaged {
            codec: self.name(),
            reason: error.to_string(),
        }
    }
}

fn gzip(level: i32, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let level = u32::try_from(level).map_or(flate2::Compression::default(), |level| {
        flate2::Compression::new(level.min(9))
    });
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn zstd(level: i32, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn zstd_decoder(bytes: &[u8]) -> io::Result<zstd::stream::read::Decoder<'static, &[u8]>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    /// Bytes that compress a little: words repeated at irregular distances.
    fn text(length: usize) -> Vec<u8> {
        let mut state = 12_345_u32;
        let mut bytes = Vec::new();
        while bytes.len() < length {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.extend_from_slice(format!("word{} ", state >> 24).as_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn what_goes_in_comes_out_with_every_codec_size_and_level() {
        for codec in ALL {
            for length in [0, 1, 100, 32_768, 32_769, 300_000] {
                for level in [codec.default_level(), 1, 9] {
                    let bytes = text(length);
                    let deflated = codec.deflate(level, &bytes);
                    assert!(
                        codec == Compression::None || length < 1_000 || deflated.len() < length
                    );
                    assert_eq!(codec.inflate(&deflated, length).unwrap(), bytes);
                }
            }
        }
    }

    #[test]
    fn one_byte_over_the_limit_is_refused() {
        for codec in ALL {
            let deflated = codec.deflate(codec.default_level(), &text(100_000));
            assert_eq!(
                codec.inflate(&deflated, 99_999),
                Err(InflateError::TooLarge(99_999)),
                "{codec:?}"
            );
        }
    }

    #[test]
    fn damage_never_panics_and_a_cut_never_invents_bytes() {
        let bytes = text(5_000);
        for codec in &ALL[1..] {
            let deflated = codec.deflate(codec.default_level(), &bytes);
            for cut in 0..deflated.len() {
                // Framed snappy does not tell a cut between its blocks from the end; the record
                // count of the batch does.
                if let Ok(inflated) = codec.inflate(&deflated.slice(..cut), 10_000) {
                    assert!(bytes.starts_with(&inflated), "{codec:?} cut at {cut}");
                }
            }
            for position in 0..deflated.len() {
                let mut damaged = deflated.to_vec();
                damaged[position] ^= 0x55;
                let _ = codec.inflate(&damaged.into(), 10_000);
            }
        }
    }
}
