//! Every served API at every version, and requests as Kafka's Java client writes them.

use bytes::{Buf, BytesMut};
use kafka_protocol::protocol::Encodable;

use super::*;
use crate::api::APIS;
use crate::messages::uuid_of;
use klamm_model::TopicId;

const SEEDS: u64 = 40;

/// Bytes of the header that [`sample_frame`] writes.
fn header_bytes(api: &Api, version: i16) -> usize {
    2 + 2 + 4 + 2 + "sampler".len() + usize::from(api.is_flexible(version))
}

fn encode_again(request: &Request, version: i16) -> Option<BytesMut> {
    macro_rules! encode {
        ($($api:ident)+) => {
            match request {
                $(Request::$api(message) => {
                    let mut bytes = BytesMut::new();
                    message
                        .encode(&mut bytes, version_in_crate(request.api_key(), version))
                        .unwrap();
                    Some(bytes)
                })+
                _ => None,
            }
        };
    }
    encode! {
        ListOffsets Metadata OffsetCommit OffsetFetch FindCoordinator JoinGroup Heartbeat LeaveGroup
        SyncGroup DescribeGroups ListGroups CreateTopics DeleteTopics DeleteRecords InitProducerId
        OffsetForLeaderEpoch DescribeConfigs AlterConfigs DescribeLogDirs CreatePartitions
        DeleteGroups ElectLeaders IncrementalAlterConfigs AlterPartitionReassignments
        ListPartitionReassignments OffsetDelete DescribeClientQuotas AlterClientQuotas
        DescribeUserScramCredentials DescribeQuorum DescribeCluster DescribeProducers
        UnregisterBroker ListConfigResources DescribeTopicPartitions
    }
}

#[test]
fn every_served_version_decodes_and_encodes_back_to_the_same_bytes() {
    for api in APIS {
        for version in api.accepted_min..=api.max {
            for seed in 0..SEEDS {
                let frame = sample_frame(api.key, version, seed);
                let (header, request) = Request::decode(frame.clone())
                    .unwrap_or_else(|error| panic!("{} v{version} {seed}: {error}", api.key));
                assert_eq!(request.api_key(), api.key);
                assert_eq!(header.client_id.as_deref(), Some("sampler"));
                let own_code = [ApiKey::OffsetCommit, ApiKey::OffsetFetch].contains(&api.key);
                if own_code && version == 10 {
                    continue; // the crate cannot encode it: see the golden requests
                }
                if let Some(again) = encode_again(&request, version) {
                    let body = &frame[header_bytes(api, version)..];
                    assert_eq!(again, body, "{} v{version} {seed}", api.key);
                }
            }
        }
    }
}

#[test]
fn own_decoders_read_what_the_schema_crate_reads() {
    for seed in 0..SEEDS {
        for version in 3..=13 {
            let frame = sample_frame(ApiKey::Produce, version, seed);
            let mut body = frame.slice(header_bytes(ApiKey::Produce.api(), version)..);
            let theirs = kafka::ProduceRequest::decode(&mut body, version).unwrap();
            let Ok((_, Request::Produce(ours))) = Request::decode(frame) else {
                panic!("Produce v{version} does not decode");
            };
            check_produce(&ours, &theirs);
        }
        for version in 4..=18 {
            let frame = sample_frame(ApiKey::Fetch, version, seed);
            let mut body = frame.slice(header_bytes(ApiKey::Fetch.api(), version)..);
            let theirs = kafka::FetchRequest::decode(&mut body, version).unwrap();
            let Ok((_, Request::Fetch(ours))) = Request::decode(frame) else {
                panic!("Fetch v{version} does not decode");
            };
            check_fetch(&ours, &theirs);
        }
    }
}

fn check_produce(ours: &ProduceRequest, theirs: &kafka::ProduceRequest) {
    assert_eq!(
        ours.transactional_id,
        theirs.transactional_id.clone().map(|id| id.0)
    );
    assert_eq!(
        (ours.acks, ours.timeout_ms),
        (theirs.acks, theirs.timeout_ms)
    );
    assert_eq!(ours.topics.len(), theirs.topic_data.len());
    for (ours, theirs) in ours.topics.iter().zip(&theirs.topic_data) {
        assert_eq!(ours.name, theirs.name.0);
        assert_eq!(uuid_of(ours.topic_id), theirs.topic_id);
        assert_eq!(ours.partitions.len(), theirs.partition_data.len());
        for (ours, theirs) in ours.partitions.iter().zip(&theirs.partition_data) {
            assert_eq!((ours.index, &ours.records), (theirs.index, &theirs.records));
        }
    }
}

