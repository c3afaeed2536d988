//! Zigzag variable-length integers, as records use them (Kafka's `ByteUtils`).

use bytes::{Buf, BufMut};

/// Appends `value` as a zigzag varint of at most 10 bytes; the same encoding serves 32-bit values.
pub(super) fn put(buffer: &mut impl BufMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        buffer.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    buffer.put_u8(rest as u8);
}

/// Takes a zigzag varint; `None` if the bytes end first or it has more than 10.
pub(super) fn take(buffer: &mut impl Buf) -> Option<i64> {
    let mut value: u64 = 0;
    for shift in (0..70).step_by(7) {
        if !buffer.has_remaining() {
            return None;
        }
        let byte = buffer.get_u8();
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_reads_back() {
        for value in [
            0,
            -1,
            1,
            63,
            -64,
            64,
            300,
            -300,
            i64::from(i32::MAX),
            i64::MIN,
            i64::MAX,
        ] {
            let mut buffer = Vec::new();
            put(&mut buffer, value);
            let mut rest = &buffer[..];
            assert_eq!(take(&mut rest), Some(value));
            assert!(rest.is_empty());
            assert_eq!(take(&mut &buffer[..buffer.len() - 1]), None);
        }
        assert_eq!(take(&mut &[0xff_u8; 11][..]), None);
    }
}
