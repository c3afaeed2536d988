//! One classic group: its members, its generation, and where it stands between two rebalances.
//!
//! ```text
//!            first join                 all joined, or time is up
//! Empty ──────────────▶ PreparingRebalance ───────────────▶ CompletingRebalance
//!   ▲                     │   ▲   ▲                             │        │
//!   └─────────────────────┘   │   └── a member comes or goes ───┘        │
//!     nobody joined           │                                          │
//!                             └──────────── Stable ◀─────────────────────┘
//!                       a member comes or goes      the leader's assignment is committed
//! ```
//!
//! As in Apache Kafka (`ClassicGroup`, and the methods of `GroupMetadataManager` about it), the
//! members in memory are ahead of the log: only a finished generation is written, and what is in
//! between is made again by the clients after a restart. So this is the one place of the
//! coordinator that changes before its records commit; nothing that is not in the log is promised
//! to a client beyond the life of the process.
//!
//! Invariants: the generation never falls; at most one generation hands out assignments; every
//! member waits with at most one JoinGroup and one SyncGroup; a member that goes takes its
//! waiting requests and its session deadline with it.

mod commit;
mod join;
mod leave;
mod member;
mod persist;
mod rebalance;
mod subscription;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use klamm_model::Timestamp;

pub(crate) use join::StaticTakeover;
pub(crate) use persist::restore;

use crate::deadlines::TimerKind;
use crate::reply::{DescribedGroup, DescribedMember, JoinRefused, Joined, JoinedMember};
use crate::turn::Turn;
use crate::{AppendId, GroupError, GroupId, MemberId, Reply};
use member::Member;

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupState {
    /// No members; possibly offsets.
    Empty,
    /// Waiting for the members to join.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Everyone has an assignment.
    Stable,
    /// No such group: what DescribeGroups says of a group that is not there.
    Dead,
}

impl GroupState {
    /// The name that tools show and filters use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }

    fn may_follow(self, before: Self) -> bool {
        match self {
            Self::Empty | Self::CompletingRebalance => before == Self::PreparingRebalance,
            Self::PreparingRebalance => before.can_rebalance(),
            Self::Stable => before == Self::CompletingRebalance,
            Self::Dead => false,
        }
    }

