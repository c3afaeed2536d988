//! JoinGroup: who may come in, and what that starts.

use std::collections::BTreeSet;
use std::time::Duration;

use super::member::Member;
use super::{ClassicGroup, GroupState};
use crate::append::Purpose;
use crate::deadlines::TimerKind;
use crate::record::detached;
use crate::reply::{JoinRefused, Joined};
use crate::request::{Join, Protocol};
use crate::turn::{Turn, millis};
use crate::{AppendError, AppendId, GroupError, MemberId, Token};

/// How long a member that joins for the first time may wait for its first generation (Kafka's
/// `CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`).
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How many ids may be given out to members that have not come back with them.
const PENDING_MEMBERS_MAX: usize = 10_000;

/// A refusal or a generation now, or nothing yet.
type Outcome = Option<Result<Joined, JoinRefused>>;

/// A static member that comes back under a new id without a rebalance; and what to restore if
/// that cannot be written.
#[derive(Debug)]
pub(crate) struct StaticTakeover {
    generation: i32,
    instance_id: String,
    old_id: MemberId,
    new_id: MemberId,
    old_leader: Option<MemberId>,
    old_protocols: Vec<Protocol>,
    old_rebalance_timeout_ms: i32,
    old_session_timeout_ms: i32,
    supports_skip_assignment: bool,
}

impl ClassicGroup {
    /// Handles JoinGroup. `None`: the reply comes later under `token`.
    pub(crate) fn join(&mut self, turn: &mut Turn<'_>, token: Token, join: Join) -> Outcome {
        if !self.has_room(&join, turn.config.group_max_size) {
            self.remove(turn, &MemberId::new(&join.member_id));
            return Some(Err(JoinRefused::new(GroupError::GroupMaxSizeReached, "")));
        }
        if !self.supports(&join.protocol_type, &join.protocols) {
            let error = GroupError::InconsistentGroupProtocol;
            return Some(Err(JoinRefused::new(error, &join.member_id)));
        }
        if join.member_id.is_empty() {
            self.join_without_id(turn, token, join)
        } else {
            self.join_with_id(turn, token, join)
        }
    }

    fn join_without_id(&mut self, turn: &mut Turn<'_>, token: Token, join: Join) -> Outcome {
        let prefix = join.instance_id.as_deref().unwrap_or(&join.client_id);
        let member_id = turn.member_ids.next(prefix);
        if let Some(instance_id) = &join.instance_id {
            return match self.static_members.get(instance_id).cloned() {
                Some(old_id) => self.take_over(turn, token, join, old_id, member_id),
                None => self.add(turn, token, join, member_id),
            };
        }
        if !join.requires_member_id {
            return self.add(turn, token, join, member_id);
        }
        if self.pending_members.len() >= PENDING_MEMBERS_MAX {
            return Some(Err(JoinRefused::new(GroupError::GroupMaxSizeReached, "")));
        }
        let timer = TimerKind::Session(member_id.clone());
        turn.schedule(&self.id, timer, millis(join.session_timeout_ms));
        self.pending_members.insert(member_id.clone());
        Some(Err(JoinRefused::new(
            GroupError::MemberIdRequired,
            member_id.as_str(),
        )))
    }

    fn join_with_id(&mut self, turn: &mut Turn<'_>, token: Token, join: Join) -> Outcome {
        let member_id = MemberId::new(&join.member_id);
        let refuse = |error| Some(Err(JoinRefused::new(error, member_id.as_str())));
        if self.pending_members.contains(&member_id) {
            // A static member never gets an id to come back with.
            if join.instance_id.is_some() {
                return refuse(GroupError::UnknownServerError);
            }
            return self.add(turn, token, join, member_id);
        }
        if let Err(error) = self.check_member(member_id.as_str(), join.instance_id.as_deref()) {
            return refuse(error);
        }
        let unchanged = self.members.get(&member_id).is_some_and(|member| {
            let wanted = without_duplicates(&join.protocols);
            member.protocols.iter().eq(wanted)
        });
        match self.state {
            // The reply to its first JoinGroup may have been lost.
            GroupState::CompletingRebalance if unchanged => Some(Ok(self.joined(&member_id))),
            // A leader joins again to have partitions assigned anew.
            GroupState::Stable if unchanged && !self.is_leader(member_id.as_str()) => {
                Some(Ok(self.joined(&member_id)))
            }
            GroupState::PreparingRebalance
            | GroupState::CompletingRebalance
            | GroupState::Stable => {
                self.update(turn, Some(token), &member_id, &join);
                self.rebalance_or_complete(turn);
                None
            }
            GroupState::Empty | GroupState::Dead => refuse(GroupError::UnknownMemberId),
        }
    }

