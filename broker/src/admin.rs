//! The admin port: metrics, health and the log level over HTTP (`klamm.admin.listener`).
//!
//! It has a thread and a runtime of its own, and reads what others may read at any time, so it
//! answers whatever the data plane is doing, even if that stands still. It has no secrets and no
//! authentication: by default only this machine reaches it.
//!
//! Invariants: a mistake here ends a connection, never the broker; connections, their time and
//! what they may send are bounded, and a client that wastes them is pushed out by the next one.

pub(crate) mod health;
mod routes;

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use klamm_model::Timestamp;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet};

use self::health::Health;
use self::routes::Routes;
use crate::clock::Clock;
use crate::config::AdminListener;
use crate::logging::LogControl;
use crate::metrics::counters::Counters;
use crate::metrics::survey::Question;

/// Connections at once; one more pushes out the oldest.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection may last, with its one request and answer.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);
/// The head of a request; longer ones are refused. The least that hyper allows.
const HEAD_BYTES_MAX: usize = 8192;
/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);
/// Connections that the system holds.
const BACKLOG: i32 = 64;

/// What the admin port tells of.
pub(crate) struct Subject {
    pub(crate) clock: Clock,
    pub(crate) started_at: Timestamp,
    pub(crate) health: Arc<Health>,
    pub(crate) counters: Arc<Counters>,
    /// Where the data plane takes questions.
    pub(crate) questions: mpsc::Sender<Question>,
    pub(crate) log: LogControl,
}

/// Binds the address, so that errors show before anything else has started.
pub(crate) fn bind(listener: &AdminListener) -> io::Result<TcpListener> {
    let address = resolve(listener)?;
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn resolve(listener: &AdminListener) -> io::Result<SocketAddr> {
    if listener.host.is_empty() {
        let every_address = std::net::Ipv4Addr::UNSPECIFIED;
        return Ok(SocketAddr::from((every_address, listener.port)));
    }
    let mut found = (listener.host.as_str(), listener.port)
        .to_socket_addrs()
        .map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?;
    found
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

/// Starts the thread, which lasts as long as the process: it answers to the end of a stop.
pub(crate) fn start(listener: TcpListener, subject: Subject) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new().name("klamm-admin".to_owned());
    thread.spawn(move || LocalSet::new().block_on(&runtime, serve(listener, subject)))?;
    Ok(())
}

async fn serve(listener: TcpListener, subject: Subject) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the admin port cannot be served");
            return;
        }
    };
    let routes = Rc::new(Routes::new(subject));
    let mut open: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                open.retain(|connection| !connection.is_finished());
                if open.len() >= CONNECTIONS_MAX
                    && let Some(oldest) = open.pop_front()
                {
                    oldest.abort();
                }
                // Not by `tasks`: a panic here must not end the process.
                open.push_back(tokio::task::spawn_local(connection(stream, routes.clone())));
            }
            Err(error) => {
                tracing::debug!(%error, "the admin port cannot accept");
                tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
}

/// One request, one answer: whoever scrapes connects again, and nobody can hold a place.
async fn connection(stream: TcpStream, routes: Rc<Routes>) {
    let service = service_fn(move |request| {
        let routes = routes.clone();
        async move { Ok::<_, std::convert::Infallible>(routes.answer(request).await) }
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_LIMIT, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the admin port has ended"),
        Err(_) => tracing::debug!("a connection to the admin port has taken too long"),
    }
}

/// What helps against the usual reasons why the port cannot be had.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process uses the port: choose another, such as \
             --set klamm.admin.listener=127.0.0.1:19644, or none with --set klamm.admin.listener="
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: choose another",
        io::ErrorKind::NotFound => "; the name stands for no address that is known here",
        io::ErrorKind::AddrNotAvailable => "; the machine has no such address",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
