//! The manifest: what must hold of it, and its bytes.
//!
//! ```text
//!  0 version u8                  1
//!  1 directory id                16 bytes: the log directory that is copied from
//! 17 end                         offset i64, index u64, term u64
//! 41 anchor                      length u32, kind u8, fields: as in the journal
//!    metas                       count u32, then each: length u32, fields as in the journal
//!    segments                    count u32, then each 40 bytes:
//!      base offset i64, base index u64 (0: none), generation u64, bytes of the .log u64,
//!      bytes of the .snapshot i64 (-1: none)
//!    CRC-32C u32                 of all before
//! ```
//! All numbers big-endian.

use bytes::{Buf, BufMut};
use klamm_model::raft::{MetaEntry, MetaKind};
use klamm_model::{LogIndex, Offset, TopicId, TopicName};

use super::{CopiedSegment, CopyEnd, LogManifest, Part, WantedPart};
use crate::journal::{
    Anchor, Copied, GroupState, PAYLOAD_BYTES_MAX, put_metas, put_sized_anchor, take_all,
    take_index, take_metas, take_offset, take_sized_anchor, take_term,
};

const VERSION: u8 = 1;

/// Largest manifest: what the journal keeps of it is shorter, but for the name of the topic.
pub(crate) const MANIFEST_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - 1024;

/// Largest `.log` file: positions in indexes are as wide as Kafka's.
const LOG_BYTES_MAX: u64 = u32::MAX as u64;

/// Largest `.snapshot` file.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;

