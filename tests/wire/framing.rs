//! Frames, headers, ApiVersions: quirks 1 to 11.

use std::time::Duration;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeConfigsRequest, JoinGroupRequest, ListOffsetsRequest,
    MetadataRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::Request;
use klamm_protocol::{APIS, ApiKey, ErrorCode};

use crate::ask::{Fetch, topic_name};
use crate::client::frame;
use crate::raw::{Raw, correlation_id, framed};
use crate::requests::{batch, produce_request, text};
use crate::support::LIMIT;
use crate::world::World;

const METADATA: i16 = MetadataRequest::KEY;
const API_VERSIONS: i16 = ApiVersionsRequest::KEY;

fn api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(text("wire-test"))
        .with_client_software_version(text("1.0"))
}

#[test]
fn quirk_1_client_id_is_a_nullable_string_of_16_bits_in_both_headers() {
    let world = World::new();
    let check = |version: i16, client_id: Option<&str>, tags: &[u8], body: &[u8]| {
        let frame = Raw::new(METADATA, version, 7, client_id);
        let answer = world
            .client()
            .exchange(&frame.bytes(tags).bytes(body).framed());
        assert_eq!(correlation_id(&answer), 7, "version={version}");
    };
    let (old_body, new_body) = (b"\0\0\0\0".as_slice(), b"\x01\0\0\0\0".as_slice());
    for client_id in [None, Some(""), Some("x")] {
        check(1, client_id, b"", old_body);
        check(9, client_id, b"\0", new_body);
        // One tagged field of the header that nobody knows: number 99, two bytes.
        check(9, client_id, b"\x01\x63\x02ab", new_body);
    }
}

#[test]
fn quirk_2_answers_to_flexible_versions_have_tagged_headers_but_for_api_versions() {
    let world = World::new();
    let mut client = world.client();
    let answer = client.exchange(&frame(9, 7, &MetadataRequest::default()));
    assert_eq!(answer[4], 0, "the header's tagged fields");
    for version in 0..=4 {
        let answer = client.exchange(&frame(version, 7, &api_versions()));
        assert_eq!(answer[4..6], [0, 0], "the error code follows at once");
        let rows = APIS.len();
        if version >= 3 {
            assert_eq!(usize::from(answer[6]), rows + 1, "then the compact list");
        } else {
            assert_eq!(answer[6..10], (rows as u32).to_be_bytes(), "then the list");
        }
    }
}

#[test]
fn quirk_3_an_unknown_version_of_api_versions_is_answered_in_the_form_of_version_0() {
    let world = World::new();
    let mut client = world.client();
    for version in [6, 99, i16::MAX, -1] {
        let request = Raw::new(API_VERSIONS, version, 7, None).bytes(b"\xff\xfewhatever");
        let answer = client.exchange(&request.framed());
        assert_eq!(
            answer,
            b"\0\0\0\x07\0\x23\0\0\0\x01\0\x12\0\0\0\x05".as_slice()
        );
    }
    assert_eq!(client.call(0, &ApiVersionsRequest::default()).error_code, 0);
}

#[test]
fn quirk_4_the_name_and_version_of_the_clients_software_are_checked() {
    let world = World::new();
    let mut client = world.client();
    let mut code = |name: &str, version: &str| {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text(name))
            .with_client_software_version(text(version));
        client.call(3, &request).error_code
    };
    let invalid = ErrorCode::InvalidRequest.code();
    assert_eq!(code("apache-kafka-java", "4.4.0"), 0);
    assert_eq!(code("", ""), invalid);
    assert_eq!(code("-java", "4.4.0"), invalid);
    assert_eq!(code("java", "4.4.0."), invalid);
    assert_eq!(code("ja va", "1"), invalid);
    assert_eq!(
        code("librdkafka", "2.15.0-RC1"),
        0,
        "the connection goes on"
    );
}

