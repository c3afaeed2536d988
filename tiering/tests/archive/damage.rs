//! What is damaged, missing or away is said to be so.

use std::sync::atomic::Ordering;

use klamm_model::Offset;
use klamm_tiering::layout::{index_key, log_key};
use klamm_tiering::{ArchiveReadError, ObjectStore};

use crate::readers::{NO_READ_AHEAD, batches, bytes_of, read_all, reader};
use crate::world::{GROUP, World, block_on};

#[test]
fn a_chunk_that_was_read_wrongly_is_read_once_more() {
    block_on(async {
        let world = World::new();
        let batches = batches(0);
        let object = world.upload(&batches, 1, Vec::new()).await;
        let key = log_key(GROUP, &object.name);
        let expected = bytes_of(&batches);
        for cache_bytes_max in [0, 1 << 20] {
            for position in [0, 16, 100, 5000, object.bytes - 1] {
                let reader = reader(&world, cache_bytes_max, NO_READ_AHEAD);
                world.store.flip(&key, position, 1);
                assert_eq!(
                    read_all(&reader, &object, 5000).await,
                    expected,
                    "{position}"
                );
            }
        }
    });
}

#[test]
fn a_damaged_object_is_said_to_be_so_and_the_rest_is_read() {
    block_on(async {
        let world = World::new();
        let batches = batches(0);
        let object = world.upload(&batches, 1, Vec::new()).await;
        let key = log_key(GROUP, &object.name);
        let mut begin = 0;
        for (nth, batch) in batches.iter().enumerate().take(12) {
            let reader = reader(&world, 1 << 20, NO_READ_AHEAD);
            world.store.flip(&key, begin + 30, usize::MAX);
            let read = reader
                .read(GROUP, &object, batch.base_offset(), usize::MAX)
                .await;
            let position = begin;
            let expected = ArchiveReadError::Corrupt {
                key: key.clone(),
                position,
            };
            assert_eq!(read, Err(expected));
            if nth > 0 {
                let before = reader
                    .read(GROUP, &object, Offset::ZERO, usize::MAX)
                    .await
                    .unwrap();
                assert_eq!(before.next_offset, batch.base_offset());
            }
            begin += batch.size_bytes() as u64;
        }
    });
}

#[test]
fn a_length_that_is_wrong_costs_no_more_than_the_index_allows() {
    block_on(async {
        let world = World::new();
        let batches = batches(0);
        let object = world.upload(&batches, 1, Vec::new()).await;
        let key = log_key(GROUP, &object.name);
        let reader = reader(&world, 0, NO_READ_AHEAD);
        // The upper byte of the first batch's length, and offsets, which no checksum covers.
        for position in [0, 7, 8, 9, 10] {
            world.store.flip(&key, position, usize::MAX);
            let read = reader.read(GROUP, &object, Offset::ZERO, 1).await;
            assert!(
                matches!(read, Err(ArchiveReadError::Corrupt { .. })),
                "{position}: {read:?}"
            );
        }
    });
}

#[test]
fn what_the_store_says_is_passed_on() {
    block_on(async {
        let world = World::new();
        let object = world.upload(&batches(0), 1, Vec::new()).await;
        let reader = reader(&world, 1 << 20, NO_READ_AHEAD);
        for failing in 1..=2 {
            world.store.failing.store(1, Ordering::Relaxed);
            let read = reader.read(GROUP, &object, Offset::ZERO, 1).await;
            assert!(
                matches!(read, Err(ArchiveReadError::Unavailable { .. })),
                "{failing}"
            );
        }
        assert!(reader.read(GROUP, &object, Offset::ZERO, 1).await.is_ok());
        for key in [log_key(GROUP, &object.name), index_key(GROUP, &object.name)] {
            world.store.delete(&key).await.unwrap();
            let reader = crate::readers::reader(&world, 0, NO_READ_AHEAD);
            let read = reader.read(GROUP, &object, Offset::ZERO, 1).await;
            assert_eq!(read, Err(ArchiveReadError::Missing { key }));
        }
    });
}

#[test]
fn an_object_that_is_shorter_than_it_was_is_damaged() {
    block_on(async {
        let world = World::new();
        let batches = batches(0);
        let object = world.upload(&batches, 1, Vec::new()).await;
        let key = log_key(GROUP, &object.name);
        let whole = world.store.get_range(&key, 0..u64::MAX).await.unwrap();
        for cache_bytes_max in [0, 1 << 20] {
            for cut in [1, 61, 5000, whole.len() as u64] {
                world.store.delete(&key).await.unwrap();
                let cut = (whole.len() as u64 - cut) as usize;
                world.put(&key, whole.slice(..cut)).await;
                let reader = reader(&world, cache_bytes_max, NO_READ_AHEAD);
                let last = Offset::new(object.end().get() - 1);
                let read = reader.read(GROUP, &object, last, 1).await;
                assert!(
                    matches!(read, Err(ArchiveReadError::Corrupt { .. })),
                    "{read:?}"
                );
            }
        }
    });
}
