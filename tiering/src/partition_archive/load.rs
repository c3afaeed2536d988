//! From the manifest and a listing to what an archive holds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use klamm_model::Offset;

use super::asking::{FoundHead, chain_of, head_of, whole_chain_of};
use super::publish::Published;
use super::{ArchiveError, PartitionArchive};
use crate::archive_view::ArchiveView;
use crate::archived_object::ArchivedObject;
use crate::layout::ObjectName;
use crate::manifest::{ArchiveOwner, ManifestHead, SealedRange};
use crate::object_store::ObjectStore;

impl PartitionArchive {
    /// What the archive holds of `range`, which is what the group has committed. If the head of the manifest
    /// says it, two small reads are enough; else objects are listed.
    ///
    /// # Errors
    /// If the store does not answer, the objects do not cover the range, or the manifest is of a newer
    /// version or another cluster.
    pub async fn load(
        store: Arc<dyn ObjectStore>,
        owner: ArchiveOwner,
        range: Range<Offset>,
    ) -> Result<Self, ArchiveError> {
        let found = head_of(&*store, &owner).await?;
        let published = Published::of(&found);
        let head = match found {
            FoundHead::Missing => None,
            FoundHead::Read(_, head, _) => Some(head),
            FoundHead::Damaged(_, error) => {
                let (topic, partition) = (&owner.topic, owner.group.partition.0);
                tracing::warn!(%topic, partition, %error,
                    "the manifest of an archive cannot be used, and objects are listed");
                None
            }
        };
        let view = match head {
            Some(head) => of_head(&*store, &head, range).await?,
            None if range.is_empty() => ArchiveView::of_objects(range, Vec::new()),
            None => {
                let objects = whole_chain_of(&*store, owner.group, range.clone()).await?;
                ArchiveView::of_objects(range, objects)
            }
        };
        let mut archive = Self::new(store, owner, view);
        *archive.published.get_mut() = published;
        Ok(archive)
    }
}

/// What the head says, completed by a listing if need be.
async fn of_head(
    store: &dyn ObjectStore,
    head: &ManifestHead,
    range: Range<Offset>,
) -> Result<ArchiveView, ArchiveError> {
    if let Some(view) = ArchiveView::of_head(head, range.clone()) {
        return Ok(view);
    }
    let group = head.owner.group;
    // Its recent objects are listed again, too: after an unclean election others may be the right ones.
    let (sealed, from) = usable_lists(head, &range);
    let objects = match sealed.is_empty() {
        true => whole_chain_of(store, group, range.clone()).await?,
        false => match chain_of(store, group, from..range.end).await {
            Ok(objects) => objects,
            Err(ArchiveError::Hole { .. }) => return of_listing(store, head, range).await,
            Err(error) => return Err(error),
        },
    };
    let mut view = ArchiveView::of_objects(range.clone(), with_details(objects, head));
    view.sealed = sealed;
    view.note_epochs(&head.epochs);
    view.forget_below(range.start);
    Ok(view)
}

/// What a listing says, whatever the lists of the head do.
async fn of_listing(
    store: &dyn ObjectStore,
    head: &ManifestHead,
    range: Range<Offset>,
) -> Result<ArchiveView, ArchiveError> {
    let objects = whole_chain_of(store, head.owner.group, range.clone()).await?;
    let objects = with_details(objects, head);
    Ok(ArchiveView::of_objects(range, objects))
}

/// Lists of the head that hold the beginning of `range`, and where they end.
fn usable_lists(head: &ManifestHead, range: &Range<Offset>) -> (Vec<SealedRange>, Offset) {
    let lists = head.sealed.iter().filter(|list| {
        let end = list.range.end;
        end > range.start && end < range.end
    });
    let lists: Vec<_> = lists.cloned().collect();
    let begins = lists
        .first()
        .is_some_and(|list| list.range.start <= range.start);
    match lists.last() {
        Some(last) if begins && head.start <= range.start => {
            let end = last.range.end;
            (lists, end)
        }
        _ => (Vec::new(), range.start),
    }
}

/// What the head says of objects that a listing has found.
fn with_details(mut objects: Vec<ArchivedObject>, head: &ManifestHead) -> Vec<ArchivedObject> {
    let known: BTreeMap<ObjectName, &ArchivedObject> = head
        .recent
        .iter()
        .map(|object| (object.name, object))
        .collect();
    for object in &mut objects {
        let known = known.get(&object.name);
        object.details = known.and_then(|known| known.details.clone());
    }
    objects
}
