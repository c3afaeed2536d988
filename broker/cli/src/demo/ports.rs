//! Ports for brokers that keep them through a restart.
#![expect(
    clippy::disallowed_methods,
    reason = "a port is free if it can be bound: nobody else can say"
)]

use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

use crate::error::{CliError, FAILED};

/// Below those that the kernel gives to outgoing connections: a client that knocks at a killed
/// broker's port again and again would one day be given that port, and keep the broker away.
const PORTS: RangeInclusive<u16> = 20_000..=29_999;
/// Two demonstrations at once begin at different places.
const STEP: usize = 16;

/// Ports of 127.0.0.1 that are free at this moment.
///
/// # Errors
/// There are not as many.
pub(super) fn free(count: usize) -> Result<Vec<u16>, CliError> {
    let process = usize::try_from(std::process::id()).unwrap_or(0);
    let offset = process * STEP % PORTS.len();
    let all = PORTS.skip(offset).chain(PORTS.take(offset));
    let free = all.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let free: Vec<_> = free.take(count).collect();
    match free.len() {
        found if found == count => Ok(free),
        _ => Err(CliError::Part {
            part: "ports".to_owned(),
            why: format!("fewer than {count} are free in {PORTS:?}"),
            code: FAILED,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_are_different() {
        let ports: BTreeSet<_> = free(6).expect("they are free").into_iter().collect();
        assert_eq!(ports.len(), 6);
    }
}
