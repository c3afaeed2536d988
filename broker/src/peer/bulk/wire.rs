//! What is said on a bulk connection, after the greeting.
//!
//! ```text
//! manifest wanted  1 B (1), topic id 16 B, partition 4 B
//! part wanted      1 B (2), topic id 16 B, partition 4 B, directory id 16 B, segment: base offset 8 B,
//!                  base index 8 B (0: none), generation 8 B, bytes of its .log 8 B, bytes of its
//!                  .snapshot 8 B (-1: none), part 1 B (0: .log, 1: .snapshot), position 8 B, most bytes 4 B
//! manifest         1 B (1), a manifest as `klamm_storage::LogManifest` encodes it
//! part             1 B (2), CRC-32C 4 B, bytes
//! gone             1 B (3): the segment is not what the manifest says any more
//! refused          1 B (4), reason text
//! ```
//!
//! Each is a frame: its length in 4 bytes stands before it. Numbers are big-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_model::{LogIndex, Offset};
use klamm_storage::{CopiedSegment, Part, WantedPart};

use crate::peer::wire::{
    Group, WireError, end, finished, frame, put_group, put_length, put_text, take_group, take_id,
    take_text, take_u8,
};

/// What a request takes at most.
pub(super) const REQUEST_BYTES_MAX: usize = 1 << 10;
/// Bytes of a log that are asked for at once.
pub(super) const PART_BYTES: u32 = 1 << 20;
/// What a reply takes at most: a part, or a manifest, which is smaller than a record of the journal.
pub(super) const REPLY_BYTES_MAX: usize = 32 << 20;

const MANIFEST: u8 = 1;
const PART: u8 = 2;
const GONE: u8 = 3;
const REFUSED: u8 = 4;

const LOG: u8 = 0;
const PRODUCER_SNAPSHOT: u8 = 1;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What a copy of the log consists of.
    Manifest,
    /// Bytes of it.
    Part(WantedPart),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Encoded.
    Manifest(Bytes),
    /// Those that were asked for.
    Part(Bytes),
    /// A new manifest is needed.
    Gone,
    /// And why.
    Refused(String),
}

impl Wanted {
    pub(super) fn encode(&self, group: Group) -> Bytes {
        let mut out = frame();
        match self {
            Self::Manifest => {
                out.put_u8(MANIFEST);
                put_group(&mut out, group);
            }
            Self::Part(wanted) => {
                out.put_u8(PART);
                put_group(&mut out, group);
                put_part(&mut out, wanted);
            }
        }
        finished(out)
    }

    pub(super) fn decode(mut bytes: Bytes) -> Result<(Group, Self), WireError> {
        let bytes = &mut bytes;
        let kind = take_u8(bytes)?;
        let group = take_group(bytes)?;
        let wanted = match kind {
            MANIFEST => Self::Manifest,
            PART => Self::Part(take_part(bytes)?),
            other => return Err(WireError::Kind(other)),
        };
        end(bytes).map(|()| (group, wanted))
    }
}

impl Reply {
    /// The frame up to the bytes that it carries, and these.
    pub(super) fn encode(&self) -> (Bytes, Bytes) {
        let mut out = BytesMut::with_capacity(16);
        match self {
            Self::Manifest(bytes) => {
                put_length(&mut out, 1 + bytes.len());
                out.put_u8(MANIFEST);
                (out.freeze(), bytes.clone())
            }
            Self::Part(bytes) => {
                put_length(&mut out, 5 + bytes.len());
                out.put_u8(PART);
                out.put_u32(crc32c::crc32c(bytes));
                (out.freeze(), bytes.clone())
            }
            Self::Gone => {
                put_length(&mut out, 1);
                out.put_u8(GONE);
                (out.freeze(), Bytes::new())
            }
            Self::Refused(reason) => {
                let mut out = frame();
                out.put_u8(REFUSED);
                put_text(&mut out, reason);
                (finished(out), Bytes::new())
            }
        }
    }

    pub(super) fn decode(mut bytes: Bytes) -> Result<Self, WireError> {
        let kind = take_u8(&mut bytes)?;
        Ok(match kind {
            MANIFEST => Self::Manifest(bytes),
            PART => {
                let checksum = bytes.try_get_u32().map_err(|_| WireError::Truncated)?;
                if crc32c::crc32c(&bytes) != checksum {
                    return Err(WireError::Checksum);
                }
                Self::Part(bytes)
            }
            GONE => end(&bytes).map(|()| Self::Gone)?,
            REFUSED => {
                let reason = take_text(&mut bytes)?;
                end(&bytes).map(|()| Self::Refused(reason))?
            }
            other => return Err(WireError::Kind(other)),
        })
    }
}

