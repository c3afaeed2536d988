//! What tools ask for: quirks 69 and 72.

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeQuorumRequest, ElectLeadersRequest, ListConfigResourcesRequest,
    ListPartitionReassignmentsRequest,
};
use klamm_protocol::ErrorCode;

use crate::ask::topic_name;
use crate::client::Client;
use crate::requests::batch;
use crate::world::World;

/// Sizes of the partitions of `t`, in the only log directory.
fn sizes(answer: &DescribeLogDirsResponse) -> Vec<i64> {
    assert_eq!((answer.error_code, answer.results.len()), (0, 1));
    let directory = &answer.results[0];
    assert_eq!(directory.error_code, 0);
    let topic = directory
        .topics
        .iter()
        .find(|topic| topic.name == topic_name("t"));
    let partitions = topic.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| {
            assert_eq!((partition.offset_lag, partition.is_future_key), (0, false));
            partition.partition_size
        })
        .collect()
}

#[test]
fn quirk_69_log_dirs_tell_what_lies_where_and_how_much_room_there_is() {
    let world = World::with_topics(&["t", "u"]);
    let mut client = world.client();
    let ask = |client: &mut Client, version, topics| {
        let request = DescribeLogDirsRequest::default().with_topics(topics);
        client.call(version, &request)
    };
    assert_eq!(sizes(&ask(&mut client, 4, None)), [0]);
    let sent = batch(&[&[7; 5_000]]);
    client.append(9, "t", &sent);
    let size = i64::try_from(sent.size_bytes()).expect("it is small");
    for version in 1..=4 {
        let answer = ask(&mut client, version, None);
        assert_eq!(sizes(&answer), [size], "version={version}");
        let directory = &answer.results[0];
        let room = (directory.total_bytes, directory.usable_bytes);
        if version == 4 {
            assert!(room.0 > 0 && (0..=room.0).contains(&room.1), "{room:?}");
        } else {
            assert_eq!(room, (-1, -1), "not told before version 4");
        }
    }
    let asked = DescribableLogDirTopic::default()
        .with_topic(topic_name("t"))
        .with_partitions(vec![0, 9]);
    let nowhere = asked.clone().with_topic(topic_name("nowhere"));
    let answer = ask(&mut client, 4, Some(vec![asked, nowhere]));
    assert_eq!(sizes(&answer), [size]);
    assert_eq!(
        answer.results[0].topics.len(),
        1,
        "what is not there is left out"
    );
    assert_eq!(sizes(&ask(&mut client, 4, Some(vec![]))), [0; 0]);
}

#[test]
fn quirk_72_there_is_never_a_reassignment_in_progress() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let us = client.find_coordinator("g").0;
    let list = ListPartitionReassignmentsRequest::default();
    let answer = client.call(0, &list.with_topics(None));
    assert_eq!((answer.error_code, answer.topics.len()), (0, 0));
    let mut reassign = |topic: &str, replicas: Option<Vec<i32>>| {
        let replicas = replicas.map(|ids| ids.into_iter().map(BrokerId).collect());
        let partition = ReassignablePartition::default().with_replicas(replicas);
        let topic = ReassignableTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
        let answer = client.call(0, &request);
        assert_eq!(answer.error_code, 0);
        answer.responses[0].partitions[0].error_code
    };
    assert_eq!(reassign("t", Some(vec![us])), 0, "it is there already");
    assert_eq!(
        reassign("t", None),
        ErrorCode::NoReassignmentInProgress.code()
    );
    let invalid = ErrorCode::InvalidReplicaAssignment.code();
    assert_eq!(reassign("t", Some(vec![us + 1])), invalid);
    assert_eq!(reassign("t", Some(vec![])), invalid);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(reassign("nowhere", Some(vec![us])), unknown);
}

#[test]
fn quirk_72_no_election_is_ever_needed() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let mut elect = |kind: i8, topics: Option<&[(&str, i32)]>| {
        let topics = topics.map(|topics| {
            let topics = topics.iter().map(|(topic, partition)| {
                TopicPartitions::default()
                    .with_topic(topic_name(topic))
                    .with_partitions(vec![*partition])
            });
            topics.collect()
        });
        let request = ElectLeadersRequest::default()
            .with_election_type(kind)
            .with_topic_partitions(topics)
            .with_timeout_ms(20_000);
        let answer = client.call(2, &request);
        assert_eq!(answer.error_code, 0);
        let results = answer.replica_election_results.iter();
        let results = results.flat_map(|topic| &topic.partition_result);
        results
            .map(|partition| partition.error_code)
            .collect::<Vec<_>>()
    };
    let not_needed = ErrorCode::ElectionNotNeeded.code();
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    for kind in [0, 1] {
        let asked = [("t", 0), ("t", 1), ("nowhere", 0)];
        assert_eq!(elect(kind, Some(&asked)), [not_needed, unknown, unknown]);
        assert_eq!(
            elect(kind, None),
            [0; 0],
            "those that need none are left out"
        );
    }
}

#[test]
fn quirk_72_the_quorum_is_this_broker() {
    let world = World::new();
    let mut client = world.client();
    let us = client.find_coordinator("g");
    for version in 0..=2 {
        let topic = TopicData::default()
            .with_topic_name(topic_name("__cluster_metadata"))
            .with_partitions(vec![PartitionData::default()]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let answer = client.call(version, &request);
        assert_eq!(answer.error_code, 0);
        let quorum = &answer.topics[0].partitions[0];
        assert_eq!((quorum.error_code, quorum.leader_id), (0, us));
        assert!(quorum.leader_epoch >= 0 && quorum.high_watermark > 0);
        let voters: Vec<_> = quorum.current_voters.iter().map(|v| v.replica_id).collect();
        assert_eq!(voters, [us]);
        assert_eq!(
            quorum.current_voters[0].log_end_offset,
            quorum.high_watermark
        );
        assert_eq!(answer.nodes.len(), usize::from(version >= 2));
    }
}

#[test]
fn quirk_72_resources_with_settings_are_listed() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let mut list = |version, kinds| {
        let request = ListConfigResourcesRequest::default().with_resource_types(kinds);
        let answer = client.call(version, &request);
        let resources = answer.config_resources.iter();
        let names = resources.map(|r| (r.resource_type, r.resource_name.as_str().to_owned()));
        (answer.error_code, names.collect::<Vec<_>>())
    };
    assert_eq!(list(1, vec![2]), (0, vec![(2, "t".to_owned())]));
    let (error, all) = list(1, vec![]);
    assert!(
        error == 0 && all.iter().any(|(kind, _)| *kind == 4),
        "{all:?}"
    );
    assert_eq!(
        list(0, vec![]),
        (0, vec![]),
        "version 0 is about client metrics"
    );
    assert_eq!(list(1, vec![99]).0, ErrorCode::UnsupportedVersion.code());
}
