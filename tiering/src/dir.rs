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
#![expect(
    clippy::disallowed_methods,
    reason = "this is the disk of an archive, which is not that of the log"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::listing::Listing;
use crate::object_store::{
    Completion, ListedObject, ObjectKey, ObjectStore, ObjectTag, StoreError,
};

/// What is the store's own, below the root: unfinished objects, and the lock.
pub(crate) const OWN_DIRECTORY: &str = ".klamm";

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct DirStore {
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    root: PathBuf,
    /// Names of unfinished objects.
    unfinished: AtomicU64,
}

impl DirStore {
    /// A store in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(OWN_DIRECTORY))?;
        let root = root.canonicalize()?;
        sync_directory(&root)?;
        Ok(Self {
            place: Arc::new(Place {
                root,
                unfinished: AtomicU64::new(0),
            }),
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
    fn put_if_absent<'a>(&'a self, key: &'a ObjectKey, body: Bytes) -> Completion<'a, ObjectTag> {
        let key = key.clone();
        self.run(move |place| place.put_if_absent(&key, &body))
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

    fn head<'a>(&'a self, key: &'a ObjectKey) -> Completion<'a, ListedObject> {
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

impl Place {
    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn put_if_absent(&self, key: &ObjectKey, body: &[u8]) -> Result<ObjectTag, StoreError> {
        if key.as_str().split('/').next() == Some(OWN_DIRECTORY) {
            let reason = "the store keeps what is its own there".to_owned();
            let key = key.clone();
            return Err(StoreError::Denied { key, reason });
        }
        let linked = self.write(body).and_then(|unfinished| {
            let tag = tag_of(&fs::metadata(&unfinished)?);
            self.make_parents(key)?;
            let linked = fs::hard_link(&unfinished, self.path(key));
            fs::remove_file(&unfinished)?;
            linked?;
            sync_directory(parent(&self.path(key)))?;
            Ok(tag)
        });
        linked.map_err(|error| because(error, key))
    }

    fn put_if_match(
        &self,
        key: &ObjectKey,
        tag: &ObjectTag,
        body: &[u8],
    ) -> Result<ObjectTag, StoreError> {
        let unfinished = self.write(body).map_err(|error| because(error, key))?;
        let replaced = self.replace(key, tag, &unfinished);
        if !matches!(replaced, Ok(Some(_))) {
            // If even this fails, it is stale one day.
            let _ = fs::remove_file(&unfinished);
        }
        match replaced {
            Ok(Some(tag)) => Ok(tag),
            Ok(None) => Err(StoreError::ConditionFailed(key.clone())),
            Err(error) => Err(because(error, key)),
        }
    }

    /// `None` if the object is not what it was.
    fn replace(
        &self,
        key: &ObjectKey,
        tag: &ObjectTag,
        unfinished: &Path,
    ) -> io::Result<Option<ObjectTag>> {
        let path = self.path(key);
        let _lock = self.lock()?;
        let before = fs::metadata(&path)?;
        if tag_of(&before) != *tag {
            return Ok(None);
        }
        let file = OpenOptions::new().write(true).open(unfinished)?;
        let later = before.modified()? + Duration::from_nanos(1);
        file.set_modified(SystemTime::now().max(later))?;
        file.sync_all()?;
        let tag = tag_of(&file.metadata()?);
        fs::rename(unfinished, &path)?;
        sync_directory(parent(&path))?;
        Ok(Some(tag))
    }

    /// An object that has no place yet, on the disk.
    fn write(&self, body: &[u8]) -> io::Result<PathBuf> {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let name = format!("unfinished-{}-{number}", std::process::id());
        let path = self.root.join(OWN_DIRECTORY).join(name);
        let mut file = File::create(&path)?;
        let written = file
            .write_all(body)
            .and_then(|()| file.set_modified(SystemTime::now()))
            .and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.map(|()| path)
    }

    /// The directories that a key needs; durable from the root down.
    fn make_parents(&self, key: &ObjectKey) -> io::Result<()> {
        let mut directory = self.root.clone();
        let mut parts = key.as_str().split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                break;
            }
            let above = directory.clone();
            directory.push(part);
            match fs::create_dir(&directory) {
                Ok(()) => sync_directory(&above)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes, StoreError> {
        let read = || {
            let file = File::open(self.path(key))?;
            let end = range.end.min(file.metadata()?.len());
            let length = usize::try_from(end.saturating_sub(range.start));
            let mut bytes = vec![0; length.map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, range.start)?;
            Ok(Bytes::from(bytes))
        };
        read().map_err(|error| because(error, key))
    }

    fn head(&self, key: &ObjectKey) -> Result<ListedObject, StoreError> {
        match fs::metadata(self.path(key)) {
            Ok(about) if about.is_file() => Ok(listed(key.clone(), &about)),
            Ok(_) => Err(StoreError::NotFound(key.clone())),
            Err(error) => Err(because(error, key)),
        }
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let path = self.path(key);
        // Not while somebody compares it and takes its place.
        let lock = self.lock().map_err(|error| because(error, key))?;
        let removed = fs::remove_file(&path).and_then(|()| sync_directory(parent(&path)));
        drop(lock);
        match removed.map_err(|error| because(error, key)) {
            Err(StoreError::NotFound(_)) => Ok(()),
            removed => removed,
        }
    }

    fn remove_unfinished(&self, older_than: Duration) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(self.root.join(OWN_DIRECTORY))? {
            let entry = entry?;
            let age = entry.metadata()?.modified()?.elapsed();
            let is_unfinished = entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(b"unfinished");
            if is_unfinished && age.unwrap_or_default() >= older_than {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Nobody else replaces or deletes anything until the file is closed.
    fn lock(&self) -> io::Result<File> {
        let path = self.root.join(OWN_DIRECTORY).join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        file.lock()?;
        Ok(file)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("an object lies below the root")
}

/// What was linked or renamed in it survives the loss of power.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn tag_of(about: &fs::Metadata) -> ObjectTag {
    let (seconds, nanos) = (about.mtime(), about.mtime_nsec());
    ObjectTag(format!("{seconds}.{nanos:09}-{}", about.len()))
}

fn listed(key: ObjectKey, about: &fs::Metadata) -> ListedObject {
    ListedObject {
        key,
        size_bytes: about.len(),
        tag: tag_of(about),
    }
}

fn because(error: io::Error, key: &ObjectKey) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
            StoreError::NotFound(key.clone())
        }
        io::ErrorKind::AlreadyExists => StoreError::ConditionFailed(key.clone()),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreError::Denied {
            key: key.clone(),
            reason: error.to_string(),
        },
        _ => unavailable(&error),
    }
}

fn unavailable(error: &io::Error) -> StoreError {
    StoreError::Unavailable {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now<T>(completion: Completion<'_, T>) -> Result<T, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(completion)
    }

    #[test]
    fn what_a_process_left_unfinished_is_no_object_and_goes_when_it_is_old() {
        let directory = tempfile::tempdir().unwrap();
        let store = DirStore::open(directory.path()).unwrap();
        let unfinished = store.place.write(b"half of").unwrap();
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
        let refused = now(store.put_if_absent(&key, Bytes::new()));
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
        now(store.put_if_absent(&key, Bytes::from_static(b"1"))).unwrap();
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
