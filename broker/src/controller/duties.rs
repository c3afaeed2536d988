//! What the controller does by itself: it keeps the group that votes on the metadata at its size, and
//! gives the seat of a voter that is gone for long to another broker.

use std::rc::Rc;
use std::time::Duration;

use klamm_model::BrokerId;
use klamm_protocol::ErrorCode;
use klamm_replication::{Members, ReplicaId};

use super::leads;
use crate::shard::Shard;

/// Between two looks, if nothing happens meanwhile.
const PAUSE: Duration = Duration::from_millis(500);

/// Does it for as long as the process runs, whenever this broker is the controller.
pub(crate) async fn perform_duties(shard: Rc<Shard>) {
    loop {
        if leads(&shard) {
            keep_quorum(&shard);
        }
        shard.peers.news(PAUSE).await;
    }
}

/// The replica of the metadata that a broker holds. Brokers' numbers are never given out twice, and
/// belong to their disks; a replica's number must not be 0.
pub(crate) fn metadata_replica(broker: BrokerId) -> ReplicaId {
    let number = u64::try_from(broker.0).expect("brokers are numbered from 0") + 1;
    ReplicaId::new(number).expect("it is at least 1")
}

/// The broker that holds a replica of the metadata.
pub(crate) fn broker_of_metadata_replica(replica: ReplicaId) -> Option<BrokerId> {
    i32::try_from(replica.get() - 1).ok().map(BrokerId)
}

fn keep_quorum(shard: &Rc<Shard>) {
    let Some(cluster) = shard.config().cluster.clone() else {
        return;
    };
    let partition = shard.controller.partition();
    let wanted = {
        let driver = partition.driver();
        if !driver.can_change_members() {
            return;
        }
        let (image, alive) = (shard.image(), shard.peers.alive());
        let now = shard.clock.now();
        let patience = cluster.voter_replacement_after;
        let is_gone = |broker| {
            patience.is_some_and(|patience| shard.peers.unreached_for(broker, now) >= patience)
        };
        let leaving = shard.controller.leaving.borrow();
        let registered: Vec<Standing> = image
            .brokers()
            .filter(|broker| !leaving.contains(&broker.id))
            .map(|broker| {
                let replica = metadata_replica(broker.id);
                let is_alive = alive.contains(&broker.id);
                Standing {
                    replica,
                    may_vote: is_alive
                        && (broker.id == shard.node_id || driver.has_caught_up(replica)),
                    is_alive,
                    is_gone: is_gone(broker.id),
                }
            })
            .collect();
        wanted_members(driver.members(), &registered, cluster.metadata_voters)
    };
    if let Some(members) = wanted {
        tracing::info!(%members, "the group that keeps the metadata changes");
        let now = shard.clock.now();
        partition.drive(|driver, outcomes| driver.change_members(now, members, outcomes));
        shard.attend(partition);
    }
}

/// How long another broker may take to get the vote of one that is to leave.
const TAKING_TIME: Duration = Duration::from_secs(5);
/// Between two looks at that.
const TAKING_PAUSE: Duration = Duration::from_millis(20);

/// A broker that does not get its vote back as long as this is held.
pub(super) struct Leaving {
    shard: Rc<Shard>,
    broker: BrokerId,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut leaving = self.shard.controller.leaving.borrow_mut();
        if let Some(at) = leaving.iter().position(|broker| *broker == self.broker) {
            leaving.swap_remove(at);
        }
    }
}

/// Takes the vote of a broker that is to leave; `None` if nobody can have it now.
///
/// # Errors
/// [`ErrorCode::NotController`] if another broker is the controller by then, for one because this one
/// is to leave itself.
pub(super) async fn take_vote(
    shard: &Rc<Shard>,
    broker: BrokerId,
) -> Result<Option<Leaving>, ErrorCode> {
    shard.controller.leaving.borrow_mut().push(broker);
    let leaving = Leaving {
        shard: shard.clone(),
        broker,
    };
    let replica = metadata_replica(broker);
    let votes = || {
        let driver = shard.controller.partition().driver();
        driver.members().all_voters().any(|voter| voter == replica)
    };
    let deadline = tokio::time::Instant::now() + TAKING_TIME;
    while leads(shard) {
        if !votes() {
            return Ok(Some(leaving));
        }
        if tokio::time::Instant::now() >= deadline {
            return Ok(None);
        }
        keep_quorum(shard);
        shard.peers.flush();
        shard.peers.news(TAKING_PAUSE).await;
    }
    Err(ErrorCode::NotController)
}

