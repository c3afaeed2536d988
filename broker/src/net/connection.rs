//! One client's socket: reads frames, hands them on in order, writes what the outbox releases.

mod reply_slot;

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use klamm_model::Instant;
use klamm_protocol::frame::{FrameDecoder, FrameError};
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

use super::budget::{OVERDRAFT_TIME, ReaderId, RequestBudget};
use super::deadlines::Deadlines;
use super::outbox::{Outbox, SlotNumber};
use super::quota::ConnectionQuota;
use super::unread::{self, UnreadReplies};
use crate::metrics::counters::Refusal;
use crate::metrics::meter::Meter;
use crate::quota::ANONYMOUS;
use crate::quota::client::CachedClient;

pub(crate) use reply_slot::ReplySlot;

/// Bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionConfig {
    /// The largest request in bytes (`socket.request.max.bytes`).
    pub(crate) request_bytes_max: usize,
    /// Requests that may wait for their reply; beyond it the socket is not read.
    pub(crate) in_flight_max: usize,
    /// How long a connection may be silent (`connections.max.idle.ms`).
    pub(crate) idle_max: Duration,
    /// How long a request may take to arrive (`klamm.request.receive.timeout.ms`).
    pub(crate) receive_max: Duration,
}

/// Replies that a client has not taken off its socket, or that wait for one before them, in bytes,
/// beyond which no further request is read from it.
const STORED_BYTES_MAX: usize = 1 << 20;
/// What precedes each frame.
const LENGTH_BYTES: usize = 4;
/// Pieces of one vectored write; the kernel takes at most 1,024.
const WRITE_PIECES_MAX: usize = 256;

/// How long the end of all connections takes at most.
const CLOSING_TIME: Duration = Duration::from_secs(1);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct NetShared {
    pub(crate) config: ConnectionConfig,
    pub(crate) budget: RequestBudget,
    pub(crate) unread: UnreadReplies,
    pub(crate) quota: ConnectionQuota,
    pub(crate) meter: Meter,
    open: RefCell<Vec<Weak<Connection>>>,
    /// Connections whose sockets are not closed yet.
    serving: Cell<usize>,
    flush_queue: RefCell<Vec<Rc<Connection>>>,
    batching: Cell<bool>,
    muted: Cell<usize>,
}

impl NetShared {
    pub(crate) fn new(
        config: ConnectionConfig,
        budget: RequestBudget,
        unread: UnreadReplies,
        quota: ConnectionQuota,
        meter: Meter,
    ) -> Self {
        Self {
            config,
            budget,
            unread,
            quota,
            meter,
            open: RefCell::default(),
            serving: Cell::new(0),
            flush_queue: RefCell::default(),
            batching: Cell::new(false),
            muted: Cell::new(0),
        }
    }

    /// Connections that are not read because their clients are throttled.
    pub(crate) fn muted(&self) -> usize {
        self.muted.get()
    }

    /// Runs `work`, whose replies leave together: one write per connection at the end.
    pub(crate) fn batch<T>(&self, work: impl FnOnce() -> T) -> T {
        let outer = self.batching.replace(true);
        let result = work();
        self.batching.set(outer);
        if !outer {
            self.flush_all();
        }
        result
    }

    fn flush_all(&self) {
        let mut queue = self.flush_queue.take();
        for connection in queue.drain(..) {
            connection.queued_for_flush.set(false);
            connection.flush();
        }
        // Keeps the allocation; nothing can have been queued meanwhile.
        self.flush_queue.replace(queue);
    }

    /// Ends every connection, at the end of the process, and waits until their tasks have closed the
    /// sockets: logs are synced next, which may hold this thread up, and nobody shall wait for that.
    pub(crate) async fn close_all(&self) {
        for connection in self.open.take().iter().filter_map(Weak::upgrade) {
            connection.close();
        }
        let closed = async {
            while self.serving.get() > 0 {
                tokio::task::yield_now().await;
            }
        };
        // One that has just come may be missed.
        tokio::time::timeout(CLOSING_TIME, closed).await.ok();
    }

    fn opened(&self, connection: &Rc<Connection>) {
        self.serving.set(self.serving.get() + 1);
        let mut open = self.open.borrow_mut();
        if open.len() == open.capacity() {
            // Amortised: before the list would grow, what has ended since goes.
            open.retain(|connection| connection.strong_count() > 0);
        }
        open.push(Rc::downgrade(connection));
    }

