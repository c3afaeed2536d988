//! The connection to one other broker by which this one sends: messages of its replicas, and requests.
//!
//! What is sent while there is none is lost, as Raft expects of any network. What comes back are
//! replies alone; what the other broker has to say comes by the connection that it makes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use klamm_model::{BrokerId, Instant, TopicId};
use klamm_protocol::ErrorCode;
use klamm_replication::frame::Format;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Notify, oneshot};
use tokio::time::MissedTickBehavior;

use super::request::{Answer, Request};
use super::socket::{self, Frames, LinkError, SIGN_INTERVAL};
use super::unsent::Unsent;
use super::wire::{
    self, Address, FRAME_BYTES_MAX, Frame, Greeting, Group, Led, Levels, Purpose, Welcome,
};
use crate::net::occasional::Occasional;
use crate::shard::Shard;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Link {
    broker: BrokerId,
    address: RefCell<Address>,
    up: RefCell<Option<Up>>,
    /// Since when there is a connection, or none.
    since: Cell<Instant>,
    state: RefCell<LinkState>,
    /// To be connected at once, to be written, or to be closed.
    stirred: Notify,
    is_closed: Cell<bool>,
    /// The connection is beyond use.
    is_broken: Cell<bool>,
    asked: RefCell<BTreeMap<u64, oneshot::Sender<Answer>>>,
    next_request: Cell<u64>,
    failures: Occasional,
}

/// How it goes with a link.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkState {
    pub(crate) is_up: bool,
    /// How often it was made.
    pub(crate) connections: u64,
    /// What was written by all of them.
    pub(crate) sent_bytes: u64,
}

/// A connection.
#[derive(Debug)]
struct Up {
    writer: Rc<OwnedWriteHalf>,
    unsent: Unsent,
    incarnation: TopicId,
    /// How long the process at the other end had been up when the connection was made.
    had_been_up: Duration,
    /// What is spoken.
    level: u8,
}

/// Between two attempts to connect.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_LONGEST: Duration = Duration::from_secs(1);
/// What may wait for a broker that takes nothing, in bytes: then the connection is given up, and
/// begins anew where the other is by then.
const UNSENT_BYTES_MAX: usize = 256 << 20;
/// Pieces of one vectored write; the kernel takes at most 1,024.
const WRITE_PIECES_MAX: usize = 256;

impl Link {
    pub(super) fn new(broker: BrokerId, address: Address, now: Instant) -> Self {
        Self {
            broker,
            address: RefCell::new(address),
            up: RefCell::default(),
            since: Cell::new(now),
            state: RefCell::default(),
            stirred: Notify::new(),
            is_closed: Cell::new(false),
            is_broken: Cell::new(false),
            asked: RefCell::default(),
            next_request: Cell::new(0),
            failures: Occasional::default(),
        }
    }

    pub(super) fn broker(&self) -> BrokerId {
        self.broker
    }

    pub(super) fn address(&self) -> Address {
        self.address.borrow().clone()
    }

    /// The broker is there now.
    pub(super) fn moved_to(&self, address: Address) {
        if *self.address.borrow() != address {
            self.address.replace(address);
            self.stir();
        }
    }

    /// Tries to connect at once, if there is no connection.
    pub(super) fn stir(&self) {
        self.stirred.notify_one();
    }

