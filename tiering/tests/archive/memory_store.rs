//! Objects in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use klamm_tiering::{
    Completion, Crc64Nvme, ListedObject, ObjectBody, ObjectHead, ObjectKey, ObjectStore, ObjectTag,
    StoreError,
};

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    objects: Mutex<Objects>,
}

#[derive(Debug, Default)]
struct Objects {
    writes: u64,
    by_key: BTreeMap<ObjectKey, (Bytes, ObjectTag)>,
}

impl Objects {
    fn put(&mut self, key: &ObjectKey, body: Bytes) -> ObjectTag {
        self.writes += 1;
        let tag = ObjectTag(self.writes.to_string());
        self.by_key.insert(key.clone(), (body, tag.clone()));
        tag
    }

    fn get(&self, key: &ObjectKey) -> Result<&(Bytes, ObjectTag), StoreError> {
        let found = self.by_key.get(key);
        found.ok_or_else(|| StoreError::NotFound(key.clone()))
    }
}

impl MemoryStore {
    /// Does it when it is asked for, and not before.
    fn run<'a, T: Send + 'a>(
        &'a self,
        work: impl FnOnce(&mut Objects) -> Result<T, StoreError> + Send + 'a,
    ) -> Completion<'a, T> {
        Box::pin(async move { work(&mut self.objects.lock().unwrap()) })
    }
}

impl ObjectStore for MemoryStore {
    fn put_if_absent<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Arc<dyn ObjectBody>,
    ) -> Completion<'a, ObjectTag> {
        self.run(move |objects| match objects.by_key.contains_key(key) {
            true => Err(StoreError::ConditionFailed(key.clone())),
            false => Ok(objects.put(key, body.read(0..body.size_bytes()).unwrap())),
        })
    }

    fn put_if_match<'a>(
        &'a self,
        key: &'a ObjectKey,
        tag: &'a ObjectTag,
        body: Bytes,
    ) -> Completion<'a, ObjectTag> {
        self.run(move |objects| match objects.get(key)?.1 == *tag {
            true => Ok(objects.put(key, body)),
            false => Err(StoreError::ConditionFailed(key.clone())),
        })
    }

    fn get_range<'a>(&'a self, key: &'a ObjectKey, range: Range<u64>) -> Completion<'a, Bytes> {
        self.run(move |objects| {
            let bytes = &objects.get(key)?.0;
            let end = range.end.min(bytes.len() as u64) as usize;
            Ok(bytes.slice((range.start as usize).min(end)..end))
        })
    }

    fn head<'a>(&'a self, key: &'a ObjectKey) -> Completion<'a, ObjectHead> {
        self.run(move |objects| {
            let (body, tag) = objects.get(key)?;
            Ok(ObjectHead {
                size_bytes: body.len() as u64,
                tag: tag.clone(),
                checksum: Some(Crc64Nvme::of(body)),
            })
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
        count_max: usize,
    ) -> Completion<'a, Vec<ListedObject>> {
        self.run(move |objects| {
            let all = objects.by_key.iter();
            let wanted = all.filter(|(key, _)| key.as_str().starts_with(prefix));
            let wanted = wanted.filter(|(key, _)| after.is_none_or(|after| *key > after));
            let listed = wanted.map(|(key, object)| listed(key, object));
            Ok(listed.take(count_max).collect())
        })
    }

    fn delete<'a>(&'a self, key: &'a ObjectKey) -> Completion<'a, ()> {
        self.run(move |objects| {
            objects.by_key.remove(key);
            Ok(())
        })
    }

    fn abort_stale<'a>(&'a self, _prefix: &'a str, _older_than: Duration) -> Completion<'a, usize> {
        self.run(|_| Ok(0))
    }
}

fn listed(key: &ObjectKey, (body, tag): &(Bytes, ObjectTag)) -> ListedObject {
    ListedObject {
        key: key.clone(),
        size_bytes: body.len() as u64,
        tag: tag.clone(),
    }
}
