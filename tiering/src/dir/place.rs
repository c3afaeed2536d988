//! What is done on the disk: the verbs as plain calls that may wait.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the disk of an archive, which is not that of the log"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::body::{ObjectBody, PIECE_BYTES, pieces, read_piece};
use crate::checksum::{Crc64Nvme, Crc64NvmeDigest};
use crate::object_store::{ListedObject, ObjectHead, ObjectKey, ObjectTag, StoreError};

/// What is the store's own, below the root: unfinished objects, and the lock.
pub(super) const OWN_DIRECTORY: &str = ".klamm";

#[derive(Debug)]
pub(super) struct Place {
    pub(super) root: PathBuf,
    /// Names of unfinished objects.
    unfinished: AtomicU64,
}

impl Place {
    /// Makes the directory, if it is not there.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(OWN_DIRECTORY))?;
        let root = root.canonicalize()?;
        sync_directory(&root)?;
        Ok(Self {
            root,
            unfinished: AtomicU64::new(0),
        })
    }

    pub(super) fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    pub(super) fn put_if_absent(
        &self,
        key: &ObjectKey,
        body: &dyn ObjectBody,
    ) -> Result<ObjectTag, StoreError> {
        if key.as_str().split('/').next() == Some(OWN_DIRECTORY) {
            let reason = format!("the store keeps what is its own there key={key}");
            return Err(StoreError::Denied { reason });
        }
        let unfinished = self.write(key, body)?;
        let linked = self.link(key, &unfinished);
        linked.map_err(|error| because(error, key))
    }

    fn link(&self, key: &ObjectKey, unfinished: &Path) -> io::Result<ObjectTag> {
        let tag = tag_of(&fs::metadata(unfinished)?);
        let parents = self.make_parents(key);
        let linked = parents.and_then(|()| fs::hard_link(unfinished, self.path(key)));
        fs::remove_file(unfinished)?;
        linked?;
        sync_directory(parent(&self.path(key)))?;
        Ok(tag)
    }

    pub(super) fn put_if_match(
        &self,
        key: &ObjectKey,
        tag: &ObjectTag,
        body: &Bytes,
    ) -> Result<ObjectTag, StoreError> {
        let unfinished = self.write(key, body)?;
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
    pub(super) fn write(
        &self,
        key: &ObjectKey,
        body: &dyn ObjectBody,
    ) -> Result<PathBuf, StoreError> {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let name = format!("unfinished-{}-{number}", std::process::id());
        let path = self.root.join(OWN_DIRECTORY).join(name);
        let file = File::create(&path).map_err(|error| because(error, key))?;
        let written = copy(body, file, key);
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

    pub(super) fn get_range(
        &self,
        key: &ObjectKey,
        range: Range<u64>,
    ) -> Result<Bytes, StoreError> {
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

    pub(super) fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StoreError> {
        let read = || {
            // Of a directory the first read fails. What is open stays as it is, whatever takes its place.
            let file = File::open(self.path(key))?;
            let about = file.metadata()?;
            Ok(ObjectHead {
                size_bytes: about.len(),
                tag: tag_of(&about),
                checksum: Some(checksum(file)?),
            })
        };
        read().map_err(|error| because(error, key))
    }

    pub(super) fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
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

    pub(super) fn remove_unfinished(&self, older_than: Duration) -> io::Result<usize> {
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

fn copy(body: &dyn ObjectBody, mut file: File, key: &ObjectKey) -> Result<(), StoreError> {
    for range in pieces(body.size_bytes(), PIECE_BYTES) {
        let piece = read_piece(body, range)?;
        file.write_all(&piece)
            .map_err(|error| because(error, key))?;
    }
    let finished = file
        .set_modified(SystemTime::now())
        .and_then(|()| file.sync_all());
    finished.map_err(|error| because(error, key))
}

fn checksum(mut file: File) -> io::Result<Crc64Nvme> {
    let mut digest = Crc64NvmeDigest::default();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digest.finish()),
            length => digest.add(&buffer[..length]),
        }
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

pub(super) fn listed(key: ObjectKey, about: &fs::Metadata) -> ListedObject {
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
            reason: format!("{error} key={key}"),
        },
        _ => unavailable(&error),
    }
}

pub(super) fn unavailable(error: &io::Error) -> StoreError {
    StoreError::Unavailable {
        reason: error.to_string(),
    }
}
