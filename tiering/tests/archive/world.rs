//! What the tests share: a store, a partition, and objects of real batches.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use klamm_model::record_batch::{BatchBuilder, Compression};
use klamm_model::{
    LeaderEpoch, Offset, PartitionIndex, RecordBatch, Timestamp, TopicId, TopicName,
};
use klamm_storage::{AbortedTransaction, GroupId};
use klamm_tiering::layout::{index_key, log_key};
use klamm_tiering::{
    ArchiveError, ArchiveOwner, ArchivedObject, DirStore, ObjectDetails, ObjectKey, ObjectName,
    ObjectStore, PartitionArchive, SegmentIndexBuilder,
};
use tempfile::TempDir;

use crate::memory_store::MemoryStore;
use crate::trouble::Trouble;

pub(crate) const GROUP: GroupId = GroupId {
    topic_id: TopicId::from_bytes([0x5a; 16]),
    partition: PartitionIndex(4),
};

/// A store, and a directory for whatever a test needs one.
pub(crate) struct World {
    pub(crate) store: Arc<Trouble>,
    pub(crate) directory: TempDir,
}

impl World {
    /// With objects in memory.
    pub(crate) fn new() -> Self {
        Self::over(|_| Arc::new(MemoryStore::default()))
    }

    /// With objects in files.
    pub(crate) fn in_directory() -> Self {
        Self::over(|directory| {
            let store = DirStore::open(&directory.path().join("archive"));
            Arc::new(store.unwrap())
        })
    }

    fn over(store: impl FnOnce(&TempDir) -> Arc<dyn ObjectStore>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Trouble::new(store(&directory)));
        Self { store, directory }
    }

    /// Uploads batches as one object that ends with them.
    pub(crate) async fn upload(
        &self,
        batches: &[RecordBatch],
        epoch: i32,
        aborted: Vec<AbortedTransaction>,
    ) -> ArchivedObject {
        let base = batches[0].base_offset();
        let end = batches[batches.len() - 1].next_offset();
        let mut log = BytesMut::new();
        let mut index = SegmentIndexBuilder::new(base, 1000, &[]);
        for batch in batches {
            index.add(batch.header()).unwrap();
            log.extend_from_slice(&batch.to_bytes());
        }
        let index = index.finish(end, aborted, Bytes::new());
        let name = ObjectName::new(base, end, LeaderEpoch(epoch), 1).unwrap();
        let bytes = log.len() as u64;
        self.put(&log_key(GROUP, &name), log.freeze()).await;
        self.put(&index_key(GROUP, &name), index.encode()).await;
        let checksum = Some("AAAAAAAAAAA=".to_owned());
        ArchivedObject {
            name,
            bytes,
            details: Some(ObjectDetails::of(&index, checksum)),
        }
    }

    pub(crate) async fn put(&self, key: &ObjectKey, body: Bytes) {
        let body = Arc::new(body);
        self.store.put_if_absent(key, body).await.unwrap();
    }

    /// Replaces what lies there, whatever it is.
    pub(crate) async fn replace(&self, key: &ObjectKey, body: &'static str) {
        let tag = self.store.head(key).await.unwrap().tag;
        self.store
            .put_if_match(key, &tag, body.into())
            .await
            .unwrap();
    }

    /// Uploads small objects with these bounds, each of one batch.
    pub(crate) async fn small(&self, bounds: &[i64], epoch: i32) -> Vec<ArchivedObject> {
        let mut objects = Vec::new();
        for two in bounds.windows(2) {
            let batch = batch(
                two[0],
                (two[1] - two[0]) as usize,
                epoch,
                Compression::None,
                1,
            );
            objects.push(self.upload(&[batch], epoch, Vec::new()).await);
        }
        objects
    }

    pub(crate) async fn load(&self, range: Range<i64>) -> Result<PartitionArchive, ArchiveError> {
        let range = Offset::new(range.start)..Offset::new(range.end);
        PartitionArchive::load(self.store.clone(), owner(), range).await
    }

    /// An archive that has heard of these objects from its group.
    pub(crate) fn archive_of(&self, objects: &[ArchivedObject]) -> PartitionArchive {
        let start = objects.first().map_or(Offset::ZERO, ArchivedObject::base);
        let archive = PartitionArchive::empty(self.store.clone(), owner(), start);
        for object in objects {
            archive.add(object.clone(), &[]).unwrap();
        }
        archive
    }
}

pub(crate) fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(test);
}

pub(crate) fn owner() -> ArchiveOwner {
    ArchiveOwner {
        cluster_id: "cluster".to_owned(),
        topic: TopicName::new("orders").unwrap(),
        group: GROUP,
    }
}

/// A batch of `count` records at `offset`, each with a value of `size` bytes, a millisecond apart: the first
/// at the time that is its offset.
pub(crate) fn batch(
    offset: i64,
    count: usize,
    epoch: i32,
    codec: Compression,
    size: usize,
) -> RecordBatch {
    let mut builder = BatchBuilder::new().compression(codec, codec.default_level());
    for nth in 0..count {
        // Not the same everywhere, or it would compress to nothing.
        let value: Vec<_> = (0..size)
            .map(|at| (at * (nth + 7) * 31 % 251) as u8)
            .collect();
        builder.append(Timestamp(offset + nth as i64), None, Some(&value), &[]);
    }
    let mut batch = builder.build();
    batch.stamp(Offset::new(offset), LeaderEpoch(epoch));
    batch
}
