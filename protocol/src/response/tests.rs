//! Every served API at every version, and answers as Kafka's Java client reads and writes them.

use kafka_protocol::protocol::{Decodable, StrBytes};
use klamm_model::TopicId;

use super::*;
use crate::ErrorCode;
use crate::api::APIS;
use crate::api_versions::{Feature, api_versions_response};
use crate::messages::{
    AbortedTransaction, DeletableGroupResult, EpochEndOffset, FetchablePartition, FetchableTopic,
    LeaderIdAndEpoch, NodeEndpoint, uuid_of,
};

const CORRELATION_ID: i32 = 0x0102_0304;

fn topic_id() -> TopicId {
    TopicId::from_bytes(std::array::from_fn(|index| index as u8 + 1))
}

/// Encodes, checks length and header, and returns the body.
fn body_of(response: Response, version: i16) -> Bytes {
    let api = response.api_key().api();
    let encoded = response.encode_as(version, CORRELATION_ID).unwrap();
    let frame = encoded.pieces().concat();
    assert_eq!(frame.len(), encoded.size_bytes());
    assert!(encoded.pieces().iter().all(|piece| !piece.is_empty()));
    let length = i32::from_be_bytes(*frame.first_chunk().unwrap());
    assert_eq!(length as usize, frame.len() - 4);
    assert_eq!(frame[4..8], CORRELATION_ID.to_be_bytes());
    if !api.has_flexible_response_header(version) {
        return frame[8..].to_vec().into();
    }
    assert_eq!(frame[8], 0, "no tagged fields");
    frame[9..].to_vec().into()
}

fn blank_responses() -> Vec<Response> {
    macro_rules! blank {
        ($($api:ident($message:ty),)+) => {
            vec![$(Response::$api(<$message>::default()),)+]
        };
    }
    blank! {
        Produce(kafka::ProduceResponse),
        Fetch(FetchResponse),
        ListOffsets(kafka::ListOffsetsResponse),
        Metadata(kafka::MetadataResponse),
        OffsetCommit(kafka::OffsetCommitResponse),
        OffsetFetch(kafka::OffsetFetchResponse),
        FindCoordinator(kafka::FindCoordinatorResponse),
        JoinGroup(kafka::JoinGroupResponse),
        Heartbeat(kafka::HeartbeatResponse),
        LeaveGroup(kafka::LeaveGroupResponse),
        SyncGroup(kafka::SyncGroupResponse),
        DescribeGroups(kafka::DescribeGroupsResponse),
        ListGroups(kafka::ListGroupsResponse),
        ApiVersions(kafka::ApiVersionsResponse),
        CreateTopics(kafka::CreateTopicsResponse),
        DeleteTopics(kafka::DeleteTopicsResponse),
        DeleteRecords(kafka::DeleteRecordsResponse),
        InitProducerId(kafka::InitProducerIdResponse),
        OffsetForLeaderEpoch(kafka::OffsetForLeaderEpochResponse),
        DescribeConfigs(kafka::DescribeConfigsResponse),
        AlterConfigs(kafka::AlterConfigsResponse),
        DescribeLogDirs(kafka::DescribeLogDirsResponse),
        CreatePartitions(kafka::CreatePartitionsResponse),
        DeleteGroups(DeleteGroupsResponse),
        ElectLeaders(kafka::ElectLeadersResponse),
        IncrementalAlterConfigs(kafka::IncrementalAlterConfigsResponse),
        AlterPartitionReassignments(kafka::AlterPartitionReassignmentsResponse),
        ListPartitionReassignments(kafka::ListPartitionReassignmentsResponse),
        OffsetDelete(kafka::OffsetDeleteResponse),
        DescribeClientQuotas(kafka::DescribeClientQuotasResponse),
        AlterClientQuotas(kafka::AlterClientQuotasResponse),
        DescribeUserScramCredentials(kafka::DescribeUserScramCredentialsResponse),
        DescribeQuorum(kafka::DescribeQuorumResponse),
        DescribeCluster(kafka::DescribeClusterResponse),
        DescribeProducers(kafka::DescribeProducersResponse),
        UnregisterBroker(kafka::UnregisterBrokerResponse),
        ListConfigResources(kafka::ListConfigResourcesResponse),
        DescribeTopicPartitions(kafka::DescribeTopicPartitionsResponse),
    }
}

