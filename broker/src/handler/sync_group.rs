//! SyncGroup: the leader hands in the assignments, everyone gets its own.

use klamm_coordinator::request::Sync;
use klamm_coordinator::{Reply, Request};
use klamm_protocol::messages::sync_group_request::SyncGroupRequest;
use klamm_protocol::messages::sync_group_response::SyncGroupResponse;

use super::groups;
use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: SyncGroupRequest) {
    let sync = Sync {
        group_id: request.group_id.to_string(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: groups::owned(request.group_instance_id.as_ref()),
        protocol_type: groups::owned(request.protocol_type.as_ref()),
        protocol_name: groups::owned(request.protocol_name.as_ref()),
        assignments: request
            .assignments
            .into_iter()
            .map(|assignment| (assignment.member_id.to_string(), assignment.assignment))
            .collect(),
    };
    let shard = call.shard.clone();
    shard
        .coordinators
        .request(&shard, Request::Sync(sync), move |reply| {
            let Reply::Sync(result) = reply else {
                unreachable!("a sync is answered as one")
            };
            let response = SyncGroupResponse::default();
            call.reply(match result {
                Ok(synced) => response
                    .with_protocol_type(synced.protocol_type.map(Into::into))
                    .with_protocol_name(synced.protocol_name.map(Into::into))
                    .with_assignment(synced.assignment),
                Err(error) => response.with_error_code(error.code()),
            });
        });
}
