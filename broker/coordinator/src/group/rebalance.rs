//! From one generation to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{ClassicGroup, GroupState, InitialDelay};
use crate::append::Purpose;
use crate::deadlines::TimerKind;
use crate::turn::{Turn, millis};
use crate::{AppendId, GroupError, MemberId};

/// The append that writes the group as empty, if the rebalance ended so at once.
type Emptied = Option<AppendId>;

/// The least time between two looks whether an absent static member is back.
const ABSENCE_CHECK_MIN: Duration = Duration::from_secs(1);

impl ClassicGroup {
    /// Something about the members changed: makes them join again, or goes on if that was the
    /// last thing a rebalance waited for.
    pub(super) fn rebalance_or_complete(&mut self, turn: &mut Turn<'_>) -> Emptied {
        if self.state.can_rebalance() {
            self.prepare_rebalance(turn)
        } else {
            self.complete_if_all_joined(turn)
        }
    }

    /// Asks all members to join again.
    pub(crate) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>) -> Emptied {
        if self.state == GroupState::CompletingRebalance {
            self.withdraw_assignment(turn, GroupError::RebalanceInProgress);
        }
        self.assigning = None;
        self.pending_sync.clear();
        turn.cancel(&self.id, TimerKind::Sync);

        self.transition(turn, GroupState::PreparingRebalance);
        if self.from_empty {
            let delay = turn.config.initial_rebalance_delay;
            let remaining = self.rebalance_timeout().saturating_sub(delay);
            self.wait_initially(turn, InitialDelay { delay, remaining });
            return None;
        }
        if self.all_joined() {
            return self.complete_join(turn);
        }
        turn.schedule(&self.id, TimerKind::Join, self.rebalance_timeout());
        None
    }

    /// The first rebalance of an empty group is left to its deadline.
    pub(super) fn complete_if_all_joined(&mut self, turn: &mut Turn<'_>) -> Emptied {
        if self.state == GroupState::PreparingRebalance && !self.from_empty && self.all_joined() {
            return self.complete_join(turn);
        }
        None
    }

    /// A member or a given-out id went while the group waited for it: even the first rebalance
    /// goes on then, as in Kafka.
    pub(super) fn complete_if_nobody_is_missing(&mut self, turn: &mut Turn<'_>) -> Emptied {
        if self.state == GroupState::PreparingRebalance && self.all_joined() {
            return self.complete_join(turn);
        }
        None
    }

    /// The time to join is up.
    pub(crate) fn join_deadline_reached(&mut self, turn: &mut Turn<'_>) {
        if self.state != GroupState::PreparingRebalance {
            return;
        }
        match self.initial_delay {
            Some(InitialDelay { delay, remaining })
                if self.new_member_added && !remaining.is_zero() =>
            {
                self.new_member_added = false;
                let next = turn.config.initial_rebalance_delay.min(remaining);
                let remaining = remaining.saturating_sub(delay);
                self.wait_initially(
                    turn,
                    InitialDelay {
                        delay: next,
                        remaining,
                    },
                );
            }
            _ => {
                self.complete_join(turn);
            }
        }
    }

    /// The time to ask for assignments is up: whoever has not done so is out.
    pub(crate) fn sync_deadline_reached(&mut self, turn: &mut Turn<'_>) {
        let waiting = matches!(
            self.state,
            GroupState::CompletingRebalance | GroupState::Stable
        );
        if !waiting || self.pending_sync.is_empty() {
            return;
        }
        for member_id in std::mem::take(&mut self.pending_sync) {
            self.remove(turn, &member_id);
        }
        self.prepare_rebalance(turn);
    }

    /// A session is over.
    pub(crate) fn session_deadline_reached(&mut self, turn: &mut Turn<'_>, member_id: &MemberId) {
        if self.pending_members.contains(member_id) {
            self.remove(turn, member_id);
            self.complete_if_nobody_is_missing(turn);
        } else if self
            .members
            .get(member_id)
            .is_some_and(|member| !member.is_excused())
        {
            self.remove(turn, member_id);
            if self.state == GroupState::PreparingRebalance {
                self.complete_if_nobody_is_missing(turn);
            } else {
                self.prepare_rebalance(turn);
            }
        }
    }

    /// Begins the next generation with those who joined. Static members may be late; the others
    /// are out.
    fn complete_join(&mut self, turn: &mut Turn<'_>) -> Emptied {
        turn.cancel(&self.id, TimerKind::Join);
        self.initial_delay = None;
        self.new_member_added = false;

        let is_late = |id: &MemberId| {
            let member = &self.members[id];
            member.joining.is_none() && !member.is_static()
        };
        let late: Vec<MemberId> = self
            .members
            .keys()
            .filter(|id| is_late(id))
            .cloned()
            .collect();
        for member_id in late {
            self.remove(turn, &member_id);
        }

        if !self.members.is_empty() && !self.elect_leader() {
            // Only static members, and none of them is back: their sessions decide.
            let patience = self.rebalance_timeout().max(ABSENCE_CHECK_MIN);
            turn.schedule(&self.id, TimerKind::Join, patience);
            return None;
        }
        // Past the largest number comes 0: a member of an old generation has long been gone.
        self.generation = self.generation.checked_add(1).unwrap_or(0);
        self.pending_sync.clear();
        if self.members.is_empty() {
            return Some(self.become_empty(turn));
        }
        self.begin_sync(turn);
        None
    }

    fn become_empty(&mut self, turn: &mut Turn<'_>) -> AppendId {
        self.protocol_name = None;
        self.leader = None;
        self.subscribed_topics = self.parse_subscriptions();
        self.transition(turn, GroupState::Empty);
        let record = self.record(|_| Default::default());
        turn.append(vec![record], Purpose::GroupEmptied)
    }

    /// Tells everyone the generation, and the leader the members.
    fn begin_sync(&mut self, turn: &mut Turn<'_>) {
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.parse_subscriptions();
        self.transition(turn, GroupState::CompletingRebalance);
        for member_id in self.members.keys().cloned().collect::<Vec<_>>() {
            let joined = self.joined(&member_id);
            self.answer_join(turn, &member_id, Ok(joined));
            self.restart_session(turn, &member_id);
            let member = self
                .members
                .get_mut(&member_id)
                .expect("its id was just listed");
            member.is_new = false;
            member.replacing = None;
            self.pending_sync.insert(member_id);
        }
        turn.schedule(&self.id, TimerKind::Sync, self.rebalance_timeout());
    }

    /// Keeps the leader if it joined, else takes another member that did. Returns whether there
    /// is one.
    fn elect_leader(&mut self) -> bool {
        let has_joined = |id: &MemberId| {
            self.members
                .get(id)
                .is_some_and(|member| member.joining.is_some())
        };
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        match self.members.keys().find(|id| has_joined(id)).cloned() {
            Some(leader) => {
                self.leader = Some(leader);
                true
            }
            None => false,
        }
    }

    /// The protocol that most members want most, of those that all support. Of equals the first
    /// by name. `None` without members.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let is_shared = |name: &str| self.supported.get(name) == Some(&self.members.len());
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let names = member
                .protocols
                .iter()
                .map(|protocol| protocol.name.as_str());
            if let Some(choice) = names.into_iter().find(|name| is_shared(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name.to_owned())
    }

    fn wait_initially(&mut self, turn: &mut Turn<'_>, wait: InitialDelay) {
        self.initial_delay = Some(wait);
        turn.schedule(&self.id, TimerKind::Join, wait.delay);
    }

    fn all_joined(&self) -> bool {
        self.pending_members.is_empty()
            && self.members.values().all(|member| member.joining.is_some())
    }

    /// As long as the most patient member waits.
    fn rebalance_timeout(&self) -> Duration {
        millis(
            self.members
                .values()
                .map(|member| member.rebalance_timeout_ms)
                .max()
                .unwrap_or(0),
        )
    }
}
