//! Kafka's primitive types, for small records: big-endian numbers, texts and byte strings with a
//! length before them (two or four bytes, or a varint plus one where flexible).

use bytes::{BufMut, Bytes, BytesMut};
use klamm_model::TopicId;

use super::RecordError;

/// The longest text in bytes that a two-byte length can announce.
pub const STRING_LENGTH_MAX: usize = i16::MAX as usize;

/// Reads from the front. Lengths are checked against what is there before anything is copied.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn i16(&mut self) -> Result<i16, RecordError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, RecordError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, RecordError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A text that must be there.
    pub(super) fn string(&mut self) -> Result<String, RecordError> {
        self.nullable_string()?.ok_or(RecordError::Malformed)
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<String>, RecordError> {
        match self.i16()? {
            -1 => Ok(None),
            length => self.text(length.into()).map(Some),
        }
    }

    pub(super) fn compact_string(&mut self) -> Result<String, RecordError> {
        self.compact_nullable_string()?
            .ok_or(RecordError::Malformed)
    }

    pub(super) fn compact_nullable_string(&mut self) -> Result<Option<String>, RecordError> {
        match self.compact_length()? {
            None => Ok(None),
            Some(length) => self.text(length).map(Some),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, RecordError> {
        let length = self.i32()?;
        self.take(length.into()).map(Bytes::copy_from_slice)
    }

    pub(super) fn compact_bytes(&mut self) -> Result<Bytes, RecordError> {
        let length = self.compact_length()?.ok_or(RecordError::Malformed)?;
        self.take(length).map(Bytes::copy_from_slice)
    }

    /// The count of a flexible array, or the length of a text, less one; `None`: null.
    pub(super) fn compact_length(&mut self) -> Result<Option<i64>, RecordError> {
        Ok(i64::from(self.unsigned_varint()?)
            .checked_sub(1)
            .filter(|length| *length >= 0))
    }

    /// The tagged fields at the end of a flexible structure; `known` gets tag and bytes.
    pub(super) fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &[u8]) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()?;
            known(tag, self.take(size.into())?)?;
        }
        Ok(())
    }

    fn unsigned_varint(&mut self) -> Result<u32, RecordError> {
        let mut value: u32 = 0;
        for shift in (0..32).step_by(7) {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RecordError::Malformed)
    }

    fn text(&mut self, length: i64) -> Result<String, RecordError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| RecordError::Malformed)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (array, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, length: i64) -> Result<&'a [u8], RecordError> {
        let length = usize::try_from(length).map_err(|_| RecordError::Malformed)?;
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Writes at the end.
pub(super) struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// Begins with the two bytes of the key's kind or the value's version.
    pub(super) fn new(version: i16) -> Self {
        let mut bytes = BytesMut::new();
        bytes.put_i16(version);
        Self { bytes }
    }

    pub(super) fn finish(self) -> Bytes {
        self.bytes.freeze()
    }

    pub(super) fn i32(&mut self, number: i32) {
        self.bytes.put_i32(number);
    }

    pub(super) fn i64(&mut self, number: i64) {
        self.bytes.put_i64(number);
    }

    pub(super) fn string(&mut self, text: &str) {
        let length = i16::try_from(text.len()).expect("the text's length was checked");
        self.bytes.put_i16(length);
        self.bytes.put_slice(text.as_bytes());
    }

    pub(super) fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.bytes.put_i16(-1),
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let length = i32::try_from(bytes.len()).expect("a request is smaller than 2 GiB");
        self.bytes.put_i32(length);
        self.bytes.put_slice(bytes);
    }

    pub(super) fn compact_string(&mut self, text: &str) {
        let length = u32::try_from(text.len()).expect("a request is smaller than 2 GiB");
        self.unsigned_varint(length + 1);
        self.bytes.put_slice(text.as_bytes());
    }

    /// The end of a flexible structure that has no tagged field.
    pub(super) fn no_tagged_fields(&mut self) {
        self.unsigned_varint(0);
    }

    /// The end of a flexible structure whose one tagged field is a uuid under tag 0.
    pub(super) fn one_tagged_uuid(&mut self, id: TopicId) {
        const UUID_SIZE: u32 = 16;
        self.unsigned_varint(1);
        self.unsigned_varint(0);
        self.unsigned_varint(UUID_SIZE);
        self.bytes.put_slice(id.as_bytes());
    }

    fn unsigned_varint(&mut self, mut value: u32) {
        while value > 0x7f {
            self.bytes.put_u8((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.bytes.put_u8(value as u8);
    }
}