/// A registered broker, as a member of the group.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Its replica.
    pub replica: ReplicaId,
    /// It is reached.
    pub is_alive: bool,
    /// It is alive, and holds what there is.
    pub may_vote: bool,
    /// It has not been reached for so long that another one may have its seat.
    pub is_gone: bool,
}

/// What the members should be: everybody who is registered, of whom an odd number votes; `None` if they
/// are that. Voters stay voters as long as they are registered and not too many.
///
/// Pure; the simulation keeps its clusters by it too.
pub fn wanted_members(
    current: &Members,
    registered: &[Standing],
    voters_max: usize,
) -> Option<Members> {
    let is_registered = |replica: &ReplicaId| registered.iter().any(|one| one.replica == *replica);
    let size = odd(voters_max.min(registered.len()));
    let mut voters: Vec<ReplicaId> = current.voters.clone();
    voters.retain(is_registered);
    if voters.is_empty() {
        // Nobody is left out while there is nobody to take the place.
        let heir = registered.iter().find(|one| one.may_vote)?;
        voters.push(heir.replica);
    }
    let is_alive = |replica: &ReplicaId| {
        let one = registered.iter().find(|one| one.replica == *replica);
        one.is_some_and(|one| one.is_alive)
    };
    if voters.len() > size {
        voters.sort_by_key(|replica| (!is_alive(replica), *replica));
        voters.truncate(size);
    }
    let candidates = registered.iter();
    let candidates = candidates.filter(|one| one.may_vote && !voters.contains(&one.replica));
    let candidates: Vec<_> = candidates.map(|one| one.replica).collect();
    // From an odd number to an odd number: four voters bear no more losses than three.
    let more = candidates.len().min(size - voters.len());
    let grown = odd(voters.len() + more);
    if grown > voters.len() {
        let added = grown - voters.len();
        voters.extend(&candidates[..added]);
    }
    if voters == current.voters {
        replace_one(&mut voters, registered);
    }
    let learners = registered.iter().map(|one| one.replica);
    let learners: Vec<_> = learners
        .filter(|replica| !voters.contains(replica))
        .collect();
    let wanted = Members::of_voters(voters).with_learners(learners);
    (wanted != *current).then_some(wanted)
}

/// Gives the seat of a voter that is gone to somebody who may vote: one at a time, and only while those
/// who vote and are well are a majority without either.
fn replace_one(voters: &mut [ReplicaId], registered: &[Standing]) {
    let is_well = |replica: &ReplicaId| {
        let mut all = registered.iter();
        all.any(|one| one.replica == *replica && one.may_vote)
    };
    let is_gone = |replica: &ReplicaId| {
        let mut all = registered.iter();
        all.any(|one| one.replica == *replica && one.is_gone)
    };
    let well = voters.iter().filter(|voter| is_well(voter)).count();
    let mut heirs = registered.iter();
    let heir = heirs.find(|one| one.may_vote && !voters.contains(&one.replica));
    let heir = heir.map(|one| one.replica);
    let seat = voters.iter().position(is_gone);
    if let (Some(seat), Some(heir)) = (seat, heir)
        && well > voters.len() / 2
    {
        voters[seat] = heir;
    }
}

