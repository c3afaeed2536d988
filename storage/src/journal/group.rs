//! What the journal knows of one group: the fold of its records.

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_model::raft::{HardState, MetaEntry, MetaKind};
use klamm_model::{LogIndex, Offset, Term, TopicName};

use super::GroupId;
use super::record::Record;
use crate::EpochEntry;

/// Where a log begins, after retention, deletion or compaction took something away. Raft's snapshot
/// point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// First entry from which on all are there.
    pub first_index: LogIndex,
    /// Term of the entry before it.
    pub prev_term: Term,
    /// Base offset of the first segment that is still there.
    pub first_offset: Offset,
    /// First offset that clients may read: at or after `first_offset`.
    pub log_start_offset: Offset,
    /// What was compacted; `None` if nothing was.
    pub compacted: Option<Compacted>,
    /// The members before any change among the entries, encoded by the consensus core; empty if it never
    /// said.
    pub members: Bytes,
}

/// The part of a log in which batches may be missing: the entries in it are no longer Raft's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Base offset of the first segment behind it, in which [`Anchor::first_index`] is the first
    /// entry with records.
    pub end_offset: Offset,
    /// The leader epochs of its batches.
    pub epochs: Vec<EpochEntry>,
}

impl Anchor {
    /// The offset from which on no batch is missing.
    pub fn whole_from(&self) -> Offset {
        let compacted = self.compacted.as_ref();
        compacted.map_or(self.first_offset, |compacted| compacted.end_offset)
    }
}

/// What a log is that came as a copy from another replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The topic: names the directory that the copy is to become.
    pub topic: TopicName,
    /// Offset after its last entry.
    pub end_offset: Offset,
    /// Its last entry, which is committed.
    pub last_index: LogIndex,
    /// The term of that entry.
    pub last_term: Term,
    /// Where it begins.
    pub anchor: Anchor,
    /// Its entries without records, by index; changes of members also from before the anchor.
    pub metas: Vec<MetaEntry>,
    /// Index of the first entry of each segment, by base offset.
    pub segments: BTreeMap<Offset, LogIndex>,
}

/// What is left to do about a copy that is the log now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// Its directory has yet to get the name of the partition's, of this topic.
    Unplaced(TopicName),
    /// The checkpoints may still be those of the log whose place it took.
    Placed,
}

/// The journal's view of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupState {
    /// Term, vote and the commit hint.
    pub hard_state: HardState,
    /// Entries without records, by index.
    pub metas: Vec<MetaEntry>,
    /// Index of the first entry of each segment, by base offset.
    pub segments: BTreeMap<Offset, LogIndex>,
    /// Where the log begins, unless at the very beginning.
    pub anchor: Option<Anchor>,
    /// End offset and next index at the last close in good order, if nothing was cut since.
    pub closed_at: Option<(Offset, LogIndex)>,
    /// The lowest end the log was cut to since its recovery point was last checkpointed: what the
    /// checkpoint says beyond it is out of date.
    pub cut_to: Option<(Offset, LogIndex)>,
    /// Whether the log is a copy, until a checkpoint of it was written.
    pub copy: Option<CopyState>,
}

impl GroupState {
    /// First index of the log.
    pub fn first_index(&self) -> LogIndex {
        self.anchor
            .as_ref()
            .map_or(LogIndex(1), |anchor| anchor.first_index)
    }

