//! What an archive asks of object storage: few verbs, each safe to repeat.
//!
//! Writes are conditional, so that two brokers which both believe to lead cannot overwrite each
//! other, and so that an answer that was lost can be asked for again.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::body::ObjectBody;
use crate::checksum::Crc64Nvme;

/// The outcome of a verb, when it is there.
pub type Completion<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Where an object lies: parts separated by `/`, at most [`ObjectKey::BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

/// A text that is no key: empty, too long, or with a part that is empty or means a directory (`.`, `..`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an object key key={0:?}")]
pub struct InvalidObjectKey(pub String);

/// Names one content of an object; another content has another tag (S3's ETag).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectTag(pub String);

/// One object, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Where it lies.
    pub key: ObjectKey,
    /// How large it is.
    pub size_bytes: u64,
    /// Its content.
    pub tag: ObjectTag,
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHead {
    /// How large it is.
    pub size_bytes: u64,
    /// Its content.
    pub tag: ObjectTag,
    /// The checksum of its content; `None` if the store was not given one and does not know.
    pub checksum: Option<Crc64Nvme>,
}

/// Why a verb failed; each variant asks for another reaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("no such object key={0}")]
    NotFound(ObjectKey),
    /// A condition did not hold: somebody else was there first. Look, then decide anew.
    #[error("the object is there already, or has changed key={0}")]
    ConditionFailed(ObjectKey),
    /// Credentials, permissions, or no such bucket: a person has to look.
    #[error("access is refused: {reason}")]
    Denied {
        /// What the store says, and of what.
        reason: String,
    },
    /// What is to be written cannot be read: the store has no part in it.
    #[error("the content of the object cannot be read: {reason}")]
    Unreadable {
        /// What its disk says.
        reason: String,
    },
    /// The store does not answer, or is busy. Try again later; the verb may have taken effect.
    #[error("the store is not available: {reason}")]
    Unavailable {
        /// What is known.
        reason: String,
    },
}

/// A place for objects. Verbs may be called side by side.
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// Creates the object; [`StoreError::ConditionFailed`] if there is one of that key.
    ///
    /// The one that is there may be this one, written by an attempt whose answer was lost:
    /// [`holds`](crate::holds) tells. Of a large body a few pieces are in memory at a time.
    fn put_if_absent<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Arc<dyn ObjectBody>,
    ) -> Completion<'a, ObjectTag>;

    /// Replaces the object if its content is still `tag`; else [`StoreError::ConditionFailed`]. For small
    /// objects.
    ///
    /// As above, the content that it has by now may be this one.
    fn put_if_match<'a>(
        &'a self,
        key: &'a ObjectKey,
        tag: &'a ObjectTag,
        body: Bytes,
    ) -> Completion<'a, ObjectTag>;

    /// Reads bytes `range` of the object, fewer if it ends before.
    fn get_range<'a>(&'a self, key: &'a ObjectKey, range: Range<u64>) -> Completion<'a, Bytes>;

    /// What is known of the object. A directory has to read it for its checksum, a bucket has not.
    fn head<'a>(&'a self, key: &'a ObjectKey) -> Completion<'a, ObjectHead>;

    /// Objects whose keys begin with `prefix` and come after `after`, by rising key, at most
    /// `count_max`.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
        count_max: usize,
    ) -> Completion<'a, Vec<ListedObject>>;

    /// Removes the object; fine if it is not there.
    fn delete<'a>(&'a self, key: &'a ObjectKey) -> Completion<'a, ()>;

    /// Gives up uploads under `prefix` that were begun and not ended for `older_than`; how many.
    fn abort_stale<'a>(&'a self, prefix: &'a str, older_than: Duration) -> Completion<'a, usize>;
}

impl ObjectKey {
    /// The longest key in bytes (S3's limit).
    pub const BYTES_MAX: usize = 1024;

    /// Checks a key.
    pub fn new(key: &str) -> Result<Self, InvalidObjectKey> {
        let is_odd = |part: &str| ["", ".", ".."].contains(&part);
        if key.len() > Self::BYTES_MAX || key.split('/').any(is_odd) {
            return Err(InvalidObjectKey(key.to_owned()));
        }
        Ok(Self(key.to_owned()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_no_empty_part_and_a_longest_length() {
        for good in ["a", "a/b.log", &"k".repeat(1024)] {
            assert!(ObjectKey::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "a/./b", "..", &"k".repeat(1025)] {
            assert!(ObjectKey::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_store_can_be_passed_around_as_an_object() {
        fn takes(_: Option<&dyn ObjectStore>) {}
        takes(None);
    }
}
