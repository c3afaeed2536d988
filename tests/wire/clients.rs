//! What single client libraries stumble over: quirks 76 to 78 and 80.

use bytes::Buf;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DescribeTopicPartitionsRequest, MetadataRequest,
};
use kafka_protocol::protocol::Request;
use klamm_protocol::{ApiKey, ErrorCode};

use crate::ask::topic_name;
use crate::client::Client;
use crate::raw::Raw;
use crate::world::World;

#[test]
fn quirk_76_lists_of_features_do_not_depend_on_the_version_they_are_asked_in() {
    let world = World::new();
    let mut client = world.client();
    let mut rows = |version| {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(crate::requests::text("librdkafka"))
            .with_client_software_version(crate::requests::text("2.15.0"));
        client.call(version, &request).api_keys
    };
    let first = rows(0);
    assert!((1..=4).all(|version| rows(version) == first));
}

#[test]
fn quirk_77_versions_that_clients_send_without_asking_are_served() {
    use ApiKey::*;
    // kafka-python's probes, Sarama before 1.46 set to 2.1 or 2.6, KafkaJS 2.
    let rows: [(ApiKey, &[i16]); 17] = [
        (Produce, &[3, 5, 7]),
        (Fetch, &[4, 7, 10, 11]),
        (ListOffsets, &[1, 3, 5]),
        (Metadata, &[0, 1, 2, 4, 5, 6, 7, 9]),
        (OffsetCommit, &[2, 3, 5, 7]),
        (OffsetFetch, &[1, 2, 3, 4, 5]),
        (FindCoordinator, &[0, 1, 2]),
        (JoinGroup, &[0, 1, 2, 3, 5]),
        (Heartbeat, &[0, 1, 3]),
        (LeaveGroup, &[0, 1, 3]),
        (SyncGroup, &[0, 1, 3]),
        (DescribeGroups, &[0, 1, 2, 3, 4]),
        (ListGroups, &[0, 1, 2, 3]),
        (ApiVersions, &[0, 1, 2, 3]),
        (CreateTopics, &[2, 3]),
        (DescribeConfigs, &[1, 2]),
        (InitProducerId, &[0, 1, 2]),
    ];
    for (key, versions) in rows {
        for version in versions {
            assert!(key.api().accepts(*version), "{key} version {version}");
        }
    }
}

#[test]
fn quirk_78_a_topic_just_created_can_be_described_and_used() {
    let world = World::new();
    let mut client = world.client();
    for round in 0..10 {
        let name = format!("t{round}");
        client.create_topic(&name, &[]);
        let topic = TopicRequest::default().with_name(topic_name(&name));
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(vec![topic])
            .with_response_partition_limit(2_000);
        let answer = client.call(0, &request);
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((answer.topics[0].error_code, partition.error_code), (0, 0));
        assert!(partition.leader_id.0 >= 0 && partition.isr_nodes == [partition.leader_id]);
        let appended = client.append(9, &name, &crate::requests::batch(&[b"v"]));
        assert_eq!((appended.error_code, appended.base_offset), (0, 0));
    }
}

#[test]
fn quirk_78_a_single_broker_can_take_the_replication_factors_of_larger_clusters() {
    let create = |world: &World| {
        let topic = CreatableTopic::default()
            .with_name(topic_name("_schemas"))
            .with_num_partitions(1)
            .with_replication_factor(3);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let answer = world.client().call(5, &request);
        (
            answer.topics[0].error_code,
            answer.topics[0].replication_factor,
        )
    };
    let strict = World::with(&[("klamm.replication.factor.clamp", "false")]);
    assert_eq!(
        create(&strict).0,
        ErrorCode::InvalidReplicationFactor.code()
    );
    let clamped = World::with(&[("klamm.replication.factor.clamp", "true")]);
    assert_eq!(create(&clamped), (0, 1));
}

/// ApiVersions of version 5, newer than the client's library: error code and how many APIs.
fn api_versions_5(client: &mut Client, cluster: Option<&str>, node_id: i32) -> (i16, u8) {
    let request = Raw::new(ApiVersionsRequest::KEY, 5, 7, None).no_tags();
    let request = request.compact("wire-test").compact("1");
    let request = match cluster {
        Some(cluster) => request.compact(cluster),
        None => request.bytes(&[0]),
    };
    let request = request.bytes(&node_id.to_be_bytes()).no_tags();
    let mut answer = client.exchange(&request.framed());
    answer.advance(4);
    (answer.get_i16(), answer.get_u8())
}

#[test]
fn quirk_80_only_who_has_come_to_the_wrong_broker_is_sent_away() {
    let mut world = World::new();
    let request = MetadataRequest::default().with_topics(Some(vec![]));
    let told = world.client().call(12, &request);
    let cluster = told.cluster_id.as_deref().expect("it has an id").to_owned();
    let us = told.brokers[0].node_id.0;
    for _ in 0..2 {
        let mut client = world.client();
        let mut code = |cluster, node| api_versions_5(&mut client, cluster, node).0;
        let rebootstrap = ErrorCode::RebootstrapRequired.code();
        assert_eq!(code(None, -1), 0, "it does not say");
        assert_eq!(code(Some(&cluster), us), 0);
        assert_eq!(code(Some("another"), us), rebootstrap);
        assert_eq!(code(Some(&cluster), us + 1), rebootstrap);
        assert_eq!(
            code(Some(&cluster), -1),
            ErrorCode::InvalidRequest.code(),
            "half of it"
        );
        assert_eq!(code(None, -1), 0, "the connection goes on");
        let request = MetadataRequest::default().with_topics(None);
        assert_eq!(client.call(13, &request).error_code, 0);
        world.restart();
    }
}
