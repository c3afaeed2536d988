//! Connections that other brokers make: each is greeted, and then read until it ends.

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use klamm_model::{BrokerId, TopicId};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify};

use super::request::Request;
use super::socket::{self, Frames, LinkError};
use super::wire::{self, FRAME_BYTES_MAX, Frame, Greeting, Purpose, Refused};
use crate::net::connection::{Connection, FrameHandler};
use crate::shard::Shard;
use crate::tasks;

/// The connection that another broker sends by.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) incarnation: TopicId,
    /// Another one has taken its place: what is still on its way by this one is not taken any more.
    superseded: Notify,
}

impl Incoming {
    pub(super) fn supersede(&self) {
        self.superseded.notify_one();
    }
}

/// A connection is given up with the next silence after so many.
const SILENCES_MAX: u32 = 2;
/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_ERROR_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Accepts connections of brokers until the task is dropped. `clients` takes what is handed on for
/// clients.
pub(crate) async fn accept(shard: Rc<Shard>, listener: TcpListener, clients: Rc<dyn FrameHandler>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (shard, clients) = (shard.clone(), clients.clone());
                tasks::spawn(async move {
                    let end = serve(&shard, stream, peer, clients).await;
                    tracing::debug!(%peer, reason = %end, "a broker's connection has ended");
                });
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept connections of brokers; check the limit of open files (ulimit -n)");
                tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
}

async fn serve(
    shard: &Rc<Shard>,
    mut stream: TcpStream,
    peer: SocketAddr,
    clients: Rc<dyn FrameHandler>,
) -> LinkError {
    let greeting = match socket::greeted(&mut stream).await {
        Ok(greeting) => greeting,
        Err(error @ LinkError::Wire(_)) => {
            tracing::warn!(%peer, %error, "connection to the peer listener refused");
            stream
                .write_all(&wire::refusal(&Refused::because(error.to_string())))
                .await
                .ok();
            return error;
        }
        Err(error) => return error,
    };
    if let Err(refused) = shard.peers.check_greeting(&shard.image(), &greeting) {
        let reason = &refused.reason;
        tracing::warn!(%peer, broker = greeting.broker.map_or(-1, |id| id.0), reason, "a broker is refused");
        stream.write_all(&wire::refusal(&refused)).await.ok();
        return LinkError::Here("it is refused");
    }
    let welcome = shard.peers.welcome(&greeting, shard.clock.now()).encode();
    if let Err(error) = stream.write_all(&welcome).await {
        return error.into();
    }
    match (greeting.purpose, greeting.broker) {
        (Purpose::Forwarding, _) => {
            let listeners = shard.listeners().iter();
            let index = listeners.map(|listener| listener.name.as_str());
            let Some(index) = index.into_iter().position(|name| name == greeting.listener) else {
                return LinkError::Here("it names a listener that is not here");
            };
            Connection::serve(stream, peer, index, shard.net.clone(), clients).await;
            LinkError::Closed
        }
        (Purpose::Link, Some(broker)) => read_link(shard, stream, broker, greeting).await,
        (Purpose::Bulk, Some(_)) => super::bulk::serve(shard, stream).await,
        (Purpose::Link | Purpose::Requests | Purpose::Bulk, _) => {
            let (reader, writer) = stream.into_split();
            let replies = Replies::new(shard, writer);
            let mut frames = Frames::new(reader, FRAME_BYTES_MAX);
            loop {
                match frames
                    .next()
                    .await
                    .and_then(|frame| Ok(Frame::decode(frame)?))
                {
                    Ok(Frame::Request { number, body }) => replies.answer(number, body),
                    Ok(_) => return LinkError::Here("it says what only a broker may say"),
                    Err(error) => return error,
                }
            }
        }
    }
}

async fn read_link(
    shard: &Rc<Shard>,
    stream: TcpStream,
    broker: BrokerId,
    greeting: Greeting,
) -> LinkError {
    let (reader, writer) = stream.into_split();
    let incoming = Rc::new(Incoming {
        incarnation: greeting.incarnation,
        superseded: Notify::new(),
    });
    shard.incoming_link(broker, &incoming, greeting.address);
    let replies = Replies::new(shard, writer);
    let mut frames = Frames::new(reader, FRAME_BYTES_MAX);
    let mut silences = 0;
    let end = loop {
        let read = tokio::select! {
            biased;
            () = incoming.superseded.notified() => break LinkError::Here("a newer one has taken its place"),
            read = frames.read_signs() => read,
        };
        match read {
            Ok(()) => silences = 0,
            Err(LinkError::Silent) if silences < SILENCES_MAX => {
                silences += 1;
                shard.fell_silent(broker);
                continue;
            }
            Err(error) => break error,
        }
        if let Err(error) = take_all(shard, broker, &mut frames, &replies) {
            break error;
        }
    };
    if let LinkError::Silent = end {
        shard.give_up(broker);
    }
    shard.incoming_link_ended(broker, &incoming);
    end
}

/// Takes every frame that is here; what comes of them leaves together.
fn take_all(
    shard: &Rc<Shard>,
    broker: BrokerId,
    frames: &mut Frames,
    replies: &Replies,
) -> Result<(), LinkError> {
    let taken = loop {
        let frame = match frames.next_here() {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.into()),
        };
        match Frame::decode(frame) {
            Ok(Frame::Message { group, envelope }) => shard.take_message(broker, group, envelope),
            Ok(Frame::Leaders(leaders)) => shard.hear_of_leaders(broker, &leaders),
            Ok(Frame::Request { number, body }) => replies.answer(number, body),
            Ok(Frame::Reply { .. }) => break Err(LinkError::Here("it answers what was not asked")),
            Err(error) => break Err(error.into()),
        }
    };
    shard.messages_taken();
    taken
}

/// Where answers to requests go.
struct Replies {
    shard: Rc<Shard>,
    writer: Rc<Mutex<OwnedWriteHalf>>,
}

impl Replies {
    fn new(shard: &Rc<Shard>, writer: OwnedWriteHalf) -> Self {
        Self {
            shard: shard.clone(),
            writer: Rc::new(Mutex::new(writer)),
        }
    }

    /// Answers when the answer is there.
    fn answer(&self, number: u64, body: Bytes) {
        let (shard, writer) = (self.shard.clone(), self.writer.clone());
        tasks::spawn(async move {
            let answer = match Request::decode(body) {
                Ok(request) => super::answers::answer(&shard, request).await,
                Err(error) => super::answers::not_understood(&error),
            };
            let frame = wire::reply(number, &answer.encode());
            // Whoever asked may have gone.
            writer.lock().await.write_all(&frame).await.ok();
        });
    }
}
