//! Opens the admin port, if there is to be one.

use super::ServeError;
use crate::admin::{self, Subject};
use crate::config::BrokerConfig;

/// Starts serving, and says where. A port that nobody has asked for is done without if it cannot be
/// had: a second broker on a machine starts as the first did.
pub(super) fn open(config: &BrokerConfig, subject: Subject) -> Result<(), ServeError> {
    let Some(listener) = &config.admin else {
        return Ok(());
    };
    let bound = match admin::bind(listener) {
        Ok(bound) => bound,
        Err(error) => {
            let address = format!("{}:{}", listener.host, listener.port);
            let refusal = ServeError::AdminPort { address, error };
            if listener.is_given {
                return Err(refusal);
            }
            tracing::warn!("there is no admin port: {refusal}");
            return Ok(());
        }
    };
    let address = bound.local_addr().map_err(ServeError::Process)?;
    admin::start(bound, subject).map_err(ServeError::Process)?;
    tracing::info!("admin port: http://{address}");
    Ok(())
}
