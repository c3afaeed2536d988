//! Which configuration of the group is in force, and which one follows it in the log.
//!
//! A configuration is in force when it is known to be committed, not when it is in the log. A leader
//! proposes the next only when the one before is in force, so a log that holds a membership entry says
//! itself that the one before is committed: there is at most one whose fate is not known.
//!
//! After a restart less may be known than before. What is in force then is the last configuration that
//! the journal's hint says is committed, or the last but one of the log, whichever is later. Falling
//! back by one is what a follower looks like that has not heard of the commit: either the older of the
//! two is joint and asks for more than the newer, or the newer is and holds the older's majority.
//! Falling back by two would let a set of voters decide that others have replaced.
//!
//! After an unclean election the configuration that it began with is in force as soon as it is in the log:
//! no majority of the one before will ever say that it is committed.

use std::collections::VecDeque;

use klamm_model::LogIndex;

use crate::{Members, ReplicaId, Restored};

/// See the module.
#[derive(Debug)]
pub(crate) struct Configurations {
    in_force: Members,
    /// The entry that holds it; [`LogIndex::ZERO`] for the first one, of which there is no entry.
    since: LogIndex,
    /// Those in the log that are not known to be committed.
    following: VecDeque<(LogIndex, Members)>,
}

impl Configurations {
    /// As far as the past of replica `own` tells.
    pub(crate) fn restored(past: &Restored, own: ReplicaId) -> Self {
        let mut configurations = Self {
            in_force: past.members.clone(),
            since: LogIndex::ZERO,
            following: past.memberships.iter().cloned().collect(),
        };
        // What a lone voter has on its disk is committed: also the end of its being alone.
        while configurations.following.len() > 1
            || configurations.next_is_committed(past.hard_state.commit)
            || configurations.in_force.has_lone_voter(own)
            || configurations.next_is_forced()
        {
            if configurations.enforce().is_none() {
                break;
            }
        }
        configurations
    }

    /// The one in force.
    pub(crate) fn in_force(&self) -> &Members {
        &self.in_force
    }

    /// The entry that it came with.
    pub(crate) fn since(&self) -> LogIndex {
        self.since
    }

    /// Whether another one follows in the log.
    pub(crate) fn is_changing(&self) -> bool {
        !self.following.is_empty()
    }

    /// The log goes on with a membership entry.
    pub(crate) fn follow(&mut self, index: LogIndex, members: Members) {
        self.following.push_back((index, members));
    }

    /// The log ends at `last` now.
    pub(crate) fn cut(&mut self, last: LogIndex) {
        self.following.retain(|(index, _)| *index <= last);
    }

    /// Puts the next one in force, if it is committed.
    pub(crate) fn commit(&mut self, committed: LogIndex) -> Option<LogIndex> {
        self.next_is_committed(committed).then(|| self.enforce())?
    }

    fn next_is_committed(&self, committed: LogIndex) -> bool {
        let next = self.following.front();
        next.is_some_and(|(index, _)| *index <= committed)
    }

    fn next_is_forced(&self) -> bool {
        let next = self.following.front();
        next.is_some_and(|(_, next)| next.unclean_elections > self.in_force.unclean_elections)
    }

    fn enforce(&mut self) -> Option<LogIndex> {
        (self.since, self.in_force) = self.following.pop_front()?;
        Some(self.since)
    }
}

#[cfg(test)]
mod tests {
    use klamm_model::raft::HardState;

    use super::*;

    fn id(id: u64) -> ReplicaId {
        ReplicaId::new(id).expect("not 0")
    }

    fn voters(ids: &[u64]) -> Members {
        Members::of_voters(ids.iter().map(|own| id(*own)))
    }

    /// With entries at 5, 7 and so on, and a hint.
    fn restored(first: Members, following: &[&[u64]], commit: u64) -> Configurations {
        let past = Restored {
            hard_state: HardState {
                commit: LogIndex(commit),
                ..HardState::default()
            },
            members: first,
            memberships: (0..)
                .zip(following)
                .map(|(nth, ids)| (LogIndex(5 + 2 * nth), voters(ids)))
                .collect(),
            ..Restored::empty()
        };
        Configurations::restored(&past, id(1))
    }

    #[test]
    fn all_but_the_last_are_in_force_after_a_restart_and_the_last_if_the_hint_says_so() {
        let check = |following: &[&[u64]], commit, in_force: &[u64], since| {
            let configurations = restored(voters(&[1, 2, 3]), following, commit);
            assert_eq!(configurations.in_force(), &voters(in_force));
            assert_eq!(configurations.since(), LogIndex(since));
        };
        check(&[], 0, &[1, 2, 3], 0);
        check(&[&[1, 2]], 4, &[1, 2, 3], 0);
        check(&[&[1, 2]], 5, &[1, 2], 5);
        check(&[&[1, 2], &[1, 4]], 0, &[1, 2], 5);
        check(&[&[1, 2], &[1, 4]], 6, &[1, 2], 5);
        check(&[&[1, 2], &[1, 4]], 9, &[1, 4], 7);
        check(&[&[1, 2], &[1, 4], &[2, 4]], 0, &[1, 4], 7);
    }

    #[test]
    fn a_lone_voter_knows_that_its_last_configuration_is_committed() {
        let configurations = restored(voters(&[1]), &[&[1, 2]], 0);
        assert_eq!(configurations.in_force(), &voters(&[1, 2]));
        assert!(!configurations.is_changing());
        let of_another = restored(voters(&[2]), &[&[1, 2]], 0);
        assert_eq!(of_another.in_force(), &voters(&[2]));
    }

    #[test]
    fn after_an_unclean_election_nobody_is_asked_who_was_given_up() {
        let mut past = Restored {
            members: voters(&[1, 2, 3]),
            ..Restored::empty()
        };
        let forced = voters(&[1]).after_unclean_elections(1);
        past.memberships.push((LogIndex(5), forced.clone()));
        for own in [1, 2] {
            let configurations = Configurations::restored(&past, id(own));
            assert_eq!(configurations.in_force(), &forced);
            assert_eq!(configurations.since(), LogIndex(5));
        }
    }

    #[test]
    fn what_is_cut_never_comes_into_force() {
        let mut configurations = restored(voters(&[1, 2, 3]), &[&[1, 2]], 0);
        assert_eq!(configurations.commit(LogIndex(4)), None);
        configurations.cut(LogIndex(4));
        assert!(!configurations.is_changing());
        configurations.follow(LogIndex(6), voters(&[2]));
        assert_eq!(configurations.commit(LogIndex(9)), Some(LogIndex(6)));
        assert_eq!(configurations.in_force(), &voters(&[2]));
        assert_eq!(configurations.commit(LogIndex(9)), None);
    }
}
