//! The addresses the broker listens on, and those it tells its clients.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use klamm_metadata::record::ListenerAddress;
use tokio::net::TcpListener;

use super::ServeError;
use crate::config::{BrokerConfig, Listener, NetworkConfig};
use crate::net::listener::{SocketConfig, bind};

/// A socket that listens, and what clients are told of it.
pub(super) struct Bound {
    pub(super) listener: TcpListener,
    pub(super) advertised: ListenerAddress,
}

/// Binds every listener, before anything on disk is touched.
pub(super) fn bind_all(config: &BrokerConfig) -> Result<Vec<Bound>, ServeError> {
    config
        .listeners
        .iter()
        .map(|listener| bind_one(listener, &config.network))
        .collect()
}

fn bind_one(listener: &Listener, network: &NetworkConfig) -> Result<Bound, ServeError> {
    let options = SocketConfig {
        backlog: network.listen_backlog,
        send_buffer_bytes: network.send_buffer_bytes,
        receive_buffer_bytes: network.receive_buffer_bytes,
    };
    let socket = resolve(listener)
        .and_then(|address| bind(address, options))
        .map_err(|error| ServeError::Listen {
            address: named(listener),
            error,
        })?;
    let port = socket.local_addr().map_err(ServeError::Process)?.port();
    let host = match listener.advertised_host.as_str() {
        "" => own_name(),
        host => host.to_owned(),
    };
    let advertised = ListenerAddress {
        name: listener.name.clone(),
        host,
        port: if listener.advertised_port == 0 {
            port
        } else {
            listener.advertised_port
        },
    };
    Ok(Bound {
        listener: socket,
        advertised,
    })
}

fn resolve(listener: &Listener) -> io::Result<SocketAddr> {
    if listener.host.is_empty() {
        return Ok(SocketAddr::from((
            std::net::Ipv4Addr::UNSPECIFIED,
            listener.port,
        )));
    }
    let mut found = (listener.host.as_str(), listener.port)
        .to_socket_addrs()
        .map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?;
    found
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

fn named(listener: &Listener) -> String {
    format!("{}://{}:{}", listener.name, listener.host, listener.port)
}

/// The machine's own name, which Kafka advertises for a listener on every address.
fn own_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// What helps against the usual reasons.
pub(super) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process uses the port: stop it, or choose another, such as \
             --set listeners=PLAINTEXT://127.0.0.1:19092"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: choose another",
        io::ErrorKind::NotFound => "; the name stands for no address that is known here",
        io::ErrorKind::AddrNotAvailable => "; the machine has no such address",
        _ => "",
    }
}
