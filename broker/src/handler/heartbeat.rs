//! Heartbeat: stays a member of a group.

use klamm_coordinator::request::Heartbeat;
use klamm_coordinator::{Reply, Request};
use klamm_protocol::messages::heartbeat_request::HeartbeatRequest;
use klamm_protocol::messages::heartbeat_response::HeartbeatResponse;

use super::groups;
use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: HeartbeatRequest) {
    let heartbeat = Heartbeat {
        group_id: request.group_id.to_string(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: groups::owned(request.group_instance_id.as_ref()),
    };
    let shard = call.shard.clone();
    shard
        .coordinators
        .request(&shard, Request::Heartbeat(heartbeat), move |reply| {
            let Reply::Heartbeat(result) = reply else {
                unreachable!("a heartbeat is answered as one")
            };
            call.reply(HeartbeatResponse::default().with_error_code(groups::code(result.err())));
        });
}
