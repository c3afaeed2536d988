//! A group as a record, and back.

use bytes::Bytes;

use super::member::Member;
use super::{ClassicGroup, GroupState};
use crate::record::{GroupMetadata, MemberMetadata, group_record};
use crate::request::Protocol;
use crate::turn::Turn;
use crate::{GroupId, LogRecord, MemberId};

impl ClassicGroup {
    /// The record of the current generation, with each member's assignment as given.
    pub(super) fn record(&self, assignment: impl Fn(&Member) -> Bytes) -> LogRecord {
        let protocol_name = self.protocol_name.as_deref().unwrap_or("");
        let members = self.members.values().map(|member| MemberMetadata {
            member_id: member.id.to_string(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol_name),
            assignment: assignment(member),
        });
        let metadata = GroupMetadata {
            protocol_type: self.protocol_type().to_owned(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.as_ref().map(MemberId::to_string),
            state_timestamp: self.state_since,
            members: members.collect(),
        };
        group_record(self.id.as_str(), Some(&metadata))
    }

    /// The record of a group that has just been made: nothing but its name, whoever is joining.
    pub(crate) fn creation_record(&self) -> LogRecord {
        let metadata = GroupMetadata {
            protocol_type: String::new(),
            generation: 0,
            protocol: None,
            leader: None,
            state_timestamp: self.state_since,
            members: Vec::new(),
        };
        group_record(self.id.as_str(), Some(&metadata))
    }

    /// The log has been read: sessions begin anew, and a group that outgrew `group.max.size`
    /// rebalances, which sends the last to join away.
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>) {
        for member_id in self.members.keys() {
            self.restart_session(turn, member_id);
        }
        if self.members.len() > turn.config.group_max_size {
            self.prepare_rebalance(turn);
        }
    }
}

/// The group that a record describes: stable if it has members, else empty.
pub(crate) fn restore(group_id: GroupId, metadata: GroupMetadata) -> ClassicGroup {
    let mut group = ClassicGroup::new(group_id, metadata.state_timestamp);
    let protocol_type = metadata.protocol_type;
    group.generation = metadata.generation;
    group.protocol_type = (!protocol_type.is_empty()).then_some(protocol_type);
    group.leader = metadata.leader.as_deref().map(MemberId::new);
    let protocol = metadata.protocol.clone().unwrap_or_default();
    group.protocol_name = metadata.protocol;
    for member in metadata.members {
        let member = Member {
            id: MemberId::new(&member.member_id),
            protocols: vec![Protocol {
                name: protocol.clone(),
                metadata: member.subscription,
            }],
            instance_id: member.instance_id,
            client_id: member.client_id,
            client_host: member.client_host,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            assignment: member.assignment,
            is_new: false,
            joining: None,
            syncing: None,
            replacing: None,
        };
        group.insert_restored(member);
    }
    if !group.members.is_empty() {
        group.state = GroupState::Stable;
        group
            .leader
            .get_or_insert_with(|| group.members.keys().next().cloned().expect("not empty"));
    }
    group.subscribed_topics = group.parse_subscriptions();
    group
}

impl ClassicGroup {
    fn insert_restored(&mut self, member: Member) {
        let id = member.id.clone();
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        if let Some(twice) = self.members.insert(id.clone(), member) {
            self.forget_protocols(&twice);
        }
        self.count_protocols(&id);
    }
}
