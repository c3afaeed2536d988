//! Plans for the members of a group: with whom it begins, whom it is asked to have, and how many of
//! them may lose what they had not fsynced.

use klamm_replication::{Members, ReplicaId};

use crate::random::Random;

/// How many nodes there are, the first of which begin as the members of the group; where members change,
/// there are others who may join.
pub fn draw_group(random: &mut Random, changes: bool) -> (Vec<ReplicaId>, Members) {
    let (nodes, members) = match changes {
        true => (5 + random.below(2), 1 + random.below(5)),
        false if random.one_in(4) => (5, 5),
        false => (3, 3),
    };
    let id = |id| ReplicaId::new(id).expect("not 0");
    (
        (1..=nodes).map(id).collect(),
        Members::of_voters((1..=members).map(id)),
    )
}

/// Whom the group is asked to have: a learner more, a learner made a voter, one less, or quite different
/// ones; nobody, sometimes, which it cannot have.
pub fn draw_change(random: &mut Random, nodes: &[ReplicaId], now: &Members) -> Members {
    let any = nodes[random.place(nodes)];
    let without =
        |list: &[ReplicaId]| -> Vec<_> { list.iter().copied().filter(|id| *id != any).collect() };
    let (mut voters, mut learners) = (without(&now.voters), without(&now.learners));
    match random.below(6) {
        0 => {}
        1 => learners.push(any),
        2 | 3 => voters.push(any),
        4 => voters = vec![any],
        _ => {
            voters = nodes.to_vec();
            voters.retain(|_| random.one_in(2));
        }
    }
    voters.truncate(5);
    learners.retain(|id| !voters.contains(id));
    Members::of_voters(voters).with_learners(learners)
}

/// Whether more than a minority of those who decide lack what they had not fsynced.
pub fn are_too_lossy(members: &Members, is_lossy: impl Fn(ReplicaId) -> bool) -> bool {
    members.deciding().any(|voters| {
        let lossy = voters.iter().filter(|id| is_lossy(**id)).count();
        lossy > (voters.len() - 1) / 2
    })
}

/// Where a node stands in a list in which they stand by their numbers, from 1.
pub fn place(id: ReplicaId) -> usize {
    id.get() as usize - 1
}