    /// The offset from which on no batch is missing.
    pub fn whole_from(&self) -> Offset {
        self.anchor
            .as_ref()
            .map_or(Offset::ZERO, Anchor::whole_from)
    }

    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::HardState { hard_state, .. } => self.hard_state = *hard_state,
            Record::Meta { entry, .. } => {
                // Appending at an index replaces what stood there, as in any Raft log.
                self.metas.retain(|meta| meta.index < entry.index);
                self.metas.push(entry.clone());
            }
            Record::TruncateFrom {
                index, end_offset, ..
            } => {
                self.metas.retain(|meta| meta.index < *index);
                self.segments.retain(|_, base_index| *base_index < *index);
                self.closed_at = None;
                let cut = (*end_offset, *index);
                self.cut_to = Some(self.cut_to.map_or(cut, |lowest| lowest.min(cut)));
            }
            Record::Checkpointed { .. } => {
                self.cut_to = None;
                self.copy = self.copy.take().filter(|copy| *copy != CopyState::Placed);
            }
            Record::Segment {
                base_offset,
                base_index,
                ..
            } => {
                self.segments.retain(|base, _| base < base_offset);
                self.segments.insert(*base_offset, *base_index);
            }
            Record::Anchor { anchor, .. } => {
                self.forget_metas_before(anchor.first_index);
                self.segments.retain(|base, _| *base >= anchor.whole_from());
                self.anchor = Some(anchor.clone());
            }
            Record::ClosedAt {
                end_offset,
                next_index,
                ..
            } => self.closed_at = Some((*end_offset, *next_index)),
            Record::DropGroup { .. } => *self = Self::default(),
            Record::Copied { copied, .. } => self.become_copy(copied),
            Record::CopyPlaced { .. } => self.copy = Some(CopyState::Placed),
        }
    }

    /// Changes of members are few and make the members of today: they stay. So does the last that was
    /// said about the archive.
    fn forget_metas_before(&mut self, first_index: LogIndex) {
        let is_before = |meta: &MetaEntry| meta.index < first_index;
        let of_archive = |meta: &&MetaEntry| matches!(meta.kind, MetaKind::Archive(_));
        let before = self.metas.iter().filter(|meta| is_before(meta));
        let last = before.filter(of_archive).map(|meta| meta.index).next_back();
        self.metas.retain(|meta| match meta.kind {
            _ if !is_before(meta) => true,
            MetaKind::Noop => false,
            MetaKind::Membership(_) => true,
            MetaKind::Archive(_) => Some(meta.index) == last,
        });
    }

    fn become_copy(&mut self, copied: &Copied) {
        let before = self.hard_state;
        let is_newer = copied.last_term > before.term;
        *self = Self {
            hard_state: HardState {
                term: before.term.max(copied.last_term),
                // Of a term that it learns of like this it has voted for nobody.
                vote: if is_newer { 0 } else { before.vote },
                // What was known to be committed is in the copy, and all of the copy is.
                commit: copied.last_index,
            },
            metas: copied.metas.clone(),
            segments: copied.segments.clone(),
            anchor: Some(copied.anchor.clone()),
            closed_at: Some((copied.end_offset, copied.last_index.next())),
            cut_to: None,
            copy: Some(CopyState::Unplaced(copied.topic.clone())),
        };
    }

    /// The record of a copy that has yet to be placed: nothing has happened to it since.
    fn unplaced(&self) -> Option<Copied> {
        let Some(CopyState::Unplaced(topic)) = &self.copy else {
            return None;
        };
        let anchor = self.anchor.clone()?;
        let noops = self.metas.iter().rev();
        let mut noops = noops.filter(|meta| meta.kind == MetaKind::Noop);
        Some(Copied {
            topic: topic.clone(),
            end_offset: self.closed_at?.0,
            last_index: LogIndex(self.closed_at?.1.0 - 1),
            last_term: noops.next().map_or(anchor.prev_term, |noop| noop.term),
            anchor,
            metas: self.metas.clone(),
            segments: self.segments.clone(),
        })
    }

    /// The records that make this state out of an empty one.
    pub(super) fn records(&self, group: GroupId) -> impl Iterator<Item = Record> + '_ {
        let hard_state = std::iter::once(Record::HardState {
            group,
            hard_state: self.hard_state,
        });
        let anchor = self.anchor.iter().map(move |anchor| Record::Anchor {
            group,
            anchor: anchor.clone(),
        });
        let metas = self.metas.iter().map(move |entry| Record::Meta {
            group,
            entry: entry.clone(),
        });
        let segments = self
            .segments
            .iter()
            .map(move |(base_offset, base_index)| Record::Segment {
                group,
                base_offset: *base_offset,
                base_index: *base_index,
            });
        let closed_at =
            self.closed_at
                .iter()
                .map(move |(end_offset, next_index)| Record::ClosedAt {
                    group,
                    end_offset: *end_offset,
                    next_index: *next_index,
                });
        let cut_to = self
            .cut_to
            .iter()
            .map(move |(end_offset, index)| Record::TruncateFrom {
                group,
                index: *index,
                end_offset: *end_offset,
            });
        let unplaced = self.unplaced().map(|copied| Record::Copied {
            group,
            copied: Box::new(copied),
        });
        let is_placed = self.copy == Some(CopyState::Placed);
        let placed = is_placed.then_some(Record::CopyPlaced { group });
        // The cut goes first: what came after it is not cut. A copy that is not placed says all
        // once more.
        hard_state
            .chain(cut_to)
            .chain(anchor)
            .chain(metas)
            .chain(segments)
            .chain(closed_at)
            .chain(unplaced)
            .chain(placed)
    }
}
