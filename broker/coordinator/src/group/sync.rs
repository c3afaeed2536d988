//! SyncGroup and Heartbeat: from the leader's assignment to a stable group.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{ClassicGroup, GroupState};
use crate::append::Purpose;
use crate::deadlines::TimerKind;
use crate::record::detached;
use crate::reply::Synced;
use crate::request::{Heartbeat, Sync};
use crate::turn::Turn;
use crate::{AppendError, AppendId, GroupError, MemberId, Token};

impl ClassicGroup {
    /// Handles SyncGroup. `None`: the reply comes later under `token`.
    pub(crate) fn sync(
        &mut self,
        turn: &mut Turn<'_>,
        token: Token,
        sync: Sync,
    ) -> Option<Result<Synced, GroupError>> {
        if let Err(error) = self.check_sync(&sync) {
            return Some(Err(error));
        }
        let member_id = MemberId::new(&sync.member_id);
        match self.state {
            GroupState::Empty | GroupState::Dead => Some(Err(GroupError::UnknownMemberId)),
            GroupState::PreparingRebalance => Some(Err(GroupError::RebalanceInProgress)),
            GroupState::Stable => {
                self.has_synced(turn, &member_id);
                Some(Ok(self.synced(&member_id)))
            }
            GroupState::CompletingRebalance => {
                // One that still waits is superseded: its client has given up on it.
                self.answer_sync(turn, &member_id, Err(GroupError::RebalanceInProgress));
                let member = self
                    .members
                    .get_mut(&member_id)
                    .expect("the member was checked");
                member.syncing = Some(token);
                self.has_synced(turn, &member_id);
                if self.is_leader(member_id.as_str()) && self.assigning.is_none() {
                    self.assign(turn, sync.assignments);
                }
                None
            }
        }
    }

    /// Handles Heartbeat.
    pub(crate) fn heartbeat(
        &mut self,
        turn: &mut Turn<'_>,
        heartbeat: &Heartbeat,
    ) -> Result<(), GroupError> {
        let Heartbeat {
            member_id,
            instance_id,
            generation,
            ..
        } = heartbeat;
        self.check_generation(member_id, instance_id.as_deref(), *generation)?;
        self.restart_session(turn, &MemberId::new(member_id));
        match self.state {
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            // A member may send heartbeats as soon as it has joined.
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMemberId),
        }
    }

    /// The assignment is written, or cannot be. If the group has moved on, another will be made.
    pub(crate) fn assigned(
        &mut self,
        turn: &mut Turn<'_>,
        append_id: AppendId,
        mut assignments: BTreeMap<MemberId, Bytes>,
        result: Result<(), AppendError>,
    ) {
        if self.assigning != Some(append_id) {
            return;
        }
        self.assigning = None;
        match result {
            Ok(()) => {
                for (member_id, member) in &mut self.members {
                    member.assignment = assignments.remove(member_id).unwrap_or_default();
                }
                self.hand_out_assignment(turn);
                self.transition(turn, GroupState::Stable);
            }
            Err(error) => {
                self.withdraw_assignment(turn, error.group_error());
                self.prepare_rebalance(turn);
            }
        }
    }

    /// The members' assignments count no more; whoever waits for one gets `error`.
    pub(super) fn withdraw_assignment(&mut self, turn: &mut Turn<'_>, error: GroupError) {
        for member_id in self.members.keys().cloned().collect::<Vec<_>>() {
            let member = self
                .members
                .get_mut(&member_id)
                .expect("its id was just listed");
            member.assignment = Bytes::new();
            if self.answer_sync(turn, &member_id, Err(error)) {
                self.restart_session(turn, &member_id);
            }
        }
    }

    fn hand_out_assignment(&mut self, turn: &mut Turn<'_>) {
        for member_id in self.members.keys().cloned().collect::<Vec<_>>() {
            let synced = self.synced(&member_id);
            // Its session may have ended while it waited, which was its right.
            if self.answer_sync(turn, &member_id, Ok(synced)) {
                self.restart_session(turn, &member_id);
            }
        }
    }

    fn assign(&mut self, turn: &mut Turn<'_>, assignments: Vec<(String, Bytes)>) {
        let mut by_member: BTreeMap<MemberId, Bytes> = assignments
            .into_iter()
            .map(|(member_id, assignment)| (MemberId::new(&member_id), detached(&assignment)))
            .collect();
        by_member.retain(|member_id, _| self.members.contains_key(member_id));
        let record = self.record(|member| by_member.get(&member.id).cloned().unwrap_or_default());
        let group_id = self.id.clone();
        let purpose = Purpose::Assigned {
            group_id,
            assignments: by_member,
        };
        self.assigning = Some(turn.append(vec![record], purpose));
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), GroupError> {
        self.check_generation(
            &sync.member_id,
            sync.instance_id.as_deref(),
            sync.generation,
        )?;
        let differs =
            |asked: &Option<String>, used: &Option<String>| asked.is_some() && asked != used;
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol_name, &self.protocol_name)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn has_synced(&mut self, turn: &mut Turn<'_>, member_id: &MemberId) {
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            turn.cancel(&self.id, TimerKind::Sync);
        }
    }

    fn synced(&self, member_id: &MemberId) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self.members[member_id].assignment.clone(),
        }
    }
}
