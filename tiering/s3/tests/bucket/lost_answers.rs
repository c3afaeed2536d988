//! Answers that are lost after the request was carried out: whoever repeats it finds its own object.

use klamm_tiering::{Crc64Nvme, StoreError, holds};
use tokio::runtime::Runtime;

use crate::gateway::{self, Gateway};
use crate::open;
use crate::proxy::Proxy;
use crate::suite::{Pattern, Store, body, key};

/// What the store itself repeats, and the first attempt.
const ATTEMPTS: usize = 3;
const CONTENT: &str = "what was to be written";

fn behind_a_proxy<F: Future<Output = ()>>(check: impl FnOnce(Store, Proxy) -> F) {
    let gateway = Gateway::start();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let proxy = Proxy::start(gateway.address).await;
        let store = open(&gateway::settings(proxy.address)).await;
        check(store, proxy).await;
    });
}

async fn is_ours(store: &Store) -> bool {
    let size_bytes = CONTENT.len() as u64;
    let checksum = Crc64Nvme::of(CONTENT.as_bytes());
    let ours = holds(&**store, &key("a"), size_bytes, checksum).await;
    ours.unwrap()
}

#[test]
fn what_was_written_before_its_answer_was_lost_is_known_by_its_checksum() {
    behind_a_proxy(|store, proxy| async move {
        proxy.lose(1, &["PUT ", "/logs/a"]);
        // It is repeated below us, and refused.
        let created = store.put_if_absent(&key("a"), body(CONTENT)).await;
        assert_eq!(proxy.lost(), 1);
        assert_eq!(created, Err(StoreError::ConditionFailed(key("a"))));
        assert!(is_ours(&store).await);
    });
}

#[test]
fn a_store_whose_answers_are_all_lost_is_not_available_and_has_what_it_was_given() {
    behind_a_proxy(|store, proxy| async move {
        proxy.lose(ATTEMPTS, &["PUT ", "/logs/a"]);
        let created = store.put_if_absent(&key("a"), body(CONTENT)).await;
        assert_eq!(proxy.lost(), ATTEMPTS);
        let unavailable = matches!(created, Err(StoreError::Unavailable { .. }));
        assert!(unavailable, "{created:?}");
        let again = store.put_if_absent(&key("a"), body(CONTENT)).await;
        assert_eq!(again, Err(StoreError::ConditionFailed(key("a"))));
        assert!(is_ours(&store).await);
    });
}

#[test]
fn an_object_of_somebody_else_is_not_taken_for_ours() {
    behind_a_proxy(|store, _proxy| async move {
        let theirs = "what somebody else wrote";
        store.put_if_absent(&key("a"), body(theirs)).await.unwrap();
        let refused = store.put_if_absent(&key("a"), body(CONTENT)).await;
        assert_eq!(refused, Err(StoreError::ConditionFailed(key("a"))));
        assert!(!is_ours(&store).await);
    });
}

#[test]
fn a_replacement_whose_answer_was_lost_is_known_by_its_content() {
    behind_a_proxy(|store, proxy| async move {
        let before = store
            .put_if_absent(&key("a"), body("before"))
            .await
            .unwrap();
        proxy.lose(1, &["PUT ", "/logs/a"]);
        let replaced = store.put_if_match(&key("a"), &before, CONTENT.into()).await;
        assert_eq!(proxy.lost(), 1);
        assert_eq!(replaced, Err(StoreError::ConditionFailed(key("a"))));
        assert!(is_ours(&store).await);
    });
}

#[test]
fn a_large_object_whose_last_answer_was_lost_is_there() {
    const SIZE_BYTES: u64 = 20 * 1024 * 1024;
    behind_a_proxy(|store, proxy| async move {
        proxy.lose(1, &["POST ", "/logs/a?", "uploadId="]);
        let created = store
            .put_if_absent(&key("a"), Pattern::whole(SIZE_BYTES))
            .await;
        assert_eq!(proxy.lost(), 1);
        // Repeated below us, it is answered as the first time, refused, or about an upload that is no more.
        let lost = matches!(
            created,
            Err(StoreError::ConditionFailed(_) | StoreError::Unavailable { .. })
        );
        assert!(created.is_ok() || lost, "{created:?}");
        let again = store
            .put_if_absent(&key("a"), Pattern::whole(SIZE_BYTES))
            .await;
        assert_eq!(again, Err(StoreError::ConditionFailed(key("a"))));
        let checksum = Crc64Nvme::of_body(&*Pattern::whole(SIZE_BYTES)).unwrap();
        let ours = holds(&*store, &key("a"), SIZE_BYTES, checksum).await;
        assert_eq!(ours, Ok(true));
    });
}

#[test]
fn a_part_whose_answer_was_lost_is_sent_again() {
    const SIZE_BYTES: u64 = 20 * 1024 * 1024;
    behind_a_proxy(|store, proxy| async move {
        proxy.lose(2, &["PUT ", "partNumber=2"]);
        let created = store
            .put_if_absent(&key("a"), Pattern::whole(SIZE_BYTES))
            .await;
        assert_eq!(proxy.lost(), 2);
        created.unwrap();
        let checksum = Crc64Nvme::of_body(&*Pattern::whole(SIZE_BYTES)).unwrap();
        assert_eq!(
            store.head(&key("a")).await.unwrap().checksum,
            Some(checksum)
        );
    });
}

#[test]
fn bytes_that_do_not_come_are_no_short_object() {
    behind_a_proxy(|store, proxy| async move {
        store.put_if_absent(&key("a"), body(CONTENT)).await.unwrap();
        proxy.lose(ATTEMPTS, &["GET ", "/logs/a"]);
        let got = store.get_range(&key("a"), 0..u64::MAX).await;
        assert!(
            matches!(got, Err(StoreError::Unavailable { .. })),
            "{got:?}"
        );
        assert_eq!(store.get_range(&key("a"), 0..4).await.unwrap(), "what");
    });
}
