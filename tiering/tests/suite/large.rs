//! Objects that are written in parts.

use std::sync::Arc;
use std::time::Duration;

use klamm_tiering::{Crc64Nvme, StoreError, holds};
use tokio::task::JoinSet;

use super::{Pattern, Store, key, keys};
use crate::each;

/// Five parts of a bucket.
const SIZE_BYTES: u64 = 40 * 1024 * 1024;

#[test]
fn nobody_sees_a_part_of_a_large_object() {
    each(|store| async move {
        let at = key("log/large");
        let writing = {
            let (store, at) = (store.clone(), at.clone());
            tokio::spawn(async move { store.put_if_absent(&at, Pattern::whole(SIZE_BYTES)).await })
        };
        while !writing.is_finished() {
            seen_whole_or_not_at_all(&store).await;
        }
        let tag = writing.await.unwrap().unwrap();
        let head = store.head(&at).await.unwrap();
        assert_eq!((head.size_bytes, head.tag), (SIZE_BYTES, tag));
        let expected = Crc64Nvme::of_body(&*Pattern::whole(SIZE_BYTES)).unwrap();
        assert_eq!(head.checksum, Some(expected));
        let middle = SIZE_BYTES / 2 - 3..SIZE_BYTES / 2 + 3;
        let read = store.get_range(&at, middle.clone()).await.unwrap();
        let pattern: Vec<_> = middle.map(|byte| (byte % 251) as u8).collect();
        assert_eq!(read, pattern);
    });
}

async fn seen_whole_or_not_at_all(store: &Store) {
    match store.head(&key("log/large")).await {
        Ok(head) => assert_eq!(head.size_bytes, SIZE_BYTES),
        Err(error) => assert_eq!(error, StoreError::NotFound(key("log/large"))),
    }
    for listed in store.list("", None, 10).await.unwrap() {
        assert_eq!(listed.size_bytes, SIZE_BYTES, "{listed:?}");
    }
}

#[test]
fn of_many_that_create_a_large_object_one_does() {
    each(|store| async move {
        let mut racing = JoinSet::new();
        for _ in 0..3 {
            let store = store.clone();
            racing.spawn(async move {
                store
                    .put_if_absent(&key("large"), Pattern::whole(SIZE_BYTES))
                    .await
            });
        }
        let all = racing.join_all().await;
        let won = all.iter().filter(|created| created.is_ok()).count();
        assert_eq!(won, 1, "{all:?}");
        let lost = Err(StoreError::ConditionFailed(key("large")));
        assert!(
            all.iter()
                .all(|created| created.is_ok() || *created == lost)
        );
        let checksum = Crc64Nvme::of_body(&*Pattern::whole(SIZE_BYTES)).unwrap();
        let is_ours = holds(&*store, &key("large"), SIZE_BYTES, checksum).await;
        assert_eq!(is_ours, Ok(true));
    });
}

#[test]
fn a_large_body_that_fails_half_way_leaves_nothing() {
    each(|store| async move {
        let half = Arc::new(Pattern {
            size_bytes: SIZE_BYTES,
            readable_bytes: SIZE_BYTES / 2,
        });
        let created = store.put_if_absent(&key("large"), half).await;
        assert!(
            matches!(created, Err(StoreError::Unreadable { .. })),
            "{created:?}"
        );
        assert!(keys(&store, "", None, 10).await.is_empty());
        // What was begun was given up at once, not left to be stale.
        assert_eq!(store.abort_stale("", Duration::ZERO).await, Ok(0));
    });
}
