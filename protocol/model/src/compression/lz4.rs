//! LZ4 in its frame format, in independent blocks of 64 KiB as Kafka's Java client writes them.
//! The broken frame checksum of message format 0 has no place in v2 batches.
//!
//! A frame's header names its block size, of which the format allows 4 MiB at the most; the decoder
//! reserves a few blocks on its word.

use std::io::{self, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

pub(super) fn deflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let info = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes)?;
    encoder.finish().map_err(io::Error::from)
}

pub(super) fn decoder(bytes: &[u8]) -> FrameDecoder<&[u8]> {
    FrameDecoder::new(bytes)
}
