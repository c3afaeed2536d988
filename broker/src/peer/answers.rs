//! What this broker answers to what others ask of it.

use std::rc::Rc;

use super::request::{Answer, Request};
use super::wire::WireError;
use crate::controller;
use crate::shard::Shard;
use crate::upkeep::log_starts;

/// Answers, in time.
pub(super) async fn answer(shard: &Rc<Shard>, request: Request) -> Answer {
    if let Request::HandOver { group, to } = request {
        return match shard.hand_over(group, to) {
            true => Answer::Done,
            false => refused("this broker does not lead the partition"),
        };
    }
    if let Request::AwaitKnown { offset, topics } = request {
        controller::requests::await_known(shard, offset, &topics).await;
        return Answer::Done;
    }
    if let Request::BeginWith { group, offset } = request {
        return match log_starts::follow(shard, group, offset).await {
            true => Answer::Done,
            false => refused("the replica here does not reach so far"),
        };
    }
    if let Request::Hold(group) = request {
        return controller::holding(shard, group);
    }
    if !controller::leads(shard) {
        return Answer::NotController {
            controller: shard.peers.controller_and_address(),
        };
    }
    controller::requests::answer(shard, request).await
}

/// The answer to what cannot be read.
pub(super) fn not_understood(error: &WireError) -> Answer {
    refused(&error.to_string())
}

fn refused(reason: &str) -> Answer {
    Answer::Refused {
        code: klamm_protocol::ErrorCode::InvalidRequest.code(),
        reason: reason.to_owned(),
    }
}
