//! Sockets: accepting, reading requests, writing replies in request order.
//!
//! Knows frames and nothing of what is in them; [`dispatch`](crate::dispatch) does the rest.

pub(crate) mod budget;
pub(crate) mod connection;
pub(crate) mod deadlines;
pub(crate) mod listener;
pub(crate) mod occasional;
pub(crate) mod outbox;
pub(crate) mod quota;
pub(crate) mod unread;

pub(crate) use connection::ReplySlot;
