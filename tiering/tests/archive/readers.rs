//! Readers, and what they read.

use bytes::{Bytes, BytesMut};
use klamm_model::RecordBatch;
use klamm_model::record_batch::Compression;
use klamm_tiering::{
    ArchiveReader, ArchiveReaderConfig, ArchivedObject, ChunkCacheConfig, ReadAheadLimits,
};
use tokio::runtime::Handle;

use crate::world::{GROUP, World, batch};

pub(crate) const CHUNK_BYTES: u64 = 4096;
pub(crate) const NO_READ_AHEAD: ReadAheadLimits = ReadAheadLimits {
    bytes_min: 0,
    bytes_max: 0,
};

pub(crate) fn reader(
    world: &World,
    cache_bytes_max: u64,
    read_ahead: ReadAheadLimits,
) -> ArchiveReader {
    let config = ArchiveReaderConfig {
        cache: ChunkCacheConfig {
            directory: world.directory.path().join("cache"),
            bytes_max: cache_bytes_max,
            chunk_bytes: CHUNK_BYTES,
        },
        index_bytes_max: 1 << 20,
        read_ahead,
    };
    ArchiveReader::open(world.store.clone(), &config, Handle::current())
}

/// Batches of all codecs and sizes, from one byte to many chunks.
pub(crate) fn batches(base: i64) -> Vec<RecordBatch> {
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let mut batches = Vec::new();
    let mut offset = base;
    for nth in 0..60 {
        let (count, size) = (1 + nth % 7, [1, 300, 2000, 20_000][nth / 2 % 4]);
        batches.push(batch(offset, count, 1, codecs[nth % 5], size));
        offset += count as i64;
    }
    batches
}

pub(crate) fn bytes_of(batches: &[RecordBatch]) -> Bytes {
    let mut bytes = BytesMut::new();
    for batch in batches {
        bytes.extend_from_slice(&batch.to_bytes());
    }
    bytes.freeze()
}

/// Reads an object from one end to the other, so many bytes at a time.
pub(crate) async fn read_all(
    reader: &ArchiveReader,
    object: &ArchivedObject,
    bytes_max: usize,
) -> Bytes {
    let mut all = BytesMut::new();
    let mut next = object.base();
    while next < object.end() {
        let read = reader.read(GROUP, object, next, bytes_max).await.unwrap();
        assert_eq!(read.base_offset, next);
        let first = RecordBatch::parse(&mut read.records.clone()).unwrap();
        assert!(read.records.len() <= bytes_max.max(first.size_bytes()));
        all.extend_from_slice(&read.records);
        next = read.next_offset;
    }
    all.freeze()
}
