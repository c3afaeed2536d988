//! What the metadata want of a partition's group: with whom it begins, and what its leader does next to
//! bring it to where its replicas shall be. Pure; the simulation takes the same steps.

use klamm_metadata::PartitionImage;
use klamm_model::BrokerId;
use klamm_replication::{Members, ReplicaId};

/// What a replica with an empty log takes for the members of its group: those with which it began, if
/// the metadata still say who they were and the replica is one of them. Numbers are given out in order,
/// and never twice, so what is missing between them has been removed. Who is being added knows nobody
/// until its leader tells: two of those that are added could elect each other otherwise, with empty logs.
pub fn first_members(partition: &PartitionImage, own: ReplicaId) -> Members {
    let founders: Vec<u64> = partition.original().map(|one| one.id).collect();
    let mut ids: Vec<u64> = partition.replicas.iter().map(|one| one.id).collect();
    ids.sort_unstable();
    let is_complete = ids.into_iter().eq(1..=partition.last_replica_id);
    let founded = 1..=founders.len() as u64;
    let are_first = founders.iter().all(|id| founded.contains(id));
    match is_complete && are_first && founders.contains(&own.get()) {
        true => Members::of_voters(founders.into_iter().filter_map(ReplicaId::new)),
        false => Members::default(),
    }
}

/// What is to be done for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Other members.
    Change(Members),
    /// This broker holds no replica in the end: another one goes on.
    HandOver(BrokerId),
    /// All is as it was wanted: the metadata may say so.
    Complete(Vec<u64>),
}

/// How a group stands, as its leader sees it.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    /// The members in force.
    pub members: &'a Members,
    /// Whether all voters have them in force.
    pub are_known: bool,
    /// The broker that leads.
    pub own: BrokerId,
    /// Whether a follower is reached and has caught up.
    pub is_ready: &'a dyn Fn(ReplicaId) -> bool,
}

impl Standing<'_> {
    /// What its leader does next; nothing, while it waits for somebody, or all is as it is wanted.
    pub fn next_step(&self, wanted: &PartitionImage) -> Option<Step> {
        let ids = |ids: Vec<u64>| {
            ids.into_iter()
                .filter_map(ReplicaId::new)
                .collect::<Vec<_>>()
        };
        let target = ids(wanted.target().map(|replica| replica.id).collect());
        let with_voters = |voters: Vec<ReplicaId>| {
            Members::of_voters(voters).after_unclean_elections(self.members.unclean_elections)
        };
        let settled = with_voters(target.clone());
        if *self.members == settled {
            let members = target.iter().map(|replica| replica.get()).collect();
            // Then the replicas that are left over are closed. Their votes may be needed until then.
            let is_complete = wanted.is_reassigning() && self.are_known;
            return is_complete.then_some(Step::Complete(members));
        }
        let new: Vec<_> = target
            .iter()
            .copied()
            .filter(|replica| !self.members.voters.contains(replica))
            .collect();
        let voters = self.members.voters.clone();
        let learning = with_voters(voters.clone()).with_learners(new.clone());
        if *self.members != learning {
            return Some(Step::Change(learning));
        }
        let is_ready = |replica: &ReplicaId| (self.is_ready)(*replica);
        let (ready, late): (Vec<_>, Vec<_>) = new.into_iter().partition(is_ready);
        if !late.is_empty() {
            // After an unclean election whoever is back votes: others may never be.
            let helps = !wanted.is_reassigning() && !ready.is_empty();
            let more = with_voters([voters, ready].concat()).with_learners(late);
            return helps.then_some(Step::Change(more));
        }
        let stays = wanted.target().any(|replica| replica.broker == self.own);
        if !stays && let Some(heir) = self.heir(wanted) {
            return Some(Step::HandOver(heir));
        }
        Some(Step::Change(settled))
    }

    /// Who votes now, goes on to, and is ready to lead.
    fn heir(&self, wanted: &PartitionImage) -> Option<BrokerId> {
        let mut target = wanted.target();
        let heir = target.find(|replica| {
            let id = ReplicaId::new(replica.id);
            id.is_some_and(|id| self.members.voters.contains(&id) && (self.is_ready)(id))
        });
        heir.map(|replica| replica.broker)
    }
}

#[cfg(test)]
mod tests {
    use klamm_metadata::LogEnd;
    use klamm_model::{LeaderEpoch, LogIndex, Offset, Term};

    use super::*;

    fn members(voters: &[u64], learners: &[u64]) -> Members {
        let ids = |numbers: &[u64]| -> Vec<_> {
            let numbers = numbers.iter();
            numbers.map(|id| ReplicaId::new(*id).unwrap()).collect()
        };
        Members::of_voters(ids(voters)).with_learners(ids(learners))
    }

    fn brokers(numbers: &[i32]) -> Vec<BrokerId> {
        numbers.iter().copied().map(BrokerId).collect()
    }

    fn step(wanted: &PartitionImage, own: i32, members: &Members, ready: &[u64]) -> Option<Step> {
        let standing = Standing {
            members,
            are_known: true,
            own: BrokerId(own),
            is_ready: &|replica| ready.contains(&replica.get()),
        };
        standing.next_step(wanted)
    }

