//! Sockets between brokers: how they are opened, how their frames are read, and what is said first.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::frame::{FrameDecoder, FrameError};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::timeout;

use super::wire::{
    Address, GREETING_BYTES_MAX, Greeting, LENGTH_BYTES, Refused, Welcome, WireError, frame_length,
};

/// How long a connection and its greeting may take.
const GREETING_TIME: Duration = Duration::from_secs(2);
/// A machine that has vanished does not close its connections: after so long without any sign the
/// system does. Replicas do not wait for that: see [`SILENCE_MAX`].
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);
/// Between two signs of life by a connection between brokers.
pub(super) const SIGN_INTERVAL: Duration = Duration::from_millis(200);
/// A broker that has said nothing for so long is not counted on by any replica: those that sleep have
/// nothing else to know each other's end by. In the middle of election time-outs.
pub(super) const SILENCE_MAX: Duration = Duration::from_millis(1500);
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Why there is no connection to another broker, or none any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the other broker closed the connection")]
    Closed,
    #[error("the other broker does not answer")]
    NoAnswer,
    #[error("the other broker has fallen silent")]
    Silent,
    #[error("the other broker refuses this one: {}", .0.reason)]
    Refused(Refused),
    #[error("closed here: {0}")]
    Here(&'static str),
}

/// Frames of one direction.
pub(super) struct Frames {
    decoder: FrameDecoder,
    reader: OwnedReadHalf,
}

impl Frames {
    pub(super) fn new(reader: OwnedReadHalf, frame_bytes_max: usize) -> Self {
        Self {
            decoder: FrameDecoder::new(frame_bytes_max),
            reader,
        }
    }

    /// A frame that is here already.
    pub(super) fn next_here(&mut self) -> Result<Option<Bytes>, FrameError> {
        self.decoder.next_frame()
    }

    /// Reads what the socket has, or waits for it. Safe to be dropped.
    pub(super) async fn read(&mut self) -> Result<(), LinkError> {
        match self.reader.read_buf(self.decoder.buffer()).await? {
            0 => Err(LinkError::Closed),
            _ => Ok(()),
        }
    }

    /// As [`read`](Self::read), from a broker that gives signs of life. What has come is taken first: if
    /// it was this broker that stood still, nobody is lost.
    pub(super) async fn read_signs(&mut self) -> Result<(), LinkError> {
        let read = timeout(SILENCE_MAX, self.read()).await;
        read.unwrap_or(Err(LinkError::Silent))
    }

    /// The next frame.
    pub(super) async fn next(&mut self) -> Result<Bytes, LinkError> {
        loop {
            if let Some(frame) = self.next_here()? {
                return Ok(frame);
            }
            self.read().await?;
        }
    }
}

/// Options of both ends.
pub(super) fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(PROBE_INTERVAL)
        .with_interval(PROBE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    // Of the two limits the kernel takes this one, also for data that is not acknowledged.
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))
}

/// Connects to a broker and greets it.
pub(super) async fn connect(
    address: &Address,
    greeting: &Greeting,
) -> Result<(TcpStream, Welcome), LinkError> {
    let connecting = async {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        greet(stream, greeting).await
    };
    let connected = timeout(GREETING_TIME, connecting).await;
    connected.unwrap_or(Err(LinkError::NoAnswer))
}

async fn greet(
    mut stream: TcpStream,
    greeting: &Greeting,
) -> Result<(TcpStream, Welcome), LinkError> {
    set_options(&stream)?;
    stream.write_all(&greeting.encode()).await?;
    let answer = read_exactly_one(&mut stream).await?;
    match Welcome::decode(answer)? {
        Ok(welcome) => Ok((stream, welcome)),
        Err(refused) => Err(LinkError::Refused(refused)),
    }
}

/// What somebody who has connected says first.
pub(super) async fn greeted(stream: &mut TcpStream) -> Result<Greeting, LinkError> {
    set_options(stream)?;
    let first = timeout(GREETING_TIME, read_exactly_one(stream)).await;
    let first = first.unwrap_or(Err(LinkError::NoAnswer))?;
    Ok(Greeting::decode(first)?)
}

/// One frame, and nothing behind it.
async fn read_exactly_one(stream: &mut TcpStream) -> Result<Bytes, LinkError> {
    let mut begins = [0; LENGTH_BYTES];
    read_exact(stream, &mut begins).await?;
    let length = frame_length(begins, GREETING_BYTES_MAX).ok_or(WireError::NotABroker)?;
    let mut payload = vec![0; length];
    read_exact(stream, &mut payload).await?;
    Ok(payload.into())
}

async fn read_exact(stream: &mut TcpStream, bytes: &mut [u8]) -> Result<(), LinkError> {
    match stream.read_exact(bytes).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(LinkError::Closed),
        Err(error) => Err(error.into()),
    }
}