/// Whether a client of the schema crate reads all of `body` as an answer of this version.
fn is_read_whole(key: ApiKey, version: i16, mut body: Bytes) -> bool {
    let version = version_in_crate(key, version);
    let key = kafka::ApiKey::try_from(key.code()).unwrap();
    let kind = match key {
        kafka::ApiKey::OffsetCommit | kafka::ApiKey::OffsetFetch => version.min(9),
        _ => version,
    };
    macro_rules! read {
        ($($api:ident $message:ident),+ $(,)?) => {
            match key {
                $(kafka::ApiKey::$api => kafka::$message::decode(&mut body, kind).is_ok(),)+
                _ => panic!("{key:?} is not served"),
            }
        };
    }
    let is_read = read!(
        Produce ProduceResponse, Fetch FetchResponse, ListOffsets ListOffsetsResponse,
        Metadata MetadataResponse, OffsetCommit OffsetCommitResponse,
        OffsetFetch OffsetFetchResponse, FindCoordinator FindCoordinatorResponse,
        JoinGroup JoinGroupResponse, Heartbeat HeartbeatResponse, LeaveGroup LeaveGroupResponse,
        SyncGroup SyncGroupResponse, DescribeGroups DescribeGroupsResponse,
        ListGroups ListGroupsResponse, ApiVersions ApiVersionsResponse,
        CreateTopics CreateTopicsResponse, DeleteTopics DeleteTopicsResponse,
        DeleteRecords DeleteRecordsResponse, InitProducerId InitProducerIdResponse,
        OffsetForLeaderEpoch OffsetForLeaderEpochResponse,
        DescribeConfigs DescribeConfigsResponse, AlterConfigs AlterConfigsResponse,
        DescribeLogDirs DescribeLogDirsResponse, CreatePartitions CreatePartitionsResponse,
        DeleteGroups DeleteGroupsResponse, ElectLeaders ElectLeadersResponse,
        IncrementalAlterConfigs IncrementalAlterConfigsResponse,
        AlterPartitionReassignments AlterPartitionReassignmentsResponse,
        ListPartitionReassignments ListPartitionReassignmentsResponse,
        OffsetDelete OffsetDeleteResponse,
        DescribeClientQuotas DescribeClientQuotasResponse,
        AlterClientQuotas AlterClientQuotasResponse,
        DescribeUserScramCredentials DescribeUserScramCredentialsResponse, DescribeQuorum DescribeQuorumResponse,
        DescribeCluster DescribeClusterResponse, DescribeProducers DescribeProducersResponse,
        UnregisterBroker UnregisterBrokerResponse,
        ListConfigResources ListConfigResourcesResponse,
        DescribeTopicPartitions DescribeTopicPartitionsResponse,
    );
    is_read && body.is_empty()
}

#[test]
fn every_served_version_has_an_answer_that_a_client_reads_whole() {
    let responses = blank_responses();
    assert_eq!(responses.len(), APIS.len());
    for (response, api) in responses.iter().zip(APIS) {
        assert_eq!(response.api_key(), api.key);
        for version in api.accepted_min..=api.max {
            let body = body_of(response.clone(), version);
            assert!(
                is_read_whole(api.key, version, body),
                "{} v{version}",
                api.key
            );
        }
    }
}

#[test]
fn every_served_version_can_tell_a_client_to_wait_or_leaves_that_out() {
    const MILLIS: i32 = 0x0a0b_0c0d;
    for (blank, api) in blank_responses().into_iter().zip(APIS) {
        let mut told = 0;
        for version in api.accepted_min..=api.max {
            let mut response = blank.clone();
            response.set_throttle_time_ms(MILLIS);
            let body = body_of(response, version);
            let millis = MILLIS.to_be_bytes();
            told += i16::from(body.windows(4).any(|bytes| bytes == millis));
            assert!(
                is_read_whole(api.key, version, body),
                "{} v{version}",
                api.key
            );
        }
        let untold = match api.key {
            ApiKey::DescribeQuorum => 3,
            ApiKey::ApiVersions | ApiKey::FindCoordinator | ApiKey::Heartbeat => 1,
            ApiKey::ListOffsets | ApiKey::LeaveGroup | ApiKey::SyncGroup => 1,
            ApiKey::DescribeGroups | ApiKey::ListGroups => 1,
            ApiKey::Metadata => 3,
            ApiKey::JoinGroup => 2,
            ApiKey::OffsetCommit => 1,
            ApiKey::OffsetFetch => 2,
            _ => 0,
        };
        assert_eq!(
            api.max - api.accepted_min + 1 - told,
            untold,
            "{} does not tell",
            api.key
        );
    }
}

