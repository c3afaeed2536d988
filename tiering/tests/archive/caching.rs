//! What was read once is not asked for again, and the disk of the cache may fail.
#![expect(
    clippy::disallowed_methods,
    reason = "a test damages the files of the cache"
)]

use std::sync::Arc;

use klamm_model::Offset;
use klamm_model::record_batch::Compression;
use klamm_tiering::ReadAheadLimits;
use tokio::task::JoinSet;

use crate::readers::{CHUNK_BYTES, NO_READ_AHEAD, batches, bytes_of, read_all, reader};
use crate::world::{GROUP, World, batch, block_on};

#[test]
fn many_readers_of_a_chunk_ask_the_store_once() {
    block_on(async {
        let world = World::new();
        let object = world.upload(&batches(0)[..3], 1, Vec::new()).await;
        assert!(object.bytes < CHUNK_BYTES);
        let reader = Arc::new(reader(&world, 1 << 20, NO_READ_AHEAD));
        world.store.set_open(false);
        let mut readers = JoinSet::new();
        for _ in 0..10 {
            let (reader, object) = (reader.clone(), object.clone());
            readers.spawn(async move { reader.read(GROUP, &object, Offset::ZERO, 1).await });
        }
        // Some of them do not wait for it.
        readers
            .spawn(async { unreachable!("aborted first") })
            .abort();
        world.store.set_open(true);
        while let Some(read) = readers.join_next().await {
            assert!(read.is_err() || read.is_ok_and(|read| read.is_ok()));
        }
        let reads = world.store.take_reads("");
        assert_eq!(reads.len(), 2, "the index and the chunk: {reads:?}");
        let _ = reader.read(GROUP, &object, Offset::ZERO, 1).await.unwrap();
        assert_eq!(world.store.take_reads("").len(), 0);
    });
}

#[test]
fn a_reader_that_goes_on_in_order_finds_its_chunks_there() {
    block_on(async {
        let world = World::new();
        let one = |offset| batch(offset, 1, 1, Compression::None, 1000);
        let batches: Vec<_> = (0..200).map(one).collect();
        let object = world.upload(&batches, 1, Vec::new()).await;
        let limits = ReadAheadLimits {
            bytes_min: 2 * CHUNK_BYTES,
            bytes_max: 8 * CHUNK_BYTES,
        };
        let reader = reader(&world, 1 << 20, limits);
        assert_eq!(read_all(&reader, &object, 2000).await, bytes_of(&batches));
        let mut reads = world.store.take_reads(".log");
        reads.sort_by_key(|range| range.start);
        reads.dedup();
        let chunks = object.bytes.div_ceil(CHUNK_BYTES);
        assert_eq!(reads.len() as u64, chunks, "each chunk, none twice");
        assert_eq!(reader.cache_stats().fetches, chunks);
    });
}

#[test]
fn a_damaged_file_of_the_cache_is_not_believed() {
    block_on(async {
        let world = World::new();
        let batches = batches(0);
        let object = world.upload(&batches, 1, Vec::new()).await;
        let expected = bytes_of(&batches);
        let reader = reader(&world, 1 << 30, NO_READ_AHEAD);
        assert_eq!(read_all(&reader, &object, 5000).await, expected);
        // Chunks are kept after they were given to who has asked.
        while reader.cache_stats().bytes < object.bytes {
            tokio::task::yield_now().await;
        }
        let mut damaged = 0;
        for entry in std::fs::read_dir(world.directory.path().join("cache")).unwrap() {
            let path = entry.unwrap().path();
            match damaged % 3 {
                0 => std::fs::write(&path, vec![7; CHUNK_BYTES as usize]).unwrap(),
                1 => std::fs::write(&path, b"short").unwrap(),
                _ => std::fs::remove_file(&path).unwrap(),
            }
            damaged += 1;
        }
        assert!(damaged > 3);
        world.store.take_reads("");
        assert_eq!(read_all(&reader, &object, 5000).await, expected);
        assert_eq!(world.store.take_reads(".log").len(), damaged);
    });
}

#[test]
fn a_cache_that_cannot_be_written_is_no_cache() {
    block_on(async {
        let world = World::new();
        let batches = batches(0);
        let object = world.upload(&batches, 1, Vec::new()).await;
        std::fs::write(world.directory.path().join("cache"), b"a file").unwrap();
        let reader = reader(&world, 1 << 30, NO_READ_AHEAD);
        assert_eq!(read_all(&reader, &object, 5000).await, bytes_of(&batches));
        assert_eq!(reader.cache_stats().bytes, 0);
    });
}

#[test]
fn what_another_process_has_left_is_cleared_and_nothing_else() {
    block_on(async {
        let world = World::new();
        let cache = world.directory.path().join("cache");
        std::fs::create_dir_all(&cache).unwrap();
        std::fs::write(cache.join("chunk-0"), b"old").unwrap();
        std::fs::write(cache.join("precious"), b"kept").unwrap();
        reader(&world, 1 << 30, NO_READ_AHEAD);
        assert!(!cache.join("chunk-0").exists());
        assert!(cache.join("precious").exists());
    });
}

#[test]
fn the_cache_can_be_shrunk_to_nothing_and_back() {
    block_on(async {
        let world = World::new();
        let batches = batches(0);
        let object = world.upload(&batches, 1, Vec::new()).await;
        let reader = reader(&world, 1 << 30, NO_READ_AHEAD);
        for bytes_max in [1 << 30, 0, 5 * CHUNK_BYTES] {
            reader.set_cache_bytes_max(bytes_max);
            assert_eq!(read_all(&reader, &object, 5000).await, bytes_of(&batches));
            assert!(reader.cache_stats().bytes <= bytes_max);
        }
    });
}
