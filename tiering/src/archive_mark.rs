//! `klamm.json`: that this is an archive, whose, and of which version.
//!
//! A broker claims the place before it uses it: two clusters that were given the same place by mistake would
//! otherwise find out late, by objects that nobody expects.

use serde_json::{Value, json};

use crate::layout::{LAYOUT_VERSION, mark_key};
use crate::object_store::{ObjectStore, StoreError};
use crate::partition_archive::create;

/// Largest mark that is read.
const MARK_BYTES_MAX: u64 = 64 << 10;

/// Why a place is not this cluster's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveMarkError {
    /// Another cluster keeps its archive there.
    #[error("the archive is another cluster's cluster_id={cluster_id:?}")]
    OtherCluster {
        /// Which.
        cluster_id: String,
    },
    /// A newer program has written there.
    #[error("the archive is of a newer version version={version} known={LAYOUT_VERSION}")]
    Newer {
        /// As found.
        version: u64,
    },
    /// Something else lies at the key, or it is damaged.
    #[error("the mark of the archive cannot be read key=klamm.json")]
    Unreadable,
    /// The store does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes sure that the place is this cluster's: marks it if nobody has. Safe to repeat, and for brokers of a
/// cluster to do side by side.
///
/// # Errors
/// If it is another cluster's or of a newer version, or the store does not answer.
pub async fn claim_archive(
    store: &dyn ObjectStore,
    cluster_id: &str,
) -> Result<(), ArchiveMarkError> {
    let key = mark_key();
    let mark = json!({ "version": LAYOUT_VERSION, "cluster_id": cluster_id });
    match create(store, &key, format!("{mark}\n").into()).await {
        Ok(_) => return Ok(()),
        Err(StoreError::ConditionFailed(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let bytes = store.get_range(&key, 0..MARK_BYTES_MAX).await?;
    let found: Value = serde_json::from_slice(&bytes).map_err(|_| ArchiveMarkError::Unreadable)?;
    match (found["version"].as_u64(), found["cluster_id"].as_str()) {
        (Some(version), _) if version > LAYOUT_VERSION => Err(ArchiveMarkError::Newer { version }),
        (Some(1..), Some(found)) if found == cluster_id => Ok(()),
        (Some(1..), Some(found)) => Err(ArchiveMarkError::OtherCluster {
            cluster_id: found.to_owned(),
        }),
        _ => Err(ArchiveMarkError::Unreadable),
    }
}