/// Bytes that are not the manifest of a copy; says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the manifest of a copy: {0}")]
pub struct MalformedManifest(pub &'static str);

impl LogManifest {
    /// A manifest that holds together; an error says what does not.
    pub(crate) fn new(
        directory_id: TopicId,
        anchor: Anchor,
        metas: Vec<MetaEntry>,
        segments: Vec<CopiedSegment>,
        end: CopyEnd,
    ) -> Result<Self, &'static str> {
        let manifest = Self {
            directory_id,
            anchor,
            metas,
            segments,
            end,
        };
        manifest.check_anchor()?;
        manifest.check_metas()?;
        manifest.check_segments()?;
        Ok(manifest)
    }

    /// The log directory that is copied from.
    pub fn directory_id(&self) -> TopicId {
        self.directory_id
    }

    /// Where the log begins, for Raft and for clients, and what of it was compacted.
    pub fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// The entries without records, by index; changes of members, and what was said last about the archive, also from
    /// before the anchor.
    pub fn metas(&self) -> &[MetaEntry] {
        &self.metas
    }

    /// The segments, in order; at least one.
    pub fn segments(&self) -> &[CopiedSegment] {
        &self.segments
    }

    /// The last entry.
    pub fn end(&self) -> CopyEnd {
        self.end
    }

    /// Bytes of all parts.
    pub fn size_bytes(&self) -> u64 {
        let of = |segment: &CopiedSegment| segment.log_bytes + segment.snapshot_bytes.unwrap_or(0);
        self.segments.iter().map(of).sum()
    }

    /// One of them.
    pub fn segment(&self, base_offset: Offset) -> Option<&CopiedSegment> {
        let at = self
            .segments
            .binary_search_by_key(&base_offset, |segment| segment.base_offset);
        Some(&self.segments[at.ok()?])
    }

    /// Names bytes of it, at most `length_max` from `position` on; `None` if there are none.
    pub fn wanted_part(
        &self,
        base_offset: Offset,
        part: Part,
        (position, length_max): (u64, u32),
    ) -> Option<WantedPart> {
        let segment = *self.segment(base_offset)?;
        let size = segment.part_bytes(part)?;
        (position <= size).then_some(WantedPart {
            directory_id: self.directory_id,
            segment,
            part,
            position,
            length_max,
        })
    }

    /// What the journal keeps of it.
    pub(crate) fn copied(&self, topic: TopicName) -> Copied {
        let indexed = |segment: &CopiedSegment| Some((segment.base_offset, segment.base_index?));
        Copied {
            topic,
            end_offset: self.end.offset,
            last_index: self.end.index,
            last_term: self.end.term,
            anchor: self.anchor.clone(),
            metas: self.metas.clone(),
            segments: self.segments.iter().filter_map(indexed).collect(),
        }
    }

    /// The state of a group that has nothing but the copy.
    pub(super) fn group_state(&self) -> GroupState {
        GroupState {
            metas: self.metas.clone(),
            anchor: Some(self.anchor.clone()),
            ..GroupState::default()
        }
    }

    fn check_anchor(&self) -> Result<(), &'static str> {
        let (anchor, end) = (&self.anchor, &self.end);
        let whole_from = anchor.whole_from();
        if anchor.first_index.0 == 0 || anchor.first_index.0 - 1 > end.index.0 {
            return Err("it ends before its first entry");
        }
        if end.index.0 == u64::MAX {
            return Err("it has no next entry");
        }
        if whole_from > end.offset || anchor.first_offset > whole_from {
            return Err("it ends before its first offset");
        }
        if !(anchor.first_offset..=end.offset).contains(&anchor.log_start_offset) {
            return Err("clients would begin outside of it");
        }
        let Some(compacted) = &anchor.compacted else {
            return Ok(());
        };
        let rise = compacted.epochs.windows(2).all(|rows| {
            rows[0].epoch < rows[1].epoch && rows[0].start_offset < rows[1].start_offset
        });
        let last = compacted.epochs.last().map(|row| row.epoch);
        let known = last.is_none_or(|last| last <= anchor.prev_term.leader_epoch());
        match rise && known && anchor.first_offset < compacted.end_offset {
            true => Ok(()),
            false => Err("what was compacted does not hold together"),
        }
    }

    fn check_metas(&self) -> Result<(), &'static str> {
        let (anchor, end) = (&self.anchor, &self.end);
        let mut term = anchor.prev_term;
        let mut offset = anchor.whole_from();
        let mut before = LogIndex(0);
        for meta in &self.metas {
            if meta.index <= before || meta.index > end.index {
                return Err("entries without records are out of order");
            }
            before = meta.index;
            let is_noop = meta.kind == MetaKind::Noop;
            if meta.index < anchor.first_index {
                match is_noop {
                    true => return Err("a leader's first entry stands before the first entry"),
                    false => continue,
                }
            }
            if meta.at_offset < offset || meta.at_offset > end.offset {
                return Err("offsets of entries without records go back");
            }
            offset = meta.at_offset;
            if is_noop && meta.term <= term || meta.term < term {
                return Err("terms go back");
            }
            if is_noop {
                term = meta.term;
            }
        }
        match term == end.term {
            true => Ok(()),
            false => Err("the last entry is of another term"),
        }
    }

    fn check_segments(&self) -> Result<(), &'static str> {
        let (anchor, end) = (&self.anchor, &self.end);
        let whole_from = anchor.whole_from();
        let first = self.segments.first().map(|segment| segment.base_offset);
        if first != Some(anchor.first_offset) || self.segment(whole_from).is_none() {
            return Err("no segment begins where the log does");
        }
        let mut first_free = anchor.first_index;
        for (at, segment) in self.segments.iter().enumerate() {
            let is_last = at + 1 == self.segments.len();
            let next = self.segments.get(at + 1).map(|next| next.base_offset);
            let rises = next.is_none_or(|next| segment.base_offset < next);
            if !rises || segment.base_offset > end.offset {
                return Err("segments are out of order");
            }
            let is_empty = segment.log_bytes == 0;
            let ends_here = is_last && segment.base_offset == end.offset;
            if is_empty != ends_here {
                return Err("a segment is empty, or should be");
            }
            let snapshot_bytes = segment.snapshot_bytes.unwrap_or(0);
            if segment.log_bytes > LOG_BYTES_MAX || snapshot_bytes > SNAPSHOT_BYTES_MAX {
                return Err("a segment is too large");
            }
            let is_indexed = segment.base_offset >= whole_from && !is_empty;
            match segment.base_index {
                Some(index) if is_indexed && index >= first_free && index <= end.index => {
                    first_free = index.next();
                }
                None if !is_indexed => {}
                _ => return Err("the indexes of segments do not hold together"),
            }
        }
        Ok(())
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u8(VERSION);
        bytes.put_slice(self.directory_id.as_bytes());
        bytes.put_i64(self.end.offset.get());
        bytes.put_u64(self.end.index.0);
        bytes.put_u64(self.end.term.get());
        put_sized_anchor(&mut bytes, &self.anchor);
        put_metas(&mut bytes, &self.metas);
        bytes.put_u32(self.segments.len() as u32);
        for segment in &self.segments {
            bytes.put_i64(segment.base_offset.get());
            bytes.put_u64(segment.base_index.map_or(0, |index| index.0));
            bytes.put_u64(segment.generation);
            bytes.put_u64(segment.log_bytes);
            bytes.put_i64(segment.snapshot_bytes.map_or(-1, |bytes| bytes as i64));
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.put_u32(checksum);
        bytes
    }

    /// Reads a manifest and checks that it holds together.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedManifest> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(MalformedManifest("it is too large"));
        }
        let Some((body, checksum)) = bytes.split_last_chunk::<4>() else {
            return Err(MalformedManifest("it is too short"));
        };
        // First: another version may end otherwise.
        if body.first() != Some(&VERSION) {
            return Err(MalformedManifest("it is of another version"));
        }
        if crc32c::crc32c(body) != u32::from_be_bytes(*checksum) {
            return Err(MalformedManifest("its checksum is wrong"));
        }
        let fields = take_fields(&body[1..]).ok_or(MalformedManifest("fields are malformed"))?;
        let Fields(directory_id, anchor, metas, segments, end) = fields;
        Self::new(directory_id, anchor, metas, segments, end).map_err(MalformedManifest)
    }
}

struct Fields(TopicId, Anchor, Vec<MetaEntry>, Vec<CopiedSegment>, CopyEnd);

fn take_fields(mut body: &[u8]) -> Option<Fields> {
    let bytes = &mut body;
    let mut directory_id = [0; 16];
    bytes.try_copy_to_slice(&mut directory_id).ok()?;
    let end = CopyEnd {
        offset: take_offset(bytes)?,
        index: take_index(bytes)?,
        term: take_term(bytes)?,
    };
    let anchor = take_sized_anchor(bytes)?;
    let metas = take_metas(bytes)?;
    let segments = take_all(bytes, take_segment)?;
    let fields = Fields(
        TopicId::from_bytes(directory_id),
        anchor,
        metas,
        segments,
        end,
    );
    bytes.is_empty().then_some(fields)
}

fn take_segment(bytes: &mut &[u8]) -> Option<CopiedSegment> {
    Some(CopiedSegment {
        base_offset: take_offset(bytes)?,
        base_index: Some(take_index(bytes)?).filter(|index| index.0 > 0),
        generation: bytes.try_get_u64().ok()?,
        log_bytes: bytes.try_get_u64().ok()?,
        snapshot_bytes: match bytes.try_get_i64().ok()? {
            -1 => None,
            length => Some(u64::try_from(length).ok()?),
        },
    })
}
