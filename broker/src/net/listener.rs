//! Accepts connections on one address.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::connection::{Connection, FrameHandler, NetShared};
use super::occasional::Occasional;
use crate::clock::Clock;
use crate::metrics::counters::Refusal;
use crate::tasks;

/// Options of the listening sockets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketConfig {
    /// Connections the kernel keeps waiting (`socket.listen.backlog.size`).
    pub(crate) backlog: i32,
    /// `SO_SNDBUF` of accepted sockets; `None` leaves it to the system.
    pub(crate) send_buffer_bytes: Option<usize>,
    /// `SO_RCVBUF` of accepted sockets; `None` leaves it to the system.
    pub(crate) receive_buffer_bytes: Option<usize>,
}

/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Binds `address`, so that errors show before anything else has started.
pub(crate) fn bind(address: SocketAddr, config: SocketConfig) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Set before listening, since accepted sockets inherit them.
    if let Some(bytes) = config.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = config.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&address.into())?;
    socket.listen(config.backlog)?;
    TcpListener::from_std(socket.into())
}

/// Everything a listener hands to the connections it accepts.
pub(crate) struct Acceptor {
    pub(crate) listener: TcpListener,
    /// Index into the configured list of listeners.
    pub(crate) index: usize,
    pub(crate) shared: Rc<NetShared>,
    pub(crate) handler: Rc<dyn FrameHandler>,
    pub(crate) clock: Clock,
    /// Connections beyond the limit of their address.
    pub(crate) refused: Occasional,
}

impl Acceptor {
    /// Accepts until the task is dropped.
    pub(crate) async fn run(self) {
        let failing = Cell::new(false);
        loop {
            self.wait_for_leave().await;
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    failing.set(false);
                    // Another listener may have taken what was free.
                    self.wait_for_leave().await;
                    self.admit(stream, peer);
                }
                Err(error) => {
                    let counters = self.shared.meter.counters();
                    counters.refused(Refusal::AcceptFailed);
                    if !failing.replace(true) {
                        tracing::error!(%error, "cannot accept connections; check the limit of open files (ulimit -n)");
                    }
                    tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
                }
            }
        }
    }

    /// Waits until the limits allow one more connection.
    async fn wait_for_leave(&self) {
        let quota = &self.shared.quota;
        quota.vacancy().await;
        while let Some(pause) = quota.pause_before_next(self.clock.now()) {
            tokio::time::sleep(pause).await;
            quota.vacancy().await;
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let now = self.clock.now();
        let counters = self.shared.meter.counters();
        if !self.shared.quota.open(peer.ip(), now) {
            counters.refused(Refusal::AddressLimit);
            if let Some(refused) = self.refused.count(now) {
                tracing::warn!(client = %peer, refused, "connection refused: too many from this address");
            }
            return;
        }
        counters.connections_accepted.add(1);
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(client = %peer, %error, "cannot set TCP_NODELAY");
        }
        let (shared, handler) = (self.shared.clone(), self.handler.clone());
        let index = self.index;
        tasks::spawn(async move {
            Connection::serve(stream, peer, index, shared.clone(), handler).await;
            shared.quota.close(peer.ip());
        });
    }
}
