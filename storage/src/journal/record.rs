//! What a frame says.

use bytes::{Buf, BufMut, Bytes};
use klamm_model::raft::{HardState, MetaEntry, MetaKind};
use klamm_model::{LeaderEpoch, LogIndex, Offset, PartitionIndex, Term, TopicId};

use super::{Anchor, Compacted, GroupId};
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

const NOOP: u8 = 0;
const MEMBERSHIP: u8 = 1;

impl Record {
    pub(crate) fn group(&self) -> GroupId {
        match self {
            Self::HardState { group, .. }
            | Self::Meta { group, .. }
            | Self::TruncateFrom { group, .. }
            | Self::Segment { group, .. }
            | Self::Anchor { group, .. }
            | Self::ClosedAt { group, .. }
            | Self::DropGroup { group }
            | Self::Checkpointed { group } => *group,
        }
    }

    /// Kind, group, fields; all numbers big-endian.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        let kind = match self {
            Self::HardState { .. } => HARD_STATE,
            Self::Meta { .. } => META,
            Self::TruncateFrom { .. } => TRUNCATE_FROM,
            Self::Segment { .. } => SEGMENT,
            Self::Anchor { anchor, .. } if anchor.compacted.is_some() => COMPACTED_ANCHOR,
            Self::Anchor { .. } => ANCHOR,
            Self::ClosedAt { .. } => CLOSED_AT,
            Self::DropGroup { .. } => DROP_GROUP,
            Self::Checkpointed { .. } => CHECKPOINTED,
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
            Self::DropGroup { .. } | Self::Checkpointed { .. } => {}
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
            _ => return None,
        };
        bytes.is_empty().then_some(record)
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
    let count = bytes.try_get_u32().ok()?;
    // No allocation on the word of a count alone.
    let rows = (0..count).map(|_| {
        Some(EpochEntry {
            epoch: LeaderEpoch(bytes.try_get_i32().ok()?),
            start_offset: take_offset(bytes)?,
        })
    });
    Some(Compacted {
        end_offset,
        epochs: rows.collect::<Option<_>>()?,
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
            _ => return None,
        },
    })
}

fn take_index(bytes: &mut &[u8]) -> Option<LogIndex> {
    bytes.try_get_u64().ok().map(LogIndex)
}

fn take_term(bytes: &mut &[u8]) -> Option<Term> {
    let term = bytes.try_get_u64().ok()?;
    (term <= i32::MAX as u64).then(|| Term::new(term))
}

fn take_offset(bytes: &mut &[u8]) -> Option<Offset> {
    Offset::checked(bytes.try_get_i64().ok()?)
}

fn take_rest(bytes: &mut &[u8]) -> Bytes {
    Bytes::copy_from_slice(std::mem::take(bytes))
}
