//! A partition as the cluster knows it: who holds it, and who shall hold it.
//!
//! A reassignment lists everybody concerned until it is complete: those who shall hold the
//! partition first, in the order wished for, and then those who only held it before.

use std::collections::BTreeSet;

use klamm_model::{BrokerId, LeaderEpoch, LogIndex, Offset, Term};

/// A partition. Its leader and in-sync replicas are its own affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    /// Who holds it; the first is the preferred leader. Never empty.
    pub replicas: Vec<ReplicaImage>,
    /// Those of them that came with the reassignment under way.
    pub adding: Vec<BrokerId>,
    /// Those of them that go once the reassignment is complete; in both lists if they came with one
    /// that this one has replaced.
    pub removing: Vec<BrokerId>,
    /// The highest replica id ever given out here.
    pub last_replica_id: u64,
    /// The last time that a replica was told to go on alone, if that ever was.
    pub unclean_election: Option<UncleanElection>,
}

/// What was decided when a majority of a partition's replicas was given up: one of those that were left
/// leads with the log that it has, and all others begin anew, as other replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UncleanElection {
    /// The first one of a partition has number 1.
    pub number: u64,
    /// The replica that goes on.
    pub survivor: u64,
    /// Where its log ended.
    pub log_end: LogEnd,
    /// It leads in no earlier epoch.
    pub leader_epoch: LeaderEpoch,
}

/// Where a replica's log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The term of its last entry.
    pub term: Term,
    /// The last entry.
    pub index: LogIndex,
    /// The offset after the last record.
    pub offset: Offset,
}

/// One assignment of a partition to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaImage {
    /// Who holds it.
    pub broker: BrokerId,
    /// Its number among all replicas the partition ever had, from 1: a broker that gets the
    /// partition again gets another one, and is never taken for what it was before.
    pub id: u64,
}

impl PartitionImage {
    /// A new partition on these brokers.
    pub fn of_brokers(brokers: impl IntoIterator<Item = BrokerId>) -> Self {
        let replicas: Vec<_> = (1..)
            .zip(brokers)
            .map(|(id, broker)| ReplicaImage { broker, id })
            .collect();
        Self {
            last_replica_id: replicas.len() as u64,
            replicas,
            adding: Vec::new(),
            removing: Vec::new(),
            unclean_election: None,
        }
    }

    /// The brokers of all replicas, preferred leader first.
    pub fn broker_ids(&self) -> impl Iterator<Item = BrokerId> {
        self.replicas.iter().map(|replica| replica.broker)
    }

    /// The id of the replica that a broker holds.
    pub fn replica_on(&self, broker: BrokerId) -> Option<u64> {
        let of_broker = |replica: &&ReplicaImage| replica.broker == broker;
        self.replicas
            .iter()
            .find(of_broker)
            .map(|replica| replica.id)
    }

    /// The broker that holds a replica.
    pub fn broker_of(&self, replica: u64) -> Option<BrokerId> {
        let of_id = |one: &&ReplicaImage| one.id == replica;
        self.replicas.iter().find(of_id).map(|one| one.broker)
    }

    /// The replica that should lead when all are alive.
    pub fn preferred_leader(&self) -> Option<BrokerId> {
        self.broker_ids().next()
    }