fn check_fetch(ours: &FetchRequest, theirs: &kafka::FetchRequest) {
    assert_eq!(ours.replica_id, theirs.replica_id.0);
    assert_eq!(
        (
            ours.max_wait_ms,
            ours.min_bytes,
            ours.max_bytes,
            ours.isolation_level
        ),
        (
            theirs.max_wait_ms,
            theirs.min_bytes,
            theirs.max_bytes,
            theirs.isolation_level
        )
    );
    assert_eq!(
        (ours.session_id, ours.session_epoch, &ours.rack_id),
        (theirs.session_id, theirs.session_epoch, &theirs.rack_id)
    );
    assert_eq!(ours.topics.len(), theirs.topics.len());
    for (ours, theirs) in ours.topics.iter().zip(&theirs.topics) {
        assert_eq!(
            (&ours.name, uuid_of(ours.topic_id)),
            (&theirs.topic.0, theirs.topic_id)
        );
        assert_eq!(ours.partitions.len(), theirs.partitions.len());
        for (ours, theirs) in ours.partitions.iter().zip(&theirs.partitions) {
            assert_eq!(
                (ours.partition, ours.current_leader_epoch, ours.fetch_offset),
                (
                    theirs.partition,
                    theirs.current_leader_epoch,
                    theirs.fetch_offset
                )
            );
            assert_eq!(
                (
                    ours.last_fetched_epoch,
                    ours.log_start_offset,
                    ours.partition_max_bytes
                ),
                (
                    theirs.last_fetched_epoch,
                    theirs.log_start_offset,
                    theirs.partition_max_bytes
                )
            );
        }
    }
    assert_eq!(
        ours.forgotten_topics.len(),
        theirs.forgotten_topics_data.len()
    );
    for (ours, theirs) in ours
        .forgotten_topics
        .iter()
        .zip(&theirs.forgotten_topics_data)
    {
        assert_eq!(
            (&ours.name, uuid_of(ours.topic_id)),
            (&theirs.topic.0, theirs.topic_id)
        );
        assert_eq!(ours.partitions, theirs.partitions);
    }
}

/// A frame with a v2 header around a body that kafka-clients 4.4.0 has written.
fn java(key: ApiKey, version: i16, body: &str) -> Request {
    let mut frame = Vec::new();
    frame.extend_from_slice(&key.code().to_be_bytes());
    frame.extend_from_slice(&version.to_be_bytes());
    frame.extend_from_slice(b"\0\0\0\x07\0\x01c\0");
    let digits = body.as_bytes().chunks(2);
    frame.extend(
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()),
    );
    Request::decode(frame.into()).unwrap().1
}

fn topic_id() -> TopicId {
    TopicId::from_bytes(std::array::from_fn(|index| index as u8 + 1))
}

#[test]
fn offset_commit_10_of_the_java_client() {
    let body = "026700000007026d0269020102030405060708090a0b0c0d0e0f10\
                0200000003000000000000002a00000005056d657461000000";
    let Request::OffsetCommit(request) = java(ApiKey::OffsetCommit, 10, body) else {
        panic!("another API");
    };
    assert_eq!(request.group_id.as_str(), "g");
    assert_eq!(request.generation_id_or_member_epoch, 7);
    assert_eq!(request.member_id.as_str(), "m");
    assert_eq!(request.group_instance_id.as_deref(), Some("i"));
    assert_eq!(request.topics[0].topic_id, uuid_of(topic_id()));
    let partition = &request.topics[0].partitions[0];
    assert_eq!(
        (partition.partition_index, partition.committed_offset),
        (3, 42)
    );
    assert_eq!(partition.committed_leader_epoch, 5);
    assert_eq!(partition.committed_metadata.as_deref(), Some("meta"));
}