    #[test]
    fn only_those_with_which_a_group_began_know_its_first_members() {
        const NOBODY: [u64; 0] = [];
        let first = |partition: &PartitionImage, own| {
            let members = first_members(partition, ReplicaId::new(own).unwrap());
            let mut voters: Vec<u64> = members.voters.iter().map(|id| id.get()).collect();
            voters.sort_unstable();
            voters
        };
        let alone = PartitionImage::of_brokers(brokers(&[1]));
        assert_eq!(first(&alone, 1), [1]);
        let growing = alone.reassigned_to(&brokers(&[1, 2, 3]));
        assert_eq!(first(&growing, 1), [1]);
        assert_eq!(
            first(&growing, 2),
            NOBODY,
            "2 and 3 would be a majority of three"
        );
        let three = PartitionImage::of_brokers(brokers(&[1, 2, 3]));
        let moving = three.reassigned_to(&brokers(&[3, 4, 5]));
        assert_eq!(first(&moving, 3), [1, 2, 3]);
        assert_eq!(first(&moving, 5), NOBODY);
        assert_eq!(first(&moving.completed(), 3), NOBODY);
        let shrunk = three.reassigned_to(&brokers(&[1, 2])).completed();
        assert_eq!(first(&shrunk, 1), NOBODY, "one has been removed");
    }

    #[test]
    fn a_partition_moves_by_learners_then_voters_then_word_to_the_controller() {
        let before = PartitionImage::of_brokers(brokers(&[1, 2, 3]));
        let moving = before.reassigned_to(&brokers(&[1, 2, 4]));
        let old = members(&[1, 2, 3], &[]);
        let learning = members(&[1, 2, 3], &[4]);
        let settled = members(&[1, 2, 4], &[]);
        let check = |members: &Members, ready: &[u64], expected| {
            assert_eq!(step(&moving, 1, members, ready), expected);
        };
        check(&old, &[2, 3], Some(Step::Change(learning.clone())));
        check(&learning, &[2, 3], None);
        check(&learning, &[2, 3, 4], Some(Step::Change(settled.clone())));
        check(&settled, &[2, 4], Some(Step::Complete(vec![1, 2, 4])));
        let not_everywhere = Standing {
            members: &settled,
            are_known: false,
            own: BrokerId(1),
            is_ready: &|_| true,
        };
        assert_eq!(not_everywhere.next_step(&moving), None);
        assert_eq!(step(&moving.completed(), 1, &settled, &[2, 4]), None);
        assert_eq!(step(&before, 1, &old, &[]), None, "nothing is to move");
    }

    #[test]
    fn after_an_unclean_election_each_replica_votes_as_soon_as_it_is_ready() {
        let log_end = LogEnd {
            term: Term::new(3),
            index: LogIndex(9),
            offset: Offset::new(7),
        };
        let before = PartitionImage::of_brokers(brokers(&[1, 2, 3]));
        let after = before.after_unclean_election(2, log_end, LeaderEpoch(1_003));
        let members = |voters, learners| members(voters, learners).after_unclean_elections(1);
        let alone = members(&[2], &[]);
        let check = |members: &Members, ready: &[u64], expected| {
            assert_eq!(step(&after, 2, members, ready), expected);
        };
        let learning = members(&[2], &[4, 5]);
        check(&alone, &[], Some(Step::Change(learning.clone())));
        check(&learning, &[], None);
        let two = members(&[2, 5], &[4]);
        check(&learning, &[5], Some(Step::Change(two.clone())));
        check(&two, &[5], None);
        let all = members(&[2, 4, 5], &[]);
        check(&two, &[4, 5], Some(Step::Change(all.clone())));
        check(&all, &[4, 5], None);
        // The one that is gone for good is replaced.
        let moving = after.reassigned_to(&brokers(&[1, 2, 4]));
        let wanted = members(&[2, 4], &[6]);
        let four = members(&[2, 4], &[5]);
        assert_eq!(step(&moving, 2, &four, &[4]), Some(Step::Change(wanted)));
    }

    #[test]
    fn a_leader_that_is_to_go_lets_one_that_stays_lead_first() {
        let before = PartitionImage::of_brokers(brokers(&[1, 2]));
        let moving = before.reassigned_to(&brokers(&[2, 3]));
        let learning = members(&[1, 2], &[3]);
        let handed_over = step(&moving, 1, &learning, &[2, 3]);
        assert_eq!(handed_over, Some(Step::HandOver(BrokerId(2))));
        let settled = Step::Change(members(&[2, 3], &[]));
        assert_eq!(step(&moving, 2, &learning, &[1, 3]), Some(settled));
        // Nobody who stays votes yet: the group goes on without a leader for a moment.
        let elsewhere = before.reassigned_to(&brokers(&[3]));
        let settled = Step::Change(members(&[3], &[]));
        assert_eq!(step(&elsewhere, 1, &learning, &[2, 3]), Some(settled));
    }

    #[test]
    fn what_is_called_off_goes_back_to_where_it_was() {
        let before = PartitionImage::of_brokers(brokers(&[1, 2]));
        let off = before.reassigned_to(&brokers(&[1, 3])).called_off();
        let back = members(&[1, 2], &[]);
        let from_learning = step(&off, 1, &members(&[1, 2], &[3]), &[2, 3]);
        assert_eq!(from_learning, Some(Step::Change(back.clone())));
        let from_moved = step(&off, 1, &members(&[1, 3], &[]), &[3]);
        let again = members(&[1, 3], &[2]);
        assert_eq!(from_moved, Some(Step::Change(again)));
        assert_eq!(step(&off, 1, &back, &[2]), Some(Step::Complete(vec![1, 2])));
    }
}
