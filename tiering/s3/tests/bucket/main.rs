//! A bucket does what every object store has to do, and says what is wrong when it cannot.
//!
//! Each test starts a versitygw of its own, an S3 server on a directory, on a free port. What it does not
//! tell (which headers are sent) is asked of a server of ours that only writes down.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test from outside: it starts processes, opens sockets and files, and may panic"
)]

#[path = "../../../tests/suite/suite.rs"]
mod suite;

mod gateway;
mod proxy;
mod recorder;

mod headers;
mod left_behind;
mod lost_answers;
mod refusals;
mod tls;

use std::sync::Arc;

use gateway::Gateway;
use klamm_s3::{S3Settings, S3Store};
use suite::Store;
use tokio::runtime::Runtime;

/// Asks an empty store.
pub(crate) fn each<F: Future<Output = ()>>(check: impl Fn(Store) -> F) {
    let gateway = Gateway::start();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut settings = gateway.settings();
        // Keys are told apart from what lies elsewhere in the bucket.
        settings.prefix = "an/archive".to_owned();
        check(open(&settings).await).await;
    });
}

pub(crate) async fn open(settings: &S3Settings) -> Store {
    Arc::new(S3Store::open(settings).await.unwrap())
}
