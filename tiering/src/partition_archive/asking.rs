//! What an archive asks of the store: whole small objects, and listings.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use klamm_model::Offset;
use klamm_storage::GroupId;

use super::ArchiveError;
use crate::archive_view::List;
use crate::archived_object::ArchivedObject;
use crate::chain::{Hole, Listed};
use crate::layout::{self, ObjectName};
use crate::manifest::{
    ArchiveOwner, MANIFEST_BYTES_MAX, ManifestError, ManifestHead, SealedList, SealedRange,
};
use crate::object_store::{Completion, ObjectKey, ObjectStore, ObjectTag, StoreError};
use crate::segment_index::{SegmentIndex, SegmentIndexError};

/// Largest index that is read: that of an object of a million batches with an entry each is a tenth of it.
const INDEX_BYTES_MAX: u64 = 256 << 20;

/// Keys that are asked for at once; S3 gives no more.
const PAGE_KEYS: usize = 1_000;

/// What lies where the head of a manifest should be.
#[derive(Debug)]
pub(super) enum FoundHead {
    Missing,
    /// Not a head of this partition that can be read; it may be replaced.
    Damaged(ObjectTag, ManifestError),
    Read(ObjectTag, Box<ManifestHead>, Bytes),
}

/// Reads the head. One of a newer version, or of another cluster, is an error: it must not be replaced.
pub(super) async fn head_of(
    store: &dyn ObjectStore,
    owner: &ArchiveOwner,
) -> Result<FoundHead, ArchiveError> {
    let key = layout::head_key(owner.group);
    // The tag first: what is read then is as new as the tag or newer, and what is newer is noticed when it
    // is to be replaced.
    let tag = match store.head(&key).await {
        Ok(object) => object.tag,
        Err(StoreError::NotFound(_)) => return Ok(FoundHead::Missing),
        Err(error) => return Err(error.into()),
    };
    let bytes = match store.get_range(&key, 0..MANIFEST_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound(_)) => return Ok(FoundHead::Missing),
        Err(error) => return Err(error.into()),
    };
    let head = ManifestHead::decode(&bytes).and_then(|head| {
        head.check_owner(owner)?;
        Ok(head)
    });
    match head {
        Ok(head) => Ok(FoundHead::Read(tag, Box::new(head), bytes)),
        Err(error @ (ManifestError::Newer { .. } | ManifestError::Foreign)) => {
            Err(ArchiveError::Manifest { key, error })
        }
        Err(error @ (ManifestError::Damaged(_) | ManifestError::Ranges { .. })) => {
            Ok(FoundHead::Damaged(tag, error))
        }
    }
}

/// The objects of a list that a head names. If the list is missing or damaged, a listing makes up for it.
pub(crate) async fn list_of(
    store: &dyn ObjectStore,
    owner: &ArchiveOwner,
    named: &SealedRange,
) -> Result<List, ArchiveError> {
    let key = layout::sealed_key(owner.group, &named.range);
    let error = match store.get_range(&key, 0..MANIFEST_BYTES_MAX).await {
        Ok(bytes) => match read_list(&bytes, owner, named) {
            Ok(objects) => return Ok(objects.into()),
            Err(error @ ManifestError::Newer { .. }) => {
                return Err(ArchiveError::Manifest { key, error });
            }
            Err(error) => error.to_string(),
        },
        Err(StoreError::NotFound(_)) => "it is not there".to_owned(),
        Err(error) => return Err(error.into()),
    };
    tracing::warn!(%key, error, "a list of archived objects cannot be used, and objects are listed");
    let objects = chain_of(store, owner.group, named.range.clone()).await?;
    Ok(objects.into())
}

fn read_list(
    bytes: &[u8],
    owner: &ArchiveOwner,
    named: &SealedRange,
) -> Result<Vec<ArchivedObject>, ManifestError> {
    let list = SealedList::decode(bytes)?;
    list.check(owner, named)?;
    Ok(list.objects)
}

/// The objects of `range`, which begins with one, from a listing.
pub(super) async fn chain_of(
    store: &dyn ObjectStore,
    group: GroupId,
    range: Range<Offset>,
) -> Result<Vec<ArchivedObject>, ArchiveError> {
    let after = layout::before_objects_from(group, range.start);
    let listed = list(store, group, Some(after), range.end).await?;
    listed.chain(range).map_err(|hole| of_hole(group, hole))
}

/// As [`chain_of`], where the first object may begin before `range`.
pub(super) async fn whole_chain_of(
    store: &dyn ObjectStore,
    group: GroupId,
    range: Range<Offset>,
) -> Result<Vec<ArchivedObject>, ArchiveError> {
    let listed = list(store, group, None, range.end).await?;
    listed.chain(range).map_err(|hole| of_hole(group, hole))
}

async fn list(
    store: &dyn ObjectStore,
    group: GroupId,
    mut after: Option<ObjectKey>,
    end: Offset,
) -> Result<Listed, ArchiveError> {
    let prefix = layout::objects_prefix(group);
    let mut listed = Listed::default();
    loop {
        let page = store.list(&prefix, after.as_ref(), PAGE_KEYS).await?;
        let mut is_past = false;
        for object in &page {
            is_past |= listed.add(group, object, end);
        }
        let is_last = page.len() < PAGE_KEYS;
        match page.into_iter().last() {
            Some(last) if !is_last && !is_past => after = Some(last.key),
            _ => return Ok(listed),
        }
    }
}

fn of_hole(group: GroupId, hole: Hole) -> ArchiveError {
    ArchiveError::Hole {
        from: hole.from,
        to: hole.to,
        half: hole.half.map(|half| half.key(group)),
    }
}

/// Reads the index of an object.
pub(crate) async fn index_of(
    store: &dyn ObjectStore,
    group: GroupId,
    name: &ObjectName,
) -> Result<SegmentIndex, ArchiveError> {
    let key = layout::index_key(group, name);
    let bytes = store.get_range(&key, 0..INDEX_BYTES_MAX).await?;
    let index = SegmentIndex::decode(&bytes).and_then(|index| {
        let facts = index.facts();
        let is_its = facts.base == name.base() && facts.end == name.end();
        is_its
            .then_some(index)
            .ok_or(SegmentIndexError::Damaged("it is another object's"))
    });
    index.map_err(|error| ArchiveError::Index { key, error })
}

/// Creates a small object, if there is none of that key. The one place that does so.
pub(crate) fn create<'a>(
    store: &'a dyn ObjectStore,
    key: &'a ObjectKey,
    body: Bytes,
) -> Completion<'a, ObjectTag> {
    store.put_if_absent(key, Arc::new(body))
}
