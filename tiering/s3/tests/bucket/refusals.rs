//! What cannot be done is said in a way that tells what to do about it.

use std::time::Duration;

use klamm_s3::{S3Keys, S3Settings, S3Store};
use klamm_tiering::{ObjectTag, StoreError, probe};
use tokio::runtime::Runtime;

use crate::gateway::Gateway;
use crate::open;
use crate::suite::{Pattern, Store, body, key};

fn check(change: impl FnOnce(&mut S3Settings), check: impl AsyncFnOnce(Store, &mut Gateway)) {
    let mut gateway = Gateway::start();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut settings = gateway.settings();
        change(&mut settings);
        check(open(&settings).await, &mut gateway).await;
    });
}

/// Why each verb fails.
async fn reasons(store: &Store) -> Vec<StoreError> {
    let at = key("a");
    let tag = ObjectTag("\"tag\"".to_owned());
    let large = Pattern::whole(20 * 1024 * 1024);
    vec![
        store.put_if_absent(&at, body("1")).await.unwrap_err(),
        store.put_if_absent(&at, large).await.unwrap_err(),
        store.put_if_match(&at, &tag, "1".into()).await.unwrap_err(),
        store.get_range(&at, 0..1).await.unwrap_err(),
        store.get_range(&at, 0..0).await.unwrap_err(),
        store.head(&at).await.unwrap_err(),
        store.list("", None, 1).await.unwrap_err(),
        store.delete(&at).await.unwrap_err(),
        store.abort_stale("", Duration::ZERO).await.unwrap_err(),
        probe(&**store).await.unwrap_err(),
    ]
}

async fn are_denied(store: &Store, expected: &str) {
    for (verb, error) in reasons(store).await.into_iter().enumerate() {
        match error {
            StoreError::Denied { reason } if reason.contains(expected) => {}
            other => panic!("{verb}: {other:?}"),
        }
    }
}

#[test]
fn a_wrong_secret_is_a_matter_for_a_person() {
    let wrong = |settings: &mut S3Settings| {
        settings.keys = Some(S3Keys {
            access_key_id: "someone".to_owned(),
            secret_access_key: "another".to_owned(),
        });
    };
    check(wrong, async |store, _| are_denied(&store, "403").await);
}

#[test]
fn somebody_unknown_is_a_matter_for_a_person() {
    let wrong = |settings: &mut S3Settings| {
        settings.keys = Some(S3Keys {
            access_key_id: "nobody".to_owned(),
            secret_access_key: "a-secret".to_owned(),
        });
    };
    check(wrong, async |store, _| {
        are_denied(&store, "No user exists").await
    });
}

#[test]
fn a_missing_bucket_is_said_to_be_so() {
    let wrong = |settings: &mut S3Settings| settings.bucket = "other".to_owned();
    check(wrong, async |store, _| {
        are_denied(&store, "the bucket does not exist bucket=other").await;
    });
}

#[test]
fn a_server_that_is_gone_is_not_available() {
    check(
        |_| {},
        async |store, gateway| {
            store.put_if_absent(&key("a"), body("1")).await.unwrap();
            gateway.kill();
            let failed = [
                store.head(&key("a")).await.map(|_| ()),
                store.put_if_absent(&key("b"), body("1")).await.map(|_| ()),
                store.list("", None, 1).await.map(|_| ()),
            ];
            for failed in failed {
                let unavailable = matches!(failed, Err(StoreError::Unavailable { .. }));
                assert!(unavailable, "{failed:?}");
            }
        },
    );
}

#[test]
fn settings_that_cannot_be_are_refused_at_once() {
    let runtime = Runtime::new().unwrap();
    let mut settings = S3Settings::new("logs");
    settings.endpoint = Some("127.0.0.1:9000".to_owned());
    let refused = runtime.block_on(S3Store::open(&settings)).unwrap_err();
    let expected = "not an address of the form http://host:port or https://host:port endpoint=\"127.0.0.1:9000\"";
    assert_eq!(refused.to_string(), expected);
}
