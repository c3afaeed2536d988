//! The limits of this process: a client that runs out of file descriptors half way measures
//! nothing.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::CliError;

/// What the process has open anyway: standard streams, files, the first client.
const OWN: u64 = 64;
/// A client's connection to a broker, and the two ends of the pipe that wakes its thread.
const PER_CONNECTION: u64 = 3;
/// Connections to the addresses that were given, and the client's own queues.
const PER_CLIENT: u64 = 12;

/// Descriptors that so many clients of so many brokers need, with room to spare.
fn needed(clients: u64, brokers: u64) -> u64 {
    OWN + clients * (PER_CLIENT + brokers * PER_CONNECTION)
}

/// Takes as many descriptors as are needed, if they may be taken.
///
/// # Errors
/// The system does not allow as many.
pub(super) fn raise_open_files(clients: u64, brokers: u64) -> Result<(), CliError> {
    let needed = needed(clients, brokers);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    let allowed = limit.maximum.is_none_or(|maximum| maximum >= needed);
    if allowed && setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    let maximum = limit.maximum.unwrap_or(u64::MAX);
    Err(CliError::Refused {
        what: format!("{clients} clients"),
        why: format!(
            "they need about {needed} open files, and this process may have {maximum}: take fewer producers and consumers, or raise the limit (`ulimit -n {needed}` as root)"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_clients_fit_into_the_usual_limit() {
        assert!(needed(2, 3) < 1_024);
        assert!(needed(1_000, 9) > 1_024);
    }
}
