//! Takes primitives from the front of a frame.

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::StrBytes;
use klamm_model::TopicId;

use super::{DECODE_BYTES_PER_FRAME_BYTE, DECODE_SLACK_BYTES, Fault};

/// A node of the map that holds tagged fields nobody knows, for the first one of a struct.
const FIRST_TAG_BYTES: usize = 512;
/// And for each further one.
const FURTHER_TAG_BYTES: usize = 128;

/// The rest of a frame, and what may still be allocated for it.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    bytes: Bytes,
    budget_bytes: usize,
    flexible: bool,
}

impl Reader {
    /// Reads `frame` with a budget that follows from its length, in the forms of versions before
    /// the flexible ones.
    pub(crate) fn new(frame: Bytes) -> Self {
        let budget_bytes = DECODE_SLACK_BYTES + DECODE_BYTES_PER_FRAME_BYTE * frame.len();
        Self {
            bytes: frame,
            budget_bytes,
            flexible: false,
        }
    }

    /// From here on strings, arrays and bytes are compact, and structs end with tagged fields
    /// (KIP-482).
    pub(crate) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// What has not been read.
    pub(crate) fn into_rest(self) -> Bytes {
        self.bytes
    }

    /// Accounts for `bytes` about to be allocated.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        self.budget_bytes = self.budget_bytes.checked_sub(bytes).ok_or(Fault::Bloated)?;
        Ok(())
    }

    pub(crate) fn skip(&mut self, length: usize) -> Result<(), Fault> {
        self.need(length)?;
        self.bytes.advance(length);
        Ok(())
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Fault> {
        Ok(self.int8()? != 0)
    }

    pub(crate) fn int8(&mut self) -> Result<i8, Fault> {
        self.need(1)?;
        Ok(self.bytes.get_i8())
    }

    pub(crate) fn int16(&mut self) -> Result<i16, Fault> {
        self.need(2)?;
        Ok(self.bytes.get_i16())
    }

    pub(crate) fn int32(&mut self) -> Result<i32, Fault> {
        self.need(4)?;
        Ok(self.bytes.get_i32())
    }

    pub(crate) fn int64(&mut self) -> Result<i64, Fault> {
        self.need(8)?;
        Ok(self.bytes.get_i64())
    }

    pub(crate) fn topic_id(&mut self) -> Result<TopicId, Fault> {
        self.need(16)?;
        Ok(TopicId::from_bytes(self.bytes.get_u128().to_be_bytes()))
    }

    /// An unsigned variable-length integer of at most 32 bits.
    pub(crate) fn unsigned(&mut self) -> Result<u32, Fault> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            self.need(1)?;
            let byte = self.bytes.get_u8();
            if shift == 28 && byte > 0x0f {
                return Err(Fault::Varint);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Fault::Varint)
    }

    /// A string that may be null.
    pub(crate) fn nullable_text(&mut self) -> Result<Option<StrBytes>, Fault> {
        let length = self.text_length()?;
        self.take_text(length)
    }

    /// A string.
    pub(crate) fn text(&mut self) -> Result<StrBytes, Fault> {
        self.nullable_text()?.ok_or(Fault::Length)
    }

    /// A string in the older form whatever the version: the header's client id.
    pub(crate) fn nullable_text_of_16_bits(&mut self) -> Result<Option<StrBytes>, Fault> {
        let length = length_of(i64::from(self.int16()?))?;
        self.take_text(length)
    }

    /// Bytes that may be null, shared with the frame.
    pub(crate) fn nullable_blob(&mut self) -> Result<Option<Bytes>, Fault> {
        match self.count()? {
            None => Ok(None),
            Some(length) => {
                self.need(length)?;
                Ok(Some(self.bytes.split_to(length)))
            }
        }
    }

    pub(crate) fn skip_text(&mut self) -> Result<(), Fault> {
        let length = self.text_length()?.unwrap_or(0);
        self.skip(length)
    }

    pub(crate) fn skip_blob(&mut self) -> Result<(), Fault> {
        let length = self.count()?.unwrap_or(0);
        self.skip(length)
    }

    /// The count of an array that may be null. Nothing is promised about the elements being there.
    pub(crate) fn count(&mut self) -> Result<Option<usize>, Fault> {
        if self.flexible {
            return compact_length(self.unsigned()?);
        }
        length_of(i64::from(self.int32()?))
    }

    /// Reads an array whose elements have at least `wire_bytes_min` bytes each in the frame.
    pub(crate) fn array<T>(
        &mut self,
        wire_bytes_min: usize,
        element: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        self.nullable_array(wire_bytes_min, element)?
            .ok_or(Fault::Length)
    }

    /// As [`array`](Self::array), for one that may be null.
    pub(crate) fn nullable_array<T>(
        &mut self,
        wire_bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Option<Vec<T>>, Fault> {
        let Some(count) = self.count()? else {
            return Ok(None);
        };
        if count > self.bytes.len() / wire_bytes_min {
            return Err(Fault::CutShort);
        }
        self.charge(count * size_of::<T>())?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// Skips the tagged fields that end a struct of a flexible version. Charges for them as if
    /// they were kept.
    pub(crate) fn skip_tags(&mut self) -> Result<(), Fault> {
        self.tags(|_, _| Ok(()))
    }

    /// Hands each tagged field to `known`, with a reader of its own bytes.
    pub(crate) fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.unsigned()?;
        for index in 0..count {
            let price = if index == 0 {
                FIRST_TAG_BYTES
            } else {
                FURTHER_TAG_BYTES
            };
            self.charge(price)?;
            let tag = self.unsigned()?;
            let length = self.unsigned()? as usize;
            self.need(length)?;
            let mut field = Self {
                bytes: self.bytes.split_to(length),
                budget_bytes: self.budget_bytes,
                flexible: true,
            };
            known(tag, &mut field)?;
            self.budget_bytes = field.budget_bytes;
        }
        Ok(())
    }

    fn text_length(&mut self) -> Result<Option<usize>, Fault> {
        if self.flexible {
            return compact_length(self.unsigned()?);
        }
        length_of(i64::from(self.int16()?))
    }

    fn take_text(&mut self, length: Option<usize>) -> Result<Option<StrBytes>, Fault> {
        let Some(length) = length else {
            return Ok(None);
        };
        self.need(length)?;
        StrBytes::from_utf8(self.bytes.split_to(length))
            .map(Some)
            .map_err(|_| Fault::Text)
    }

    fn need(&self, length: usize) -> Result<(), Fault> {
        if self.bytes.len() < length {
            return Err(Fault::CutShort);
        }
        Ok(())
    }
}

/// Lengths and counts of the older forms: -1 is null.
fn length_of(length: i64) -> Result<Option<usize>, Fault> {
    match length {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| Fault::Length),
    }
}

/// Those of the compact forms: one more than the length, 0 is null.
fn compact_length(length: u32) -> Result<Option<usize>, Fault> {
    Ok((length as usize).checked_sub(1))
}