    /// Closes those that hold the most for the longest until all together hold what they may.
    fn close_unread(&self) {
        let now = self.meter.clock().now();
        while self.unread.is_exceeded() {
            let open = self.open.borrow();
            let holding = open.iter().filter_map(Weak::upgrade);
            let holding = holding.filter(|connection| connection.held_bytes.get() > 0);
            let worst = holding.max_by_key(|connection| {
                let stands_still_for = now.since(connection.moved.get());
                unread::burden(connection.held_bytes.get(), stands_still_for)
            });
            drop(open);
            let Some(worst) = worst else {
                return;
            };
            self.meter.counters().refused(Refusal::Unread);
            if let Some(times) = self.unread.closed.count(now) {
                tracing::warn!(client = %worst.peer, bytes = worst.held_bytes.get(), times,
                    "connection closed: its replies are not taken, and all of them together take more than klamm.queued.max.response.bytes");
            }
            worst.outbox.borrow_mut().abandon();
            worst.close();
        }
    }

    fn flush_soon(&self, connection: &Rc<Connection>) {
        if !connection.queued_for_flush.replace(true) {
            self.flush_queue.borrow_mut().push(connection.clone());
        }
        if !self.batching.get() {
            self.flush_all();
        }
    }
}

/// The shared half of a connection: what replies need.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// Which of the broker's listeners it came in by; index into the configured list.
    pub(crate) listener: usize,
    /// What its client may ask for.
    pub(crate) quota_client: CachedClient,
    shared: Rc<NetShared>,
    writer: OwnedWriteHalf,
    outbox: RefCell<Outbox>,
    queued_for_flush: Cell<bool>,
    /// What its replies took in memory when it was last written to.
    held_bytes: Cell<usize>,
    /// When the client last took some of them, or when they began to wait.
    moved: Cell<Instant>,
    closing: Cell<bool>,
    /// It ends once the replies that are due before its end have left: nothing more is read.
    ending: Cell<bool>,
    /// The task does not read because too much waits to be answered or written.
    paused: Cell<bool>,
    /// Nothing is read, or taken of what was read, until then: the client is throttled (KIP-219).
    muted_until: Cell<Option<Instant>>,
    changed: Notify,
    /// Requests that wait for something to happen, and need not if nobody is there for the answer.
    parked: RefCell<Vec<Rc<dyn Parked>>>,
}

/// A request that waits: for records, until its time is up.
pub(crate) trait Parked: std::fmt::Debug {
    /// The client is gone: there is nothing to wait for.
    fn abandoned(self: Rc<Self>);
}

/// Where complete requests go.
pub(crate) trait FrameHandler {
    /// Takes one request; its reply goes into `slot`, now or later.
    fn handle(&self, frame: Bytes, slot: ReplySlot);
}

impl Connection {
    /// Serves the socket until the client leaves, is idle for too long, or breaks the protocol.
    pub(crate) async fn serve(
        stream: TcpStream,
        peer: SocketAddr,
        listener: usize,
        shared: Rc<NetShared>,
        handler: Rc<dyn FrameHandler>,
    ) {
        let (reader, writer) = stream.into_split();
        let connection = Rc::new(Connection {
            peer,
            listener,
            quota_client: CachedClient::default(),
            shared,
            writer,
            outbox: RefCell::default(),
            queued_for_flush: Cell::new(false),
            held_bytes: Cell::new(0),
            moved: Cell::new(Instant::START),
            closing: Cell::new(false),
            ending: Cell::new(false),
            paused: Cell::new(false),
            muted_until: Cell::new(None),
            changed: Notify::new(),
            parked: RefCell::default(),
        });
        connection.shared.opened(&connection);
        let mut reading = Reading {
            decoder: FrameDecoder::new(connection.shared.config.request_bytes_max),
            reader,
            connection: connection.clone(),
            handler,
            reader_id: connection.shared.budget.new_reader(),
            took_frame: false,
            fault: None,
        };
        let end = reading.run().await;
        match end {
            End::Slow => {
                let counters = connection.shared.meter.counters();
                counters.refused(Refusal::Slow);
                tracing::debug!(client = %connection.peer, reason = %End::Slow, "connection closed");
            }
            End::Frame(reason) => {
                let counters = connection.shared.meter.counters();
                counters.refused(Refusal::Frame);
                tracing::warn!(client = %connection.peer, %reason, "connection closed: this is no Kafka client, or its request is too large");
            }
            reason => {
                tracing::debug!(client = %connection.peer, %reason, "connection closed");
            }
        }
        let unread_bytes = reading.decoder.pending_bytes();
        connection.shared.budget.release(unread_bytes);
        connection.unmute();
        connection.shared.budget.settle(reading.reader_id);
        connection.close();
        // What they remember is freed now, not when their time is up.
        for parked in connection.parked.take() {
            parked.abandoned();
        }
        // Replies still being made hold the connection; the client shall not wait for them.
        let socket = SockRef::from(connection.writer.as_ref());
        if let Err(error) = socket.shutdown(std::net::Shutdown::Both) {
            tracing::trace!(client = %connection.peer, %error, "socket was closed already");
        }
        let serving = &connection.shared.serving;
        serving.set(serving.get() - 1);
    }