#[test]
fn quirk_5_api_versions_may_be_asked_again_and_hides_features_from_old_versions() {
    let world = World::new();
    let mut client = world.client();
    client.metadata("t");
    for version in [3, 4, 3, 0] {
        let answer = client.call(version, &api_versions());
        assert_eq!(answer.error_code, 0);
        let from_0 = answer.supported_features.iter();
        let from_0 = from_0.filter(|feature| feature.min_version == 0).count();
        assert!(version > 3 || from_0 == 0, "KAFKA-17011");
        let told = answer.supported_features.iter().map(|f| f.name.as_str());
        let told: Vec<_> = told.collect();
        assert_eq!(told.contains(&"metadata.version"), version >= 3, "{told:?}");
        assert!(!told.contains(&"transaction.version"), "there are none");
    }
}

#[test]
fn quirk_6_what_is_listed_is_what_is_served() {
    let world = World::new();
    let mut client = world.client();
    let expected: Vec<_> = APIS
        .iter()
        .map(|api| (api.key.code(), api.advertised_min, api.max))
        .collect();
    for version in 0..=4 {
        let answer = client.call(version, &api_versions());
        let rows = answer.api_keys.iter();
        let rows: Vec<_> = rows
            .map(|row| (row.api_key, row.min_version, row.max_version))
            .collect();
        assert_eq!(rows, expected);
    }
    // What librdkafka tells from the ranges: codecs, message format, groups, idempotence.
    let has = |key: ApiKey, version: i16| {
        expected
            .iter()
            .any(|(k, min, max)| *k == key.code() && *min <= version && version <= *max)
    };
    assert!(has(ApiKey::Produce, 0) && has(ApiKey::Produce, 3) && has(ApiKey::Produce, 7));
    assert!(has(ApiKey::Fetch, 4) && has(ApiKey::Fetch, 10));
    assert!((8..=14).all(|key| ApiKey::from_code(key).is_some_and(|key| has(key, 2))));
    assert!(has(ApiKey::InitProducerId, 0) && has(ApiKey::FindCoordinator, 0));
}

#[test]
fn quirk_7_what_is_not_served_and_what_is_no_request_closes_the_connection() {
    let world = World::new();
    let raw = |key: i16, version: i16| Raw::new(key, version, 7, Some("c"));
    let closes = |request: Raw| world.client().closes_on(&request.framed());
    closes(raw(METADATA, 14).bytes(&[0; 32]));
    closes(raw(METADATA, -1).bytes(&[0; 32]));
    for version in 0..=2 {
        closes(raw(0, version).bytes(&[0; 32]));
    }
    closes(raw(4, 0).bytes(&[0; 32])); // LeaderAndIsr, gone in Kafka 4
    closes(raw(24, 0).bytes(&[0; 32])); // AddPartitionsToTxn
    closes(raw(1000, 0).bytes(&[0; 32]));
    closes(raw(METADATA, 1).bytes(b"\0\0\0\x05\0\x01t")); // four of five topics are missing
    closes(raw(METADATA, 9).bytes(b"\0\x7f"));
    closes(raw(API_VERSIONS, 3).bytes(b"\0\x05ab"));
    world.client().closes_on(&framed(b"\0\x03"));
    world.client().closes_on(&framed(b""));
}

#[test]
fn quirk_8_answers_come_in_the_order_of_requests() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    // The first waits for records; the second could be answered at once.
    let waiting = Fetch::of("t").wait(Duration::from_millis(100)).min_bytes(1);
    let first = frame(11, 1, &waiting.request());
    let second = frame(9, 2, &MetadataRequest::default());
    client.send_bytes(&[first, second].concat()).expect("open");
    for expected in [1, 2] {
        let answer = client.receive_frame().expect("an answer");
        assert_eq!(correlation_id(&answer), expected);
    }
}

#[test]
fn quirk_8_a_long_line_of_requests_is_answered_in_its_order() {
    const COUNT: i32 = 500;
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let requests = (1..=COUNT).map(|id| match id % 3 {
        0 => frame(11, id, &Fetch::of("t").request()),
        1 => frame(9, id, &produce_request("t", 0, -1, &batch(&[b"v"]))),
        _ => frame(9, id, &MetadataRequest::default()),
    });
    let requests: Vec<_> = requests.collect();
    client.send_bytes(&requests.concat()).expect("open");
    for expected in 1..=COUNT {
        let answer = client.receive_frame().expect("an answer");
        assert_eq!(correlation_id(&answer), expected);
    }
}

