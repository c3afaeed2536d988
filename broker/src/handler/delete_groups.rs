//! DeleteGroups: forgets empty groups with their offsets.

use klamm_coordinator::{GroupError, Reply, Request};
use klamm_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use klamm_protocol::messages::{DeletableGroupResult, DeleteGroupsResponse};
use tokio::sync::oneshot;

use super::groups;
use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: DeleteGroupsRequest) {
    let shard = call.shard.clone();
    // All are asked before the first answer is awaited.
    let deletions: Vec<_> = request
        .groups_names
        .into_iter()
        .map(|group_id| {
            let (sender, receiver) = oneshot::channel();
            let request = Request::DeleteGroup {
                group_id: group_id.to_string(),
            };
            shard.coordinators.request(&shard, request, move |reply| {
                let Reply::DeleteGroup(result) = reply else {
                    unreachable!("a deletion is answered as one")
                };
                // The client may be gone; the group is all the same.
                sender.send(result).ok();
            });
            (group_id, receiver)
        })
        .collect();
    call.reply_later(async move {
        let mut response = DeleteGroupsResponse::default();
        for (group_id, receiver) in deletions {
            let result = receiver
                .await
                .unwrap_or(Err(GroupError::CoordinatorNotAvailable));
            response.results.push(DeletableGroupResult {
                group_id: group_id.0,
                error_code: groups::code(result.err()),
                error_message: result.err().map(groups::message),
            });
        }
        response
    });
}
