//! Topics by id: quirks 16 and 48.

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    DeleteTopicsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
};
use kafka_protocol::protocol::Request;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::Uuid;

use crate::ask::{Fetch, batches, topic_name};
use crate::client::Client;
use crate::raw::Raw;
use crate::requests::batch;
use crate::world::World;

fn produce_by_id(client: &mut Client, id: Uuid) -> i16 {
    let data = PartitionProduceData::default()
        .with_index(0)
        .with_records(Some(batch(&[b"v"]).to_bytes()));
    let topic = TopicProduceData::default()
        .with_topic_id(id)
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(20_000)
        .with_topic_data(vec![topic]);
    let answer = client.call(13, &request);
    assert_eq!(answer.responses[0].topic_id, id);
    answer.responses[0].partition_responses[0].error_code
}

/// The client's library has version 10 of the answers, but not of the requests.
fn commit_by_id(client: &mut Client, id: Uuid, offset: i64) -> i16 {
    let request = Raw::new(OffsetCommitRequest::KEY, 10, 7, None)
        .no_tags()
        .compact("g")
        .bytes(&(-1_i32).to_be_bytes()) // no generation
        .compact("") // no member
        .bytes(&[0]) // no instance
        .array(1)
        .bytes(id.as_bytes())
        .array(1)
        .bytes(&0_i32.to_be_bytes())
        .bytes(&offset.to_be_bytes())
        .bytes(&(-1_i32).to_be_bytes()) // no epoch
        .bytes(&[0]) // no metadata
        .no_tags() // of the partition, the topic, the request
        .no_tags()
        .no_tags();
    client.send_bytes(&request.framed()).expect("open");
    let answer = client
        .receive::<OffsetCommitRequest>(10)
        .expect("an answer");
    assert_eq!(answer.topics[0].topic_id, id);
    answer.topics[0].partitions[0].error_code
}

fn committed_by_id(client: &mut Client, id: Uuid) -> (i16, i64) {
    let request = Raw::new(OffsetFetchRequest::KEY, 10, 7, None)
        .no_tags()
        .array(1)
        .compact("g")
        .bytes(&[0]) // no member
        .bytes(&(-1_i32).to_be_bytes()) // no epoch
        .array(1)
        .bytes(id.as_bytes())
        .array(1)
        .bytes(&0_i32.to_be_bytes())
        .no_tags() // of the topic, the group
        .no_tags()
        .bytes(&[0]) // unstable ones as well
        .no_tags();
    client.send_bytes(&request.framed()).expect("open");
    let answer = client.receive::<OffsetFetchRequest>(10).expect("an answer");
    assert_eq!(answer.groups[0].error_code, 0);
    let topic = &answer.groups[0].topics[0];
    assert_eq!(topic.topic_id, id);
    let partition = &topic.partitions[0];
    (partition.error_code, partition.committed_offset)
}

/// What every API that knows ids says of this one.
fn codes(client: &mut Client, id: Uuid) -> [i16; 4] {
    [
        produce_by_id(client, id),
        Fetch::of_id(id).first(client, 17).error_code,
        commit_by_id(client, id, 1),
        committed_by_id(client, id).0,
    ]
}

#[test]
fn quirk_16_ids_outlive_restarts_and_change_with_the_topic() {
    let mut world = World::with_topics(&["t"]);
    world.client().find_coordinator("g");
    let id = world.client().describe("t").topic_id;
    assert!(!id.is_nil());
    assert_eq!(codes(&mut world.client(), id), [0; 4]);
    world.restart();
    assert_eq!(world.client().describe("t").topic_id, id);
    world.kill_and_restart();
    assert_eq!(world.client().describe("t").topic_id, id);
    let found = Fetch::of_id(id).first(&mut world.client(), 13);
    assert_eq!(batches(found.records.as_ref()).len(), 1);
    assert_eq!(committed_by_id(&mut world.client(), id), (0, 1));

    let mut client = world.client();
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    assert_eq!(client.call(5, &request).responses[0].error_code, 0);
    client.create_topic("t", &[]);
    let new_id = client.describe("t").topic_id;
    assert!(new_id != id && !new_id.is_nil());
    let unknown = ErrorCode::UnknownTopicId.code();
    assert_eq!(
        codes(&mut client, id),
        [unknown; 4],
        "the old topic is gone"
    );
    assert_eq!(
        committed_by_id(&mut client, new_id),
        (0, -1),
        "and its offsets with it"
    );
    assert_eq!(codes(&mut client, new_id), [0; 4]);
}

#[test]
fn quirk_16_no_topic_is_told_without_its_id() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.find_coordinator("g");
    for version in 10..=13 {
        let all = client.call(version, &MetadataRequest::default().with_topics(None));
        assert_eq!(all.topics.len(), 2);
        assert!(all.topics.iter().all(|topic| !topic.topic_id.is_nil()));
    }
    let created = client.metadata("made-on-first-use");
    assert_eq!(created.topics[0].error_code, 0);
    assert!(!client.describe("made-on-first-use").topic_id.is_nil());
}

#[test]
fn quirk_48_a_wrong_id_is_an_error_of_its_partition_alone() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.append(9, "t", &batch(&[b"v"]));
    let id = client.describe("t").topic_id;
    let wrong = Uuid::from_bytes([3; 16]);
    let answer = Fetch::of_id(wrong)
        .and_id(id)
        .and_id(Uuid::nil())
        .ask(&mut client, 13);
    assert_eq!(answer.error_code, 0);
    let unknown = ErrorCode::UnknownTopicId.code();
    for (asked, code) in [(wrong, unknown), (id, 0), (Uuid::nil(), unknown)] {
        let topic = answer
            .responses
            .iter()
            .find(|topic| topic.topic_id == asked);
        let partition = &topic.expect("each is answered").partitions[0];
        assert_eq!(partition.error_code, code);
        assert_eq!(
            batches(partition.records.as_ref()).len(),
            usize::from(code == 0)
        );
    }
}
