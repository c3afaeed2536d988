//! What frames are made of: numbers, texts, addresses.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_model::{BrokerId, PartitionIndex, TopicId};

use super::{Address, Group, WireError};

pub(in crate::peer) const LENGTH_BYTES: usize = 4;

/// How long a frame is that begins with these bytes; `None` if it is longer than it may be.
pub(in crate::peer) fn frame_length(begins: [u8; LENGTH_BYTES], bytes_max: usize) -> Option<usize> {
    let length = usize::try_from(u32::from_be_bytes(begins)).ok()?;
    (length <= bytes_max).then_some(length)
}

pub(in crate::peer) fn frame() -> BytesMut {
    let mut out = BytesMut::with_capacity(128);
    out.put_u32(0);
    out
}

pub(in crate::peer) fn finished(mut out: BytesMut) -> Bytes {
    let length = u32::try_from(out.len() - LENGTH_BYTES).expect("frames are far smaller");
    out[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    out.freeze()
}

pub(in crate::peer) fn put_length(out: &mut BytesMut, length: usize) {
    out.put_u32(u32::try_from(length).expect("a batch is far smaller"));
}

pub(in crate::peer) fn put_text(out: &mut BytesMut, text: &str) {
    let length = text.floor_char_boundary(usize::from(u16::MAX));
    out.put_u16(u16::try_from(length).expect("it was cut"));
    out.put_slice(&text.as_bytes()[..length]);
}

pub(in crate::peer) fn put_broker(out: &mut BytesMut, broker: Option<BrokerId>) {
    out.put_i32(broker.map_or(-1, |broker| broker.0));
}

pub(in crate::peer) fn put_address(out: &mut BytesMut, address: &Address) {
    put_text(out, &address.host);
    out.put_u16(address.port);
}

pub(in crate::peer) fn put_group(out: &mut BytesMut, group: Group) {
    out.put_slice(group.topic_id.as_bytes());
    out.put_i32(group.partition.0);
}

pub(in crate::peer) fn take_u8(bytes: &mut Bytes) -> Result<u8, WireError> {
    bytes.try_get_u8().map_err(|_| WireError::Truncated)
}

pub(in crate::peer) fn take_text(bytes: &mut Bytes) -> Result<String, WireError> {
    let length = bytes.try_get_u16().map_err(|_| WireError::Truncated)?;
    let length = usize::from(length);
    if bytes.len() < length {
        return Err(WireError::Truncated);
    }
    let text = std::str::from_utf8(&bytes[..length]).map(str::to_owned);
    bytes.advance(length);
    text.map_err(|_| WireError::Text)
}

pub(in crate::peer) fn take_broker(bytes: &mut Bytes) -> Result<Option<BrokerId>, WireError> {
    let number = bytes.try_get_i32().map_err(|_| WireError::Truncated)?;
    Ok((number >= 0).then_some(BrokerId(number)))
}

pub(in crate::peer) fn take_id(bytes: &mut Bytes) -> Result<TopicId, WireError> {
    let mut id = [0; 16];
    let taken = bytes.try_copy_to_slice(&mut id);
    taken.map_err(|_| WireError::Truncated)?;
    Ok(TopicId::from_bytes(id))
}

pub(in crate::peer) fn take_address(bytes: &mut Bytes) -> Result<Address, WireError> {
    Ok(Address {
        host: take_text(bytes)?,
        port: bytes.try_get_u16().map_err(|_| WireError::Truncated)?,
    })
}

pub(in crate::peer) fn take_group(bytes: &mut Bytes) -> Result<Group, WireError> {
    let topic_id = take_id(bytes)?;
    let partition = bytes.try_get_i32().map_err(|_| WireError::Truncated)?;
    Ok(Group {
        topic_id,
        partition: PartitionIndex(partition),
    })
}

pub(in crate::peer) fn end(bytes: &Bytes) -> Result<(), WireError> {
    match bytes.len() {
        0 => Ok(()),
        left => Err(WireError::Trailing(left)),
    }
}