#[test]
fn quirk_2_the_answer_to_api_versions_has_header_0_at_every_version() {
    for version in 0..=5 {
        let response = api_versions_response(version, ErrorCode::None, &[], -1);
        let frame = Response::from(response)
            .encode_as(version, CORRELATION_ID)
            .unwrap()
            .pieces()
            .concat();
        assert_eq!(
            frame[8..10],
            [0, 0],
            "the error code follows the correlation id"
        );
        let count = APIS.len() as u8;
        if version >= 3 {
            assert_eq!(frame[10], count + 1);
        } else {
            assert_eq!(frame[10..14], [0, 0, 0, count]);
        }
    }
}

#[test]
fn quirk_5_features_with_minimum_0_are_left_out_until_version_4() {
    let feature = |name, supported_min| Feature {
        name,
        supported_min,
        supported_max: 2,
        finalized: 1,
    };
    let features = [feature("group.version", 0), feature("metadata.version", 1)];
    let check = |version: i16, supported: &[&str], finalized: usize| {
        let response = api_versions_response(version, ErrorCode::None, &features, 9);
        let names: Vec<&str> = response
            .supported_features
            .iter()
            .map(|feature| feature.name.as_str())
            .collect();
        assert_eq!(names, supported);
        assert_eq!(response.finalized_features.len(), finalized);
        body_of(response.into(), version);
    };
    check(2, &[], 0);
    check(3, &["metadata.version"], 2);
    check(4, &["group.version", "metadata.version"], 2);
    check(5, &["group.version", "metadata.version"], 2);
}

#[test]
fn quirk_6_the_ranges_from_which_librdkafka_derives_its_features_are_listed() {
    let response = api_versions_response(0, ErrorCode::None, &[], -1);
    let offers = |key: i16, version: i16| {
        response
            .api_keys
            .iter()
            .any(|api| api.api_key == key && (api.min_version..=api.max_version).contains(&version))
    };
    assert!(
        offers(0, 0) && offers(0, 2),
        "Produce is listed from 0 (KAFKA-18659)"
    );
    assert!(offers(0, 3) && offers(1, 4), "message format 2");
    assert!(offers(0, 7) && offers(1, 10), "zstd");
    assert!((8..=14).all(|key| offers(key, 2)), "groups");
    assert!(offers(22, 0), "idempotence");
    assert!(offers(10, 0), "LZ4");
}

fn full_fetch_response() -> FetchResponse {
    let read = FetchablePartition {
        index: 3,
        error_code: 0,
        high_watermark: 100,
        last_stable_offset: 90,
        log_start_offset: 10,
        diverging_epoch: None,
        current_leader: None,
        aborted_transactions: Some(vec![AbortedTransaction {
            producer_id: 7,
            first_offset: 42,
        }]),
        preferred_read_replica: -1,
        records: vec![
            Bytes::from_static(b"first "),
            Bytes::new(),
            Bytes::from_static(b"second"),
        ],
    };
    let moved = FetchablePartition {
        diverging_epoch: Some(EpochEndOffset {
            epoch: 4,
            end_offset: 55,
        }),
        current_leader: Some(LeaderIdAndEpoch {
            leader_id: 2,
            leader_epoch: 6,
        }),
        ..FetchablePartition::error(4, ErrorCode::NotLeaderOrFollower)
    };
    FetchResponse {
        throttle_time_ms: 11,
        error_code: 0,
        session_id: 77,
        topics: vec![FetchableTopic {
            name: StrBytes::from_static_str("t"),
            topic_id: topic_id(),
            partitions: vec![read, moved],
        }],
        node_endpoints: vec![NodeEndpoint {
            node_id: 2,
            host: StrBytes::from_static_str("host"),
            port: 9092,
            rack: None,
        }],
    }
}

