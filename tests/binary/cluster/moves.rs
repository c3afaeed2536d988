//! Replicas move, leaders are elected on order, groups go on elsewhere.

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, ElectLeadersRequest, FindCoordinatorRequest,
    GroupId, ListPartitionReassignmentsRequest, OffsetCommitRequest, OffsetFetchRequest, TopicName,
};

use super::{Cluster, Follower, metadata, numbers};
use crate::client::Client;
use crate::requests::text;
use crate::support::eventually;

pub(super) fn replicas(client: &mut Client, topic: &str) -> Vec<i32> {
    let told = metadata(client, topic);
    let partition = &told.topics[0].partitions[0];
    partition.replica_nodes.iter().map(|id| id.0).collect()
}

pub(super) fn reassign(client: &mut Client, topic: &str, to: Option<&[i32]>) -> i16 {
    let replicas = to.map(|ids| ids.iter().map(|id| BrokerId(*id)).collect());
    let partition = ReassignablePartition::default()
        .with_partition_index(0)
        .with_replicas(replicas);
    let topic = ReassignableTopic::default()
        .with_name(TopicName(text(topic)))
        .with_partitions(vec![partition]);
    let request = AlterPartitionReassignmentsRequest::default()
        .with_timeout_ms(20_000)
        .with_topics(vec![topic]);
    let answer = client.call(0, &request);
    assert_eq!(answer.error_code, 0);
    answer.responses[0].partitions[0].error_code
}

pub(super) fn ongoing(client: &mut Client) -> usize {
    let request = ListPartitionReassignmentsRequest::default()
        .with_timeout_ms(20_000)
        .with_topics(None);
    client.call(0, &request).topics.len()
}

/// Four brokers, of which three founded the cluster.
pub(super) fn four() -> Cluster {
    let mut cluster = Cluster::start_three_of_four();
    cluster.start_one(3);
    cluster
}

#[test]
fn a_replica_moves_to_another_broker_with_everything_in_it_while_records_come() {
    let cluster = four();
    cluster.create_topic("t", 1);
    let mut follower = Follower::new(&cluster, "t");
    for _ in 0..200 {
        follower.produce();
    }
    let mut client = cluster.any_client();
    let before = replicas(&mut client, "t");
    // The first goes, whoever it is; the broker that holds none comes.
    let new = (1..=4)
        .find(|id| !before.contains(id))
        .expect("there are four");
    let target = [before[1], before[2], new];
    assert_eq!(reassign(&mut client, "t", Some(&target)), 0);
    eventually("the reassignment is complete", || {
        follower.produce();
        (ongoing(&mut client) == 0).then_some(())
    });
    assert_eq!(replicas(&mut client, "t"), target);
    for _ in 0..50 {
        follower.produce();
    }
    let sent = follower.sent;
    assert_eq!(cluster.values("t", 0), numbers(sent));
    // The one that it left has no files of it after a while, and the new one has all.
    let with_files = || {
        let seats = cluster.seats.iter();
        let with = seats.filter(|seat| seat.dir.data().join("t-0").is_dir());
        with.count()
    };
    eventually("three brokers hold it", || {
        (with_files() == 3).then_some(())
    });
}

#[test]
fn the_number_of_replicas_changes_and_a_change_can_be_called_off() {
    let cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let mut follower = Follower::new(&cluster, "t");
    for _ in 0..20 {
        follower.produce();
    }
    let mut client = cluster.any_client();
    let all = replicas(&mut client, "t");
    for target in [vec![all[0]], all.clone(), vec![all[2], all[1], all[0]]] {
        assert_eq!(reassign(&mut client, "t", Some(&target)), 0);
        eventually("the reassignment is complete", || {
            follower.produce();
            (ongoing(&mut client) == 0).then_some(())
        });
        assert_eq!(replicas(&mut client, "t"), target);
    }
    assert_eq!(reassign(&mut client, "t", None), 85, "nothing is under way");
    let sent = follower.sent;
    assert_eq!(cluster.values("t", 0), numbers(sent));
    cluster.assert_replicas_equal("t", 0);
}

#[test]
fn the_preferred_leader_is_elected_on_order() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let preferred = cluster.leader("t", 0);
    cluster.kill(preferred);
    assert_ne!(cluster.leader("t", 0), preferred);
    cluster.start_one(preferred);
    let partitions = TopicPartitions::default()
        .with_topic(TopicName(text("t")))
        .with_partitions(vec![0]);
    let request = ElectLeadersRequest::default()
        .with_topic_partitions(Some(vec![partitions]))
        .with_timeout_ms(20_000);
    let other = (0..3).find(|at| *at != preferred).expect("there are three");
    let answer = cluster.client(other).call(2, &request);
    let error = answer.replica_election_results[0].partition_result[0].error_code;
    // It may lead again by itself already.
    assert!(matches!(error, 0 | 84), "{error}");
    assert_eq!(cluster.leader("t", 0), preferred);
}

/// The seat of the broker that coordinates a group.
fn coordinator(cluster: &Cluster, group: &str) -> usize {
    eventually("the group has a coordinator", || {
        let request = FindCoordinatorRequest::default()
            .with_key(text(group))
            .with_key_type(0);
        let answer = cluster.any_client().call(3, &request);
        let found = (answer.error_code == 0).then(|| cluster.seat_of(answer.port))??;
        cluster.seats[found].broker.is_some().then_some(found)
    })
}

#[test]
fn what_a_group_has_committed_is_there_when_its_coordinator_was_killed() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let first = coordinator(&cluster, "g");
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(42);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let answer = cluster.client(first).call(8, &request);
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    cluster.kill(first);
    let committed = eventually("another broker coordinates the group", || {
        let second = coordinator(&cluster, "g");
        let topic = OffsetFetchRequestTopic::default()
            .with_name(TopicName(text("t")))
            .with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_topics(Some(vec![topic]));
        let answer = cluster.client(second).try_call(7, &request).ok()?;
        (answer.error_code == 0).then(|| answer.topics[0].partitions[0].committed_offset)
    });
    assert_eq!(committed, 42);
}
