//! Indexes of objects, in memory for those who read them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use klamm_storage::GroupId;
use tokio::runtime::Handle;

use crate::layout::{self, ObjectName};
use crate::lru::Lru;
use crate::object_store::{ObjectKey, ObjectStore};
use crate::partition_archive::{ArchiveError, index_of};
use crate::segment_index::SegmentIndex;
use crate::single_flight::SingleFlight;

type Kept = Lru<ObjectKey, Arc<SegmentIndex>>;

type Fetched = Result<Arc<SegmentIndex>, ArchiveError>;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Indexes {
    store: Arc<dyn ObjectStore>,
    runtime: Handle,
    kept: Arc<Mutex<Kept>>,
    flights: Arc<SingleFlight<ObjectKey, Arc<SegmentIndex>, ArchiveError>>,
}

impl Indexes {
    pub(super) fn new(store: Arc<dyn ObjectStore>, bytes_max: u64, runtime: Handle) -> Self {
        Self {
            store,
            runtime,
            kept: Arc::new(Mutex::new(Lru::new(bytes_max))),
            flights: Arc::new(SingleFlight::new()),
        }
    }

    /// The index of an object; `None` if reading it came to no end.
    pub(super) async fn get(&self, group: GroupId, name: ObjectName) -> Option<Fetched> {
        let key = layout::index_key(group, &name);
        if let Some(index) = kept(&self.kept, &key) {
            return Some(Ok(index));
        }
        let (store, known, known_as) = (self.store.clone(), self.kept.clone(), key.clone());
        let work = || async move {
            // The one who has just fetched it may be done, and we may have looked before it was.
            match kept(&known, &known_as) {
                Some(index) => Ok(index),
                None => index_of(&*store, group, &name).await.map(Arc::new),
            }
        };
        let (keeping, kept_as) = (self.kept.clone(), key.clone());
        let keep = move |index: Arc<SegmentIndex>, _landing| async move {
            let size = index.memory_bytes() as u64;
            lock(&keeping).insert(kept_as, index, size);
        };
        let flight = self.flights.join(&self.runtime, &key, work, keep);
        flight.outcome().await
    }
}

fn kept(kept: &Mutex<Kept>, key: &ObjectKey) -> Option<Arc<SegmentIndex>> {
    lock(kept).get(key).cloned()
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