    /// For good.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.up.take();
        self.stir();
    }

    /// Whether there is a connection.
    pub(crate) fn is_up(&self) -> bool {
        self.up.borrow().is_some() && !self.is_broken.get()
    }

    /// How replicas there are spoken to; `None` while there is no connection.
    pub(super) fn format(&self) -> Option<Format> {
        let up = self.up.borrow();
        let up = up.as_ref().filter(|_| !self.is_broken.get())?;
        Some(Levels::format(up.level))
    }

    /// How long there has been no connection.
    pub(super) fn down_for(&self, now: Instant) -> Duration {
        match self.is_up() {
            true => Duration::ZERO,
            false => now.since(self.since.get()),
        }
    }

    /// How long there has been this connection.
    pub(super) fn up_for(&self, now: Instant) -> Duration {
        match self.is_up() {
            true => now.since(self.since.get()),
            false => Duration::ZERO,
        }
    }

    pub(super) fn state(&self) -> LinkState {
        LinkState {
            is_up: self.is_up(),
            ..self.state.borrow().clone()
        }
    }

    /// How long the process at the other end has been up; `None` without a connection.
    pub(super) fn process_up_for(&self, now: Instant) -> Option<Duration> {
        let up = self.up.borrow();
        let had_been_up = up.as_ref().filter(|_| self.is_up())?.had_been_up;
        Some(had_been_up + self.up_for(now))
    }

    /// Of the process at the other end; `None` without a connection.
    pub(super) fn incarnation(&self) -> Option<TopicId> {
        self.up.borrow().as_ref().map(|up| up.incarnation)
    }

    // ---- Sending ----

    /// Sends a message of a replica with the next [`flush`](Self::flush).
    pub(super) fn send_message(&self, group: Group, envelope: Vec<Bytes>) {
        self.send(|unsent| {
            let bytes = envelope.iter().map(Bytes::len).sum();
            unsent.push_with(|out| wire::put_message_head(out, group, bytes));
            envelope.into_iter().for_each(|piece| unsent.push(piece));
        });
    }

    pub(super) fn send_leaders(&self, leaders: &[Led]) {
        self.send(|unsent| unsent.push(wire::leaders(leaders)));
    }

    /// Says that this broker lives, which replicas that sleep do not.
    fn give_sign(&self) {
        self.send_leaders(&[]);
        self.flush();
    }

    /// Gives the connection up, for a new one.
    pub(super) fn break_off(&self) {
        self.is_broken.set(true);
        self.stir();
    }

    fn send(&self, push: impl FnOnce(&mut Unsent)) {
        let mut up = self.up.borrow_mut();
        let Some(up) = up.as_mut().filter(|_| !self.is_broken.get()) else {
            return;
        };
        push(&mut up.unsent);
        if up.unsent.bytes() > UNSENT_BYTES_MAX {
            self.break_off();
        }
    }

    /// Writes what the socket takes without waiting; the link's task writes the rest.
    pub(super) fn flush(&self) {
        let mut up = self.up.borrow_mut();
        let Some(up) = up.as_mut().filter(|up| up.unsent.bytes() > 0) else {
            return;
        };
        let before = up.unsent.bytes();
        let written = up.write();
        self.state.borrow_mut().sent_bytes += (before - up.unsent.bytes()) as u64;
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stir(),
            Err(_) => self.break_off(),
        }
    }

    /// Asks for something; `None` if the connection ends before there is an answer.
    pub(super) async fn ask(&self, request: &Request) -> Option<Answer> {
        let number = self.next_request.get();
        self.next_request.set(number + 1);
        if !self.is_up() {
            return None;
        }
        if self.level() < request.level() {
            return Some(self.not_understood());
        }
        let (sender, receiver) = oneshot::channel();
        self.asked.borrow_mut().insert(number, sender);
        let frame = wire::request(number, &request.encode());
        self.send(|unsent| unsent.push(frame));
        self.flush();
        let answer = receiver.await.ok();
        self.asked.borrow_mut().remove(&number);
        answer
    }

    /// What is spoken with the other.
    fn level(&self) -> u8 {
        let up = self.up.borrow();
        up.as_ref().map_or(Levels::FIRST, |up| up.level)
    }

    fn not_understood(&self) -> Answer {
        Answer::Refused {
            code: ErrorCode::UnsupportedVersion.code(),
            reason: format!(
                "broker {} runs a version of Klamm that does not know this request: update it",
                self.broker.0
            ),
        }
    }

    // ---- Its task ----

    /// Keeps a connection for as long as the link is not closed.
    pub(super) async fn run(self: Rc<Self>, shard: Rc<Shard>) {
        let mut wait = RETRY_FIRST;
        while !self.is_closed.get() {
            let greeting = shard.peers.greeting(Purpose::Link, Some(self.broker));
            let address = self.address();
            match socket::connect(&address, &greeting).await {
                Ok((stream, welcome)) => {
                    wait = RETRY_FIRST;
                    shard.peers.heard_of_controller(&shard, &welcome);
                    let end = self.serve(&shard, stream, &welcome).await;
                    self.lost(&shard, &end);
                }
                Err(error) => {
                    shard.peers.note_refusal(&error);
                    self.complain(&shard, &address, &error);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stirred.notified() => {}
            }
            wait = RETRY_LONGEST.min(wait * 2);
        }
    }

    async fn serve(&self, shard: &Rc<Shard>, stream: TcpStream, welcome: &Welcome) -> LinkError {
        let (reader, writer) = stream.into_split();
        let writer = Rc::new(writer);
        self.is_broken.set(false);
        self.since.set(shard.clock.now());
        self.state.borrow_mut().connections += 1;
        self.up.replace(Some(Up {
            writer: writer.clone(),
            unsent: Unsent::default(),
            incarnation: welcome.incarnation,
            had_been_up: welcome.up_for,
            level: welcome.level,
        }));
        tracing::info!(broker = self.broker.0, address = %self.address(), "connected to a broker");
        shard.link_is_up(self);
        self.flush();
        let mut replies = Frames::new(reader, FRAME_BYTES_MAX);
        let mut signs = tokio::time::interval(SIGN_INTERVAL);
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.is_closed.get() {
                return LinkError::Here("it is not needed any more");
            }
            if self.is_broken.get() {
                return LinkError::Here("it is beyond use");
            }
            let next = tokio::select! {
                biased;
                () = self.stirred.notified() => Ok(()),
                _ = signs.tick() => {
                    self.give_sign();
                    Ok(())
                }
                ready = writer.writable(), if self.has_unsent() => {
                    self.flush();
                    ready.map_err(LinkError::from)
                }
                reply = replies.next() => reply.and_then(|reply| self.answered(reply)),
            };
            if let Err(error) = next {
                return error;
            }
        }
    }

    fn has_unsent(&self) -> bool {
        let up = self.up.borrow();
        up.as_ref().is_some_and(|up| up.unsent.bytes() > 0)
    }

    fn answered(&self, frame: Bytes) -> Result<(), LinkError> {
        let Frame::Reply { number, body } = Frame::decode(frame)? else {
            return Err(LinkError::Here("it sends what is no reply"));
        };
        let answer = Answer::decode(body)?;
        if let Some(asked) = self.asked.borrow_mut().remove(&number) {
            // Whoever asked may have gone.
            asked.send(answer).ok();
        }
        Ok(())
    }

    fn lost(&self, shard: &Rc<Shard>, end: &LinkError) {
        self.up.take();
        self.since.set(shard.clock.now());
        self.asked.take();
        tracing::warn!(broker = self.broker.0, reason = %end, "the connection to a broker is lost");
        shard.link_is_down(self.broker);
    }

    fn complain(&self, shard: &Shard, address: &Address, error: &LinkError) {
        let Some(times) = self.failures.count(shard.clock.now()) else {
            return;
        };
        tracing::warn!(broker = self.broker.0, %address, %error, times, "cannot connect to a broker");
    }
}

impl Up {
    fn write(&mut self) -> io::Result<()> {
        while self.unsent.bytes() > 0 {
            let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(16);
            self.unsent.gather(&mut slices, WRITE_PIECES_MAX);
            let written = self.writer.try_write_vectored(&slices)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.unsent.advance(written);
        }
        Ok(())
    }
}

/// Asks one thing of whoever listens there, without being a broker.
pub(super) async fn ask_once(
    address: &Address,
    greeting: &Greeting,
    request: &Request,
) -> Result<Answer, LinkError> {
    let (stream, _) = socket::connect(address, greeting).await?;
    let (reader, writer) = stream.into_split();
    let mut out = BytesMut::new();
    out.put_slice(&wire::request(0, &request.encode()));
    while !out.is_empty() {
        writer.writable().await?;
        match writer.try_write(&out) {
            Ok(written) => drop(out.split_to(written)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut replies = Frames::new(reader, FRAME_BYTES_MAX);
    match Frame::decode(replies.next().await?)? {
        Frame::Reply { body, .. } => Ok(Answer::decode(body)?),
        _ => Err(LinkError::Here("it sends what is no reply")),
    }
}
