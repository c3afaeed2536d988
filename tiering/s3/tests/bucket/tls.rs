//! A bucket behind TLS, with certificates that only who was told about trusts.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use klamm_s3::S3Settings;
use klamm_tiering::StoreError;
use tokio::runtime::Runtime;

use crate::gateway::Gateway;
use crate::open;
use crate::suite::{body, key};

/// Makes a key and a certificate of its own for 127.0.0.1.
fn certificate(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (key, certificate) = (
        directory.join(format!("{name}.key")),
        directory.join(format!("{name}.pem")),
    );
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-subj", "/CN=127.0.0.1", "-addext"]);
    openssl.args(["subjectAltName=IP:127.0.0.1", "-addext"]);
    openssl.args(["basicConstraints=critical,CA:FALSE", "-keyout"]);
    openssl.arg(&key).arg("-out").arg(&certificate);
    let made = openssl.stderr(Stdio::null()).status().unwrap();
    assert!(made.success(), "openssl makes a certificate");
    (key, certificate)
}

#[test]
fn a_bucket_behind_tls_is_trusted_by_whoever_knows_its_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let (private, certificate_of_it) = certificate(directory.path(), "gateway");
    let (_, another) = certificate(directory.path(), "another");
    let gateway = Gateway::start_with(&[
        "--cert",
        certificate_of_it.to_str().unwrap(),
        "--key",
        private.to_str().unwrap(),
    ]);
    let settings = |bundle: &Path| S3Settings {
        endpoint: Some(format!("https://{}", gateway.address)),
        ca_bundle: Some(bundle.to_owned()),
        ..gateway.settings()
    };
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(&settings(&certificate_of_it)).await;
        store.put_if_absent(&key("a"), body("1")).await.unwrap();
        assert_eq!(store.head(&key("a")).await.unwrap().size_bytes, 1);
        let distrustful = open(&settings(&another)).await;
        match distrustful.head(&key("a")).await {
            Err(StoreError::Unavailable { reason }) => {
                assert!(reason.contains("certificate"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    });
}
