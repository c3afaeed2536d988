//! ListGroups: the groups that this broker coordinates.

use klamm_protocol::messages::list_groups_request::ListGroupsRequest;
use klamm_protocol::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use klamm_protocol::messages::{GroupId, StrBytes, text_of};

use crate::dispatch::Call;

/// What ListGroups calls groups of the classic protocol.
const CLASSIC: &str = "classic";

pub(crate) fn handle(call: Call, request: ListGroupsRequest) {
    let texts = |filter: &[StrBytes]| filter.iter().map(|text| text.to_string()).collect();
    let states: Vec<String> = texts(&request.states_filter);
    let types: Vec<String> = texts(&request.types_filter);
    let response = ListGroupsResponse::default();
    let found = call
        .shard
        .coordinators
        .read_all(|coordinator| coordinator.list_groups(&states, &types));
    let response = match found {
        Ok(found) => {
            let groups = found.into_iter().flatten().map(|group| {
                ListedGroup::default()
                    .with_group_id(GroupId(group.group_id.into()))
                    .with_protocol_type(group.protocol_type.into())
                    .with_group_state(text_of(group.state.as_str()))
                    .with_group_type(text_of(CLASSIC))
            });
            response.with_groups(groups.collect())
        }
        Err(error) => response.with_error_code(error.code()),
    };
    call.reply(response);
}
