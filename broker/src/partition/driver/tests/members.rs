//! Who belongs to the partition's group.

use klamm_replication::PeerMessage;

use super::group::{Group, id};
use super::*;

fn voters(ids: &[u64]) -> Members {
    Members::of_voters(ids.iter().filter_map(|id| ReplicaId::new(*id)))
}

fn learner() -> ReplicaId {
    ReplicaId::new(2).unwrap()
}

/// What was done to the members.
fn changes(outcomes: &[Outcome]) -> Vec<String> {
    let changes = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::MembersChanged { members } => Some(members.to_string()),
        _ => None,
    });
    changes.collect()
}

#[test]
fn the_log_remembers_its_first_members_whatever_its_host_believes_later() {
    let fixture = Fixture::new();
    let config = LogConfig::default();
    let driver = fixture.driver_of(0, config.clone(), voters(&[1, 2, 3]));
    assert_eq!(driver.members(), &voters(&[1, 2, 3]));
    drop(driver);
    let driver = fixture.driver_of(0, config.clone(), voters(&[1]));
    assert_eq!(driver.members(), &voters(&[1, 2, 3]));
    // One that joins is told by its leader, and nothing is made up for it.
    let driver = fixture.driver_of(1, config.clone(), Members::default());
    assert!(driver.members().voters.is_empty());
    drop(driver);
    let driver = fixture.driver_of(1, config, voters(&[1, 2]));
    assert_eq!(driver.members(), &voters(&[1, 2]));
}

#[test]
fn a_single_replica_that_gets_a_learner_has_somebody_to_tell_and_a_clock() {
    let fixture = Fixture::new();
    let mut driver = fixture.leader(LogConfig::default());
    driver.stage(batch(2), AppendOrigin::Client).unwrap();
    turn(&mut driver);
    flush(&mut driver);
    assert!(driver.take_outgoing().is_empty());
    let wanted = voters(&[1]).with_learners([learner()]);
    assert!(driver.can_change_members());
    driver.change_members(NOW, wanted.clone(), &mut Vec::new());
    assert!(!driver.can_change_members() && driver.awaits_journal());
    let outcomes = fixture.sync_journal(&mut driver);
    assert_eq!(changes(&outcomes), ["1+2"]);
    assert_eq!(driver.members(), &wanted);
    assert_eq!(
        driver.next_deadline(),
        Some(NOW + Duration::from_millis(50))
    );
    let outgoing = driver.take_outgoing();
    assert_eq!(outgoing.len(), 1);
    assert_eq!(outgoing[0].envelope.to, learner());
    // Beyond what it was told of before it had anybody to tell, it reads the log.
    assert_eq!(outgoing[0].entries.len(), 1);
    let followers: Vec<_> = driver.followers().collect();
    assert_eq!(followers, [(learner(), LogIndex::ZERO)]);
    assert_eq!(driver.responsive_voters(NOW, Duration::from_secs(1)), 1);
    // That the change is committed is remembered, though nobody waits for it.
    assert!(driver.awaits_journal());
    fixture.sync_journal(&mut driver);
    assert!(!driver.awaits_journal());
    let change = driver.log().metas().last().unwrap().index;
    assert_eq!(driver.log().hard_state().commit, change);
}

#[test]
fn a_change_of_members_comes_between_what_is_staged_and_what_is_in_the_log() {
    let fixture = Fixture::new();
    let mut driver = fixture.leader(LogConfig::default());
    driver.stage(batch(2), AppendOrigin::Client).unwrap();
    let wanted = voters(&[1]).with_learners([learner()]);
    driver.change_members(NOW, wanted, &mut Vec::new());
    driver.stage(batch(3), AppendOrigin::Client).unwrap();
    turn(&mut driver);
    fixture.sync_journal(&mut driver);
    turn(&mut driver);
    assert_eq!(driver.log_end_offset(), Offset::new(5));
    // No-op, change, two batches.
    assert_eq!(driver.log().last_index(), LogIndex(4));
}

#[test]
fn a_group_that_begins_is_led_by_the_preferred_replica_without_a_time_out() {
    let fixture = Fixture::new();
    let name = TopicPartition {
        topic: TopicName::new("topic").unwrap(),
        partition: PartitionIndex(0),
    };
    let id = TopicId::from_bytes([2; 16]);
    let log = fixture
        .dir
        .open_log(&name, id, LogConfig::default(), WALL)
        .unwrap();
    let params = DriverParams {
        replica: ReplicaId::new(1).unwrap(),
        members: voters(&[1, 2, 3]),
        seed: 0,
        life: 0,
        recovering: false,
        preferred: true,
        message_bytes: PartitionDriver::MESSAGE_BYTES,
        begin_by_copy_bytes: PartitionDriver::BEGIN_BY_COPY_BYTES,
    };
    let mut driver = PartitionDriver::open(params, log).unwrap();
    driver.start(NOW, &mut Vec::new());
    let asked = driver.take_outgoing().into_iter().map(|out| out.envelope);
    let asks =
        |message: &PeerMessage| matches!(message, PeerMessage::VoteRequest { pre: true, .. });
    assert_eq!(asked.filter(|envelope| asks(&envelope.message)).count(), 2);
}

#[test]
fn a_learner_that_has_said_nothing_has_not_caught_up_however_short_the_log_is() {
    let mut group = Group::of_voters(2);
    group.produce(0, 3);
    let nobody = id(7);
    let wanted = voters(&[1, 2]).with_learners([nobody]);
    group.change_members(0, wanted);
    let leader = group.driver(0);
    assert!(leader.members().all().any(|member| member == nobody));
    assert!(leader.has_caught_up(id(1)));
    assert!(!leader.has_caught_up(nobody));
}