    /// Who the client is: nobody is asked yet.
    pub(crate) fn user(&self) -> &str {
        ANONYMOUS
    }

    /// Ends the connection as soon as its task runs; later replies go nowhere.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.shared.unread.change(self.held_bytes.take(), 0);
        self.changed.notify_one();
    }

    /// Has `parked` told when the connection ends, until it is [taken back](Self::unpark).
    pub(crate) fn park(&self, parked: Rc<dyn Parked>) {
        self.parked.borrow_mut().push(parked);
    }

    /// It waits no longer.
    pub(crate) fn unpark(&self, parked: &Rc<dyn Parked>) {
        let mut all = self.parked.borrow_mut();
        if let Some(position) = all.iter().position(|other| Rc::ptr_eq(other, parked)) {
            all.swap_remove(position);
        }
    }

    /// Ends the connection in place of a reply, after those before it.
    fn end_at(self: &Rc<Self>, number: SlotNumber) {
        self.ending.set(true);
        self.outbox.borrow_mut().end_at(number);
        self.shared.flush_soon(self);
    }

    /// Mutes the connection until then, or longer if it is muted for longer already.
    fn mute_until(&self, until: Instant) {
        if self.closing.get() {
            return;
        }
        match self.muted_until.get() {
            Some(already) if already >= until => return,
            Some(_) => {}
            None => self.shared.muted.set(self.shared.muted.get() + 1),
        }
        self.muted_until.set(Some(until));
        // Its task may be reading.
        self.changed.notify_one();
    }

    fn unmute(&self) {
        if self.muted_until.take().is_some() {
            self.shared.muted.set(self.shared.muted.get() - 1);
        }
    }

    fn may_accept(&self) -> bool {
        let outbox = self.outbox.borrow();
        !self.ending.get()
            && self.muted_until.get().is_none()
            && outbox.in_flight() < self.shared.config.in_flight_max
            && outbox.stored_bytes() < STORED_BYTES_MAX
    }

    fn has_unsent(&self) -> bool {
        self.outbox.borrow().unsent_bytes() > 0
    }

    /// Writes what the socket takes without waiting; the connection's task writes the rest.
    fn flush(&self) {
        if self.closing.get() {
            return;
        }
        let unsent_bytes = self.outbox.borrow().unsent_bytes();
        match self.try_flush() {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.changed.notify_one(),
            Err(_) => self.close(),
        }
        if self.outbox.borrow().has_ended() && !self.has_unsent() {
            self.close();
        }
        let has_moved = self.outbox.borrow().unsent_bytes() < unsent_bytes;
        self.note_unread(has_moved);
        if self.has_unsent() || (self.paused.get() && self.may_accept()) {
            self.changed.notify_one();
        }
    }

    /// Counts what has not been written. Replies that leave at once, as nearly all do, cost nothing.
    fn note_unread(&self, has_moved: bool) {
        let before = self.held_bytes.get();
        let after = self.outbox.borrow().memory_bytes();
        if (before == 0 && after == 0) || self.closing.get() {
            return;
        }
        if before == 0 || has_moved {
            self.moved.set(self.shared.meter.clock().now());
        }
        self.held_bytes.set(after);
        self.shared.unread.change(before, after);
        if after > before && self.shared.unread.is_exceeded() {
            self.shared.close_unread();
        }
    }

    fn try_flush(&self) -> io::Result<()> {
        let mut outbox = self.outbox.borrow_mut();
        while outbox.unsent_bytes() > 0 {
            let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(16);
            outbox.gather(&mut slices, WRITE_PIECES_MAX);
            let written = self.writer.try_write_vectored(&slices)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            outbox.advance(written);
        }
        Ok(())
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the client closed it")]
    ByClient,
    #[error("idle")]
    Idle,
    #[error("its request takes too long to arrive")]
    Slow,
    #[error("closed by the broker")]
    ByBroker,
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
}

/// The private half of a connection: what its task needs.
struct Reading {
    decoder: FrameDecoder,
    reader: OwnedReadHalf,
    connection: Rc<Connection>,
    handler: Rc<dyn FrameHandler>,
    reader_id: ReaderId,
    /// A request has become whole since the deadlines were told.
    took_frame: bool,
    /// Why no more is read.
    fault: Option<FrameError>,
}