#[test]
fn a_fetch_answer_is_read_by_the_schema_crate_at_every_version() {
    for version in 4..=18 {
        let ours = full_fetch_response();
        let mut body = body_of(ours.into(), version);
        let theirs = kafka::FetchResponse::decode(&mut body, version).unwrap();
        assert!(body.is_empty());
        assert_eq!(theirs.throttle_time_ms, 11);
        assert_eq!(theirs.session_id, if version >= 7 { 77 } else { 0 });
        let topic = &theirs.responses[0];
        if version >= 13 {
            assert_eq!(topic.topic_id, uuid_of(topic_id()));
        } else {
            assert_eq!(topic.topic.0.as_str(), "t");
        }
        let [read, moved] = &topic.partitions[..] else {
            panic!("two partitions");
        };
        check_read(read, version);
        assert_eq!(moved.error_code, ErrorCode::NotLeaderOrFollower.code());
        assert_eq!(
            moved.records.as_deref(),
            Some(&b""[..]),
            "empty, never null"
        );
        assert_eq!(moved.aborted_transactions, None);
        if version >= 12 {
            assert_eq!(moved.current_leader.leader_epoch, 6);
            assert_eq!(moved.diverging_epoch.end_offset, 55);
        }
        assert_eq!(theirs.node_endpoints.len(), usize::from(version >= 16));
    }
}

fn check_read(read: &kafka::fetch_response::PartitionData, version: i16) {
    assert_eq!((read.partition_index, read.error_code), (3, 0));
    assert_eq!((read.high_watermark, read.last_stable_offset), (100, 90));
    assert_eq!(read.log_start_offset, if version >= 5 { 10 } else { -1 });
    assert_eq!(read.records.as_deref(), Some(&b"first second"[..]));
    assert_eq!(read.preferred_read_replica.0, -1);
    let aborted = read.aborted_transactions.as_ref().unwrap();
    assert_eq!((aborted[0].producer_id.0, aborted[0].first_offset), (7, 42));
}

#[test]
fn record_bytes_go_out_uncopied() {
    let response = full_fetch_response();
    let first = response.topics[0].partitions[0].records[0].clone();
    let encoded = Response::from(response).encode_as(18, 1).unwrap();
    assert!(
        encoded
            .pieces()
            .iter()
            .any(|piece| piece.as_ptr() == first.as_ptr())
    );
    assert_eq!(
        encoded.pieces().len(),
        4,
        "fields, two pieces of records, fields"
    );
}

#[test]
fn quirk_9_fields_of_later_versions_are_not_sent_and_tags_only_when_set() {
    let quiet = FetchResponse {
        topics: vec![FetchableTopic {
            name: StrBytes::new(),
            topic_id: topic_id(),
            partitions: vec![FetchablePartition::error(0, ErrorCode::None)],
        }],
        ..FetchResponse::default()
    };
    let body = body_of(quiet.into(), 18);
    assert!(
        body.ends_with(&[1, 0, 0, 0]),
        "no records, and three structs without tags"
    );
    // The schema crate refuses to drop a set field that its version lacks.
    let response = kafka::OffsetFetchResponse::default().with_groups(vec![
        kafka::offset_fetch_response::OffsetFetchResponseGroup::default(),
    ]);
    let error = Response::from(response).encode_as(7, 1).unwrap_err();
    assert_eq!((error.api, error.version), (ApiKey::OffsetFetch, 7));
}

/// Compares with the body that kafka-clients 4.4.0 writes.
fn check_java(response: impl Into<Response>, version: i16, expected: &str) {
    let body = body_of(response.into(), version);
    let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
}