#[test]
fn offset_fetch_10_of_the_java_client_where_null_topics_are_all() {
    let body = "030267026d00000004020102030405060708090a0b0c0d0e0f10\
                030000000100000002000004616c6c00ffffffff00000100";
    let Request::OffsetFetch(request) = java(ApiKey::OffsetFetch, 10, body) else {
        panic!("another API");
    };
    assert!(request.require_stable);
    let [named, all] = &request.groups[..] else {
        panic!("two groups");
    };
    let topics = named.topics.as_ref().unwrap();
    assert_eq!(topics[0].topic_id, uuid_of(topic_id()));
    assert_eq!(topics[0].partition_indexes, [1, 2]);
    assert_eq!(
        (named.member_id.as_deref(), named.member_epoch),
        (Some("m"), 4)
    );
    assert_eq!((all.group_id.as_str(), &all.topics), ("all", &None));
}

#[test]
fn api_versions_5_of_the_java_client() {
    let body = "126170616368652d6b61666b612d6a61766106342e342e300363310000000300";
    let Request::ApiVersions(request) = java(ApiKey::ApiVersions, 5, body) else {
        panic!("another API");
    };
    assert_eq!(request.client_software_name.as_str(), "apache-kafka-java");
    assert_eq!(request.client_software_version.as_str(), "4.4.0");
    assert_eq!(
        (request.cluster_id.as_deref(), request.node_id),
        (Some("c1"), 3)
    );
    assert!(request.is_valid(5));
}

#[test]
fn quirk_9_tagged_fields_known_and_unknown_are_read_or_skipped() {
    // Known: the cluster id, the replica's state, the replica's directory and high watermark.
    let body = "000001f400000001000003e8010000004d00000003020102030405060708090a0b0c0d0e0f10\
                020000000100000004000000000000002a00000003000000000000000200000064\
                0200100102030405060708090a0b0c0d0e0f100108000000000000000c00\
                020102030405060708090a0b0c0d0e0f10020000000500027202\
                0003036331010d00000002000000000000000900";
    let Request::Fetch(request) = java(ApiKey::Fetch, 18, body) else {
        panic!("another API");
    };
    assert_eq!(request.cluster_id.as_deref(), Some("c1"));
    assert_eq!((request.replica_id, request.replica_epoch), (2, 9));
    assert_eq!(request.rack_id.as_str(), "r");
    assert_eq!(request.topics[0].partitions[0].partition_max_bytes, 100);
    assert_eq!(request.forgotten_topics[0].partitions, [5]);

    // Unknown: tag 99 in the header and in the body of an InitProducerId.
    let frame = b"\0\x16\0\x02\0\0\0\x07\0\x01c\x01\x63\x02zz\0\0\0\0\x05\x01\x63\x01z";
    let (_, request) = Request::decode(Bytes::from_static(frame)).unwrap();
    let Request::InitProducerId(request) = request else {
        panic!("another API");
    };
    assert_eq!(request.transaction_timeout_ms, 5);
    assert_eq!(request.transactional_id, None);
}

#[test]
fn quirk_1_the_client_id_is_a_16_bit_string_in_every_header_and_may_be_null() {
    let check = |frame: &'static [u8], expected: Option<&str>| {
        let (header, _) = Request::decode(Bytes::from_static(frame)).unwrap();
        assert_eq!(header.client_id.as_deref(), expected);
        assert_eq!(header.correlation_id, 7);
    };
    check(b"\0\x12\0\0\0\0\0\x07\0\x02me", Some("me")); // ApiVersions 0, header 1
    check(b"\0\x12\0\0\0\0\0\x07\xff\xff", None);
    check(b"\0\x12\0\x03\0\0\0\x07\0\x02me\0\x02a\x021\0", Some("me")); // 3, header 2
    check(b"\0\x12\0\x03\0\0\0\x07\xff\xff\0\x02a\x021\0", None);
}

#[test]
fn quirk_3_an_unknown_version_of_api_versions_is_told_apart_whatever_its_body() {
    let check = |version: i16| {
        let mut frame = 18_i16.to_be_bytes().to_vec();
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(b"\0\0\0\x07 garbage that is no header");
        assert_eq!(
            Request::decode(frame.into()).unwrap_err(),
            DecodeError::UnsupportedApiVersions {
                version,
                correlation_id: 7
            }
        );
    };
    check(6);
    check(i16::MAX);
    check(-1);
}