/// The largest odd number that is not larger, and at least 1.
fn odd(number: usize) -> usize {
    match number {
        0 => 1,
        even if even % 2 == 0 => even - 1,
        odd => odd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(number: u64) -> ReplicaId {
        ReplicaId::new(number).unwrap()
    }

    fn members(voters: &[u64], learners: &[u64]) -> Members {
        let ids = |numbers: &[u64]| {
            numbers
                .iter()
                .map(|number| replica(*number))
                .collect::<Vec<_>>()
        };
        Members::of_voters(ids(voters)).with_learners(ids(learners))
    }

    fn standing(number: u64, is_alive: bool, has_caught_up: bool) -> Standing {
        Standing {
            replica: replica(number),
            is_alive,
            may_vote: is_alive && has_caught_up,
            is_gone: false,
        }
    }

    fn gone(number: u64) -> Standing {
        Standing {
            is_gone: true,
            ..standing(number, false, false)
        }
    }

    #[test]
    fn a_founder_gets_followers_and_then_two_voters_at_once() {
        let check = |current, registered: &[Standing], expected| {
            assert_eq!(wanted_members(&current, registered, 3), expected);
        };
        let (one, two) = (standing(1, true, true), standing(2, true, true));
        let late = standing(3, true, false);
        check(members(&[1], &[]), &[one], None);
        check(
            members(&[1], &[]),
            &[one, standing(2, true, false)],
            Some(members(&[1], &[2])),
        );
        check(members(&[1], &[2]), &[one, two], None);
        check(
            members(&[1], &[2]),
            &[one, two, late],
            Some(members(&[1], &[2, 3])),
        );
        check(members(&[1], &[2, 3]), &[one, two, late], None);
        let three = standing(3, true, true);
        check(
            members(&[1], &[2, 3]),
            &[one, two, three],
            Some(members(&[1, 2, 3], &[])),
        );
        check(
            members(&[1, 2, 3], &[]),
            &[one, two, three, standing(4, true, true)],
            Some(members(&[1, 2, 3], &[4])),
        );
    }

    #[test]
    fn the_seat_of_a_broker_that_was_removed_goes_to_another() {
        let left = [1, 3, 4].map(|number| standing(number, true, true));
        let wanted = wanted_members(&members(&[1, 2, 3], &[4]), &left, 3);
        assert_eq!(wanted, Some(members(&[1, 3, 4], &[])));
        let lone = members(&[2], &[1, 3]);
        let behind = standing(1, true, false);
        let wanted = wanted_members(&lone, &[behind, left[1]], 3);
        assert_eq!(wanted, Some(members(&[3], &[1])));
        assert_eq!(wanted_members(&lone, &[behind], 3), None);
        let two = [standing(1, false, true), standing(3, true, true)];
        let wanted = wanted_members(&members(&[1, 2, 3], &[]), &two, 3);
        assert_eq!(wanted, Some(members(&[3], &[1])));
    }

    #[test]
    fn the_seat_of_a_voter_that_is_gone_for_long_goes_to_a_learner_that_has_caught_up() {
        let check = |current, registered: &[Standing], size, expected| {
            assert_eq!(wanted_members(&current, registered, size), expected);
        };
        let three = || members(&[1, 2, 3], &[4]);
        let well = |number| standing(number, true, true);
        let away = standing(2, false, false);
        check(three(), &[well(1), away, well(3), well(4)], 3, None);
        let replaced = Some(members(&[1, 4, 3], &[2]));
        check(three(), &[well(1), gone(2), well(3), well(4)], 3, replaced);
        let behind = standing(4, true, false);
        check(three(), &[well(1), gone(2), well(3), behind], 3, None);
        // The majority of those who vote would hang on the one that comes.
        let late = standing(3, true, false);
        check(three(), &[well(1), gone(2), late, well(4)], 3, None);
        // One after the other.
        let two_gone = [
            well(1),
            gone(2),
            gone(3),
            well(4),
            well(5),
            well(6),
            well(7),
        ];
        let five = members(&[1, 2, 3, 4, 5], &[6, 7]);
        let first = members(&[1, 6, 3, 4, 5], &[2, 7]);
        check(five, &two_gone, 5, Some(first.clone()));
        let second = Some(members(&[1, 6, 7, 4, 5], &[2, 3]));
        check(first, &two_gone, 5, second);
        // Nobody is given the seat of one that is back.
        check(
            members(&[1, 4, 3], &[2]),
            &[well(1), well(2), well(3), well(4)],
            3,
            None,
        );
    }
}
