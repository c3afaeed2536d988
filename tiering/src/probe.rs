//! Whether a store keeps what the archive relies on: that conditions of writes hold.

use std::sync::Arc;

use bytes::Bytes;

use crate::object_store::{ObjectKey, ObjectStore, ObjectTag, StoreError};

/// Where the object of the probe lies. It stays there: whoever deleted it could make another broker's
/// second attempt succeed, which is what tells a bad store.
const KEY: &str = "klamm-probe";

const CONTENT: Bytes = Bytes::from_static(b"Klamm asks here whether conditions of writes hold.\n");

/// What became of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// What must not be overwritten was not.
    Honoured,
    /// The store overwrites whatever is asked of it: two brokers could destroy each other's objects there.
    Ignored,
}

/// Writes a small object twice that may be created once only, and replaces it by a tag that it does not have.
///
/// Brokers may do so side by side. It also tells whether objects may be written at all.
///
/// # Errors
/// Those of the store, but for [`StoreError::ConditionFailed`].
pub async fn probe(store: &dyn ObjectStore) -> Result<Conditions, StoreError> {
    let key = ObjectKey::new(KEY).expect("it is a key");
    let create = || store.put_if_absent(&key, Arc::new(CONTENT));
    is_refused(create().await)?;
    let created_twice = !is_refused(create().await)?;
    let other = ObjectTag("\"00000000000000000000000000000000\"".to_owned());
    let replaced = !is_refused(store.put_if_match(&key, &other, CONTENT).await)?;
    Ok(match created_twice || replaced {
        true => Conditions::Ignored,
        false => Conditions::Honoured,
    })
}

fn is_refused(written: Result<ObjectTag, StoreError>) -> Result<bool, StoreError> {
    match written {
        Ok(_) => Ok(false),
        Err(StoreError::ConditionFailed(_)) => Ok(true),
        Err(error) => Err(error),
    }
}
