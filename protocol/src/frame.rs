//! Bytes in, whole request frames out. No sockets.
//!
//! A frame is a 32-bit length and that many bytes. The length is a stranger's word: memory follows
//! the bytes that have arrived, doubling at most, and a length over the limit is refused at once.

use bytes::{Buf, Bytes, BytesMut};

/// Room kept for the next read from the socket, and the least by which the buffer grows.
pub const READ_BYTES: usize = 16 * 1024;

const LENGTH_BYTES: usize = 4;

/// Collects what a socket delivers and cuts it into frames.
#[derive(Debug)]
pub struct FrameDecoder {
    arrived: BytesMut,
    frame_bytes_max: usize,
}

/// Why a connection must be closed: the stream has no frame boundary any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A negative length.
    #[error("frame length is negative length={0}")]
    Negative(i32),
    /// Over `socket.request.max.bytes`.
    #[error("frame is larger than allowed length={length} max={max}{}", guess(*length))]
    TooLarge {
        /// What the frame says.
        length: i32,
        /// What is allowed.
        max: usize,
    },
}

impl FrameDecoder {
    /// Refuses frames of more than `frame_bytes_max` bytes (`socket.request.max.bytes`).
    pub fn new(frame_bytes_max: usize) -> Self {
        Self {
            arrived: BytesMut::new(),
            frame_bytes_max,
        }
    }

    /// Where to read into: has room for a quarter of [`READ_BYTES`] at least. Grows with what has arrived, never
    /// with what a length field promises.
    pub fn buffer(&mut self) -> &mut BytesMut {
        let spare = self.arrived.capacity() - self.arrived.len();
        if spare < READ_BYTES / 4 {
            let doubling = self.arrived.len().max(READ_BYTES);
            self.arrived
                .reserve(self.missing_bytes().clamp(READ_BYTES, doubling));
        }
        &mut self.arrived
    }

    /// The next whole frame without its length, sharing the receive buffer; `None` until more
    /// bytes arrive. After an error the connection is beyond repair.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.frame_length()? else {
            return Ok(None);
        };
        if self.arrived.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.arrived.advance(LENGTH_BYTES);
        Ok(Some(self.arrived.split_to(length).freeze()))
    }

    /// Gives the buffer back while the connection is idle; nothing may be pending.
    pub fn release_buffer(&mut self) {
        assert!(
            self.arrived.is_empty(),
            "what has arrived is not thrown away"
        );
        self.arrived = BytesMut::new();
    }

    /// Bytes that have arrived and are not yet part of a whole frame.
    pub fn pending_bytes(&self) -> usize {
        self.arrived.len()
    }

    fn frame_length(&self) -> Result<Option<usize>, FrameError> {
        let Some(length) = self.arrived.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*length);
        let size = usize::try_from(length).map_err(|_| FrameError::Negative(length))?;
        if size > self.frame_bytes_max {
            return Err(FrameError::TooLarge {
                length,
                max: self.frame_bytes_max,
            });
        }
        Ok(Some(size))
    }

    /// How many bytes the frame that has begun still lacks.
    fn missing_bytes(&self) -> usize {
        match self.frame_length() {
            Ok(Some(length)) => (LENGTH_BYTES + length).saturating_sub(self.arrived.len()),
            _ => LENGTH_BYTES,
        }
    }
}

/// The usual strangers on a Kafka port, told by what their first bytes are as a length.
fn guess(length: i32) -> &'static str {
    match &length.to_be_bytes() {
        [0x16, 0x03, ..] => " (a TLS client on a plaintext listener?)",
        b"GET " | b"POST" | b"HEAD" | b"PUT " | b"OPTI" => " (an HTTP client?)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(decoder: &mut FrameDecoder, bytes: &[u8]) {
        decoder.buffer();
        decoder.arrived.extend_from_slice(bytes);
    }

    #[test]
    fn frames_come_out_whole_however_the_bytes_are_cut() {
        let stream = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01d";
        for cut in 0..stream.len() {
            let mut decoder = FrameDecoder::new(100);
            let mut frames = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                feed(&mut decoder, part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [&b"abc"[..], b"", b"d"], "cut at {cut}");
            assert_eq!(decoder.pending_bytes(), 0);
        }
    }

    #[test]
    fn quirk_11_impossible_lengths_and_strangers_are_refused_at_the_fourth_byte() {
        let check = |bytes: &[u8], expected: &str| {
            let mut decoder = FrameDecoder::new(1_000_000);
            feed(&mut decoder, bytes);
            assert_eq!(decoder.next_frame().unwrap_err().to_string(), expected);
        };
        check(b"\xff\xff\xff\xff", "frame length is negative length=-1");
        check(
            b"\x16\x03\x01\x02\0",
            "frame is larger than allowed length=369295618 max=1000000 \
             (a TLS client on a plaintext listener?)",
        );
        check(
            b"GET / HTTP/1.1",
            "frame is larger than allowed length=1195725856 max=1000000 (an HTTP client?)",
        );
    }

    #[test]
    fn memory_follows_the_bytes_that_arrived_not_the_length() {
        let mut decoder = FrameDecoder::new(100 << 20);
        feed(&mut decoder, &(100_i32 << 20).to_be_bytes());
        let mut most_per_byte = 0;
        while decoder.next_frame().unwrap().is_none() {
            let arrived = decoder.arrived.len();
            assert!(decoder.buffer().capacity() <= 4 * arrived + 2 * READ_BYTES);
            most_per_byte = most_per_byte.max(decoder.arrived.capacity() / arrived);
            decoder.arrived.extend_from_slice(&[0; 65_536]);
        }
        assert!(most_per_byte >= 1);
    }
}
