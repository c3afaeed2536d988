//! What every object store has to do, asked of each.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use klamm_tiering::{DirStore, ObjectKey, ObjectStore, ObjectTag, StoreError};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

type Store = Arc<dyn ObjectStore>;

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

/// Asks an empty store of each kind.
fn each<F: Future<Output = ()>>(check: impl Fn(Store) -> F) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = DirStore::open(directory.path()).unwrap();
    runtime.block_on(check(Arc::new(store)));
}

async fn keys(store: &Store, prefix: &str, after: Option<&str>, count_max: usize) -> Vec<String> {
    let after = after.map(key);
    let listed = store.list(prefix, after.as_ref(), count_max).await;
    let listed = listed.unwrap().into_iter();
    listed.map(|object| object.key.to_string()).collect()
}

async fn put(store: &Store, text: &str, body: &'static str) -> ObjectTag {
    let created = store.put_if_absent(&key(text), body.into()).await;
    created.unwrap()
}

async fn read(store: &Store, text: &str) -> Bytes {
    store.get_range(&key(text), 0..u64::MAX).await.unwrap()
}

#[test]
fn an_object_is_created_once_and_read_back_whole_and_in_part() {
    each(|store| async move {
        let at = key("log/a1b2/0/object.log");
        let tag = put(&store, "log/a1b2/0/object.log", "0123456789").await;
        let again = store.put_if_absent(&at, "other".into()).await;
        assert_eq!(again, Err(StoreError::ConditionFailed(at.clone())));
        let about = store.head(&at).await.unwrap();
        assert_eq!((about.size_bytes, about.tag), (10, tag));
        assert_eq!(read(&store, "log/a1b2/0/object.log").await, "0123456789");
        for (range, expected) in [(2..5, "234"), (8..99, "89"), (10..12, ""), (3..3, "")] {
            assert_eq!(store.get_range(&at, range).await.unwrap(), expected);
        }
    });
}

#[test]
fn what_is_not_there_is_said_to_be_so() {
    each(|store| async move {
        put(&store, "a/b", "").await;
        for text in ["nothing", "a", "a/c"] {
            let at = key(text);
            let missing = || StoreError::NotFound(at.clone());
            assert_eq!(store.head(&at).await, Err(missing()));
            assert_eq!(store.delete(&at).await, Ok(()));
            let tag = ObjectTag("any".to_owned());
            let replaced = store.put_if_match(&at, &tag, Bytes::new()).await;
            assert!(replaced.is_err(), "{text}: {replaced:?}");
        }
        let gone = store.get_range(&key("nothing"), 0..1).await;
        assert_eq!(gone, Err(StoreError::NotFound(key("nothing"))));
        assert_eq!(keys(&store, "", None, 10).await, ["a/b"]);
    });
}

#[test]
fn an_object_is_replaced_only_by_who_knows_what_it_is() {
    each(|store| async move {
        let at = key("head.json");
        let first = put(&store, "head.json", "1").await;
        let second = store.put_if_match(&at, &first, "2".into()).await.unwrap();
        assert_ne!(first, second);
        let stale = store.put_if_match(&at, &first, "3".into()).await;
        assert_eq!(stale, Err(StoreError::ConditionFailed(at.clone())));
        assert_eq!(read(&store, "head.json").await, "2");
        let third = store.put_if_match(&at, &second, "2".into()).await.unwrap();
        assert_eq!(store.head(&at).await.unwrap().tag, third);
    });
}

#[test]
fn of_many_that_create_an_object_one_does() {
    each(|store| async move {
        let mut racing = JoinSet::new();
        for racer in 0..32 {
            let store = store.clone();
            racing.spawn(async move {
                let body = format!("{racer}");
                let created = store
                    .put_if_absent(&key("owner"), body.clone().into())
                    .await;
                created.map(|_| body)
            });
        }
        let all = racing.join_all().await;
        let won: Vec<_> = all.iter().flatten().collect();
        assert_eq!(won.len(), 1, "{all:?}");
        assert_eq!(read(&store, "owner").await, won[0].as_bytes());
    });
}

#[test]
fn no_replacement_is_lost() {
    const WRITERS: usize = 12;
    const TIMES: usize = 10;
    each(|store| async move {
        put(&store, "count", "000").await;
        let mut counting = JoinSet::new();
        for _ in 0..WRITERS {
            let store = store.clone();
            counting.spawn(async move {
                for _ in 0..TIMES {
                    while !count_one(&store).await {}
                }
            });
        }
        counting.join_all().await;
        let counted = format!("{:03}", WRITERS * TIMES);
        assert_eq!(read(&store, "count").await, counted);
    });
}

/// Whether nobody was quicker.
async fn count_one(store: &Store) -> bool {
    let at = key("count");
    let tag = store.head(&at).await.unwrap().tag;
    let count = read(store, "count").await;
    let count: usize = std::str::from_utf8(&count).unwrap().parse().unwrap();
    let next = format!("{:03}", count + 1);
    match store.put_if_match(&at, &tag, next.into()).await {
        Ok(_) => true,
        Err(StoreError::ConditionFailed(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn objects_are_listed_by_their_keys_some_at_a_time() {
    each(|store| async move {
        let all = ["a", "b-1", "b/1", "b/2/3", "b/2/4", "b0", "c/1"];
        for text in all.iter().rev() {
            put(&store, text, "x").await;
        }
        assert_eq!(keys(&store, "", None, 100).await, all);
        assert_eq!(keys(&store, "b", None, 100).await, all[1..6]);
        assert_eq!(keys(&store, "b/", None, 100).await, all[2..5]);
        assert_eq!(keys(&store, "b/2", None, 100).await, all[3..5]);
        assert_eq!(keys(&store, "", None, 3).await, all[..3]);
        assert_eq!(keys(&store, "", Some("b/1"), 2).await, all[3..5]);
        assert_eq!(keys(&store, "", Some("b/2/3"), 100).await, all[4..]);
        assert_eq!(keys(&store, "b/", Some("a"), 100).await, all[2..5]);
        assert!(keys(&store, "none", None, 100).await.is_empty());
    });
}

#[test]
fn a_deleted_object_can_be_created_anew_as_another() {
    each(|store| async move {
        let at = key("a/b");
        let before = put(&store, "a/b", "same").await;
        store.delete(&at).await.unwrap();
        assert!(keys(&store, "", None, 10).await.is_empty());
        let after = put(&store, "a/b", "same").await;
        let replaced = store.put_if_match(&at, &before, "new".into()).await;
        // S3 tells contents apart, not lives: either is fine if the tag is the same.
        assert!(before == after || replaced.is_err(), "{replaced:?}");
    });
}

#[test]
fn nothing_is_stale_that_was_finished() {
    each(|store| async move {
        put(&store, "a", "1").await;
        let aborted = store.abort_stale("", Duration::ZERO).await;
        assert_eq!(aborted, Ok(0));
        assert_eq!(keys(&store, "", None, 10).await, ["a"]);
    });
}
