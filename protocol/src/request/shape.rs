//! Walks the body of a request without building it, to prove that it can be decoded safely.
//!
//! The `kafka-protocol` crate reserves an array of n elements as soon as it has read n, so four
//! bytes could ask for gigabytes. The walk finds every count and length covered by bytes that are
//! there, and charges what the decoded elements will take to the reader's budget. It does not
//! judge values: whether a string is UTF-8 or may be null is the decoder's affair.

#[cfg(any(test, feature = "sample"))]
pub(crate) mod sample;
mod table;

use crate::api::ApiKey;
use crate::wire::{Fault, Reader};

/// A field, in the versions that have it.
struct Field {
    from: i16,
    to: i16,
    kind: Kind,
}

/// What a field looks like on the wire.
enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string, null or not.
    Text,
    /// Bytes, null or not.
    Blob,
    /// An array of structs, which take so many bytes each once decoded.
    Structs(usize, &'static [Field]),
    /// An array of other things, which take so many bytes each once decoded.
    List(usize, &'static Kind),
    /// A struct that may be null.
    Optional(&'static [Field]),
}

const fn field(from: i16, kind: Kind) -> Field {
    between(from, i16::MAX, kind)
}

const fn between(from: i16, to: i16, kind: Kind) -> Field {
    Field { from, to, kind }
}

const fn structs<T>(fields: &'static [Field]) -> Kind {
    Kind::Structs(size_of::<T>(), fields)
}

const fn list<T>(element: &'static Kind) -> Kind {
    Kind::List(size_of::<T>(), element)
}

/// Reads past the body of a request of `key`.
pub(super) fn check(reader: &mut Reader, key: ApiKey, version: i16) -> Result<(), Fault> {
    walk_struct(reader, table::fields(key), version)
}

fn walk_struct(reader: &mut Reader, fields: &[Field], version: i16) -> Result<(), Fault> {
    for field in fields {
        if field.from <= version && version <= field.to {
            walk(reader, &field.kind, version)?;
        }
    }
    reader.skip_tags()
}

fn walk(reader: &mut Reader, kind: &Kind, version: i16) -> Result<(), Fault> {
    match kind {
        Kind::Fixed(bytes) => reader.skip(*bytes),
        Kind::Text => reader.skip_text(),
        Kind::Blob => reader.skip_blob(),
        Kind::Structs(size, fields) => {
            for _ in 0..count(reader, *size)? {
                walk_struct(reader, fields, version)?;
            }
            Ok(())
        }
        Kind::List(size, element) => {
            for _ in 0..count(reader, *size)? {
                walk(reader, element, version)?;
            }
            Ok(())
        }
        Kind::Optional(fields) => match reader.int8()? {
            0.. => walk_struct(reader, fields, version),
            _ => Ok(()),
        },
    }
}

fn count(reader: &mut Reader, element_bytes: usize) -> Result<usize, Fault> {
    let count = reader.count()?.unwrap_or(0);
    reader.charge(count.saturating_mul(element_bytes))?;
    Ok(count)
}
