//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup: finds the group, or makes it.

use super::GroupCoordinator;
use crate::append::Purpose;
use crate::group::ClassicGroup;
use crate::member_id::SUFFIX_LENGTH;
use crate::record::STRING_LENGTH_MAX;
use crate::reply::{JoinRefused, Left};
use crate::request::{Heartbeat, Join, Leave, Sync};
use crate::{Effect, GroupError, GroupId, Now, Reply, Token};

impl GroupCoordinator {
    pub(super) fn join(&mut self, now: Now, token: Token, join: Join, effects: &mut Vec<Effect>) {
        if let Err(error) = self.check_join(&join) {
            let reply = Reply::Join(Err(JoinRefused::new(error, &join.member_id)));
            effects.push(Effect::Reply { token, reply });
            return;
        }
        let mut turn = self.shared.turn(now, effects);
        if let Some(group) = self.groups.get_mut(join.group_id.as_str()) {
            if let Some(result) = group.join(&mut turn, token, join) {
                turn.reply(token, Reply::Join(result));
            }
            return;
        }
        let group_id = GroupId::new(&join.group_id);
        let mut group = ClassicGroup::new(group_id.clone(), Some(now.wall));
        let record = group.creation_record();
        let result = group.join(&mut turn, token, join);
        let append_id = turn.append(vec![record], Purpose::GroupCreated(group_id.clone()));
        group.created_by(append_id);
        if let Some(result) = result {
            turn.hold(append_id, token, Reply::Join(result));
        }
        self.groups.insert(group_id, group);
    }

    /// What Kafka checks before it looks at the group; and, for a group that is not there, what
    /// would refuse the join anyway, so that no group is made for nothing.
    fn check_join(&self, join: &Join) -> Result<(), GroupError> {
        let config = &self.shared.config;
        let range = config.session_timeout_min_ms..=config.session_timeout_max_ms;
        if !range.contains(&join.session_timeout_ms) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        if !is_storable(join) {
            return Err(GroupError::UnknownServerError);
        }
        if !self.groups.contains_key(join.group_id.as_str()) {
            if !join.member_id.is_empty() {
                return Err(GroupError::UnknownMemberId);
            }
            if join.protocol_type.is_empty() || join.protocols.is_empty() {
                return Err(GroupError::InconsistentGroupProtocol);
            }
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, now: Now, token: Token, sync: Sync, effects: &mut Vec<Effect>) {
        let mut turn = self.shared.turn(now, effects);
        let result = match self.groups.get_mut(sync.group_id.as_str()) {
            Some(group) => group.sync(&mut turn, token, sync),
            None => Some(Err(GroupError::UnknownMemberId)),
        };
        if let Some(result) = result {
            turn.reply(token, Reply::Sync(result));
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        now: Now,
        token: Token,
        heartbeat: &Heartbeat,
        effects: &mut Vec<Effect>,
    ) {
        let mut turn = self.shared.turn(now, effects);
        let result = match self.groups.get_mut(heartbeat.group_id.as_str()) {
            Some(group) => group.heartbeat(&mut turn, heartbeat),
            None => Err(GroupError::UnknownMemberId),
        };
        turn.reply(token, Reply::Heartbeat(result));
    }

    pub(super) fn leave(
        &mut self,
        now: Now,
        token: Token,
        leave: Leave,
        effects: &mut Vec<Effect>,
    ) {
        let mut turn = self.shared.turn(now, effects);
        let (left, emptied) = match self.groups.get_mut(leave.group_id.as_str()) {
            Some(group) => group.leave(&mut turn, leave.members),
            None => (nobody_known(leave), None),
        };
        let reply = Reply::Leave(Ok(left));
        match emptied {
            Some(append_id) => turn.hold(append_id, token, reply),
            None => turn.reply(token, reply),
        }
    }
}

fn nobody_known(leave: Leave) -> Vec<Left> {
    let members = leave.members.into_iter().map(|member| Left {
        member_id: member.member_id,
        instance_id: member.instance_id,
        error: Some(GroupError::UnknownMemberId),
    });
    members.collect()
}

/// Whether everything the join says about its member fits a record. The flexible versions of the
/// wire allow longer texts than the record does.
fn is_storable(join: &Join) -> bool {
    let fits = |text: &str| text.len() <= STRING_LENGTH_MAX;
    let begins_id = |text: &str| text.len() + SUFFIX_LENGTH <= STRING_LENGTH_MAX;
    begins_id(&join.client_id)
        && join.instance_id.as_deref().is_none_or(begins_id)
        && fits(&join.member_id)
        && fits(&join.client_host)
        && fits(&join.protocol_type)
        && join.protocols.iter().all(|protocol| fits(&protocol.name))
}
