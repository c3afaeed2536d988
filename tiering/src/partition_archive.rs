//! The archive of one partition, as one broker knows it.
//!
//! What range is archived is decided by the partition's group, which tells it ([`load`](PartitionArchive::load),
//! [`add`](PartitionArchive::add), [`remove_below`](PartitionArchive::remove_below)). Which objects that are
//! comes from the manifest, and where that is missing, damaged or behind, from a listing. The leader
//! [publishes](PartitionArchive::publish) a new head from time to time.
//!
//! Methods take `&self` and may be called side by side; no lock is held while the store is asked.

mod asking;
mod load;
mod publish;
mod retention;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use klamm_model::{Offset, Timestamp};
use klamm_storage::{EpochEntry, GroupId};

use crate::archive_view::{ArchiveView, Located};
use crate::archived_object::{ArchivedObject, ObjectDetails};
use crate::layout;
use crate::manifest::{ArchiveOwner, ManifestError};
use crate::object_store::{ObjectKey, ObjectStore, StoreError};
use crate::segment_index::{SegmentIndex, SegmentIndexError};

use asking::list_of;
pub(crate) use asking::{create, index_of};
pub use publish::PublishError;
use publish::Published;
pub use retention::{Expired, Removed, RetentionLimits};

/// See the [module](self).
#[derive(Debug)]
pub struct PartitionArchive {
    store: Arc<dyn ObjectStore>,
    owner: ArchiveOwner,
    view: Mutex<ArchiveView>,
    /// One head is published at a time.
    published: tokio::sync::Mutex<Published>,
}

/// Why nothing can be said of an archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The store does not do it; see there what to do.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Objects are missing that the group says are there. A person has to look; what lies above the hole can be
    /// loaded as a range of its own.
    #[error("the archive has a hole from={from} to={to}{}", of_half(half.as_ref()))]
    Hole {
        /// The archive can be had up to here.
        from: Offset,
        /// Where it could go on.
        to: Offset,
        /// What is there of an object of which the other half is missing.
        half: Option<ObjectKey>,
    },
    /// A manifest that must not be passed over: of a newer version, or another cluster's.
    #[error("{error} key={key}")]
    Manifest {
        /// Where it lies.
        key: ObjectKey,
        /// What is wrong.
        error: ManifestError,
    },
    /// An index cannot be read. If it is damaged it can be made again from the batches.
    #[error("{error} key={key}")]
    Index {
        /// Where it lies.
        key: ObjectKey,
        /// What is wrong.
        error: SegmentIndexError,
    },
}

fn of_half(half: Option<&ObjectKey>) -> String {
    half.map_or_else(String::new, |key| format!(" only_half={key}"))
}

/// An object that does not begin where the archive ends: it must not be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the object does not follow the archive end={end} base={base}")]
pub struct NotTheNext {
    /// Where the archive ends.
    pub end: Offset,
    /// Where the object begins.
    pub base: Offset,
}

impl PartitionArchive {
    fn new(store: Arc<dyn ObjectStore>, owner: ArchiveOwner, view: ArchiveView) -> Self {
        Self {
            store,
            owner,
            view: Mutex::new(view),
            published: tokio::sync::Mutex::default(),
        }
    }

    /// An archive that is known to hold nothing, and begins at `start`. The store is not asked.
    pub fn empty(store: Arc<dyn ObjectStore>, owner: ArchiveOwner, start: Offset) -> Self {
        let view = ArchiveView::of_objects(start..start, Vec::new());
        Self::new(store, owner, view)
    }

    /// Which partition's it is.
    pub fn group(&self) -> GroupId {
        self.owner.group
    }

    /// The offsets that can be read from it.
    pub fn range(&self) -> Range<Offset> {
        let view = self.view();
        view.start..view.end
    }

    /// Leader epochs of the records, each with its first offset, as far as they are known: all of them, unless
    /// objects were found by a listing and have not been looked into.
    pub fn epochs(&self) -> Vec<EpochEntry> {
        self.view().epochs()
    }

    /// Takes note of an object that the group has committed. `epochs` are those of its index.
    ///
    /// # Errors
    /// If it does not begin where the archive ends; nothing has changed then.
    pub fn add(&self, object: ArchivedObject, epochs: &[EpochEntry]) -> Result<(), NotTheNext> {
        let mut view = self.view();
        let not_the_next = NotTheNext {
            end: view.end,
            base: object.base(),
        };
        if !view.add(object) {
            return Err(not_the_next);
        }
        view.note_epochs(epochs);
        Ok(())
    }

    /// The object that holds `offset`, if it is known without asking the store. `None` says nothing.
    pub fn find_now(&self, offset: Offset) -> Option<ArchivedObject> {
        match self.view().find(offset) {
            Located::Object(object) => Some(object),
            Located::List(_) | Located::Nowhere => None,
        }
    }

    /// The object that holds `offset`; `None` if that is not archived.
    ///
    /// # Errors
    /// If the list that would say it cannot be read, nor be made up for by a listing.
    pub async fn find(&self, offset: Offset) -> Result<Option<ArchivedObject>, ArchiveError> {
        let named = match self.view().find(offset) {
            Located::Object(object) => return Ok(Some(object)),
            Located::Nowhere => return Ok(None),
            Located::List(named) => named,
        };
        let list = list_of(&*self.store, &self.owner, &named).await?;
        let found = crate::archive_view::find_in(&list, offset).cloned();
        self.view().keep(list);
        Ok(found)
    }

    /// The first object of which a batch claims to have a record of `timestamp` or later; `None` if none
    /// does.
    ///
    /// # Errors
    /// As [`find`](Self::find), and if the index of an object has to be read and cannot be.
    pub async fn find_time(
        &self,
        timestamp: Timestamp,
    ) -> Result<Option<ArchivedObject>, ArchiveError> {
        let Range { mut start, end } = self.range();
        while start < end {
            if let Some(passed) = self.end_of_older_list(start, timestamp) {
                start = passed;
                continue;
            }
            let Some(object) = self.find(start).await? else {
                break;
            };
            let details = self.details(&object).await?;
            if details.max_timestamp >= timestamp {
                let details = Some(details);
                return Ok(Some(ArchivedObject { details, ..object }));
            }
            start = object.end();
        }
        Ok(None)
    }

    /// Where the list with this offset ends, if all in it is earlier.
    fn end_of_older_list(&self, offset: Offset, timestamp: Timestamp) -> Option<Offset> {
        let view = self.view();
        let list = view.list_of(offset)?;
        let latest = list.max_timestamp?;
        (latest < timestamp).then_some(list.range.end)
    }

    /// What the index of an object says of it as a whole; read from there if it is not known.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub async fn details(&self, object: &ArchivedObject) -> Result<ObjectDetails, ArchiveError> {
        if let Some(details) = &object.details {
            return Ok(details.clone());
        }
        let index = self.index(object).await?;
        let details = ObjectDetails::of(&index, None);
        let mut view = self.view();
        view.set_details(&object.name, &details);
        view.note_epochs(index.epochs());
        Ok(details)
    }

    /// The index of an object, as it lies in the store. Readers have it in memory:
    /// [`ArchiveReader`](crate::ArchiveReader).
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn index(&self, object: &ArchivedObject) -> Result<SegmentIndex, ArchiveError> {
        index_of(&*self.store, self.owner.group, &object.name).await
    }

    fn view(&self) -> MutexGuard<'_, ArchiveView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn head_key(&self) -> ObjectKey {
        layout::head_key(self.owner.group)
    }
}
