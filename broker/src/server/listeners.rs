//! The addresses the broker listens on, and those it tells its clients.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use klamm_metadata::record::ListenerAddress;
use tokio::net::TcpListener;

use super::ServeError;
use crate::config::{BrokerConfig, Listener, NetworkConfig};
use crate::net::listener::{SocketConfig, bind};
use crate::peer::Address;

/// A socket that listens, and what clients are told of it.
pub(super) struct Bound {
    pub(super) listener: TcpListener,
    pub(super) advertised: ListenerAddress,
}

/// Where other brokers connect to this one.
pub(super) struct PeerPort {
    pub(super) listener: TcpListener,
    pub(super) advertised: Address,
}

/// Binds the listener for other brokers, if there are any.
pub(super) fn bind_peer_port(
    config: &BrokerConfig,
    bound: &[Bound],
) -> Result<Option<PeerPort>, ServeError> {
    const BACKLOG: i32 = 128;
    let Some(cluster) = &config.cluster else {
        return Ok(None);
    };
    let (host, port) = &cluster.listener;
    let options = SocketConfig {
        backlog: BACKLOG,
        send_buffer_bytes: None,
        receive_buffer_bytes: None,
    };
    let listener = resolve(host, *port)
        .and_then(|address| bind(address, options))
        .map_err(|error| ServeError::PeerPort {
            address: format!("{host}:{port}"),
            error,
        })?;
    let bound_port = listener.local_addr().map_err(ServeError::Process)?.port();
    let advertised = match &cluster.advertised {
        Some((host, port)) => Address {
            host: host.clone(),
            port: if *port == 0 { bound_port } else { *port },
        },
        None => {
            let every_address = matches!(host.as_str(), "" | "0.0.0.0" | "::");
            let of_clients = bound.first().map(|bound| bound.advertised.host.clone());
            Address {
                host: match of_clients {
                    Some(of_clients) if every_address => of_clients,
                    _ => host.clone(),
                },
                port: bound_port,
            }
        }
    };
    Ok(Some(PeerPort {
        listener,
        advertised,
    }))
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
    let socket = resolve(&listener.host, listener.port)
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

fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    if host.is_empty() {
        return Ok(SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, port)));
    }
    let mut found = (host, port)
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