fn put_part(out: &mut BytesMut, wanted: &WantedPart) {
    let segment = &wanted.segment;
    out.put_slice(wanted.directory_id.as_bytes());
    out.put_i64(segment.base_offset.get());
    out.put_u64(segment.base_index.map_or(0, |index| index.0));
    out.put_u64(segment.generation);
    out.put_u64(segment.log_bytes);
    let snapshot = segment.snapshot_bytes.map(i64::try_from);
    out.put_i64(snapshot.map_or(-1, |bytes| bytes.expect("a file is far smaller")));
    out.put_u8(match wanted.part {
        Part::Log => LOG,
        Part::ProducerSnapshot => PRODUCER_SNAPSHOT,
    });
    out.put_u64(wanted.position);
    out.put_u32(wanted.length_max);
}

fn take_part(bytes: &mut Bytes) -> Result<WantedPart, WireError> {
    let directory_id = take_id(bytes)?;
    let offset = bytes.try_get_i64().map_err(|_| WireError::Truncated)?;
    let base_offset = Offset::checked(offset).ok_or(WireError::Number("offset"))?;
    let base_index = Some(take_u64(bytes)?).filter(|index| *index > 0);
    let segment = CopiedSegment {
        base_offset,
        base_index: base_index.map(LogIndex),
        generation: take_u64(bytes)?,
        log_bytes: take_u64(bytes)?,
        snapshot_bytes: {
            let length = bytes.try_get_i64().map_err(|_| WireError::Truncated)?;
            u64::try_from(length).ok()
        },
    };
    let part = match take_u8(bytes)? {
        LOG => Part::Log,
        PRODUCER_SNAPSHOT => Part::ProducerSnapshot,
        _ => return Err(WireError::Number("part")),
    };
    let position = take_u64(bytes)?;
    let length_max = bytes.try_get_u32().map_err(|_| WireError::Truncated)?;
    if length_max > PART_BYTES {
        return Err(WireError::Number("bytes"));
    }
    Ok(WantedPart {
        directory_id,
        segment,
        part,
        position,
        length_max,
    })
}

fn take_u64(bytes: &mut Bytes) -> Result<u64, WireError> {
    bytes.try_get_u64().map_err(|_| WireError::Truncated)
}

#[cfg(test)]
mod tests {
    use klamm_model::{PartitionIndex, TopicId};

    use super::*;

    fn group() -> Group {
        Group {
            topic_id: TopicId::from_bytes([3; 16]),
            partition: PartitionIndex(7),
        }
    }

    fn part(part: Part, index: Option<u64>, snapshot_bytes: Option<u64>) -> Wanted {
        Wanted::Part(WantedPart {
            directory_id: TopicId::from_bytes([4; 16]),
            segment: CopiedSegment {
                base_offset: Offset::new(12),
                base_index: index.map(LogIndex),
                generation: 5,
                log_bytes: 6_000,
                snapshot_bytes,
            },
            part,
            position: 700,
            length_max: PART_BYTES,
        })
    }

    fn payload(frame: &[u8]) -> Bytes {
        let length = u32::from_be_bytes(frame[..4].try_into().unwrap());
        assert_eq!(length as usize, frame.len() - 4);
        Bytes::copy_from_slice(&frame[4..])
    }

    #[test]
    fn what_is_asked_for_reads_back_and_not_when_cut_or_followed_by_something() {
        let all = [
            Wanted::Manifest,
            part(Part::Log, Some(9), None),
            part(Part::ProducerSnapshot, None, Some(80)),
        ];
        for wanted in all {
            let bytes = payload(&wanted.encode(group()));
            assert_eq!(Wanted::decode(bytes.clone()), Ok((group(), wanted)));
            for cut in 0..bytes.len() {
                assert!(Wanted::decode(bytes.slice(..cut)).is_err(), "{cut}");
            }
            let more = [&bytes[..], b"x"].concat();
            assert!(Wanted::decode(more.into()).is_err());
        }
    }

    #[test]
    fn more_than_a_part_is_not_asked_for() {
        let Wanted::Part(mut wanted) = part(Part::Log, None, None) else {
            unreachable!("it is one");
        };
        wanted.length_max += 1;
        let bytes = payload(&Wanted::Part(wanted).encode(group()));
        assert_eq!(Wanted::decode(bytes), Err(WireError::Number("bytes")));
    }

    #[test]
    fn what_is_answered_reads_back_and_a_flipped_bit_is_noticed() {
        let all = [
            Reply::Manifest(Bytes::from_static(b"manifest")),
            Reply::Part(Bytes::from_static(b"some records")),
            Reply::Part(Bytes::new()),
            Reply::Gone,
            Reply::Refused("because".to_owned()),
        ];
        for reply in all {
            let (head, body) = reply.encode();
            let bytes = payload(&[head, body].concat());
            assert_eq!(Reply::decode(bytes), Ok(reply));
        }
        let (head, body) = Reply::Part(Bytes::from_static(b"some records")).encode();
        let mut bytes = [head, body].concat();
        bytes[12] ^= 1;
        assert_eq!(Reply::decode(payload(&bytes)), Err(WireError::Checksum));
    }
}
