//! Fetch: consumers read, from leaders and, where they ask for it, from replicas nearby. Followers do
//! not fetch: they are sent what there is.
//!
//! A request is resolved once, into partitions and offsets ([`plan`]); it is then read as often as
//! it is woken, until it has enough bytes, or an error, or its time is up ([`delayed`]). Records
//! that are not in memory are brought there in the background before it is read again.

mod delayed;
mod nearby;
mod plan;
mod read;

use klamm_protocol::messages::{FetchRequest, FetchResponse};

use self::delayed::DelayedFetch;
use self::plan::Plan;
use crate::dispatch::Call;

/// Answers at once if there is enough to read, otherwise when there is.
pub(crate) fn handle(call: Call, mut request: FetchRequest) {
    let now = call.arrived();
    let begun = call
        .shard
        .sessions
        .borrow_mut()
        .begin(now, call.version(), &mut request);
    match begun {
        Ok(context) => {
            let plan = Plan::new(&call, &request, context);
            DelayedFetch::start(call, plan);
        }
        Err(error) => call.reply(FetchResponse::error(error)),
    }
}