    fn can_rebalance(self) -> bool {
        matches!(self, Self::Empty | Self::CompletingRebalance | Self::Stable)
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A classic group.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    id: GroupId,
    state: GroupState,
    /// Whether the rebalance under way is the first of an empty group, which waits for
    /// `group.initial.rebalance.delay.ms` even if everyone known has joined.
    from_empty: bool,
    /// When the state was entered; not known for groups from old records.
    state_since: Option<Timestamp>,
    protocol_type: Option<String>,
    protocol_name: Option<String>,
    generation: i32,
    leader: Option<MemberId>,
    members: BTreeMap<MemberId, Member>,
    /// Instance ids and who holds them.
    static_members: BTreeMap<String, MemberId>,
    /// Ids that were given out and not used yet (KIP-394); each has a session deadline.
    pending_members: BTreeSet<MemberId>,
    /// Members of the generation that have not asked for their assignment.
    pending_sync: BTreeSet<MemberId>,
    /// How many members support each protocol.
    supported: BTreeMap<String, usize>,
    /// What the members read, as far as it is known.
    subscribed_topics: Option<BTreeSet<String>>,
    /// The first rebalance's waiting.
    initial_delay: Option<InitialDelay>,
    /// Someone joined during the initial delay, so it is extended.
    new_member_added: bool,
    /// The append that makes the group known to the log.
    creating: Option<AppendId>,
    /// The append of this generation's assignment.
    assigning: Option<AppendId>,
}

/// How long the first rebalance waits now, and how much longer it may.
#[derive(Clone, Copy, Debug)]
struct InitialDelay {
    delay: Duration,
    remaining: Duration,
}

impl ClassicGroup {
    /// A group without members. `since` is when it came to be, if that is known.
    pub(crate) fn new(id: GroupId, since: Option<Timestamp>) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            from_empty: false,
            state_since: since,
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            supported: BTreeMap::new(),
            subscribed_topics: None,
            initial_delay: None,
            new_member_added: false,
            creating: None,
            assigning: None,
        }
    }

    pub(crate) fn id(&self) -> &GroupId {
        &self.id
    }

    pub(crate) fn state(&self) -> GroupState {
        self.state
    }

    /// Empty if no member ever joined.
    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or("")
    }

    /// Whether forgetting the group would lose nothing but its name: no members, nobody on the
    /// way in, nothing unwritten.
    pub(crate) fn is_deserted(&self) -> bool {
        self.state == GroupState::Empty
            && self.pending_members.is_empty()
            && self.creating.is_none()
    }

    /// As DescribeGroups shows it: details only when stable.
    pub(crate) fn describe(&self) -> DescribedGroup {
        let stable = self.state == GroupState::Stable;
        let protocol_name = self
            .protocol_name
            .as_deref()
            .filter(|_| stable)
            .unwrap_or("");
        let members = self.members.values().map(|member| DescribedMember {
            member_id: member.id.to_string(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if stable {
                member.metadata(protocol_name)
            } else {
                Default::default()
            },
            assignment: if stable {
                member.assignment.clone()
            } else {
                Default::default()
            },
        });
        DescribedGroup {
            state: self.state,
            protocol_type: self.protocol_type().to_owned(),
            protocol_name: protocol_name.to_owned(),
            members: members.collect(),
        }
    }

    /// The process stops serving the group: everyone who waits is sent away with `error`.
    pub(crate) fn dismiss(&mut self, turn: &mut Turn<'_>, error: GroupError) {
        for member_id in self.members.keys().cloned().collect::<Vec<_>>() {
            self.answer_join(
                turn,
                &member_id,
                Err(JoinRefused::new(error, member_id.as_str())),
            );
            self.answer_sync(turn, &member_id, Err(error));
        }
        turn.deadlines.cancel_group(&self.id);
    }

    /// Forgets the ids that were given out.
    pub(crate) fn clear_pending(&mut self, turn: &mut Turn<'_>) {
        for member_id in std::mem::take(&mut self.pending_members) {
            turn.cancel_session(&self.id, &member_id);
        }
    }

    /// Its creation is under way as `append_id`.
    pub(crate) fn created_by(&mut self, append_id: AppendId) {
        self.creating = Some(append_id);
    }

    /// Its creation went through or not. Returns whether the group is to be forgotten: it failed,
    /// and no generation has been made that would be written anyway.
    pub(crate) fn creation_ended(&mut self, append_id: AppendId, failed: bool) -> bool {
        if self.creating != Some(append_id) {
            return false;
        }
        self.creating = None;
        failed && self.generation == 0
    }

    /// Whether the member exists, and holds the instance id if one is given.
    fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(holder) if holder.as_str() != member_id => {
                    return Err(GroupError::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(GroupError::UnknownMemberId)
        }
    }

    /// As [`Self::check_member`], and that it is in the current generation.
    fn check_generation(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        self.check_member(member_id, instance_id)?;
        if generation == self.generation {
            Ok(())
        } else {
            Err(GroupError::IllegalGeneration)
        }
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader
            .as_ref()
            .is_some_and(|leader| leader.as_str() == member_id)
    }

    fn transition(&mut self, turn: &Turn<'_>, state: GroupState) {
        assert!(
            state.may_follow(self.state),
            "{state} does not follow {}",
            self.state
        );
        self.from_empty = self.state == GroupState::Empty;
        self.state = state;
        self.state_since = Some(turn.now.wall);
    }

    /// Gives the member its whole session time from now.
    fn restart_session(&self, turn: &mut Turn<'_>, member_id: &MemberId) {
        if let Some(member) = self.members.get(member_id) {
            let timer = TimerKind::Session(member_id.clone());
            turn.schedule(&self.id, timer, member.session_timeout());
        }
    }

    /// The member's view of the generation, with everyone's metadata if it leads.
    fn joined(&self, member_id: &MemberId) -> Joined {
        let members = if self.is_leader(member_id.as_str()) {
            self.joined_members()
        } else {
            Vec::new()
        };
        Joined {
            member_id: member_id.to_string(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self
                .leader
                .as_ref()
                .map(MemberId::to_string)
                .unwrap_or_default(),
            skip_assignment: false,
            members,
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol_name = self.protocol_name.as_deref().unwrap_or("");
        let members = self.members.values().map(|member| JoinedMember {
            member_id: member.id.to_string(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol_name),
        });
        members.collect()
    }

    /// Answers the member's waiting JoinGroup, if there is one.
    fn answer_join(
        &mut self,
        turn: &mut Turn<'_>,
        member_id: &MemberId,
        result: Result<Joined, JoinRefused>,
    ) {
        let waiting = self
            .members
            .get_mut(member_id)
            .and_then(|member| member.joining.take());
        if let Some(token) = waiting {
            turn.reply(token, Reply::Join(result));
        }
    }

    /// Answers the member's waiting SyncGroup, if there is one. Returns whether there was.
    fn answer_sync(
        &mut self,
        turn: &mut Turn<'_>,
        member_id: &MemberId,
        result: Result<crate::reply::Synced, GroupError>,
    ) -> bool {
        let waiting = self
            .members
            .get_mut(member_id)
            .and_then(|member| member.syncing.take());
        if let Some(token) = waiting {
            turn.reply(token, Reply::Sync(result));
        }
        waiting.is_some()
    }

    /// Forgets a member, or an id that was given out. Whoever waits under it has to join anew.
    fn remove(&mut self, turn: &mut Turn<'_>, member_id: &MemberId) {
        let error = GroupError::UnknownMemberId;
        self.answer_join(turn, member_id, Err(JoinRefused::new(error, "")));
        self.answer_sync(turn, member_id, Err(error));
        turn.cancel_session(&self.id, member_id);
        if let Some(member) = self.members.remove(member_id) {
            self.forget_protocols(&member);
            if let Some(instance_id) = &member.instance_id {
                self.static_members.remove(instance_id);
            }
        }
        if self.is_leader(member_id.as_str()) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_members.remove(member_id);
        self.pending_sync.remove(member_id);
    }

    fn count_protocols(&mut self, member_id: &MemberId) {
        for protocol in self
            .members
            .get(member_id)
            .map(|member| &member.protocols[..])
            .unwrap_or(&[])
        {
            *self.supported.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn forget_protocols(&mut self, member: &Member) {
        for protocol in &member.protocols {
            let count = self
                .supported
                .get_mut(&protocol.name)
                .expect("each member was counted");
            *count -= 1;
            if *count == 0 {
                self.supported.remove(&protocol.name);
            }
        }
    }
}