impl Reading {
    async fn run(&mut self) -> End {
        let connection = self.connection.clone();
        let shared = connection.shared.clone();
        let mut deadlines = Deadlines::new(&shared.config, tokio::time::Instant::now());
        let timer = tokio::time::sleep_until(deadlines.next());
        tokio::pin!(timer);
        loop {
            let drained = self.handle_frames();
            if connection.closing.get() {
                return self.fault.take().map_or(End::ByBroker, End::Frame);
            }
            connection.paused.set(!connection.may_accept());
            if !drained && !connection.paused.get() {
                // The limit was reached, but what was answered meanwhile has made room.
                continue;
            }
            let starved = self.is_starved(&mut deadlines);
            let may_read = !connection.paused.get() && !starved;
            let muted_until = connection.muted_until.get();
            if deadlines.next() < timer.deadline() {
                timer.as_mut().reset(deadlines.next());
            }
            tokio::select! {
                biased;
                () = connection.changed.notified() => {}
                ready = connection.writer.writable(), if connection.has_unsent() => match ready {
                    Ok(()) => connection.flush(),
                    Err(error) => return End::Socket(error),
                },
                read = read_some(&mut self.reader, &mut self.decoder), if may_read => match read {
                    Ok(0) => return End::ByClient,
                    Ok(bytes) => {
                        shared.budget.charge(bytes);
                        deadlines.has_read(tokio::time::Instant::now());
                    }
                    Err(error) => return End::Socket(error),
                },
                () = shared.budget.released(), if starved => {}
                () = muted(&shared, muted_until), if muted_until.is_some() => {
                    // Unless it was muted for longer meanwhile.
                    if connection.muted_until.get() == muted_until {
                        connection.unmute();
                    }
                }
                () = &mut timer => {
                    let now = tokio::time::Instant::now();
                    if deadlines.is_slow(now) {
                        return End::Slow;
                    }
                    if deadlines.is_idle(now) {
                        if connection.outbox.borrow().in_flight() == 0 {
                            return End::Idle;
                        }
                        deadlines.has_read(now);
                    }
                    timer.as_mut().reset(deadlines.next());
                }
            }
        }
    }

    /// Whether nothing may be read because the memory for requests is used up. Says to the
    /// deadlines whether a request is arriving, and how long it may take.
    fn is_starved(&mut self, deadlines: &mut Deadlines) -> bool {
        let budget = &self.connection.shared.budget;
        let is_arriving = self.decoder.pending_bytes() > 0 && !self.connection.paused.get();
        // Behind a request that was just whole, the next may have begun.
        if std::mem::take(&mut self.took_frame) || !is_arriving {
            deadlines.request_is_whole();
            budget.settle(self.reader_id);
        }
        if !is_arriving {
            return budget.is_exhausted();
        }
        deadlines.request_is_arriving();
        if !budget.is_exhausted() {
            deadlines.relax();
            budget.settle(self.reader_id);
            return false;
        }
        if budget.may_overdraw(self.reader_id) {
            deadlines.hurry(tokio::time::Instant::now(), OVERDRAFT_TIME);
            return false;
        }
        true
    }

    /// Hands on every whole request that has arrived, as long as the client may have more in
    /// flight; `false` if that limit may have left some behind.
    fn handle_frames(&mut self) -> bool {
        let shared = self.connection.shared.clone();
        shared.batch(|| {
            while !self.connection.closing.get() && self.connection.may_accept() {
                let before = self.decoder.pending_bytes();
                let next = self.decoder.next_frame();
                let charged_bytes = before - self.decoder.pending_bytes();
                if let Ok(None) = next {
                    return true;
                }
                let number = self.connection.outbox.borrow_mut().take_slot();
                let frame = match next {
                    Ok(frame) => frame.expect("nothing was handled above"),
                    Err(fault) => {
                        self.fault = Some(fault);
                        self.connection.end_at(number);
                        return true;
                    }
                };
                let slot = ReplySlot::new(self.connection.clone(), number, charged_bytes);
                self.took_frame = true;
                self.handler.handle(frame, slot);
            }
            false
        })
    }
}

/// Sleeps until the throttle is over. Not polled, it costs nothing.
async fn muted(shared: &NetShared, until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(shared.meter.clock().at(until)).await,
        None => std::future::pending().await,
    }
}

/// Waits for bytes before it makes room for them, so that idle connections hold no buffer.
async fn read_some(reader: &mut OwnedReadHalf, decoder: &mut FrameDecoder) -> io::Result<usize> {
    if decoder.pending_bytes() == 0 {
        decoder.release_buffer();
        reader.readable().await?;
    }
    reader.read_buf(decoder.buffer()).await
}