    fn add(&mut self, turn: &mut Turn<'_>, token: Token, join: Join, id: MemberId) -> Outcome {
        if self.state == GroupState::PreparingRebalance && self.from_empty {
            self.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        if let Some(instance_id) = &join.instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.pending_members.remove(&id);
        let member = Member {
            id: id.clone(),
            protocols: kept_protocols(&join.protocols),
            rebalance_timeout_ms: rebalance_timeout_ms(&join),
            session_timeout_ms: join.session_timeout_ms,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            assignment: Default::default(),
            is_new: true,
            joining: Some(token),
            syncing: None,
            replacing: None,
        };
        self.members.insert(id.clone(), member);
        self.count_protocols(&id);
        turn.schedule(&self.id, TimerKind::Session(id), NEW_MEMBER_JOIN_TIMEOUT);
        self.rebalance_or_complete(turn);
        None
    }

    /// Takes over what the member says about itself. A JoinGroup it still waited with is
    /// superseded: its client has given up on it, or would not have sent another one.
    fn update(&mut self, turn: &mut Turn<'_>, token: Option<Token>, id: &MemberId, join: &Join) {
        let superseded = JoinRefused::new(GroupError::RebalanceInProgress, id.as_str());
        self.answer_join(turn, id, Err(superseded));
        self.describe_member(
            id,
            kept_protocols(&join.protocols),
            rebalance_timeout_ms(join),
            join.session_timeout_ms,
        );
        let member = self.members.get_mut(id).expect("the member was looked up");
        member.joining = token;
    }

    fn describe_member(
        &mut self,
        id: &MemberId,
        protocols: Vec<Protocol>,
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
    ) {
        let mut member = self.members.remove(id).expect("the member was looked up");
        self.forget_protocols(&member);
        member.protocols = protocols;
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        member.session_timeout_ms = session_timeout_ms;
        self.members.insert(id.clone(), member);
        self.count_protocols(id);
    }

    /// A static member is back under `new_id` (KIP-345). In a stable group nobody needs to know,
    /// as long as the protocol in use stays the same.
    fn take_over(
        &mut self,
        turn: &mut Turn<'_>,
        token: Token,
        join: Join,
        old_id: MemberId,
        new_id: MemberId,
    ) -> Outcome {
        let instance_id = join.instance_id.clone().unwrap_or_default();
        let old_leader = self.leader.clone();
        self.replace_static(turn, &instance_id, &old_id, &new_id);
        let member = &self.members[&new_id];
        let takeover = StaticTakeover {
            generation: self.generation,
            instance_id,
            old_id,
            new_id: new_id.clone(),
            old_leader,
            old_protocols: member.protocols.clone(),
            old_rebalance_timeout_ms: member.rebalance_timeout_ms,
            old_session_timeout_ms: member.session_timeout_ms,
            supports_skip_assignment: join.supports_skip_assignment,
        };
        self.update(turn, Some(token), &new_id, &join);
        self.restart_session(turn, &new_id);
        match self.state {
            GroupState::Stable if self.protocol_name == self.select_protocol() => {
                let record = self.record(|member| member.assignment.clone());
                let group_id = self.id.clone();
                let takeover = Box::new(takeover);
                let append_id = turn.append(
                    vec![record],
                    Purpose::StaticMemberReplaced { group_id, takeover },
                );
                let member = self
                    .members
                    .get_mut(&new_id)
                    .expect("it was just put there");
                member.replacing = Some(append_id);
            }
            // In CompletingRebalance the leader may assign to the old id, so everyone joins again.
            GroupState::Stable | GroupState::CompletingRebalance => {
                self.prepare_rebalance(turn);
            }
            GroupState::PreparingRebalance => {
                self.complete_if_all_joined(turn);
            }
            GroupState::Empty | GroupState::Dead => unreachable!("a static member is a member"),
        }
        None
    }

    /// Renames a static member. Requests under the old name are fenced.
    fn replace_static(
        &mut self,
        turn: &mut Turn<'_>,
        instance_id: &str,
        old_id: &MemberId,
        new_id: &MemberId,
    ) {
        let error = GroupError::FencedInstanceId;
        self.answer_join(turn, old_id, Err(JoinRefused::new(error, old_id.as_str())));
        self.answer_sync(turn, old_id, Err(error));
        turn.cancel_session(&self.id, old_id);
        let mut member = self
            .members
            .remove(old_id)
            .expect("the holder of an instance id exists");
        member.id = new_id.clone();
        member.is_new = false;
        member.replacing = None;
        self.members.insert(new_id.clone(), member);
        self.static_members
            .insert(instance_id.to_owned(), new_id.clone());
        if self.is_leader(old_id.as_str()) {
            self.leader = Some(new_id.clone());
        }
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.clone());
        }
    }

    /// The takeover is written, or cannot be. A rebalance since then has made it irrelevant: the
    /// next generation is written with the new id.
    pub(crate) fn static_member_replaced(
        &mut self,
        turn: &mut Turn<'_>,
        append_id: AppendId,
        takeover: StaticTakeover,
        result: Result<(), AppendError>,
    ) {
        let StaticTakeover { new_id, .. } = &takeover;
        let current = self.state == GroupState::Stable
            && self.generation == takeover.generation
            && self
                .members
                .get(new_id)
                .is_some_and(|member| member.replacing == Some(append_id));
        if !current {
            return;
        }
        match result {
            Ok(()) => self.finish_takeover(turn, takeover),
            Err(error) => self.revert_takeover(turn, takeover, error.group_error()),
        }
    }

    fn finish_takeover(&mut self, turn: &mut Turn<'_>, takeover: StaticTakeover) {
        let new_id = takeover.new_id;
        let member = self.members.get_mut(&new_id).expect("the caller found it");
        member.replacing = None;
        let mut joined = self.joined(&new_id);
        if takeover.supports_skip_assignment {
            joined.skip_assignment = self.is_leader(new_id.as_str());
        } else {
            // Told that it leads, an old client would assign anew; nobody waits for that.
            joined.leader = takeover
                .old_leader
                .map(|id| id.to_string())
                .unwrap_or_default();
            joined.members = Vec::new();
        }
        self.answer_join(turn, &new_id, Ok(joined));
    }

    fn revert_takeover(
        &mut self,
        turn: &mut Turn<'_>,
        takeover: StaticTakeover,
        error: GroupError,
    ) {
        let StaticTakeover {
            instance_id,
            old_id,
            new_id,
            ..
        } = takeover;
        self.answer_join(turn, &new_id, Err(JoinRefused::new(error, "")));
        self.describe_member(
            &new_id,
            takeover.old_protocols,
            takeover.old_rebalance_timeout_ms,
            takeover.old_session_timeout_ms,
        );
        self.replace_static(turn, &instance_id, &new_id, &old_id);
        self.restart_session(turn, &old_id);
    }

    /// Whether another member fits (KIP-389). One that is there already takes no room, and neither
    /// does a static member that comes back (which Kafka refuses in a full group).
    fn has_room(&self, join: &Join, max: usize) -> bool {
        let holder = join
            .instance_id
            .as_deref()
            .and_then(|id| self.static_members.get(id));
        let known = self.members.get(join.member_id.as_str()).or_else(|| {
            holder
                .filter(|_| join.member_id.is_empty())
                .map(|id| &self.members[id])
        });
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            // The waiting ones count, so that of too many the last to join again are sent away.
            GroupState::PreparingRebalance => {
                known.is_some_and(|member| member.joining.is_some())
                    || self.members.len() < max
                    || self
                        .members
                        .values()
                        .filter(|member| member.joining.is_some())
                        .count()
                        < max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                known.is_some() || self.members.len() < max
            }
        }
    }

    /// Whether all members, and this one, share a protocol type and a protocol.
    fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let shared = |protocol: &Protocol| {
            self.supported.get(&protocol.name).copied().unwrap_or(0) == self.members.len()
        };
        self.protocol_type() == protocol_type && protocols.iter().any(shared)
    }
}

/// Version 0 has no rebalance timeout of its own.
fn rebalance_timeout_ms(join: &Join) -> i32 {
    if join.rebalance_timeout_ms < 0 {
        join.session_timeout_ms
    } else {
        join.rebalance_timeout_ms
    }
}

/// The first of each name: a member has one vote and one metadata per protocol.
fn without_duplicates(protocols: &[Protocol]) -> impl Iterator<Item = &Protocol> {
    let mut seen = BTreeSet::new();
    protocols
        .iter()
        .filter(move |protocol| seen.insert(protocol.name.as_str()))
}

/// The protocols as a member keeps them.
fn kept_protocols(protocols: &[Protocol]) -> Vec<Protocol> {
    without_duplicates(protocols)
        .map(|protocol| Protocol {
            name: protocol.name.clone(),
            metadata: detached(&protocol.metadata),
        })
        .collect()
}
