//! What every object store has to do, asked of each.
//!
//! A test of a store takes this file in by its path, and has a function `each` at its root that asks an
//! empty store of its kind.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use klamm_tiering::{ObjectBody, ObjectKey, ObjectStore, ObjectTag};

mod large;
mod listings;
mod objects;
mod races;

pub(crate) type Store = Arc<dyn ObjectStore>;

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

pub(crate) fn body(content: impl Into<Bytes>) -> Arc<dyn ObjectBody> {
    Arc::new(content.into())
}

async fn keys(store: &Store, prefix: &str, after: Option<&str>, count_max: usize) -> Vec<String> {
    let after = after.map(key);
    let listed = store.list(prefix, after.as_ref(), count_max).await;
    let listed = listed.unwrap().into_iter();
    listed.map(|object| object.key.to_string()).collect()
}

async fn put(store: &Store, text: &str, content: &'static str) -> ObjectTag {
    let created = store.put_if_absent(&key(text), body(content)).await;
    created.unwrap()
}

async fn read(store: &Store, text: &str) -> Bytes {
    store.get_range(&key(text), 0..u64::MAX).await.unwrap()
}

/// A body as a file is one: never in memory as a whole. Byte `n` is `n % 251`.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) size_bytes: u64,
    /// What lies beyond cannot be read.
    pub(crate) readable_bytes: u64,
}

impl Pattern {
    pub(crate) fn whole(size_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            size_bytes,
            readable_bytes: size_bytes,
        })
    }
}

impl ObjectBody for Pattern {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        assert!(range.end <= self.size_bytes, "{range:?}");
        assert!(
            range.end - range.start <= 16 * 1024 * 1024,
            "{range:?} is too much of it at once"
        );
        match range.end <= self.readable_bytes {
            true => Ok(range.map(|at| (at % 251) as u8).collect()),
            false => Err(io::Error::other("a bad sector")),
        }
    }
}
