//! Puts primitives at the end of a buffer.

use bytes::{BufMut, Bytes, BytesMut};
use klamm_model::TopicId;

/// A message being written: the bytes written here, with shared ones between them.
#[derive(Debug)]
pub(crate) struct Writer {
    /// What was written before the first shared bytes, if there were any.
    head: Option<BytesMut>,
    /// What follows the head.
    pieces: Vec<Bytes>,
    /// What was written since.
    bytes: BytesMut,
    flexible: bool,
}

/// A field is a few bytes: room for this much after shared bytes spares a reallocation.
const TAG_BYTES: usize = 32;

impl Writer {
    /// Starts with room for `capacity` bytes; `flexible` chooses the compact forms (KIP-482).
    pub(crate) fn new(capacity: usize, flexible: bool) -> Self {
        Self {
            head: None,
            pieces: Vec::new(),
            bytes: BytesMut::with_capacity(capacity),
            flexible,
        }
    }

    /// From here on the compact forms, or no longer: headers and bodies differ.
    #[cfg(any(test, feature = "sample"))]
    pub(crate) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Where code that is not ours writes.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Puts bytes in without copying them.
    pub(crate) fn shared(&mut self, bytes: Bytes) {
        if !self.bytes.is_empty() {
            self.cut();
        }
        self.pieces.push(bytes);
    }

    /// The pieces of a frame whose first four bytes, left for it by the caller, become the number
    /// of bytes that follow; and the size of the whole.
    pub(crate) fn into_frame(mut self) -> (Vec<Bytes>, usize) {
        if !self.bytes.is_empty() {
            self.cut();
        }
        let mut head = self.head.expect("a frame begins with its length");
        let size = head.len() + self.pieces.iter().map(Bytes::len).sum::<usize>();
        let length = i32::try_from(size - 4).expect("answers are smaller than 2 GiB");
        head[..4].copy_from_slice(&length.to_be_bytes());
        self.pieces.insert(0, head.freeze());
        (self.pieces, size)
    }

    fn cut(&mut self) {
        let written = self.bytes.split();
        if self.head.is_none() {
            self.head = Some(written);
        } else {
            self.pieces.push(written.freeze());
        }
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.bytes.put_u8(u8::from(value));
    }

    pub(crate) fn int16(&mut self, value: i16) {
        self.bytes.put_i16(value);
    }

    pub(crate) fn int32(&mut self, value: i32) {
        self.bytes.put_i32(value);
    }

    pub(crate) fn int64(&mut self, value: i64) {
        self.bytes.put_i64(value);
    }

    pub(crate) fn topic_id(&mut self, value: TopicId) {
        self.bytes.put_slice(value.as_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.put_slice(bytes);
    }

    pub(crate) fn unsigned(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.put_u8(value as u8);
    }

    /// A string of at most `i16::MAX` bytes; a longer one is a mistake of ours.
    pub(crate) fn text(&mut self, text: &str) {
        if self.flexible {
            self.compact_length(text.len());
        } else {
            let length = i16::try_from(text.len()).expect("strings Klamm sends are short");
            self.int16(length);
        }
        self.raw(text.as_bytes());
    }

    pub(crate) fn nullable_text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None if self.flexible => self.unsigned(0),
            None => self.int16(-1),
        }
    }

    /// The count of an array, or the length of bytes.
    pub(crate) fn count(&mut self, count: usize) {
        if self.flexible {
            self.compact_length(count);
        } else {
            self.int32(i32::try_from(count).expect("messages are smaller than 2 GiB"));
        }
    }

    /// A null array or null bytes.
    pub(crate) fn null(&mut self) {
        if self.flexible {
            self.unsigned(0);
        } else {
            self.int32(-1);
        }
    }

    /// An array.
    pub(crate) fn array<T>(&mut self, elements: &[T], mut element: impl FnMut(&mut Self, &T)) {
        self.count(elements.len());
        for each in elements {
            element(self, each);
        }
    }

    /// Ends a struct that has no tagged fields.
    pub(crate) fn no_tags(&mut self) {
        if self.flexible {
            self.unsigned(0);
        }
    }

    /// A tagged field; the caller has written how many there are, and goes by rising tags.
    pub(crate) fn tag(&mut self, tag: u32, content: impl FnOnce(&mut Self)) {
        let mut field = Self::new(TAG_BYTES, true);
        content(&mut field);
        self.unsigned(tag);
        self.unsigned(u32::try_from(field.bytes.len()).expect("tagged fields are small"));
        self.raw(&field.bytes);
    }

    fn compact_length(&mut self, length: usize) {
        self.unsigned(u32::try_from(length + 1).expect("messages are smaller than 2 GiB"));
    }
}
