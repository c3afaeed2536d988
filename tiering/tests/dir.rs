//! A directory does what every object store has to do.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "suite/suite.rs"]
mod suite;

use std::sync::Arc;

use klamm_tiering::DirStore;
use suite::Store;
use tokio::runtime::Runtime;

/// Asks an empty store.
pub(crate) fn each<F: Future<Output = ()>>(check: impl Fn(Store) -> F) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = DirStore::open(directory.path()).unwrap();
    runtime.block_on(check(Arc::new(store)));
}