#[test]
fn quirk_8_a_producer_that_wants_no_answer_gets_none() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let silent = frame(9, 1, &produce_request("t", 0, 0, &batch(&[b"v"])));
    let ends = frame(1, 2, &ListOffsetsRequest::default());
    let answer = client.exchange(&[silent, ends].concat());
    assert_eq!(correlation_id(&answer), 2);
    assert_eq!(client.values("t", 0), ["v"]);
    let fails = frame(9, 3, &produce_request("nowhere", 0, 0, &batch(&[b"v"])));
    world.client().closes_on(&fails);
}

#[test]
fn quirk_9_nothing_is_throttled_and_unknown_tagged_fields_are_skipped() {
    let world = World::new();
    let mut client = world.client();
    let answer = client.call(9, &MetadataRequest::default());
    assert_eq!(answer.throttle_time_ms, 0);
    assert_eq!(client.call(3, &api_versions()).throttle_time_ms, 0);
    // ApiVersions with a tagged field of number 99 in its body.
    let request = Raw::new(API_VERSIONS, 3, 7, None)
        .bytes(b"\0")
        .compact("a")
        .compact("1");
    let answer = client.exchange(&request.bytes(b"\x01\x63\x02ab").framed());
    assert_eq!(answer[4..6], [0, 0]);
}

#[test]
fn quirk_10_null_and_empty_mean_different_things() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let mut topics = |version, topics| {
        let request = MetadataRequest::default().with_topics(topics);
        client.call(version, &request).topics.len()
    };
    assert_eq!(topics(0, Some(vec![])), 1, "in version 0 empty is all");
    assert_eq!(topics(1, Some(vec![])), 0);
    assert_eq!(topics(1, None), 1);
    assert_eq!(topics(13, None), 1);

    let mut settings = |keys: Option<Vec<_>>| {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_configuration_keys(keys);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        client.call(4, &request).results[0].configs.len()
    };
    assert!(settings(None) >= 30);
    assert_eq!(settings(Some(vec![text("retention.ms")])), 1);
    // Since KAFKA-9838 an empty list asks for all settings, too.
    assert!(settings(Some(vec![])) >= 30);
}

#[test]
fn quirk_10_absent_bytes_of_groups_are_empty_and_not_null() {
    let world = World::new();
    let mut client = world.client();
    // Version 0 of JoinGroup asks for no second round; its decoder refuses null bytes.
    let protocol =
        kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol::default()
            .with_name(text("range"));
    let join = JoinGroupRequest::default()
        .with_group_id(kafka_protocol::messages::GroupId(text("g")))
        .with_session_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    client.metadata("t");
    client.find_coordinator("g");
    let joined = client.call(0, &join);
    assert_eq!(joined.error_code, 0);
    assert!(joined.members[0].metadata.is_empty());
    let sync = SyncGroupRequest::default()
        .with_group_id(kafka_protocol::messages::GroupId(text("g")))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id);
    let synced = client.call(0, &sync);
    assert_eq!((synced.error_code, synced.assignment.len()), (0, 0));
}

#[test]
fn quirk_11_oversized_requests_and_other_protocols_are_closed_and_their_first_bytes_logged() {
    let world = World::with(&[("socket.request.max.bytes", "1000")]);
    let began = std::time::Instant::now();
    world.client().closes_on(&1001_i32.to_be_bytes());
    world.client().closes_on(&(-1_i32).to_be_bytes());
    world
        .client()
        .closes_on(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03");
    world.client().closes_on(b"GET / HTTP/1.1\r\n\r\n");
    assert!(began.elapsed() < LIMIT / 10, "at once");
    world.broker().process.says("a TLS client");
    world.broker().process.says("an HTTP client");
    let request = MetadataRequest::default().with_topics(Some(vec![
        kafka_protocol::messages::metadata_request::MetadataRequestTopic::default()
            .with_name(Some(topic_name("t"))),
    ]));
    world.client().call(9, &request);
}
