//! Which partitions a member of a group reads: the bytes of Kafka's ConsumerProtocolAssignment.
//!
//! They come from another client through the broker, so nothing in them is trusted.

use crate::cluster::Partition;

/// The partitions; `None` if the bytes are not a consumer's.
pub(super) fn parse(bytes: &[u8]) -> Option<Vec<Partition>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let mut rest = bytes;
    let _version = number::<2>(&mut rest)?;
    let mut partitions = Vec::new();
    for _ in 0..count(&mut rest)? {
        let length = usize::try_from(i16::from_be_bytes(number(&mut rest)?)).ok()?;
        let (name, after) = rest.split_at_checked(length)?;
        rest = after;
        let name = std::str::from_utf8(name).ok()?;
        for _ in 0..count(&mut rest)? {
            partitions.push((name.to_owned(), i32::from_be_bytes(number(&mut rest)?)));
        }
    }
    Some(partitions)
}

/// How many things follow; the loop ends early if the bytes do.
fn count(rest: &mut &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(number(rest)?))
}

fn number<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_names_partitions() {
        let bytes = b"\0\0\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x05\xff\xff\xff\xff";
        let expected = vec![("t".to_owned(), 0), ("t".to_owned(), 5)];
        assert_eq!(parse(bytes), Some(expected));
        assert_eq!(parse(b""), Some(vec![]));
    }

    #[test]
    fn bytes_of_another_kind_are_no_assignment() {
        for bytes in [
            b"\0".as_slice(),
            b"\0\0\x7f\xff\xff\xff",
            b"\0\0\0\0\0\x01\xff\xff",
        ] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }
}
