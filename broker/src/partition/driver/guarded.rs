//! The replica behind a guard: where raft-rs panics, one partition stops and the broker lives on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use klamm_model::Instant;
use klamm_replication::{Effect, Event, Replica};

/// A replica that is dropped at its first panic.
#[derive(Debug)]
pub(super) struct GuardedReplica {
    replica: Option<Replica>,
}

impl GuardedReplica {
    pub(super) fn new(replica: Replica) -> Self {
        Self {
            replica: Some(replica),
        }
    }

    /// The replica, as long as it lives.
    pub(super) fn get(&self) -> Option<&Replica> {
        self.replica.as_ref()
    }

    /// As [`Replica::handle`]; an event for a dropped replica is lost. On an error there is no
    /// effect.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        event: Event,
        effects: &mut Vec<Effect>,
    ) -> Result<(), String> {
        let Some(replica) = &mut self.replica else {
            return Ok(());
        };
        // Whatever the panic left half done is dropped with the replica, and is not looked at.
        let turn = AssertUnwindSafe(|| replica.handle(now, event, effects));
        catch_unwind(turn).map_err(|panic| {
            effects.clear();
            self.replica = None;
            message(&*panic)
        })
    }

    pub(super) fn stop(&mut self) {
        self.replica = None;
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
