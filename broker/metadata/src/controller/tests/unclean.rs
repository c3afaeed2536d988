//! Unclean elections: who goes on alone, and who is refused.

use klamm_model::{LeaderEpoch, LogIndex, Offset, Term};

use super::*;
use crate::image::{LogEnd, UNCLEAN_ELECTIONS_LEVEL};

/// Of a partition on brokers 1, 2 and 3, with one entry after the no-op of term 4.
fn contender(replica: u64) -> Contender {
    Contender {
        replica,
        unclean_elections: 0,
        log_end: log_end(4, 9),
        term: Term::new(4),
        leads: false,
        may_vote: true,
        voters_since: LogIndex::ZERO,
        voters: vec![vec![1, 2, 3]],
    }
}

fn log_end(term: u64, index: u64) -> LogEnd {
    LogEnd {
        term: Term::new(term),
        index: LogIndex(index),
        offset: Offset::new(index as i64 - 2),
    }
}

/// A cluster of three, all of this version, with the topic `t`.
fn world() -> (World, TopicId) {
    let mut world = World::of_brokers(3);
    let by_hand = NewTopic {
        assignments: vec![(0, [1, 2, 3].map(BrokerId).to_vec())],
        ..NewTopic::with_defaults("t")
    };
    let created = world.create(by_hand).expect("free");
    (world, created.id)
}

impl World {
    fn elect_uncleanly(
        &mut self,
        topic: TopicId,
        contenders: &[Contender],
    ) -> Result<UncleanOutcome, Refusal> {
        let heard = Some(LeaderEpoch(6));
        let index = PartitionIndex(0);
        self.with_either(|c| c.elect_uncleanly(topic, index, contenders, heard))
    }

    fn partition(&self, topic: TopicId) -> PartitionImage {
        let topic = self.image.topic_by_id(topic).expect("there");
        topic.partitions[0].clone()
    }
}

#[test]
fn the_last_one_left_goes_on_alone_and_the_others_begin_anew() {
    let (mut world, topic) = world();
    let outcome = world.elect_uncleanly(topic, &[contender(3)]);
    let outcome = outcome.expect("two of three are lost");
    assert_eq!(outcome.survivor, BrokerId(3));
    assert_eq!(outcome.given_up, [1, 2].map(BrokerId));
    let partition = world.partition(topic);
    let replicas: Vec<_> = partition.replicas.iter().map(|one| one.id).collect();
    assert_eq!(replicas, [4, 5, 3]);
    let election = partition.unclean_election.expect("there was one");
    assert_eq!((election.number, election.survivor), (1, 3));
    assert_eq!(election.log_end, log_end(4, 9));
    assert_eq!(
        election.leader_epoch,
        LeaderEpoch(1_006),
        "above what was heard"
    );
    assert_eq!(
        world.image.feature(KLAMM_VERSION),
        Some(UNCLEAN_ELECTIONS_LEVEL)
    );
}

#[test]
fn of_those_left_the_one_that_has_most_goes_on() {
    let check = |ends: &[(u64, u64, u64)], survivor| {
        let (mut world, topic) = world();
        let five = |contender: Contender| Contender {
            voters: vec![vec![1, 2, 3, 8, 9]],
            ..contender
        };
        let contenders: Vec<_> = ends
            .iter()
            .map(|(replica, term, index)| Contender {
                log_end: log_end(*term, *index),
                ..five(contender(*replica))
            })
            .collect();
        let outcome = world.elect_uncleanly(topic, &contenders);
        assert_eq!(outcome.expect("two of five").survivor, BrokerId(survivor));
    };
    check(&[(1, 4, 9), (2, 4, 10)], 2);
    check(&[(1, 5, 9), (2, 4, 10)], 1);
    check(&[(2, 4, 9), (1, 4, 9)], 1);
}

#[test]
fn nobody_is_given_up_who_need_not_be() {
    let (mut world, topic) = world();
    let text = "Leader election not needed for topic partition.";
    let leads = Contender {
        leads: true,
        ..contender(1)
    };
    refused(world.elect_uncleanly(topic, &[leads]), 84, text);
    let text = "A majority of the partition's voters is reached, or all of them are: they elect a leader by themselves in a moment, and no record is given up.";
    let majority = [contender(1), contender(3)];
    refused(world.elect_uncleanly(topic, &majority), 83, text);
    let text = "No replica of the partition is reached that could lead it.";
    refused(world.elect_uncleanly(topic, &[]), 83, text);
    refused(world.elect_uncleanly(topic, &[contender(7)]), 83, text);
    let nothing = TopicId::from_bytes([9; 16]);
    let unknown = world.elect_uncleanly(nothing, &[contender(1)]);
    refused(unknown, 100, "This server does not host this topic ID.");
    assert_eq!(world.partition(topic).unclean_election, None);
}

#[test]
fn those_that_must_not_vote_do_not_make_a_majority_unless_all_are_there() {
    let barred = |replica| Contender {
        may_vote: false,
        ..contender(replica)
    };
    let (mut world, topic) = world();
    let all = [barred(1), barred(2), contender(3)];
    assert_eq!(
        world.elect_uncleanly(topic, &all),
        Err(Refusal::CleanElectionPossible)
    );
    let longer = Contender {
        log_end: log_end(4, 12),
        ..barred(2)
    };
    let outcome = world.elect_uncleanly(topic, &[longer, contender(3)]);
    assert_eq!(outcome.expect("one never returns").survivor, BrokerId(2));
}

#[test]
fn a_joint_configuration_needs_both_majorities_and_the_latest_that_is_known_counts() {
    let (mut world, topic) = world();
    let joint = |replica| Contender {
        voters_since: LogIndex(5),
        voters: vec![vec![1, 2, 3], vec![1, 8, 9]],
        ..contender(replica)
    };
    let outcome = world.elect_uncleanly(topic, &[contender(1), joint(2)]);
    assert_eq!(outcome.expect("one of 1, 8, 9").survivor, BrokerId(1));
}

#[test]
fn a_second_election_is_among_those_that_have_been_through_the_first() {
    let (mut world, topic) = world();
    let first = world.elect_uncleanly(topic, &[contender(3)]);
    assert!(first.is_ok());
    // An order that was given at the same time.
    let again = world.elect_uncleanly(topic, &[contender(3)]);
    assert_eq!(again, Err(Refusal::CleanElectionPossible));
    // As it was before, or given up: it is nobody's.
    let gone = world.elect_uncleanly(topic, &[contender(1)]);
    assert_eq!(gone, Err(Refusal::NoReplicaReached));
    let anew = Contender {
        log_end: log_end(1_007, 20),
        unclean_elections: 1,
        voters_since: LogIndex(12),
        voters: vec![vec![3, 4]],
        ..contender(4)
    };
    let second = world.elect_uncleanly(topic, &[anew]);
    assert_eq!(second.expect("one of two").survivor, BrokerId(1));
    assert_eq!(world.partition(topic).unclean_elections(), 2);
}

#[test]
fn a_broker_that_knows_no_unclean_elections_must_go_first() {
    let (mut world, topic) = world();
    world.start(Registration {
        version: 1,
        ..registration(2)
    });
    let text = "Broker 2 runs a version of Klamm that knows no unclean elections: update it, or unregister it if it is gone for good.";
    refused(world.elect_uncleanly(topic, &[contender(3)]), 35, text);
    assert_eq!(world.unregister(2), Ok(()));
    assert!(world.elect_uncleanly(topic, &[contender(3)]).is_ok());
}
