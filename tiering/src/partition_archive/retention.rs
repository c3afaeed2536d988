//! What of an archive may go, by age and by size, and what then goes.

use std::ops::Range;

use klamm_model::{Offset, Timestamp};
use klamm_storage::GroupId;

use super::asking::list_of;
use super::{ArchiveError, PartitionArchive};
use crate::archived_object::ArchivedObject;
use crate::layout::{self, ObjectName};
use crate::manifest::SealedRange;
use crate::object_store::ObjectKey;

/// How much of a partition is kept (`retention.ms`, `retention.bytes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionLimits {
    /// Objects all of whose records are earlier go; `None` for no limit.
    pub oldest: Option<Timestamp>,
    /// Bytes of the whole partition, archived or not; `None` for no limit.
    pub bytes_max: Option<u64>,
    /// Bytes of the records at or above the archive's end, which lie on disks only.
    pub bytes_beyond: u64,
}

/// The oldest objects that retention does not ask to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// How many.
    pub objects: u64,
    /// Bytes of their batches.
    pub bytes: u64,
    /// Where the archive would start without them.
    pub start: Offset,
}

/// What is no more part of an archive, and may be deleted when nobody reads it any longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Objects wholly below the new start.
    pub objects: Vec<ObjectName>,
    /// Ranges of sealed lists wholly below it.
    pub lists: Vec<Range<Offset>>,
}

impl Removed {
    /// The keys of all of it, in an order in which it can be deleted: batches last, so that the rest can be
    /// made again as long as they are there.
    pub fn keys(&self, group: GroupId) -> Vec<ObjectKey> {
        let lists = self
            .lists
            .iter()
            .map(|range| layout::sealed_key(group, range));
        let objects = self.objects.iter();
        let objects =
            objects.flat_map(|name| [layout::index_key(group, name), layout::log_key(group, name)]);
        lists.chain(objects).collect()
    }
}

impl PartitionArchive {
    /// Moves the start of the archive, which the group has committed, and says what lies wholly below it.
    /// Each object is told once; what is told and not deleted by a process that ends is found again by a
    /// listing only. A start that is not higher changes nothing; one above the end means the end.
    ///
    /// # Errors
    /// If a list that begins below the new start cannot be read; nothing has changed then.
    pub async fn remove_below(&self, start: Offset) -> Result<Removed, ArchiveError> {
        let before = self.range();
        let start = start.min(before.end);
        let mut removed = Removed::default();
        if start <= before.start {
            return Ok(removed);
        }
        let goes = |end: Offset| before.start < end && end <= start;
        let (sealed, recent) = self.parts();
        for list in sealed.iter().filter(|list| list.range.start < start) {
            let objects = list_of(&*self.store, &self.owner, list).await?;
            let objects = objects.iter().filter(|object| goes(object.end()));
            removed.objects.extend(objects.map(|object| object.name));
        }
        let recent = recent.iter().filter(|object| goes(object.end()));
        removed.objects.extend(recent.map(|object| object.name));
        let lists = sealed.iter().map(|list| list.range.clone());
        removed.lists.extend(lists.filter(|range| goes(range.end)));
        self.view().forget_below(start);
        Ok(removed)
    }

    /// Bytes of the objects that hold `offset` or anything above it.
    ///
    /// # Errors
    /// If the list with `offset` cannot be read.
    pub async fn bytes_from(&self, offset: Offset) -> Result<u64, ArchiveError> {
        let (sealed, recent) = self.parts();
        let mut bytes = bytes_above(&recent, offset);
        for list in sealed.iter().filter(|list| list.range.end > offset) {
            bytes += match list.range.start >= offset {
                true => list.bytes,
                false => bytes_above(&list_of(&*self.store, &self.owner, list).await?, offset),
            };
        }
        Ok(bytes)
    }

    /// The oldest objects that are too old, or too much. Kafka's rule for segments: from the oldest on as long
    /// as one is wholly too old, or the partition without it is still not smaller than it may be.
    ///
    /// # Errors
    /// As [`find_time`](Self::find_time).
    pub async fn expired(&self, limits: RetentionLimits) -> Result<Expired, ArchiveError> {
        let Range { start, end } = self.range();
        let total = self.bytes_from(start).await? + limits.bytes_beyond;
        let mut excess = limits.bytes_max.map_or(0, |max| total.saturating_sub(max));
        let mut expired = Expired {
            objects: 0,
            bytes: 0,
            start,
        };
        while expired.start < end {
            let Some(object) = self.find(expired.start).await? else {
                break;
            };
            let is_too_much = excess >= object.bytes && excess > 0;
            if !is_too_much && !self.is_too_old(&object, limits.oldest).await? {
                break;
            }
            excess = excess.saturating_sub(object.bytes);
            expired.objects += 1;
            expired.bytes += object.bytes;
            expired.start = object.end();
        }
        Ok(expired)
    }

    /// An object without any time is never too old.
    async fn is_too_old(
        &self,
        object: &ArchivedObject,
        oldest: Option<Timestamp>,
    ) -> Result<bool, ArchiveError> {
        let Some(oldest) = oldest else {
            return Ok(false);
        };
        let latest = self.details(object).await?.max_timestamp;
        Ok(latest.millis() >= 0 && latest < oldest)
    }

    fn parts(&self) -> (Vec<SealedRange>, Vec<ArchivedObject>) {
        let view = self.view();
        (view.sealed.clone(), view.recent.clone())
    }
}

fn bytes_above(objects: &[ArchivedObject], offset: Offset) -> u64 {
    let above = objects.iter().filter(|object| object.end() > offset);
    above.map(|object| object.bytes).sum()
}
