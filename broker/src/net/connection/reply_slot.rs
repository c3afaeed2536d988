//! Where the reply to one request goes.

use std::rc::Rc;

use bytes::Bytes;
use klamm_model::Instant;

use super::{Connection, LENGTH_BYTES};
use crate::metrics::counters::RequestKind;
use crate::net::outbox::SlotNumber;

/// The place of one request's reply. Dropped without an answer, it closes the connection: the
/// client could not tell its later replies apart.
#[derive(Debug)]
pub(crate) struct ReplySlot {
    connection: Rc<Connection>,
    number: SlotNumber,
    charged_bytes: usize,
    arrived: Instant,
    kind: RequestKind,
    answered: bool,
}

impl ReplySlot {
    /// Of a request that has just been read, and takes so much of the budget.
    pub(super) fn new(
        connection: Rc<Connection>,
        number: SlotNumber,
        charged_bytes: usize,
    ) -> Self {
        Self {
            arrived: connection.shared.meter.arrived(),
            connection,
            number,
            charged_bytes,
            kind: RequestKind::Other,
            answered: false,
        }
    }

    /// The connection that asked.
    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// When the request was read.
    pub(crate) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Says what the request is, once that is known.
    pub(crate) fn is_of(&mut self, kind: RequestKind) {
        self.kind = kind;
    }

    /// What the request takes on the wire, in bytes, its length left out.
    pub(crate) fn request_bytes(&self) -> usize {
        self.charged_bytes.saturating_sub(LENGTH_BYTES)
    }

    /// Nothing more is read from the client until then. Its answers leave all the same.
    pub(crate) fn mute_until(&self, until: Instant) {
        self.connection.mute_until(until);
    }

    /// Answers with the pieces of one frame.
    pub(crate) fn send(mut self, pieces: Vec<Bytes>) {
        self.complete(pieces, 0);
    }

    /// As [`send`](Self::send); so many bytes of the pieces are pages of files.
    pub(crate) fn send_with_pages(mut self, pieces: Vec<Bytes>, page_bytes: usize) {
        self.complete(pieces, page_bytes);
    }

    /// The request gets no reply (Produce with acks=0).
    pub(crate) fn send_nothing(mut self) {
        self.complete(Vec::new(), 0);
    }

    /// Ends the connection in place of an answer.
    pub(crate) fn close(self) {
        drop(self);
    }

    fn complete(&mut self, pieces: Vec<Bytes>, page_bytes: usize) {
        self.answered = true;
        let connection = &self.connection;
        connection.shared.budget.release(self.charged_bytes);
        let mut outbox = connection.outbox.borrow_mut();
        outbox.complete(self.number, pieces);
        outbox.are_pages(page_bytes);
        drop(outbox);
        connection.shared.meter.answered(self.kind, self.arrived);
        connection.shared.flush_soon(connection);
    }
}

impl Drop for ReplySlot {
    fn drop(&mut self) {
        if !self.answered {
            self.connection.shared.budget.release(self.charged_bytes);
            self.connection.end_at(self.number);
        }
    }
}
