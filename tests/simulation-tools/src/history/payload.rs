//! What a record's value looks like: it says where it belongs, over and over up to its size, so
//! that a byte of another record in it is noticed without a checksum.

use crate::history::event::{Partition, Value};

/// Ends one repetition.
const END: u8 = b';';

/// The value of a record, `size` bytes long or as long as it must be to be complete once.
pub fn payload(partition: &Partition, value: Value, size: usize) -> Vec<u8> {
    let once = once(partition, value);
    let size = size.max(once.len());
    once.iter().copied().cycle().take(size).collect()
}

fn once(partition: &Partition, value: Value) -> Vec<u8> {
    let Partition { topic, index } = partition;
    format!("{topic}/{index}/{value};").into_bytes()
}

/// Which value it is; `None` if it does not belong there or is damaged.
pub fn value(partition: &Partition, payload: &[u8]) -> Option<Value> {
    let length = payload.iter().position(|byte| *byte == END)?;
    let text = std::str::from_utf8(&payload[..length]).ok()?;
    let mut parts = text.rsplit('/');
    let number = parts.next()?.parse().ok()?;
    let producer = parts.next()?.parse().ok()?;
    let found = Value { producer, number };
    let expected = once(partition, found);
    let mut pairs = payload.iter().zip(expected.iter().cycle());
    pairs.all(|(is, should)| is == should).then_some(found)
}

#[test]
fn a_value_is_found_in_its_payload_only_where_it_belongs_and_undamaged() {
    let here = Partition::new("a/b", 7);
    let sent = Value {
        producer: 3,
        number: 12,
    };
    for size in [0, 10, 64, 1000] {
        let mut bytes = payload(&here, sent, size);
        assert_eq!(value(&here, &bytes), Some(sent));
        assert_eq!(value(&Partition::new("a/b", 6), &bytes), None);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(value(&here, &bytes), None);
    }
    assert_eq!(value(&here, b""), None);
    assert_eq!(value(&here, b"a/b/7/3/-1;"), None);
}
