//! What a frame says.
//!
//! Every record begins with its kind u8, topic id (16 bytes) and partition i32; numbers are
//! big-endian. The record of a [`Copied`] log, kind 10, goes on with
//!
//! ```text
//! topic       length u16, name           its directory has to get its name when this is read
//! end         offset i64, index u64, term u64        of the last entry
//! anchor      length u32, kind u8 (5, or 9: with a compacted part), fields as in that record
//! metas       count u32, then each: length u32, fields as in the record of kind 2
//! segments    count u32, then each: base offset i64, base index u64
//! ```
//! It takes away all that was known of the group, but for its vote. Kind 11, without fields, says
//! that the directory has its name.

use bytes::{Buf, BufMut, Bytes};
use klamm_model::archive::ArchiveState;
use klamm_model::raft::{HardState, MetaEntry, MetaKind};
use klamm_model::{LeaderEpoch, LogIndex, Offset, PartitionIndex, Term, TopicId, TopicName};

use super::{Anchor, Compacted, Copied, GroupId};
use crate::EpochEntry;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    HardState {
        group: GroupId,
        hard_state: HardState,
    },
    Meta {
        group: GroupId,
        entry: MetaEntry,
    },
    TruncateFrom {
        group: GroupId,
        index: LogIndex,
        end_offset: Offset,
    },
    Checkpointed {
        group: GroupId,
    },
    Segment {
        group: GroupId,
        base_offset: Offset,
        base_index: LogIndex,
    },
    Anchor {
        group: GroupId,
        anchor: Anchor,
    },
    ClosedAt {
        group: GroupId,
        end_offset: Offset,
        next_index: LogIndex,
    },
    DropGroup {
        group: GroupId,
    },
    Copied {
        group: GroupId,
        copied: Box<Copied>,
    },
    CopyPlaced {
        group: GroupId,
    },
}

const HARD_STATE: u8 = 1;
const META: u8 = 2;
const TRUNCATE_FROM: u8 = 3;
const SEGMENT: u8 = 4;
const ANCHOR: u8 = 5;
const CLOSED_AT: u8 = 6;
const DROP_GROUP: u8 = 7;
const CHECKPOINTED: u8 = 8;
const COMPACTED_ANCHOR: u8 = 9;
const COPIED: u8 = 10;
const COPY_PLACED: u8 = 11;

const NOOP: u8 = 0;
const MEMBERSHIP: u8 = 1;
const ARCHIVE: u8 = 2;

impl Record {
    pub(crate) fn group(&self) -> GroupId {
        match self {
            Self::HardState { group, .. }
            | Self::Meta { group, .. }
            | Self::TruncateFrom { group, .. }
            | Self::Segment { group, .. }
            | Self::Anchor { group, .. }
            | Self::ClosedAt { group, .. }
            | Self::Copied { group, .. }
            | Self::DropGroup { group }
            | Self::CopyPlaced { group }
            | Self::Checkpointed { group } => *group,
        }
    }

