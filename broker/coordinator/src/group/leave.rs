//! LeaveGroup.

use super::{ClassicGroup, GroupState};
use crate::reply::Left;
use crate::request::LeavingMember;
use crate::turn::Turn;
use crate::{AppendId, GroupError, MemberId};

impl ClassicGroup {
    /// Handles LeaveGroup: the result for each member, and the append that the reply has to wait
    /// for, if the group became empty.
    pub(crate) fn leave(
        &mut self,
        turn: &mut Turn<'_>,
        leaving: Vec<LeavingMember>,
    ) -> (Vec<Left>, Option<AppendId>) {
        let mut someone_left = false;
        let mut left = Vec::with_capacity(leaving.len());
        for LeavingMember {
            member_id,
            instance_id,
        } in leaving
        {
            let found = self.find_leaving(&member_id, instance_id.as_deref());
            if let Ok(found) = &found {
                self.remove(turn, found);
                someone_left = true;
            }
            left.push(Left {
                member_id,
                instance_id,
                error: found.err(),
            });
        }
        let emptied = match self.state {
            GroupState::Stable | GroupState::CompletingRebalance if someone_left => {
                self.prepare_rebalance(turn)
            }
            GroupState::PreparingRebalance if someone_left => self.complete_if_all_joined(turn),
            _ => None,
        };
        (left, emptied)
    }

    /// Who is meant: a static member by its instance id alone (an administrator removes it), an
    /// id that was given out, or a member.
    fn find_leaving(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<MemberId, GroupError> {
        if member_id.is_empty() {
            let holder = instance_id.and_then(|id| self.static_members.get(id));
            return holder.cloned().ok_or(GroupError::UnknownMemberId);
        }
        if !self.pending_members.contains(member_id) {
            self.check_member(member_id, instance_id)?;
        }
        Ok(MemberId::new(member_id))
    }
}
