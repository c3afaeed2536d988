//! What is really sent: conditions, checksums, encryption.

use bytes::Bytes;
use klamm_s3::{S3Checksum, S3Encryption, S3Settings};
use klamm_tiering::{Conditions, ObjectTag, StoreError, probe};
use tokio::runtime::Runtime;

use crate::gateway;
use crate::open;
use crate::recorder::{Answer, Recorder, Request};
use crate::suite::{Pattern, Store, body, key};

const SIZE_IN_PARTS: u64 = 16 * 1024 * 1024;
const BEGUN: &str =
    "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>";
const COMPLETED: &str =
    "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>";

/// A store that takes everything and does as it is told.
fn obeys(request: &Request) -> Answer {
    let line = request.line.as_str();
    let body = match line {
        _ if line.starts_with("POST ") && line.contains("uploads") => BEGUN,
        _ if line.starts_with("POST ") => COMPLETED,
        _ => "",
    };
    let status = match line.starts_with("HEAD ") {
        true => "404 Not Found",
        false => "200 OK",
    };
    let mut head = format!("{status}\r\netag: \"tag\"\r\n");
    if let Some(encryption) = request.header("x-amz-server-side-encryption") {
        head.push_str(&format!("x-amz-server-side-encryption: {encryption}\r\n"));
    }
    (head, body)
}

/// One that encrypts nothing.
fn ignores(_: &Request) -> Answer {
    ("200 OK\r\netag: \"tag\"\r\n".to_owned(), "")
}

fn check<F: Future<Output = ()>>(
    answer: fn(&Request) -> Answer,
    change: impl FnOnce(&mut S3Settings),
    check: impl FnOnce(Store, Recorder) -> F,
) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let recorder = Recorder::start(answer).await;
        let mut settings = gateway::settings(recorder.address);
        change(&mut settings);
        check(open(&settings).await, recorder).await;
    });
}

#[test]
fn a_write_has_its_condition_and_its_checksum() {
    check(
        obeys,
        |_| {},
        |store, recorder| async move {
            store
                .put_if_absent(&key("a/b"), body("123456789"))
                .await
                .unwrap();
            let request = recorder.the_one("PUT /logs/a/b");
            assert_eq!(request.header("if-none-match"), Some("*"));
            assert_eq!(
                request.header("x-amz-checksum-crc64nvme"),
                Some("rosUhgp5mIg=")
            );
            assert_eq!(request.header("x-amz-server-side-encryption"), None);
            let tag = ObjectTag("\"before\"".to_owned());
            store
                .put_if_match(&key("a/b"), &tag, Bytes::new())
                .await
                .unwrap();
            let request = recorder.the_one("PUT /logs/a/b");
            assert_eq!(request.header("if-match"), Some("\"before\""));
            assert_eq!(
                request.header("x-amz-checksum-crc64nvme"),
                Some("AAAAAAAAAAA=")
            );
        },
    );
}

#[test]
fn the_checksum_is_the_one_that_is_set() {
    let cases = [
        (S3Checksum::Crc32c, Some("4waSgw==")),
        (
            S3Checksum::Sha256,
            Some("FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ),
        (S3Checksum::WhenRequired, None),
    ];
    for (checksum, expected) in cases {
        check(
            obeys,
            |settings| settings.checksum = checksum,
            |store, recorder| async move {
                store
                    .put_if_absent(&key("a"), body("123456789"))
                    .await
                    .unwrap();
                let request = recorder.the_one("PUT /logs/a");
                let sent = ["x-amz-checksum-crc32c", "x-amz-checksum-sha256"];
                let sent = sent.iter().find_map(|name| request.header(name));
                assert_eq!(sent, expected, "{checksum:?}");
                for name in ["x-amz-checksum-crc64nvme", "x-amz-checksum-crc32"] {
                    assert_eq!(request.header(name), None, "{checksum:?}");
                }
            },
        );
    }
}

#[test]
fn a_key_of_the_key_management_service_is_asked_for() {
    let kms = S3Encryption::Kms {
        key_id: Some("key-1".to_owned()),
        bucket_key: true,
    };
    check(
        obeys,
        |settings| settings.encryption = kms,
        |store, recorder| async move {
            let asks = |request: Request| {
                assert_eq!(
                    request.header("x-amz-server-side-encryption"),
                    Some("aws:kms")
                );
                let id = "x-amz-server-side-encryption-aws-kms-key-id";
                assert_eq!(request.header(id), Some("key-1"));
                let bucket_key = "x-amz-server-side-encryption-bucket-key-enabled";
                assert_eq!(request.header(bucket_key), Some("true"));
            };
            store.put_if_absent(&key("a"), body("1")).await.unwrap();
            asks(recorder.the_one("PUT /logs/a"));
            let tag = ObjectTag("\"before\"".to_owned());
            store
                .put_if_match(&key("a"), &tag, Bytes::new())
                .await
                .unwrap();
            asks(recorder.the_one("PUT /logs/a"));
            store
                .put_if_absent(&key("b"), Pattern::whole(SIZE_IN_PARTS))
                .await
                .unwrap();
            asks(recorder.the_one("POST /logs/b?uploads"));
        },
    );
}

#[test]
fn a_store_that_does_not_encrypt_as_demanded_is_found_out() {
    check(
        ignores,
        |settings| settings.encryption = S3Encryption::Aes256,
        |store, _recorder| async move {
            match store.put_if_absent(&key("a"), body("1")).await {
                Err(StoreError::Denied { reason }) => {
                    assert!(reason.contains("encryption=none"), "{reason}");
                }
                other => panic!("{other:?}"),
            }
        },
    );
}

#[test]
fn an_upload_in_parts_has_its_condition_and_its_checksums() {
    check(
        obeys,
        |_| {},
        |store, recorder| async move {
            store
                .put_if_absent(&key("a"), Pattern::whole(SIZE_IN_PARTS))
                .await
                .unwrap();
            let requests = recorder.take();
            let find = |text: &str| {
                let mut found = requests.iter().filter(|one| one.line.contains(text));
                let found = (found.next(), found.count());
                assert_eq!(found.1, 0, "{text} {requests:#?}");
                found.0.unwrap_or_else(|| panic!("{text} {requests:#?}"))
            };
            let begin = find("POST /logs/a?uploads");
            assert_eq!(begin.header("x-amz-checksum-algorithm"), Some("CRC64NVME"));
            assert_eq!(begin.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
            for part in ["partNumber=1", "partNumber=2"] {
                let part = find(part);
                assert_eq!(part.header("content-length"), Some("8388608"));
                assert!(part.header("x-amz-checksum-crc64nvme").is_some());
            }
            let complete = find("POST /logs/a?uploadId=u1");
            assert_eq!(complete.header("if-none-match"), Some("*"));
            assert_eq!(complete.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
            assert!(complete.header("x-amz-checksum-crc64nvme").is_some());
            assert_eq!(
                requests.len(),
                5,
                "and a look whether it is there {requests:#?}"
            );
        },
    );
}

#[test]
fn a_store_that_ignores_conditions_is_found_out() {
    check(
        obeys,
        |_| {},
        |store, _recorder| async move {
            assert_eq!(probe(&*store).await, Ok(Conditions::Ignored));
        },
    );
}
