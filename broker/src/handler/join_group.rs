//! JoinGroup: becomes or stays a member of a group (KIP-345, KIP-394).

use klamm_coordinator::reply::{JoinRefused, Joined};
use klamm_coordinator::request::{Join, Protocol};
use klamm_coordinator::{Reply, Request};
use klamm_protocol::messages::join_group_request::JoinGroupRequest;
use klamm_protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use klamm_protocol::messages::text_of;

use super::groups;
use crate::dispatch::Call;

/// From here on a new member is sent back with its id first.
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// From here on no protocol is null and not empty.
const NULL_PROTOCOL_FROM: i16 = 7;
/// From here on a leader may be told to skip the assignment.
const SKIP_ASSIGNMENT_FROM: i16 = 9;

pub(crate) fn handle(call: Call, request: JoinGroupRequest) {
    let version = call.version();
    let join = Join {
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: groups::owned(request.group_instance_id.as_ref()),
        client_id: call.client_id().to_owned(),
        client_host: groups::client_host(call.slot.connection().peer),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| Protocol {
                name: protocol.name.to_string(),
                metadata: protocol.metadata,
            })
            .collect(),
        requires_member_id: version >= MEMBER_ID_REQUIRED_FROM,
        supports_skip_assignment: version >= SKIP_ASSIGNMENT_FROM,
    };
    let shard = call.shard.clone();
    shard
        .coordinators
        .request(&shard, Request::Join(join), move |reply| {
            let Reply::Join(result) = reply else {
                unreachable!("a join is answered as one")
            };
            call.reply(answer(version, result));
        });
}

fn answer(version: i16, result: Result<Joined, JoinRefused>) -> JoinGroupResponse {
    let response = JoinGroupResponse::default();
    let mut response = match result {
        Ok(joined) => joined_response(response, joined),
        Err(JoinRefused { error, member_id }) => response
            .with_error_code(error.code())
            .with_generation_id(-1)
            .with_protocol_name(None)
            .with_member_id(member_id.into()),
    };
    if version < NULL_PROTOCOL_FROM && response.protocol_name.is_none() {
        response.protocol_name = Some(text_of(""));
    }
    response
}

fn joined_response(response: JoinGroupResponse, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(member.member_id.into())
            .with_group_instance_id(member.instance_id.map(Into::into))
            .with_metadata(member.metadata)
    });
    response
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(Into::into))
        .with_protocol_name(joined.protocol_name.map(Into::into))
        .with_leader(joined.leader.into())
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(joined.member_id.into())
        .with_members(members.collect())
}

#[cfg(test)]
mod tests {
    use klamm_coordinator::GroupError;
    use klamm_coordinator::reply::JoinedMember;
    use klamm_protocol::Response;

    use super::*;

    #[test]
    fn every_version_has_room_for_every_answer() {
        let joined = Joined {
            member_id: "m".to_owned(),
            generation: 3,
            protocol_type: Some("consumer".to_owned()),
            protocol_name: Some("range".to_owned()),
            leader: "m".to_owned(),
            skip_assignment: false,
            members: vec![JoinedMember {
                member_id: "m".to_owned(),
                instance_id: Some("i".to_owned()),
                metadata: Default::default(),
            }],
        };
        let refused = JoinRefused {
            error: GroupError::MemberIdRequired,
            member_id: "m".to_owned(),
        };
        for version in 0..=9 {
            for result in [Ok(joined.clone()), Err(refused.clone())] {
                let response = Response::from(answer(version, result));
                assert!(response.encode_as(version, 0).is_ok(), "{version}");
            }
        }
    }
}