#[test]
fn quirk_7_other_unsupported_apis_and_versions_close_the_connection() {
    let check = |key: i16, version: i16| {
        let mut frame = key.to_be_bytes().to_vec();
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(b"\0\0\0\x07\xff\xff");
        assert_eq!(
            Request::decode(frame.into()).unwrap_err(),
            DecodeError::Unsupported { key, version }
        );
    };
    check(0, 2); // listed, not served (quirk 6)
    check(0, 14);
    check(3, 99);
    check(4, 0); // an API of brokers among themselves, gone
    check(22, 6); // unstable in 4.4
    check(-1, 0);
}

#[test]
fn quirk_7_malformed_requests_close_the_connection() {
    for api in APIS {
        for version in api.accepted_min..=api.max {
            let frame = sample_frame(api.key, version, 3);
            for cut in 0..frame.len() {
                let error = Request::decode(frame.slice(..cut)).unwrap_err();
                assert!(matches!(error, DecodeError::Malformed { .. }), "{error}");
            }
        }
    }
}

#[test]
fn quirk_10_null_and_empty_are_told_apart() {
    // Metadata: version 0 says "all" with no topic, later versions with null.
    let metadata = |version: i16, body: &[u8]| {
        let mut frame = b"\0\x03".to_vec();
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(b"\0\0\0\x07\xff\xff");
        frame.extend_from_slice(body);
        let Ok((_, Request::Metadata(request))) = Request::decode(frame.into()) else {
            panic!("Metadata v{version} does not decode");
        };
        request.topics.map(|topics| topics.len())
    };
    assert_eq!(metadata(0, b"\0\0\0\0"), Some(0));
    assert_eq!(metadata(1, b"\0\0\0\0"), Some(0));
    assert_eq!(metadata(1, b"\xff\xff\xff\xff"), None);
    assert_eq!(metadata(9, b"\0\x01\0\0\0\0"), Some(0));
    assert_eq!(metadata(9, b"\0\0\0\0\0\0"), None);
}

#[test]
fn a_count_beyond_the_frame_or_the_budget_is_refused_before_anything_is_reserved() {
    let check = |frame: &[u8], expected: Fault| {
        let error = Request::decode(Bytes::copy_from_slice(frame)).unwrap_err();
        assert!(
            matches!(error, DecodeError::Malformed { fault, .. } if fault == expected),
            "{error}"
        );
    };
    // Metadata 9, DescribeGroups 0, Produce 9 and Fetch 4, each with two thousand million elements.
    check(
        b"\0\x03\0\x09\0\0\0\x07\xff\xff\0\xff\xff\xff\xff\x07",
        Fault::Bloated,
    );
    check(
        b"\0\x0f\0\0\0\0\0\x07\xff\xff\x7f\xff\xff\xff",
        Fault::Bloated,
    );
    check(
        b"\0\0\0\x09\0\0\0\x07\xff\xff\0\0\0\x01\0\0\0\0\xff\xff\xff\xff\x07",
        Fault::CutShort,
    );
    check(
        b"\0\x01\0\x04\0\0\0\x07\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x7f\xff\xff\xff",
        Fault::CutShort,
    );
    // Topics of three bytes each in Metadata 9: far more once decoded than the frame warrants.
    let mut bloat = b"\0\x03\0\x09\0\0\0\x07\xff\xff\0\x80\x80\x80\x01".to_vec();
    bloat.extend(std::iter::repeat_n([1, 0], 2_097_151).flatten());
    bloat.extend_from_slice(&[0, 0, 0, 0]);
    check(&bloat, Fault::Bloated);
}

#[test]
fn bytes_behind_a_request_are_ignored() {
    let mut frame = BytesMut::from(&sample_frame(ApiKey::Metadata, 9, 1)[..]);
    frame.extend_from_slice(b"more");
    assert!(Request::decode(frame.freeze()).is_ok());
}

#[test]
fn record_bytes_are_shared_with_the_frame() {
    let frame = sample_frame(ApiKey::Produce, 9, 2);
    let range = frame.as_ptr_range();
    let Ok((_, Request::Produce(request))) = Request::decode(frame.clone()) else {
        panic!("does not decode");
    };
    let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
    let records: Vec<_> = partitions
        .filter_map(|each| each.records.as_ref())
        .collect();
    assert!(records.iter().any(|records| records.has_remaining()));
    for records in records {
        assert!(records.is_empty() || range.contains(&records.as_ptr()));
    }
}
