//! A store that counts what it is asked, and does not do all of it.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use klamm_tiering::{
    Completion, ListedObject, ObjectBody, ObjectHead, ObjectKey, ObjectStore, ObjectTag, StoreError,
};
use tokio::sync::watch;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Trouble {
    inner: Arc<dyn ObjectStore>,
    /// Verbs from now on that fail without effect.
    pub(crate) failing: AtomicUsize,
    /// Writes from now on that take effect and whose answers are lost.
    pub(crate) unanswered: AtomicUsize,
    /// Reads wait until it says so.
    open: watch::Sender<bool>,
    /// Reads of a key, from now on, in which one byte is wrong.
    pub(crate) flipped: Mutex<Option<Flip>>,
    reads: Mutex<Vec<(ObjectKey, Range<u64>)>>,
    pub(crate) listings: AtomicUsize,
}

/// A byte that is not what was written.
#[derive(Clone, Debug)]
pub(crate) struct Flip {
    pub(crate) key: ObjectKey,
    pub(crate) position: u64,
    /// How often it is read wrongly.
    pub(crate) times: usize,
}

impl Trouble {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner,
            failing: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            open: watch::Sender::new(true),
            flipped: Mutex::new(None),
            reads: Mutex::new(Vec::new()),
            listings: AtomicUsize::new(0),
        }
    }

    /// Lets reads wait, or go on.
    pub(crate) fn set_open(&self, is_open: bool) {
        self.open.send_replace(is_open);
    }

    /// Ranges of objects with this ending that were read since the last call.
    pub(crate) fn take_reads(&self, ending: &str) -> Vec<Range<u64>> {
        let reads = std::mem::take(&mut *self.reads.lock().unwrap());
        let reads = reads.into_iter();
        let reads = reads.filter(|(key, _)| key.as_str().ends_with(ending));
        reads.map(|(_, range)| range).collect()
    }

    pub(crate) fn flip(&self, key: &ObjectKey, position: u64, times: usize) {
        *self.flipped.lock().unwrap() = Some(Flip {
            key: key.clone(),
            position,
            times,
        });
    }

    fn fails(&self) -> Result<(), StoreError> {
        match take_one(&self.failing) {
            true => Err(away()),
            false => Ok(()),
        }
    }

    fn answer<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        match done.is_ok() && take_one(&self.unanswered) {
            true => Err(away()),
            false => done,
        }
    }

    fn as_read(&self, key: &ObjectKey, range: &Range<u64>, bytes: Bytes) -> Bytes {
        let mut flipped = self.flipped.lock().unwrap();
        let Some(flip) = flipped.as_mut() else {
            return bytes;
        };
        let at = flip.position.wrapping_sub(range.start) as usize;
        if flip.key != *key || flip.times == 0 || at >= bytes.len() {
            return bytes;
        }
        flip.times -= 1;
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes.into()
    }
}

fn away() -> StoreError {
    let reason = "as the test wants it".to_owned();
    StoreError::Unavailable { reason }
}

fn take_one(count: &AtomicUsize) -> bool {
    let taken = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    });
    taken.is_ok()
}

impl ObjectStore for Trouble {
    fn put_if_absent<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Arc<dyn ObjectBody>,
    ) -> Completion<'a, ObjectTag> {
        Box::pin(async move {
            self.fails()?;
            self.answer(self.inner.put_if_absent(key, body).await)
        })
    }

    fn put_if_match<'a>(
        &'a self,
        key: &'a ObjectKey,
        tag: &'a ObjectTag,
        body: Bytes,
    ) -> Completion<'a, ObjectTag> {
        Box::pin(async move {
            self.fails()?;
            self.answer(self.inner.put_if_match(key, tag, body).await)
        })
    }

    fn get_range<'a>(&'a self, key: &'a ObjectKey, range: Range<u64>) -> Completion<'a, Bytes> {
        Box::pin(async move {
            self.reads
                .lock()
                .unwrap()
                .push((key.clone(), range.clone()));
            let mut open = self.open.subscribe();
            let _ = open.wait_for(|is_open| *is_open).await;
            self.fails()?;
            let bytes = self.inner.get_range(key, range.clone()).await?;
            Ok(self.as_read(key, &range, bytes))
        })
    }

    fn head<'a>(&'a self, key: &'a ObjectKey) -> Completion<'a, ObjectHead> {
        Box::pin(async move {
            self.fails()?;
            self.inner.head(key).await
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
        count_max: usize,
    ) -> Completion<'a, Vec<ListedObject>> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            self.fails()?;
            self.inner.list(prefix, after, count_max).await
        })
    }

    fn delete<'a>(&'a self, key: &'a ObjectKey) -> Completion<'a, ()> {
        self.inner.delete(key)
    }

    fn abort_stale<'a>(&'a self, prefix: &'a str, older_than: Duration) -> Completion<'a, usize> {
        self.inner.abort_stale(prefix, older_than)
    }
}
