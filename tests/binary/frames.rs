//! What strangers and broken clients send: it ends their connection, never the broker.

use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest, MetadataRequest};
use kafka_protocol::protocol::Request;

use crate::broker::Broker;
use crate::client::{Client, frame};
use crate::requests::{batch, produce_request, text};
use crate::support::TempDir;

/// A frame with this content.
fn framed(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("tests are small");
    [&length.to_be_bytes(), content].concat()
}

fn assert_alive(broker: &Broker) {
    let versions = ApiVersionsRequest::default()
        .with_client_software_name(text("binary-test"))
        .with_client_software_version(text("1"));
    let answer = broker.client().call(3, &versions);
    assert_eq!(answer.error_code, 0);
}

#[test]
fn frames_that_are_none_end_the_connection_and_are_logged() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let check = |bytes: &[u8], said: &str| {
        let mut client = broker.client();
        client.send_bytes(bytes).expect("it is sent");
        assert!(client.is_closed_by_broker(), "{said}");
        let line = broker.process.says(said);
        assert!(line.contains("WARN"), "{line}");
        assert!(line.contains("127.0.0.1"), "says who: {line}");
        assert_alive(&broker);
    };
    check(&[0xff; 4], "frame length is negative length=-1");
    check(b"\x7f\xff\xff\xff", "length=2147483647 max=104857600");
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "a TLS client");
    check(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "an HTTP client");
    let metadata_key = MetadataRequest::KEY.to_be_bytes()[1];
    check(&framed(b""), "malformed request");
    check(
        &framed(&[
            0,
            metadata_key,
            0,
            1,
            0,
            0,
            0,
            1,
            0,
            0,
            0x7f,
            0xff,
            0xff,
            0xff,
        ]),
        "malformed request",
    );
    check(
        &framed(&[0x27, 0x0f, 0, 0, 0, 0, 0, 1, 0xff, 0xff]),
        "key=9999",
    );
    check(
        &framed(&[0, metadata_key, 0, 99, 0, 0, 0, 1, 0xff, 0xff]),
        "version=99",
    );
    broker.assert_no_errors();
}

#[test]
fn an_unknown_version_of_api_versions_is_answered() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    let key = ApiVersionsRequest::KEY.to_be_bytes()[1];
    let question = framed(&[0, key, 0, 99, 0, 0, 0, 7, 0xff, 0xff]);
    client.send_bytes(&question).expect("it is sent");
    let answer = client.receive_frame().expect("an answer");
    assert_eq!(answer[..6], [0, 0, 0, 7, 0, 35], "UNSUPPORTED_VERSION");
    // The connection goes on.
    client.send_bytes(&question).expect("it is sent");
    client.receive_frame().expect("an answer");
}

#[test]
fn a_request_cut_off_at_any_byte_does_no_harm() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    broker.client().create_topic("t", &[]);
    let whole = frame(9, 1, &produce_request("t", 0, -1, &batch(&[b"never"])));
    for length in (0..whole.len()).step_by(7) {
        let mut client = broker.client();
        client.send_bytes(&whole[..length]).expect("it is sent");
        client.finish_writing();
        assert!(client.is_closed_by_broker(), "cut at {length}");
    }
    assert_eq!(broker.client().values("t", 0), [""; 0]);
    broker.assert_no_errors();
}

#[test]
fn a_client_that_never_reads_its_answers_harms_nobody_else() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    let value = vec![b'x'; 500_000];
    for _ in 0..4 {
        client
            .produce("t", &batch(&[&value]))
            .expect("it is appended");
    }
    let wanted = kafka_protocol::messages::fetch_request::FetchTopic::default()
        .with_topic(kafka_protocol::messages::TopicName(text("t")))
        .with_partitions(vec![
            kafka_protocol::messages::fetch_request::FetchPartition::default()
                .with_partition_max_bytes(1 << 24),
        ]);
    let fetch = FetchRequest::default()
        .with_max_bytes(1 << 24)
        .with_topics(vec![wanted]);
    let mut deaf = broker.client();
    for correlation_id in 0..100 {
        deaf.send_bytes(&frame(11, correlation_id, &fetch))
            .expect("it is sent");
    }
    // While it is deaf, and after it is gone in the middle of an answer.
    assert_eq!(client.produce("t", &batch(&[b"y"])), Ok(4));
    drop(deaf);
    assert_eq!(client.produce("t", &batch(&[b"z"])), Ok(5));
    assert_eq!(client.read_all("t", 0).len(), 6);
    broker.assert_no_errors();
    broker.stop();
}

#[test]
fn without_acknowledgement_an_error_closes_the_connection() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    let good = produce_request("t", 0, 0, &batch(&[b"a"]));
    client.send_produce(&good).expect("it is sent");
    let metadata = client.metadata("t");
    assert_eq!(
        metadata.topics[0].error_code, 0,
        "no answer came before this one"
    );
    let bad = produce_request("t", 7, 0, &batch(&[b"a"]));
    client.send_produce(&bad).expect("it is sent");
    assert!(client.is_closed_by_broker());
    assert_eq!(broker.client().values("t", 0), ["a"]);
}

#[test]
fn answers_come_in_order_however_many_questions_are_out() {
    const QUESTIONS: i32 = 1_000;
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[("klamm.requests.in.flight.max", "8")]);
    let mut client = broker.client();
    client.create_topic("t", &[("flush.messages", "1")]);
    let mut questions = Vec::new();
    for id in 0..QUESTIONS {
        // Those that wait for an fsync are between those that do not.
        questions.extend_from_slice(&match id % 10 {
            0 => frame(9, id, &produce_request("t", 0, -1, &batch(&[b"a"]))),
            _ => frame(
                4,
                id,
                &MetadataRequest::default().with_topics(Some(Vec::new())),
            ),
        });
    }
    client.send_bytes(&questions).expect("it is sent");
    for id in 0..QUESTIONS {
        let answer = client.receive_frame().expect("every question is answered");
        assert_eq!(answer[..4], id.to_be_bytes());
    }
    assert_eq!(client.read_all("t", 0).len(), QUESTIONS as usize / 10);
}

#[test]
fn a_request_before_a_bad_one_is_answered() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    broker.client().create_topic("t", &[]);
    let mut client: Client = broker.client();
    let mut bytes = frame(9, 1, &produce_request("t", 0, -1, &batch(&[b"a"]))).to_vec();
    bytes.extend_from_slice(&[0xff; 4]);
    client.send_bytes(&bytes).expect("it is sent");
    assert_eq!(
        client.receive_frame().expect("an answer")[..4],
        [0, 0, 0, 1]
    );
    assert!(client.is_closed_by_broker());
}
