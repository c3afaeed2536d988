//! A directory in the place of object storage: what a broker uses that is given no other.
//!
//! Keys are paths below the root, so that a copy of the directory into a bucket is a move to it, and
//! query engines read it as it lies. An object is written to a file without a name in the archive,
//! synced, and only then linked (`link(2)` fails if the name is taken) or renamed to its place: nobody
//! sees half of one, and what was acknowledged survives the loss of power.
//!
//! Unlike in a bucket, a key cannot be a part of another one: `a` and `a/b` exclude each other.
//!
//! The tag of an object is its modification time and size. Whoever replaces one makes sure, under a lock
//! that all processes share, that its time is later than that of the one before.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::body::ObjectBody;
use crate::object_store::{
    Completion, ListedObject, ObjectHead, ObjectKey, ObjectStore, ObjectTag, StoreError,
};

use listing::Listing;
use place::{Place, listed, unavailable};

mod listing;
mod place;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct DirStore {
    place: Arc<Place>,
}

impl DirStore {
    /// A store in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be.
    pub fn open(root: &Path) -> io::Result<Self> {
        Ok(Self {
            place: Arc::new(Place::open(root)?),
        })
    }

    /// Does it where waiting for the disk keeps nobody waiting.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, StoreError> + Send + 'static,
    ) -> Completion<'static, T> {
        let place = self.place.clone();
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&place)).await;
            done.unwrap_or_else(|gone| {
                let reason = gone.to_string();
                Err(StoreError::Unavailable { reason })
            })
        })
    }
}

impl ObjectStore for DirStore {
    fn put_if_absent<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Arc<dyn ObjectBody>,
    ) -> Completion<'a, ObjectTag> {
        let key = key.clone();
        self.run(move |place| place.put_if_absent(&key, &*body))
    }

    fn put_if_match<'a>(
        &'a self,
        key: &'a ObjectKey,
        tag: &'a ObjectTag,
        body: Bytes,
    ) -> Completion<'a, ObjectTag> {
        let (key, tag) = (key.clone(), tag.clone());
        self.run(move |place| place.put_if_match(&key, &tag, &body))
    }

    fn get_range<'a>(&'a self, key: &'a ObjectKey, range: Range<u64>) -> Completion<'a, Bytes> {
        let key = key.clone();
        self.run(move |place| place.get_range(&key, range))
    }

    fn head<'a>(&'a self, key: &'a ObjectKey) -> Completion<'a, ObjectHead> {
        let key = key.clone();
        self.run(move |place| place.head(&key))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
        count_max: usize,
    ) -> Completion<'a, Vec<ListedObject>> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        self.run(move |place| {
            let listing = Listing::new(&place.root, &prefix, after.as_ref(), count_max);
            let files = listing.files().map_err(|error| unavailable(&error))?;
            let objects = files.into_iter().map(|(key, about)| listed(key, &about));
            Ok(objects.collect())
        })
    }

    fn delete<'a>(&'a self, key: &'a ObjectKey) -> Completion<'a, ()> {
        let key = key.clone();
        self.run(move |place| place.delete(&key))
    }

    /// What was begun has no key yet, so the prefix does not matter.
    fn abort_stale<'a>(&'a self, _prefix: &'a str, older_than: Duration) -> Completion<'a, usize> {
        self.run(move |place| {
            let removed = place.remove_unfinished(older_than);
            removed.map_err(|error| unavailable(&error))
        })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "looks at the files of a store")]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::SystemTime;

    fn now<T>(completion: Completion<'_, T>) -> Result<T, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(completion)
    }

    #[test]
    fn what_a_process_left_unfinished_is_no_object_and_goes_when_it_is_old() {
        let directory = tempfile::tempdir().unwrap();
        let store = DirStore::open(directory.path()).unwrap();
        let key = ObjectKey::new("whatever").unwrap();
        let half = Bytes::from_static(b"half of");
        let unfinished = store.place.write(&key, &half).unwrap();
        assert_eq!(now(store.list("", None, 10)), Ok(Vec::new()));
        let hour = Duration::from_secs(3600);
        assert_eq!(now(store.abort_stale("", hour)), Ok(0));
        assert!(unfinished.exists());
        assert_eq!(now(store.abort_stale("", Duration::ZERO)), Ok(1));
        assert!(!unfinished.exists());
    }

    #[test]
    fn what_is_the_stores_own_is_nobody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let store = DirStore::open(directory.path()).unwrap();
        let key = ObjectKey::new(".klamm/lock").unwrap();
        let refused = now(store.put_if_absent(&key, Arc::new(Bytes::new())));
        assert!(
            matches!(refused, Err(StoreError::Denied { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn a_replacement_is_told_apart_whatever_the_clock_says() {
        let directory = tempfile::tempdir().unwrap();
        let store = DirStore::open(directory.path()).unwrap();
        let key = ObjectKey::new("head.json").unwrap();
        now(store.put_if_absent(&key, Arc::new(Bytes::from_static(b"1")))).unwrap();
        let file = File::options().write(true).open(store.place.path(&key));
        let year = Duration::from_secs(365 * 24 * 3600);
        let ahead = SystemTime::now() + year;
        file.unwrap().set_modified(ahead).unwrap();
        let before = now(store.head(&key)).unwrap().tag;
        let after = now(store.put_if_match(&key, &before, Bytes::from_static(b"2"))).unwrap();
        assert_ne!(before, after);
        let written = std::fs::metadata(store.place.path(&key)).unwrap();
        assert!(written.modified().unwrap() > ahead);
    }

    #[test]
    fn a_directory_that_may_not_be_written_refuses_with_a_reason() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DirStore::open(&file.path().join("below")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
