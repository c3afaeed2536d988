//! A member of a classic group, with a connection of its own.

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
    SyncGroupResponse,
};
use klamm_protocol::ErrorCode;

use crate::ask::group_id;
use crate::client::Client;
use crate::requests::text;
use crate::support::eventually;
use crate::world::World;

const JOIN_VERSION: i16 = 7;
const SYNC_VERSION: i16 = 5;
const HEARTBEAT_VERSION: i16 = 4;

/// A subscription to `t` as consumers write it: version 0, one topic, no data of the user's.
const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";

/// See the [module](self).
pub(crate) struct Member {
    pub(crate) client: Client,
    group: String,
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
    pub(crate) session_timeout_ms: i32,
    protocol_type: String,
    protocols: Vec<String>,
}

impl Member {
    /// Someone who is not a member yet.
    pub(crate) fn new(world: &World, group: &str) -> Self {
        let mut client = world.client();
        client.find_coordinator(group);
        Self {
            client,
            group: group.to_owned(),
            id: String::new(),
            instance: None,
            generation: -1,
            session_timeout_ms: 30_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec!["range".to_owned()],
        }
    }

    /// The only member of a stable group.
    pub(crate) fn alone(world: &World, group: &str) -> Self {
        let mut member = Self::new(world, group);
        member.join();
        assert_eq!(member.sync(&[]).error_code, 0);
        member
    }

    pub(crate) fn instance(mut self, instance: &str) -> Self {
        self.instance = Some(instance.to_owned());
        self
    }

    pub(crate) fn of_type(mut self, protocol_type: &str) -> Self {
        self.protocol_type = protocol_type.to_owned();
        self
    }

    pub(crate) fn protocols(mut self, names: &[&str]) -> Self {
        self.protocols = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub(crate) fn join_request(&self) -> JoinGroupRequest {
        let protocols = self.protocols.iter().map(|name| {
            JoinGroupRequestProtocol::default()
                .with_name(text(name))
                .with_metadata(Bytes::from_static(SUBSCRIPTION))
        });
        JoinGroupRequest::default()
            .with_group_id(group_id(&self.group))
            .with_session_timeout_ms(self.session_timeout_ms)
            .with_rebalance_timeout_ms(60_000)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(text(&self.protocol_type))
            .with_protocols(protocols.collect())
    }

    /// Joins, in two rounds if it has to be; the answer may be an error.
    pub(crate) fn try_join(&mut self) -> JoinGroupResponse {
        self.send_join();
        self.receive_join()
    }

    pub(crate) fn join(&mut self) -> JoinGroupResponse {
        let joined = self.try_join();
        assert_eq!(joined.error_code, 0);
        joined
    }

    /// Has its member id made, and asks to join without waiting.
    pub(crate) fn send_join(&mut self) {
        if self.id.is_empty() && self.instance.is_none() {
            let required = self.client.call(JOIN_VERSION, &self.join_request());
            if required.error_code == ErrorCode::MemberIdRequired.code() {
                self.id = required.member_id.as_str().to_owned();
            }
        }
        let request = self.join_request();
        self.client.send(JOIN_VERSION, &request).expect("open");
    }

    pub(crate) fn receive_join(&mut self) -> JoinGroupResponse {
        let joined = self.client.receive::<JoinGroupRequest>(JOIN_VERSION);
        let joined = joined.expect("an answer");
        if joined.error_code == 0 {
            self.id = joined.member_id.as_str().to_owned();
            self.generation = joined.generation_id;
        }
        joined
    }

    pub(crate) fn sync_request(&self, assignments: &[(&str, &str)]) -> SyncGroupRequest {
        let assignments = assignments.iter().map(|(member, assignment)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(member))
                .with_assignment(Bytes::copy_from_slice(assignment.as_bytes()))
        });
        SyncGroupRequest::default()
            .with_group_id(group_id(&self.group))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(Some(text(&self.protocol_type)))
            .with_protocol_name(Some(text(&self.protocols[0])))
            .with_assignments(assignments.collect())
    }

    pub(crate) fn sync(&mut self, assignments: &[(&str, &str)]) -> SyncGroupResponse {
        let request = self.sync_request(assignments);
        self.client.call(SYNC_VERSION, &request)
    }

    pub(crate) fn send_sync(&mut self) {
        let request = self.sync_request(&[]);
        self.client.send(SYNC_VERSION, &request).expect("open");
    }

    pub(crate) fn receive_sync(&mut self) -> SyncGroupResponse {
        let synced = self.client.receive::<SyncGroupRequest>(SYNC_VERSION);
        synced.expect("an answer")
    }

    pub(crate) fn heartbeat(&mut self) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(group_id(&self.group))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text));
        self.client.call(HEARTBEAT_VERSION, &request).error_code
    }

    /// Has members removed: error code, and that of each.
    pub(crate) fn remove(&mut self, members: &[(&str, Option<&str>)]) -> (i16, Vec<i16>) {
        let members = members.iter().map(|(id, instance)| {
            MemberIdentity::default()
                .with_member_id(text(id))
                .with_group_instance_id(instance.map(text))
                .with_reason(Some(text("of a test")))
        });
        let request = LeaveGroupRequest::default()
            .with_group_id(group_id(&self.group))
            .with_members(members.collect());
        let answer = self.client.call(5, &request);
        let codes = answer.members.iter().map(|member| member.error_code);
        (answer.error_code, codes.collect())
    }

    pub(crate) fn leave(&mut self) {
        let id = self.id.clone();
        assert_eq!(self.remove(&[(&id, None)]), (0, vec![0]));
    }
}

/// Makes them members of one generation, one after the other; the first of them leads.
pub(crate) fn gather(members: &mut [Member]) -> Vec<JoinGroupResponse> {
    let mut joined = vec![members[0].join()];
    for count in 2..=members.len() {
        let (newcomer, earlier) = members[..count].split_last_mut().expect("two at least");
        newcomer.send_join();
        let in_progress = ErrorCode::RebalanceInProgress.code();
        eventually("the group begins to rebalance", || {
            (earlier[0].heartbeat() == in_progress).then_some(())
        });
        for member in earlier.iter_mut() {
            member.send_join();
        }
        joined = members[..count]
            .iter_mut()
            .map(Member::receive_join)
            .collect();
    }
    assert!(joined.iter().all(|answer| answer.error_code == 0));
    joined
}
