//! DescribeGroups: state and members of classic groups.

use klamm_coordinator::GroupError;
use klamm_coordinator::reply;
use klamm_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use klamm_protocol::messages::describe_groups_response::{
    DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use klamm_protocol::messages::{GroupId, text_of};

use super::{groups, operations};
use crate::dispatch::Call;

/// From here on a group that is not there is an error; before, it is "Dead" (KIP-1043).
const NOT_FOUND_FROM: i16 = 6;

pub(crate) fn handle(call: Call, request: DescribeGroupsRequest) {
    let described = request.groups.iter().map(|group_id| {
        let group = describe(&call, group_id);
        if request.include_authorized_operations && group.error_code == 0 {
            group.with_authorized_operations(operations::GROUP)
        } else {
            group
        }
    });
    let response = DescribeGroupsResponse::default().with_groups(described.collect());
    call.reply(response);
}

fn describe(call: &Call, group_id: &GroupId) -> DescribedGroup {
    let response = DescribedGroup::default().with_group_id(group_id.clone());
    let shard = &call.shard;
    let found = shard.coordinators.read(shard, group_id, |coordinator| {
        coordinator.describe_group(group_id)
    });
    match found {
        Ok(Some(group)) => response
            .with_group_state(text_of(group.state.as_str()))
            .with_protocol_type(group.protocol_type.into())
            .with_protocol_data(group.protocol_name.into())
            .with_members(group.members.into_iter().map(member).collect()),
        Ok(None) => {
            let response = response.with_group_state(text_of("Dead"));
            if call.version() < NOT_FOUND_FROM {
                return response;
            }
            let message = format!("Group {} not found.", group_id.as_str());
            response
                .with_error_code(GroupError::GroupIdNotFound.code())
                .with_error_message(Some(message.into()))
        }
        Err(error) => {
            let response = response.with_error_code(error.code());
            if call.version() < NOT_FOUND_FROM {
                return response;
            }
            response.with_error_message(Some(groups::message(error)))
        }
    }
}

fn member(member: reply::DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(member.member_id.into())
        .with_group_instance_id(member.instance_id.map(Into::into))
        .with_client_id(member.client_id.into())
        .with_client_host(member.client_host.into())
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}
