//! One object at a time: created, read, replaced, deleted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use klamm_tiering::{Conditions, Crc64Nvme, ObjectTag, StoreError, holds, probe};

use super::{Pattern, body, key, keys, put, read};
use crate::each;

#[test]
fn an_object_is_created_once_and_read_back_whole_and_in_part() {
    each(|store| async move {
        let at = key("log/a1b2/0/object.log");
        let tag = put(&store, "log/a1b2/0/object.log", "0123456789").await;
        let again = store.put_if_absent(&at, body("other")).await;
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

#[test]
fn a_store_knows_the_checksum_of_what_it_holds() {
    each(|store| async move {
        for (text, content) in [("empty", ""), ("digits", "123456789")] {
            let at = key(text);
            let expected = Crc64Nvme::of(content.as_bytes());
            put(&store, text, content).await;
            assert_eq!(store.head(&at).await.unwrap().checksum, Some(expected));
            let size = content.len() as u64;
            assert_eq!(holds(&*store, &at, size, expected).await, Ok(true));
            let other = Crc64Nvme(expected.0 + 1);
            assert_eq!(holds(&*store, &at, size, other).await, Ok(false));
            assert_eq!(holds(&*store, &at, size + 1, expected).await, Ok(false));
        }
        let tag = store.head(&key("digits")).await.unwrap().tag;
        let replaced = store.put_if_match(&key("digits"), &tag, "0".into()).await;
        replaced.unwrap();
        let checksum = store.head(&key("digits")).await.unwrap().checksum;
        assert_eq!(checksum, Some(Crc64Nvme::of(b"0")));
    });
}

#[test]
fn what_cannot_be_read_becomes_no_object() {
    each(|store| async move {
        let size_bytes = 1000;
        let unreadable = Pattern {
            size_bytes,
            readable_bytes: size_bytes - 1,
        };
        let created = store.put_if_absent(&key("a"), Arc::new(unreadable)).await;
        let reason = "a bad sector".to_owned();
        assert_eq!(created, Err(StoreError::Unreadable { reason }));
        assert!(keys(&store, "", None, 10).await.is_empty());
    });
}

#[test]
fn a_probe_finds_that_conditions_hold_and_may_be_repeated() {
    each(|store| async move {
        for _ in 0..2 {
            assert_eq!(probe(&*store).await, Ok(Conditions::Honoured));
        }
    });
}
