//! Who this broker is: what its disks say, what its settings say, what its cluster says, or something
//! new.

use std::sync::Arc;

use klamm_model::{BrokerId, TopicId};
use klamm_storage::Disk;

use super::ServeError;
use super::listeners::PeerPort;
use crate::config::BrokerConfig;
use crate::entropy;
use crate::log_dirs::{LogDirs, Owner};
use crate::peer::joining;

/// The number of a broker that has none in its settings, and is a cluster of its own.
const FIRST_NODE_ID: BrokerId = BrokerId(1);

/// Who the broker is.
pub(super) struct Settled {
    pub(super) owner: Owner,
    /// Whether the cluster begins with this broker, if it has no metadata yet.
    pub(super) is_founder: bool,
}

/// Settles cluster id and broker id. `port` is there if there are other brokers.
pub(super) async fn settle(
    disk: &Arc<dyn Disk>,
    config: &BrokerConfig,
    port: Option<&PeerPort>,
    incarnation: TopicId,
) -> Result<Settled, ServeError> {
    let configured = config.identity.node_id;
    let found = LogDirs::owner_of(disk.as_ref(), &config.identity.log_dirs)?;
    if let Some(found) = found {
        return match configured {
            Some(configured) if configured != found.node_id => Err(ServeError::NodeId {
                found: found.node_id.0,
                configured: configured.0,
            }),
            _ => Ok(Settled {
                owner: Owner {
                    cluster_id: found.cluster_id,
                    node_id: found.node_id,
                },
                is_founder: port.is_none(),
            }),
        };
    }
    if let (Some(port), Some(cluster)) = (port, &config.cluster) {
        let joined = joining::join(
            cluster,
            configured,
            &port.listener,
            port.advertised.clone(),
            incarnation,
        );
        return Ok(joined.await?.into());
    }
    Ok(Settled {
        owner: Owner {
            cluster_id: entropy::uuid().to_string(),
            node_id: configured.unwrap_or(FIRST_NODE_ID),
        },
        is_founder: true,
    })
}

impl From<joining::Joined> for Settled {
    fn from(joined: joining::Joined) -> Self {
        let joining::Joined { owner, is_founder } = joined;
        Self { owner, is_founder }
    }
}