#[test]
fn offset_answers_of_version_10_are_as_the_java_client_writes_them() {
    use kafka::offset_commit_response as commit;
    use kafka::offset_fetch_response as fetch;
    let committed = commit::OffsetCommitResponsePartition::default()
        .with_partition_index(3)
        .with_error_code(100);
    let topic = commit::OffsetCommitResponseTopic::default()
        .with_topic_id(uuid_of(topic_id()))
        .with_partitions(vec![committed]);
    check_java(
        kafka::OffsetCommitResponse::default()
            .with_throttle_time_ms(1)
            .with_topics(vec![topic]),
        10,
        "00000001020102030405060708090a0b0c0d0e0f1002000000030064000000",
    );
    let fetched = fetch::OffsetFetchResponsePartitions::default()
        .with_partition_index(1)
        .with_committed_offset(42)
        .with_committed_leader_epoch(5)
        .with_metadata(Some(StrBytes::from_static_str("meta")));
    let topic = fetch::OffsetFetchResponseTopics::default()
        .with_topic_id(uuid_of(topic_id()))
        .with_partitions(vec![fetched]);
    let group = fetch::OffsetFetchResponseGroup::default()
        .with_group_id(StrBytes::from_static_str("g").into())
        .with_topics(vec![topic]);
    check_java(
        kafka::OffsetFetchResponse::default()
            .with_throttle_time_ms(1)
            .with_groups(vec![group]),
        10,
        "00000001020267020102030405060708090a0b0c0d0e0f100200000001000000000000002a00000005\
         056d6574610000000000000000",
    );
}

#[test]
fn delete_groups_answers_are_as_the_java_client_writes_them() {
    let response = || DeleteGroupsResponse {
        throttle_time_ms: 1,
        results: vec![DeletableGroupResult {
            group_id: StrBytes::from_static_str("g"),
            error_code: 68,
            error_message: Some(StrBytes::from_static_str("no")),
        }],
    };
    check_java(response(), 0, "00000001000000010001670044");
    check_java(response(), 1, "00000001000000010001670044");
    check_java(response(), 2, "0000000102026700440000");
    check_java(response(), 3, "000000010202670044036e6f0000");
}

#[test]
fn describe_log_dirs_5_is_as_the_java_client_writes_it() {
    use kafka::describe_log_dirs_response as dirs;
    let partition = dirs::DescribeLogDirsPartition::default()
        .with_partition_index(2)
        .with_partition_size(77);
    let topic = dirs::DescribeLogDirsTopic::default()
        .with_name(StrBytes::from_static_str("t").into())
        .with_partitions(vec![partition]);
    let directory = dirs::DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_static_str("/d"))
        .with_total_bytes(1_000)
        .with_usable_bytes(900)
        .with_topics(vec![topic]);
    check_java(
        kafka::DescribeLogDirsResponse::default()
            .with_throttle_time_ms(1)
            .with_results(vec![directory]),
        5,
        "000000010000020000032f640202740200000002000000000000004d0000000000000000000000000000\
         00000003e80000000000000384000000",
    );
}