    /// Bytes of the fields.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        let kind = match self {
            Self::HardState { .. } => HARD_STATE,
            Self::Meta { .. } => META,
            Self::TruncateFrom { .. } => TRUNCATE_FROM,
            Self::Segment { .. } => SEGMENT,
            Self::Anchor { anchor, .. } => kind_of(anchor),
            Self::ClosedAt { .. } => CLOSED_AT,
            Self::DropGroup { .. } => DROP_GROUP,
            Self::Checkpointed { .. } => CHECKPOINTED,
            Self::Copied { .. } => COPIED,
            Self::CopyPlaced { .. } => COPY_PLACED,
        };
        bytes.put_u8(kind);
        let group = self.group();
        bytes.put_slice(group.topic_id.as_bytes());
        bytes.put_i32(group.partition.0);
        match self {
            Self::HardState { hard_state, .. } => {
                bytes.put_u64(hard_state.term.get());
                bytes.put_u64(hard_state.vote);
                bytes.put_u64(hard_state.commit.0);
            }
            Self::Meta { entry, .. } => put_meta(bytes, entry),
            Self::TruncateFrom {
                end_offset: offset,
                index,
                ..
            }
            | Self::Segment {
                base_offset: offset,
                base_index: index,
                ..
            }
            | Self::ClosedAt {
                end_offset: offset,
                next_index: index,
                ..
            } => {
                bytes.put_i64(offset.get());
                bytes.put_u64(index.0);
            }
            Self::Anchor { anchor, .. } => put_anchor(bytes, anchor),
            Self::Copied { copied, .. } => put_copied(bytes, copied),
            Self::DropGroup { .. } | Self::Checkpointed { .. } | Self::CopyPlaced { .. } => {}
        }
    }

    /// `None` for a kind or a layout this version does not know.
    pub(super) fn decode(mut payload: &[u8]) -> Option<Self> {
        let bytes = &mut payload;
        let kind = bytes.try_get_u8().ok()?;
        let mut topic_id = [0; 16];
        bytes.try_copy_to_slice(&mut topic_id).ok()?;
        let group = GroupId {
            topic_id: TopicId::from_bytes(topic_id),
            partition: PartitionIndex(bytes.try_get_i32().ok()?),
        };
        let record = match kind {
            HARD_STATE => Self::HardState {
                group,
                hard_state: HardState {
                    term: take_term(bytes)?,
                    vote: bytes.try_get_u64().ok()?,
                    commit: take_index(bytes)?,
                },
            },
            META => Self::Meta {
                group,
                entry: take_meta(bytes)?,
            },
            TRUNCATE_FROM => Self::TruncateFrom {
                group,
                end_offset: take_offset(bytes)?,
                index: take_index(bytes)?,
            },
            SEGMENT => Self::Segment {
                group,
                base_offset: take_offset(bytes)?,
                base_index: take_index(bytes)?,
            },
            ANCHOR | COMPACTED_ANCHOR => Self::Anchor {
                group,
                anchor: take_anchor(bytes, kind == COMPACTED_ANCHOR)?,
            },
            CLOSED_AT => Self::ClosedAt {
                group,
                end_offset: take_offset(bytes)?,
                next_index: take_index(bytes)?,
            },
            DROP_GROUP => Self::DropGroup { group },
            CHECKPOINTED => Self::Checkpointed { group },
            COPIED => Self::Copied {
                group,
                copied: Box::new(take_copied(bytes)?),
            },
            COPY_PLACED => Self::CopyPlaced { group },
            _ => return None,
        };
        bytes.is_empty().then_some(record)
    }
}

fn put_copied(bytes: &mut Vec<u8>, copied: &Copied) {
    let topic = copied.topic.as_str();
    bytes.put_u16(topic.len() as u16);
    bytes.put_slice(topic.as_bytes());
    bytes.put_i64(copied.end_offset.get());
    bytes.put_u64(copied.last_index.0);
    bytes.put_u64(copied.last_term.get());
    put_sized_anchor(bytes, &copied.anchor);
    put_metas(bytes, &copied.metas);
    bytes.put_u32(copied.segments.len() as u32);
    for (base_offset, base_index) in &copied.segments {
        bytes.put_i64(base_offset.get());
        bytes.put_u64(base_index.0);
    }
}

fn take_copied(bytes: &mut &[u8]) -> Option<Copied> {
    let length = usize::from(bytes.try_get_u16().ok()?);
    let topic = std::str::from_utf8(take_bytes(bytes, length)?).ok()?;
    Some(Copied {
        topic: TopicName::new(topic).ok()?,
        end_offset: take_offset(bytes)?,
        last_index: take_index(bytes)?,
        last_term: take_term(bytes)?,
        anchor: take_sized_anchor(bytes)?,
        metas: take_metas(bytes)?,
        segments: take_all(bytes, |bytes| {
            Some((take_offset(bytes)?, take_index(bytes)?))
        })?,
    })
}

/// An anchor behind its length and the kind of its record.
pub(crate) fn put_sized_anchor(bytes: &mut Vec<u8>, anchor: &Anchor) {
    put_sized(bytes, |bytes| {
        bytes.put_u8(kind_of(anchor));
        put_anchor(bytes, anchor);
    });
}

/// The reverse of [`put_sized_anchor`].
pub(crate) fn take_sized_anchor(bytes: &mut &[u8]) -> Option<Anchor> {
    take_sized(bytes, |bytes| match bytes.try_get_u8().ok()? {
        kind @ (ANCHOR | COMPACTED_ANCHOR) => take_anchor(bytes, kind == COMPACTED_ANCHOR),
        _ => None,
    })
}

/// A count, and so many entries behind their lengths.
pub(crate) fn put_metas(bytes: &mut Vec<u8>, metas: &[MetaEntry]) {
    bytes.put_u32(metas.len() as u32);
    for entry in metas {
        put_sized(bytes, |bytes| put_meta(bytes, entry));
    }
}

/// The reverse of [`put_metas`].
pub(crate) fn take_metas(bytes: &mut &[u8]) -> Option<Vec<MetaEntry>> {
    take_all(bytes, |bytes| take_sized(bytes, take_meta))
}