    /// Whether a reassignment is under way.
    pub fn is_reassigning(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The replicas that there are once the reassignment is complete: all but those being removed.
    pub fn target(&self) -> impl Iterator<Item = ReplicaImage> {
        let stays = |replica: &ReplicaImage| !self.removing.contains(&replica.broker);
        self.replicas.iter().copied().filter(stays)
    }

    /// The replicas that there were before the reassignment: all but those being added.
    pub fn original(&self) -> impl Iterator<Item = ReplicaImage> {
        let was = |replica: &ReplicaImage| !self.adding.contains(&replica.broker);
        self.replicas.iter().copied().filter(was)
    }

    /// The partition on its way to `brokers`, from where it was before any reassignment under way:
    /// this one replaces it. Whoever holds a replica keeps its id; a broker that does not, or no
    /// longer, gets one that nobody had. Who was to be added and is not any more may be a member of the
    /// group by now: it stays listed, among those added and those removed, until the group is settled.
    ///
    /// The rule is that of KIP-455. The controller of Kafka 4 goes on from all replicas of the
    /// first reassignment instead, after which calling off cannot lead back.
    #[must_use]
    pub fn reassigned_to(&self, brokers: &[BrokerId]) -> Self {
        let original: Vec<_> = self.original().map(|replica| replica.broker).collect();
        let without = |all: &[BrokerId], some: &[BrokerId]| -> Vec<BrokerId> {
            let rest = all.iter().filter(|broker| !some.contains(broker));
            rest.copied().collect()
        };
        let given_up = without(&self.adding, brokers);
        let mut adding = without(brokers, &original);
        let mut removing = without(&original, brokers);
        adding.extend(&given_up);
        removing.extend(&given_up);
        let mut last_replica_id = self.last_replica_id;
        let mut replica = |broker: BrokerId| {
            let id = self.replica_on(broker).unwrap_or_else(|| {
                last_replica_id += 1;
                last_replica_id
            });
            ReplicaImage { broker, id }
        };
        let replicas = brokers.iter().chain(&removing).copied();
        Self {
            replicas: replicas.map(&mut replica).collect(),
            adding,
            removing,
            last_replica_id,
            unclean_election: self.unclean_election,
        }
    }

    /// The partition on its way back to where it was before the reassignment.
    #[must_use]
    pub fn called_off(&self) -> Self {
        let original: Vec<_> = self.original().map(|replica| replica.broker).collect();
        self.reassigned_to(&original)
    }

    /// The partition where the reassignment leads.
    #[must_use]
    pub fn completed(&self) -> Self {
        self.settled_with(self.target().collect())
    }

    fn settled_with(&self, replicas: Vec<ReplicaImage>) -> Self {
        Self {
            replicas,
            adding: Vec::new(),
            removing: Vec::new(),
            last_replica_id: self.last_replica_id,
            unclean_election: self.unclean_election,
        }
    }

    /// How many unclean elections there have been.
    pub fn unclean_elections(&self) -> u64 {
        self.unclean_election.map_or(0, |election| election.number)
    }

    /// The partition after `survivor` was told to go on alone. The same brokers are to hold it, the others
    /// by replicas that nobody knows: whatever comes from those that were given up is of nobody then.
    #[must_use]
    pub fn after_unclean_election(
        &self,
        survivor: u64,
        log_end: LogEnd,
        leader_epoch: LeaderEpoch,
    ) -> Self {
        let mut after = self.clone();
        for replica in &mut after.replicas {
            if replica.id != survivor {
                after.last_replica_id += 1;
                replica.id = after.last_replica_id;
            }
        }
        after.unclean_election = Some(UncleanElection {
            number: self.unclean_elections() + 1,
            survivor,
            log_end,
            leader_epoch,
        });
        after
    }

    /// Whether a partition can be so: no broker and no id twice, none but ids given out, and
    /// replicas both before and after a reassignment; also in unclean elections.
    pub(crate) fn is_sound(&self) -> bool {
        let ids: BTreeSet<_> = self.replicas.iter().map(|replica| replica.id).collect();
        let brokers: BTreeSet<_> = self.broker_ids().collect();
        let once = |listed: &[BrokerId]| {
            let mut seen = BTreeSet::new();
            let mut listed = listed.iter().copied();
            listed.all(|broker| brokers.contains(&broker) && seen.insert(broker))
        };
        let changes_once = once(&self.adding) && once(&self.removing);
        let first_and_last = ids.first().zip(ids.last());
        let are_given_out =
            first_and_last.is_some_and(|(first, last)| *first > 0 && *last <= self.last_replica_id);
        ids.len() == self.replicas.len()
            && brokers.len() == self.replicas.len()
            && changes_once
            && are_given_out
            && self.adding.len() < brokers.len()
            && self.removing.len() < brokers.len()
            && self.unclean_election.is_none_or(|election| {
                election.number > 0 && (1..=self.last_replica_id).contains(&election.survivor)
            })
    }

    /// Whether a partition that was `before` can be so now: ids given out before belong to the
    /// replicas they belonged to, or to none; and no unclean election is forgotten.
    pub(super) fn follows(&self, before: &Self) -> bool {
        let is_new_or_same = |replica: &ReplicaImage| {
            replica.id > before.last_replica_id
                || before.broker_of(replica.id) == Some(replica.broker)
        };
        let goes_on = match self.unclean_elections() == before.unclean_elections() {
            true => self.unclean_election == before.unclean_election,
            false => self.unclean_elections() > before.unclean_elections(),
        };
        self.last_replica_id >= before.last_replica_id
            && self.replicas.iter().all(is_new_or_same)
            && goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(brokers: &[i32]) -> Vec<BrokerId> {
        brokers.iter().copied().map(BrokerId).collect()
    }

    #[track_caller]
    fn check(image: &PartitionImage, replicas: &[(i32, u64)], adding: &[i32], removing: &[i32]) {
        let found: Vec<_> = image.replicas.iter().map(|r| (r.broker.0, r.id)).collect();
        assert_eq!(found, replicas);
        assert_eq!(
            (&image.adding, &image.removing),
            (&ids(adding), &ids(removing))
        );
        assert!(image.is_sound());
    }

    #[test]
    fn a_reassignment_lists_everybody_until_it_is_complete() {
        let before = PartitionImage::of_brokers(ids(&[1, 2, 3]));
        let moving = before.reassigned_to(&ids(&[4, 3, 5]));
        let all = [(4, 4), (3, 3), (5, 5), (1, 1), (2, 2)];
        check(&moving, &all, &[4, 5], &[1, 2]);
        check(&moving.completed(), &[(4, 4), (3, 3), (5, 5)], &[], &[]);
        let called_off = moving.called_off();
        let all = [(3, 3), (1, 1), (2, 2), (4, 4), (5, 5)];
        check(&called_off, &all, &[4, 5], &[4, 5]);
        check(&called_off.completed(), &[(3, 3), (1, 1), (2, 2)], &[], &[]);
        assert_eq!(called_off.completed().last_replica_id, 5);
        assert!(moving.is_reassigning() && !moving.completed().is_reassigning());
        assert_eq!(moving.replica_on(BrokerId(5)), Some(5));
        assert_eq!(moving.replica_on(BrokerId(9)), None);
        assert_eq!(moving.broker_of(4), Some(BrokerId(4)));
        assert_eq!(moving.broker_of(9), None);
        assert_eq!(moving.preferred_leader(), Some(BrokerId(4)));
    }

    #[test]
    fn a_second_reassignment_replaces_the_first_and_leads_back_to_the_same_place() {
        let before = PartitionImage::of_brokers(ids(&[1, 2]));
        let first = before.reassigned_to(&ids(&[3, 4]));
        let second = first.reassigned_to(&ids(&[4, 5]));
        let all = [(4, 4), (5, 5), (1, 1), (2, 2), (3, 3)];
        check(&second, &all, &[4, 5, 3], &[1, 2, 3]);
        check(&second.completed(), &[(4, 4), (5, 5)], &[], &[]);
        check(
            &second.called_off().completed(),
            &[(1, 1), (2, 2)],
            &[],
            &[],
        );
        let back = second.reassigned_to(&ids(&[2, 1]));
        check(&back.completed(), &[(2, 2), (1, 1)], &[], &[]);
        assert!(second.follows(&first) && back.follows(&second));
    }

    #[test]
    fn a_broker_that_comes_back_gets_a_new_replica() {
        let before = PartitionImage::of_brokers(ids(&[1, 2]));
        let without = before.reassigned_to(&ids(&[1])).completed();
        let with = without.reassigned_to(&ids(&[1, 2]));
        check(&with, &[(1, 1), (2, 3)], &[2], &[]);
        assert!(with.follows(&without));
        let mut again = with.clone();
        again.replicas[1].id = 2;
        assert!(again.is_sound() && !again.follows(&without));
        let mut forgotten = without.clone();
        forgotten.last_replica_id = 1;
        assert!(forgotten.is_sound() && !forgotten.follows(&without));
        let mut taken = before.clone();
        taken.replicas[0].broker = BrokerId(7);
        assert!(taken.is_sound() && !taken.follows(&before));
    }

    fn log_end(index: u64) -> LogEnd {
        LogEnd {
            term: Term::new(3),
            index: LogIndex(index),
            offset: Offset::new(5),
        }
    }

    #[test]
    fn after_an_unclean_election_only_the_survivor_is_who_it_was() {
        let before = PartitionImage::of_brokers(ids(&[1, 2, 3]));
        let epoch = LeaderEpoch(1_003);
        let after = before.after_unclean_election(2, log_end(9), epoch);
        check(&after, &[(1, 4), (2, 2), (3, 5)], &[], &[]);
        assert!(after.follows(&before) && !before.follows(&after));
        let first = UncleanElection {
            number: 1,
            survivor: 2,
            log_end: log_end(9),
            leader_epoch: epoch,
        };
        assert_eq!(after.unclean_election, Some(first));
        let moved = after.reassigned_to(&ids(&[2, 4])).completed();
        assert_eq!(moved.unclean_election, Some(first));
        let again = moved.after_unclean_election(6, log_end(12), epoch);
        check(&again, &[(2, 7), (4, 6)], &[], &[]);
        assert_eq!(again.unclean_elections(), 2);
        let mut other = after.clone();
        other.unclean_election = Some(UncleanElection {
            survivor: 4,
            ..first
        });
        assert!(other.is_sound() && !other.follows(&after));
    }

    #[test]
    fn a_reassignment_goes_on_after_an_unclean_election() {
        let before = PartitionImage::of_brokers(ids(&[1, 2, 3]));
        let moving = before.reassigned_to(&ids(&[1, 2, 4]));
        let after = moving.after_unclean_election(1, log_end(9), LeaderEpoch(7));
        let all = [(1, 1), (2, 5), (4, 6), (3, 7)];
        check(&after, &all, &[4], &[3]);
        check(&after.completed(), &[(1, 1), (2, 5), (4, 6)], &[], &[]);
    }
}