/// Both the name and the id of a topic, errors with words, leaders with addresses.
fn full_produce_response() -> kafka::ProduceResponse {
    use kafka::produce_response as produce;
    let leader = produce::LeaderIdAndEpoch::default()
        .with_leader_id(2.into())
        .with_leader_epoch(6);
    let fault = produce::BatchIndexAndErrorMessage::default()
        .with_batch_index(1)
        .with_batch_index_error_message(Some(StrBytes::from_static_str("no key")));
    let partition = produce::PartitionProduceResponse::default()
        .with_index(3)
        .with_error_code(ErrorCode::NotLeaderOrFollower.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(10)
        .with_record_errors(vec![fault])
        .with_error_message(Some(StrBytes::from_static_str("why")))
        .with_current_leader(leader);
    let topic = produce::TopicProduceResponse::default()
        .with_name(StrBytes::from_static_str("t").into())
        .with_topic_id(uuid_of(topic_id()))
        .with_partition_responses(vec![partition]);
    let endpoint = produce::NodeEndpoint::default()
        .with_node_id(2.into())
        .with_host(StrBytes::from_static_str("host"))
        .with_port(9092);
    kafka::ProduceResponse::default()
        .with_responses(vec![topic])
        .with_node_endpoints(vec![endpoint])
}

#[test]
fn quirk_28_leader_hints_go_out_from_produce_version_10_on() {
    for version in 3..=13 {
        let mut body = body_of(full_produce_response().into(), version);
        let theirs = kafka::ProduceResponse::decode(&mut body, version).unwrap();
        let topic = &theirs.responses[0];
        let partition = &topic.partition_responses[0];
        assert_eq!(topic.topic_id == uuid_of(topic_id()), version >= 13);
        assert_eq!(topic.name.0.as_str() == "t", version < 13);
        assert_eq!(partition.error_message.is_some(), version >= 8);
        assert_eq!(partition.record_errors.len(), usize::from(version >= 8));
        assert_eq!(
            partition.current_leader.leader_epoch,
            if version >= 10 { 6 } else { -1 }
        );
        assert_eq!(theirs.node_endpoints.len(), usize::from(version >= 10));
    }
}

#[test]
fn metadata_with_everything_set_is_told_as_far_as_the_version_goes() {
    use kafka::metadata_response as metadata;
    let broker = metadata::MetadataResponseBroker::default()
        .with_node_id(1.into())
        .with_host(StrBytes::from_static_str("h"))
        .with_port(9092)
        .with_rack(Some(StrBytes::from_static_str("r")));
    let partition = metadata::MetadataResponsePartition::default()
        .with_leader_id(1.into())
        .with_leader_epoch(3)
        .with_replica_nodes(vec![1.into()])
        .with_isr_nodes(vec![1.into()])
        .with_offline_replicas(vec![2.into()]);
    let topic = metadata::MetadataResponseTopic::default()
        .with_name(Some(StrBytes::from_static_str("t").into()))
        .with_topic_id(uuid_of(topic_id()))
        .with_is_internal(true)
        .with_partitions(vec![partition])
        .with_topic_authorized_operations(7);
    for version in 0..=13 {
        let response = kafka::MetadataResponse::default()
            .with_brokers(vec![broker.clone()])
            .with_cluster_id(Some(StrBytes::from_static_str("c")))
            .with_controller_id(1.into())
            .with_cluster_authorized_operations(9)
            .with_topics(vec![topic.clone()]);
        let mut body = body_of(response.into(), version);
        let theirs = kafka::MetadataResponse::decode(&mut body, version).unwrap();
        assert_eq!(theirs.cluster_id.is_some(), version >= 2);
        let topic = &theirs.topics[0];
        assert_eq!(topic.is_internal, version >= 1);
        assert_eq!(topic.topic_id == uuid_of(topic_id()), version >= 10);
        assert_eq!(
            topic.partitions[0].leader_epoch,
            if version >= 7 { 3 } else { -1 }
        );
    }
}

#[test]
fn what_a_version_cannot_say_is_left_out_and_not_an_error() {
    use kafka as k;
    let responses: Vec<Response> = vec![
        k::ListOffsetsResponse::default()
            .with_topics(vec![
                k::list_offsets_response::ListOffsetsTopicResponse::default().with_partitions(
                    vec![
                        k::list_offsets_response::ListOffsetsPartitionResponse::default()
                            .with_leader_epoch(3),
                    ],
                ),
            ])
            .into(),
        k::JoinGroupResponse::default()
            .with_skip_assignment(true)
            .into(),
        k::LeaveGroupResponse::default()
            .with_members(vec![k::leave_group_response::MemberResponse::default()])
            .into(),
        k::DescribeGroupsResponse::default()
            .with_groups(vec![
                k::describe_groups_response::DescribedGroup::default()
                    .with_error_message(Some(StrBytes::from_static_str("why")))
                    .with_authorized_operations(3),
            ])
            .into(),
        k::ElectLeadersResponse::default().with_error_code(3).into(),
        k::DescribeQuorumResponse::default()
            .with_nodes(vec![k::describe_quorum_response::Node::default()])
            .into(),
        k::DescribeClusterResponse::default()
            .with_endpoint_type(2)
            .with_brokers(vec![
                k::describe_cluster_response::DescribeClusterBroker::default().with_is_fenced(true),
            ])
            .into(),
    ];
    for response in responses {
        let api = response.api_key().api();
        for version in api.accepted_min..=api.max {
            let body = body_of(response.clone(), version);
            assert!(
                is_read_whole(api.key, version, body),
                "{} v{version}",
                api.key
            );
        }
    }
}