/// Bytes behind their length, u32.
fn put_sized(bytes: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = bytes.len();
    bytes.put_u32(0);
    fill(bytes);
    let length = (bytes.len() - at - 4) as u32;
    bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// The reverse of [`put_sized`]; `None` unless `take` takes all of them.
fn take_sized<T>(bytes: &mut &[u8], take: impl FnOnce(&mut &[u8]) -> Option<T>) -> Option<T> {
    let length = bytes.try_get_u32().ok()? as usize;
    let mut sized = take_bytes(bytes, length)?;
    let taken = take(&mut sized)?;
    sized.is_empty().then_some(taken)
}

/// A count u32 and so many of what `take` takes. No memory is reserved on the word of the count.
pub(crate) fn take_all<T, C: FromIterator<T>>(
    bytes: &mut &[u8],
    mut take: impl FnMut(&mut &[u8]) -> Option<T>,
) -> Option<C> {
    let count = bytes.try_get_u32().ok()?;
    (0..count).map(|_| take(bytes)).collect()
}

fn take_bytes<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn kind_of(anchor: &Anchor) -> u8 {
    match anchor.compacted {
        Some(_) => COMPACTED_ANCHOR,
        None => ANCHOR,
    }
}

fn put_anchor(bytes: &mut Vec<u8>, anchor: &Anchor) {
    bytes.put_u64(anchor.first_index.0);
    bytes.put_u64(anchor.prev_term.get());
    bytes.put_i64(anchor.first_offset.get());
    bytes.put_i64(anchor.log_start_offset.get());
    if let Some(compacted) = &anchor.compacted {
        bytes.put_i64(compacted.end_offset.get());
        bytes.put_u32(compacted.epochs.len() as u32);
        for row in &compacted.epochs {
            bytes.put_i32(row.epoch.0);
            bytes.put_i64(row.start_offset.get());
        }
    }
    bytes.put_slice(&anchor.members);
}

fn take_anchor(bytes: &mut &[u8], is_compacted: bool) -> Option<Anchor> {
    Some(Anchor {
        first_index: take_index(bytes)?,
        prev_term: take_term(bytes)?,
        first_offset: take_offset(bytes)?,
        log_start_offset: take_offset(bytes)?,
        compacted: match is_compacted {
            true => Some(take_compacted(bytes)?),
            false => None,
        },
        members: take_rest(bytes),
    })
}

fn take_compacted(bytes: &mut &[u8]) -> Option<Compacted> {
    let end_offset = take_offset(bytes)?;
    let row = |bytes: &mut &[u8]| {
        Some(EpochEntry {
            epoch: LeaderEpoch(bytes.try_get_i32().ok()?),
            start_offset: take_offset(bytes)?,
        })
    };
    Some(Compacted {
        end_offset,
        epochs: take_all(bytes, row)?,
    })
}

fn put_meta(bytes: &mut Vec<u8>, entry: &MetaEntry) {
    bytes.put_u64(entry.index.0);
    bytes.put_u64(entry.term.get());
    bytes.put_i64(entry.at_offset.get());
    match &entry.kind {
        MetaKind::Noop => bytes.put_u8(NOOP),
        MetaKind::Membership(data) => {
            bytes.put_u8(MEMBERSHIP);
            bytes.put_slice(data);
        }
        MetaKind::Archive(state) => {
            bytes.put_u8(ARCHIVE);
            bytes.put_slice(&state.encode());
        }
    }
}

fn take_meta(bytes: &mut &[u8]) -> Option<MetaEntry> {
    Some(MetaEntry {
        index: take_index(bytes)?,
        term: take_term(bytes)?,
        at_offset: take_offset(bytes)?,
        kind: match bytes.try_get_u8().ok()? {
            NOOP => MetaKind::Noop,
            MEMBERSHIP => MetaKind::Membership(take_rest(bytes)),
            ARCHIVE => MetaKind::Archive(ArchiveState::decode(&take_rest(bytes)).ok()?),
            _ => return None,
        },
    })
}

pub(crate) fn take_index(bytes: &mut &[u8]) -> Option<LogIndex> {
    bytes.try_get_u64().ok().map(LogIndex)
}

pub(crate) fn take_term(bytes: &mut &[u8]) -> Option<Term> {
    let term = bytes.try_get_u64().ok()?;
    (term <= i32::MAX as u64).then(|| Term::new(term))
}

pub(crate) fn take_offset(bytes: &mut &[u8]) -> Option<Offset> {
    Offset::checked(bytes.try_get_i64().ok()?)
}

fn take_rest(bytes: &mut &[u8]) -> Bytes {
    Bytes::copy_from_slice(std::mem::take(bytes))
}
