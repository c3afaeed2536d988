//! One member of a classic group.

use std::time::Duration;

use bytes::Bytes;

use crate::request::Protocol;
use crate::turn::millis;
use crate::{AppendId, MemberId, Token};

/// A member, and the requests it waits with.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// Most wanted first; no name twice.
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// It has not seen a generation yet, so it cannot send heartbeats: its session ends even
    /// while it waits (a client that gave up would otherwise stay for ever).
    pub(super) is_new: bool,
    /// Its waiting JoinGroup.
    pub(super) joining: Option<Token>,
    /// Its waiting SyncGroup.
    pub(super) syncing: Option<Token>,
    /// The append that makes its taking over a static member known to the log.
    pub(super) replacing: Option<AppendId>,
}

impl Member {
    pub(super) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    /// Whether its silence is fine: it waits for us.
    pub(super) fn is_excused(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    /// Its metadata for a protocol; empty if it does not support it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self
            .protocols
            .iter()
            .find(|supported| supported.name == protocol);
        found
            .map(|protocol| protocol.metadata.clone())
            .unwrap_or_default()
    }

    pub(super) fn session_timeout(&self) -> Duration {
        millis(self.session_timeout_ms)
    }
}
