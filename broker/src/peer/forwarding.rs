//! Requests that only the controller can answer are handed on to it, as they came, and its answer is
//! handed back: clients may send them to any broker.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use klamm_model::BrokerId;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;

use super::socket::{self, Frames};
use super::wire::{FRAME_BYTES_MAX, Purpose};
use crate::net::ReplySlot;
use crate::shard::Shard;
use crate::tasks;

/// How long a controller is looked for before the client has to try again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections to controllers, one for each listener of ours: answers come in the order of the
/// requests.
#[derive(Debug, Default)]
pub(crate) struct Forwarding {
    connections: Mutex<BTreeMap<(BrokerId, usize), Rc<Forwarder>>>,
}

#[derive(Debug)]
struct Forwarder {
    controller: BrokerId,
    writer: Mutex<tokio::net::tcp::OwnedWriteHalf>,
    /// `None` once the connection has ended.
    waiting: RefCell<Option<VecDeque<oneshot::Sender<Bytes>>>>,
}

/// Hands a request on; the client's connection is closed if no controller can be found in time, or
/// if it is lost before it has answered: what came of the request is not known then.
pub(crate) fn forward(shard: &Rc<Shard>, frame: Bytes, slot: ReplySlot) {
    let shard = shard.clone();
    tasks::spawn(async move {
        let listener = slot.connection().listener;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(forwarder) = find(&shard, listener).await {
                let Some(answer) = forwarder.ask(frame).await else {
                    return slot.close();
                };
                let answer = tokio::select! {
                    answer = answer => answer.ok(),
                    // A process that stands still keeps its connections.
                    () = another_controller(&shard, forwarder.controller) => None,
                };
                match answer {
                    Some(answer) => slot.send(vec![answer]),
                    None => slot.close(),
                }
                return;
            }
            shard.peers.news(Duration::from_millis(50)).await;
        }
        tracing::warn!("no controller is found to hand a request on to");
        slot.close();
    });
}

/// Waits until somebody else is the controller.
async fn another_controller(shard: &Rc<Shard>, controller: BrokerId) {
    while shard.peers.controller() == Some(controller) {
        shard.peers.news(PATIENCE).await;
    }
}

/// A connection to the controller of now; `None` if there is none to be had.
async fn find(shard: &Rc<Shard>, listener: usize) -> Option<Rc<Forwarder>> {
    let (controller, address) = shard.peers.controller_and_address()?;
    let mut connections = shard.forwarding.connections.lock().await;
    connections.retain(|_, forwarder| forwarder.waiting.borrow().is_some());
    if let Some(forwarder) = connections.get(&(controller, listener)) {
        return Some(forwarder.clone());
    }
    let mut greeting = shard.peers.greeting(Purpose::Forwarding, Some(controller));
    greeting.listener = shard.advertised(listener).name.clone();
    let (stream, _) = match socket::connect(&address, &greeting).await {
        Ok(connected) => connected,
        Err(error) => {
            tracing::debug!(%error, "the controller is not reached");
            return None;
        }
    };
    let (reader, writer) = stream.into_split();
    let forwarder = Rc::new(Forwarder {
        controller,
        writer: Mutex::new(writer),
        waiting: RefCell::new(Some(VecDeque::new())),
    });
    tasks::spawn(
        forwarder
            .clone()
            .receive(Frames::new(reader, FRAME_BYTES_MAX)),
    );
    connections.insert((controller, listener), forwarder.clone());
    Some(forwarder)
}

impl Forwarder {
    /// Where the answer will come, a whole frame with its length; `None` if there will be none.
    async fn ask(&self, frame: Bytes) -> Option<oneshot::Receiver<Bytes>> {
        let mut request = BytesMut::with_capacity(4 + frame.len());
        request.put_u32(u32::try_from(frame.len()).ok()?);
        request.put_slice(&frame);
        let (sender, receiver) = oneshot::channel();
        {
            // Both under one lock: answers are told apart by their order alone.
            let mut writer = self.writer.lock().await;
            self.waiting.borrow_mut().as_mut()?.push_back(sender);
            if writer.write_all(&request).await.is_err() {
                self.waiting.take();
                return None;
            }
        }
        Some(receiver)
    }

    async fn receive(self: Rc<Self>, mut frames: Frames) {
        while let Ok(frame) = frames.next().await {
            let mut answer = BytesMut::with_capacity(4 + frame.len());
            answer.put_u32(u32::try_from(frame.len()).expect("a frame's length has 32 bits"));
            answer.put_slice(&frame);
            let waiting = self
                .waiting
                .borrow_mut()
                .as_mut()
                .and_then(VecDeque::pop_front);
            match waiting {
                // The client may have gone.
                Some(waiting) => drop(waiting.send(answer.freeze())),
                None => break,
            }
        }
        self.waiting.take();
    }
}
