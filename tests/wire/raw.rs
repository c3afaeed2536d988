//! Requests written byte by byte, for what the client's encoder cannot or will not write.

use bytes::{BufMut, Bytes, BytesMut};

use crate::client::Client;

/// A request's frame under construction; [`framed`](Self::framed) puts the length in front.
pub(crate) struct Raw(BytesMut);

impl Raw {
    /// Header version 1: what comes before the body of versions without tagged fields.
    pub(crate) fn new(
        key: i16,
        version: i16,
        correlation_id: i32,
        client_id: Option<&str>,
    ) -> Self {
        let mut bytes = BytesMut::new();
        bytes.put_i16(key);
        bytes.put_i16(version);
        bytes.put_i32(correlation_id);
        match client_id {
            Some(text) => {
                bytes.put_i16(i16::try_from(text.len()).expect("tests are small"));
                bytes.put_slice(text.as_bytes());
            }
            None => bytes.put_i16(-1),
        }
        Self(bytes)
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.put_slice(bytes);
        self
    }

    /// A compact string of less than 127 bytes.
    pub(crate) fn compact(mut self, text: &str) -> Self {
        self.0
            .put_u8(u8::try_from(text.len() + 1).expect("tests are small"));
        self.0.put_slice(text.as_bytes());
        self
    }

    /// The number of elements of a compact array.
    pub(crate) fn array(mut self, count: u8) -> Self {
        self.0.put_u8(count + 1);
        self
    }

    /// The end of a struct without tagged fields.
    pub(crate) fn no_tags(mut self) -> Self {
        self.0.put_u8(0);
        self
    }

    pub(crate) fn framed(self) -> Bytes {
        framed(&self.0)
    }
}

/// A frame of these bytes.
pub(crate) fn framed(body: &[u8]) -> Bytes {
    let length = i32::try_from(body.len()).expect("tests are small");
    let mut frame = BytesMut::with_capacity(4 + body.len());
    frame.put_i32(length);
    frame.put_slice(body);
    frame.freeze()
}

impl Client {
    /// Sends a frame and returns the answer's.
    pub(crate) fn exchange(&mut self, frame: &[u8]) -> Bytes {
        self.send_bytes(frame).expect("the connection is open");
        self.receive_frame().expect("the broker answers")
    }

    /// Sends bytes, after which the broker has to close the connection without an answer.
    pub(crate) fn closes_on(mut self, bytes: &[u8]) {
        // The broker may close while the rest is still being sent.
        let _ = self.send_bytes(bytes);
        match self.receive_frame() {
            Ok(frame) => panic!("answered {frame:?} to {bytes:?}"),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "left open"),
        }
    }
}

/// The first four bytes of an answer.
pub(crate) fn correlation_id(answer: &[u8]) -> i32 {
    i32::from_be_bytes(answer[..4].try_into().expect("an answer has a header"))
}
