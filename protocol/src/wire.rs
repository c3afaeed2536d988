//! Reads and writes the primitive types of Kafka's protocol, for messages with own code.
//!
//! A `Reader` carries the budget of what decoding may allocate: a count from outside is charged
//! for before anything of that size is reserved. Sources: Kafka's protocol guide ("Protocol
//! Primitive Types"), KIP-482 for the compact forms and tagged fields.

mod reader;
mod writer;

pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// What decoding one frame may allocate, whatever the frame says: this much…
pub const DECODE_SLACK_BYTES: usize = 1 << 20;
/// …and this much for each byte of the frame.
pub const DECODE_BYTES_PER_FRAME_BYTE: usize = 4;

/// What is wrong with the bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A field reaches past the end of the frame.
    #[error("a field reaches past the end of the frame")]
    CutShort,
    /// A length or count below -1, or absent where the message must have a value.
    #[error("a length or count is impossible")]
    Length,
    /// A variable-length integer of more bytes than its type has.
    #[error("a variable-length integer is too long")]
    Varint,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    Text,
    /// Decoded, the message would take more memory than the frame warrants: see
    /// [`DECODE_SLACK_BYTES`].
    #[error("decoded, the message would outgrow its frame many times over")]
    Bloated,
    /// Well formed, but not what the message's definition allows.
    #[error("a field has a value that the message's definition does not allow")]
    Value,
}
