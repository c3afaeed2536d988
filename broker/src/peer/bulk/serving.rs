//! The end that has the log.
//!
//! A thread reads what is asked for and writes what is answered; between these it asks the data plane,
//! which alone may look at a log, and never waits for a disk.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use klamm_storage::{ManifestError, ManifestTicket, PartError, PartRead, PartTicket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::throttle::Throttle;
use super::wire::{REQUEST_BYTES_MAX, Reply, Wanted};
use crate::background;
use crate::peer::socket::LinkError;
use crate::peer::wire::{Group, LENGTH_BYTES, frame_length};
use crate::shard::Shard;

/// Whoever copies asks on as soon as it has written what it got: one that is silent for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What the thread asks the data plane, and where to put the answer.
enum Ask {
    /// Begin what is wanted.
    Begin(Group, Wanted, mpsc::Sender<Begun>),
    /// Say whether what was read counts.
    End(Group, PartRead, mpsc::Sender<Reply>),
}

/// What was begun, or why not.
enum Begun {
    Manifest(ManifestTicket),
    Part(PartTicket, Option<Arc<Throttle>>),
    Not(Reply),
}

/// Serves a connection until it ends.
pub(in crate::peer) async fn serve(shard: &Rc<Shard>, stream: tokio::net::TcpStream) -> LinkError {
    let stream = match blocking(stream) {
        Ok(stream) => stream,
        Err(error) => return error.into(),
    };
    let (asks, asked) = unbounded_channel();
    let (ended, end) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("klamm-copy-out".to_owned());
    let work = move || {
        background::give_way();
        // Nobody may be waiting any more: the process ends.
        ended.send(converse(stream, &asks)).ok();
    };
    if let Err(error) = thread.spawn(work) {
        return error.into();
    }
    answer(shard, asked).await;
    end.await.unwrap_or(LinkError::Closed)
}

fn blocking(stream: tokio::net::TcpStream) -> io::Result<TcpStream> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    Ok(stream)
}

// ---- The data plane ----

async fn answer(shard: &Rc<Shard>, mut asked: UnboundedReceiver<Ask>) {
    while let Some(ask) = asked.recv().await {
        // The thread may have ended meanwhile.
        match ask {
            Ask::Begin(group, wanted, to) => to.send(begin(shard, group, wanted)).is_ok(),
            Ask::End(group, read, to) => to.send(end(shard, group, read)).is_ok(),
        };
    }
}

fn begin(shard: &Shard, group: Group, wanted: Wanted) -> Begun {
    let Some(partition) = shard.hosted(group) else {
        return Begun::Not(not_here());
    };
    let driver = partition.driver();
    match wanted {
        Wanted::Manifest => match driver.log().begin_manifest(driver.copy_end()) {
            Ok(ticket) => Begun::Manifest(ticket),
            Err(error) => Begun::Not(of_manifest(&error)),
        },
        Wanted::Part(wanted) => match driver.log().begin_read_part(&wanted) {
            Ok(ticket) => {
                let throttle = shard.leader_throttle(&partition);
                Begun::Part(ticket, throttle)
            }
            Err(error) => Begun::Not(of_part(&error)),
        },
    }
}

fn end(shard: &Shard, group: Group, read: PartRead) -> Reply {
    let Some(partition) = shard.hosted(group) else {
        return not_here();
    };
    let driver = partition.driver();
    match driver.log().part_read(read) {
        Ok(bytes) => Reply::Part(bytes),
        Err(error) => of_part(&error),
    }
}

fn not_here() -> Reply {
    Reply::Refused("this broker has no replica of the partition".to_owned())
}

fn of_manifest(error: &ManifestError) -> Reply {
    match error {
        ManifestError::Gone => Reply::Gone,
        error => Reply::Refused(error.to_string()),
    }
}

fn of_part(error: &PartError) -> Reply {
    match error {
        PartError::Gone { .. } => Reply::Gone,
        error => Reply::Refused(error.to_string()),
    }
}

// ---- The thread ----

fn converse(mut stream: TcpStream, asks: &UnboundedSender<Ask>) -> LinkError {
    loop {
        match serve_one(&mut stream, asks) {
            Ok(true) => {}
            // The data plane answers no more: the process ends.
            Ok(false) => return LinkError::Closed,
            Err(error) => return error,
        }
    }
}

fn serve_one(stream: &mut TcpStream, asks: &UnboundedSender<Ask>) -> Result<bool, LinkError> {
    let (group, wanted) = Wanted::decode(read_frame(stream, REQUEST_BYTES_MAX)?)?;
    let (sender, receiver) = mpsc::channel();
    if asks.send(Ask::Begin(group, wanted, sender)).is_err() {
        return Ok(false);
    }
    let reply = match receiver.recv() {
        Ok(Begun::Not(reply)) => reply,
        Ok(Begun::Manifest(ticket)) => match ticket.run() {
            Ok(manifest) => Reply::Manifest(manifest.encode().into()),
            Err(error) => of_manifest(&error),
        },
        Ok(Begun::Part(ticket, throttle)) => {
            let size = ticket.size_bytes();
            let (sender, receiver) = mpsc::channel();
            let end = Ask::End(group, ticket.run(), sender);
            let Some(reply) = asks.send(end).ok().and_then(|()| receiver.recv().ok()) else {
                return Ok(false);
            };
            if let Some(throttle) = throttle {
                super::wait(throttle.count(size));
            }
            reply
        }
        Err(_) => return Ok(false),
    };
    let (head, body) = reply.encode();
    stream.write_all(&head)?;
    stream.write_all(&body)?;
    Ok(true)
}

/// The next frame.
pub(super) fn read_frame(stream: &mut TcpStream, bytes_max: usize) -> Result<Bytes, LinkError> {
    let mut begins = [0; LENGTH_BYTES];
    read_exact(stream, &mut begins)?;
    let too_large = LinkError::Here("a frame is larger than it may be");
    let length = frame_length(begins, bytes_max).ok_or(too_large)?;
    let mut payload = vec![0; length];
    read_exact(stream, &mut payload)?;
    Ok(payload.into())
}

fn read_exact(stream: &mut TcpStream, bytes: &mut [u8]) -> Result<(), LinkError> {
    match stream.read_exact(bytes) {
        Ok(()) => Ok(()),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::UnexpectedEof => LinkError::Closed,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => LinkError::Silent,
            _ => error.into(),
        }),
    }
}
