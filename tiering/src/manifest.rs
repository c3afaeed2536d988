//! What an archive holds, written down beside it: for people, for recovery, and for a quick start of a leader.
//!
//! A [`ManifestHead`] names the recent objects one by one and older ones by the [`SealedList`] that holds them.
//! Both are JSON (module `json`), so that anybody with `jq` or a query engine can look into an archive
//! without Klamm. Lists are written once; the head is replaced.
//!
//! Invariant of what has been read: the lists and then the recent objects follow each other without a gap
//! and without an overlap; the first holds `start`, if there is anything, and the last ends at `end`.

mod json;

use std::ops::Range;

use klamm_model::{LeaderEpoch, Offset, Timestamp, TopicName};
use klamm_storage::{EpochEntry, GroupId};

use crate::archived_object::ArchivedObject;

/// Objects of a sealed list: recent ones become a list when there are so many.
pub const SEAL_OBJECTS: usize = 1_000;

/// Or when they take so many bytes of JSON.
pub const SEAL_BYTES: usize = 256 << 10;

/// Largest head or list that is read: far beyond a million lists in a head.
pub const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// Whose archive it is; the same in every object of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveOwner {
    /// The cluster that writes it.
    pub cluster_id: String,
    /// The topic's name when this was written: for people only.
    pub topic: TopicName,
    /// The partition.
    pub group: GroupId,
}

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    /// Whose it is.
    pub owner: ArchiveOwner,
    /// The leadership that wrote it. A later one never gives way to an earlier one.
    pub leader_epoch: LeaderEpoch,
    /// Rises with every head.
    pub sequence: u64,
    /// The first offset that can be read; may lie within the first object.
    pub start: Offset,
    /// The offset after the last that is archived.
    pub end: Offset,
    /// Leader epochs of the records, each with its first offset, both rising.
    pub epochs: Vec<EpochEntry>,
    /// Older objects, in order.
    pub sealed: Vec<SealedRange>,
    /// Newer objects, in order.
    pub recent: Vec<ArchivedObject>,
}

/// What a head says of a sealed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRange {
    /// The offsets of its objects.
    pub range: Range<Offset>,
    /// How many there are.
    pub objects: u64,
    /// Bytes of their batches.
    pub bytes: u64,
    /// The latest time that a batch of them claims; `None` if that is not known of each.
    pub max_timestamp: Option<Timestamp>,
}

/// Older objects, written down once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedList {
    /// Whose they are.
    pub owner: ArchiveOwner,
    /// In order, at least one.
    pub objects: Vec<ArchivedObject>,
}

/// Why bytes are not a manifest that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A newer program wrote it; this one must not replace it.
    #[error(
        "the manifest is of a newer version version={version} known={}",
        crate::layout::LAYOUT_VERSION
    )]
    Newer {
        /// As found.
        version: u64,
    },
    /// Not JSON, or a field is missing or impossible.
    #[error("the manifest is damaged: {0}")]
    Damaged(String),
    /// Its ranges have gaps or overlap.
    #[error("the manifest has a gap or an overlap at={at}")]
    Ranges {
        /// Where the next range should begin, or the last one end.
        at: Offset,
    },
    /// It is of another partition or cluster.
    #[error("the manifest is another partition's or cluster's")]
    Foreign,
}

impl ManifestHead {
    /// Whether nothing is missing and nothing is there twice.
    pub fn check(&self) -> Result<(), ManifestError> {
        let sealed = self.sealed.iter().map(|list| list.range.clone());
        let recent = self.recent.iter().map(|object| object.base()..object.end());
        check_ranges(sealed.chain(recent), self.start..self.end)
    }

    /// Whether it is of that partition and cluster.
    pub(crate) fn check_owner(&self, owner: &ArchiveOwner) -> Result<(), ManifestError> {
        check_owner(&self.owner, owner)
    }
}

impl SealedList {
    /// What a head says of it.
    pub fn summary(&self) -> SealedRange {
        SealedRange::of(&self.objects)
    }

    /// Whether it is the list that a head has named.
    pub(crate) fn check(
        &self,
        owner: &ArchiveOwner,
        named: &SealedRange,
    ) -> Result<(), ManifestError> {
        check_owner(&self.owner, owner)?;
        let summary = self.summary();
        let is_named = (summary.objects, summary.bytes) == (named.objects, named.bytes);
        if !is_named {
            let what = "a sealed list is not the one that the head names";
            return Err(ManifestError::Damaged(what.to_owned()));
        }
        check_ranges(ranges(&self.objects), named.range.clone())
    }
}

impl SealedRange {
    /// # Panics
    /// If there is none.
    pub(crate) fn of(objects: &[ArchivedObject]) -> Self {
        let first = objects.first().expect("a list holds an object");
        let last = objects.last().expect("a list holds an object");
        let times: Option<Vec<_>> = objects.iter().map(ArchivedObject::max_timestamp).collect();
        Self {
            range: first.base()..last.end(),
            objects: objects.len() as u64,
            bytes: objects.iter().map(|object| object.bytes).sum(),
            max_timestamp: times.and_then(|times| times.into_iter().max()),
        }
    }
}

pub(crate) fn ranges(objects: &[ArchivedObject]) -> impl Iterator<Item = Range<Offset>> {
    objects.iter().map(|object| object.base()..object.end())
}

/// Whether ranges follow each other and cover `whole`: the first may begin earlier.
fn check_ranges(
    ranges: impl Iterator<Item = Range<Offset>>,
    whole: Range<Offset>,
) -> Result<(), ManifestError> {
    let mut end = None;
    for range in ranges {
        let is_next = match end {
            None => range.start <= whole.start && whole.start < range.end,
            Some(end) => end == range.start,
        };
        if !is_next || range.start >= range.end {
            let at = end.unwrap_or(whole.start);
            return Err(ManifestError::Ranges { at });
        }
        end = Some(range.end);
    }
    match end.unwrap_or(whole.start) == whole.end {
        true => Ok(()),
        false => Err(ManifestError::Ranges { at: whole.end }),
    }
}

fn check_owner(found: &ArchiveOwner, expected: &ArchiveOwner) -> Result<(), ManifestError> {
    // A topic may get another name.
    let is_it = found.group == expected.group && found.cluster_id == expected.cluster_id;
    is_it.then_some(()).ok_or(ManifestError::Foreign)
}

/// How many of these objects should become a list now; 0 if they are too few.
pub(crate) fn sealable(objects: &[ArchivedObject]) -> usize {
    let mut bytes = 0;
    for (nth, object) in objects.iter().enumerate() {
        bytes += json::object_bytes(object);
        if nth + 1 == SEAL_OBJECTS || bytes >= SEAL_BYTES {
            return nth + 1;
        }
    }
    0
}

#[cfg(test)]
mod tests;
