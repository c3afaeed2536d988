//! LeaveGroup: members leave, or are removed by their instance ids (KIP-345).

use klamm_coordinator::reply::Left;
use klamm_coordinator::request::{Leave, LeavingMember};
use klamm_coordinator::{GroupError, Reply, Request};
use klamm_protocol::messages::leave_group_request::LeaveGroupRequest;
use klamm_protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};

use super::groups;
use crate::dispatch::Call;

/// From here on several members may leave at once.
const BATCH_FROM: i16 = 3;

pub(crate) fn handle(call: Call, request: LeaveGroupRequest) {
    let version = call.version();
    let members = if version >= BATCH_FROM {
        let members = request.members.iter().map(|member| LeavingMember {
            member_id: member.member_id.to_string(),
            instance_id: groups::owned(member.group_instance_id.as_ref()),
        });
        members.collect()
    } else {
        vec![LeavingMember {
            member_id: request.member_id.to_string(),
            instance_id: None,
        }]
    };
    let leave = Leave {
        group_id: request.group_id.to_string(),
        members,
    };
    let shard = call.shard.clone();
    shard
        .coordinators
        .request(&shard, Request::Leave(leave), move |reply| {
            let Reply::Leave(result) = reply else {
                unreachable!("a leave is answered as one")
            };
            call.reply(answer(version, result));
        });
}

fn answer(version: i16, result: Result<Vec<Left>, GroupError>) -> LeaveGroupResponse {
    let response = LeaveGroupResponse::default();
    match result {
        Err(error) => response.with_error_code(error.code()),
        Ok(left) if version < BATCH_FROM => {
            let error = left.first().and_then(|member| member.error);
            response.with_error_code(groups::code(error))
        }
        Ok(left) => {
            let members = left.into_iter().map(|member| {
                MemberResponse::default()
                    .with_member_id(member.member_id.into())
                    .with_group_instance_id(member.instance_id.map(Into::into))
                    .with_error_code(groups::code(member.error))
            });
            response.with_members(members.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use klamm_protocol::Response;

    use super::*;

    #[test]
    fn before_version_3_the_error_of_the_one_member_stands_at_the_top() {
        let left = || {
            vec![Left {
                member_id: "m".to_owned(),
                instance_id: Some("i".to_owned()),
                error: Some(GroupError::UnknownMemberId),
            }]
        };
        for version in 0..=5 {
            let response = answer(version, Ok(left()));
            let at_the_top = response.error_code == GroupError::UnknownMemberId.code();
            assert_eq!(at_the_top, version < 3, "{version}");
            assert_eq!(
                response.members.len(),
                usize::from(version >= 3),
                "{version}"
            );
            assert!(
                Response::from(response).encode_as(version, 0).is_ok(),
                "{version}"
            );
        }
    }
}
