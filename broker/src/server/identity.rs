//! Who this broker is: what its disks say, what its settings say, or something new.

use std::sync::Arc;

use klamm_model::BrokerId;
use klamm_storage::Disk;

use super::ServeError;
use crate::config::BrokerConfig;
use crate::entropy;
use crate::log_dirs::{LogDirs, Owner};

/// The number of a broker that has none in its settings.
const FIRST_NODE_ID: BrokerId = BrokerId(1);

/// Settles cluster id and broker id.
pub(super) fn settle(disk: &Arc<dyn Disk>, config: &BrokerConfig) -> Result<Owner, ServeError> {
    let configured = config.identity.node_id;
    let Some(found) = LogDirs::owner_of(disk.as_ref(), &config.identity.log_dirs)? else {
        return Ok(Owner {
            cluster_id: entropy::uuid().to_string(),
            node_id: configured.unwrap_or(FIRST_NODE_ID),
        });
    };
    match configured {
        Some(configured) if configured != found.node_id => Err(ServeError::NodeId {
            found: found.node_id.0,
            configured: configured.0,
        }),
        _ => Ok(Owner {
            cluster_id: found.cluster_id,
            node_id: found.node_id,
        }),
    }
}
