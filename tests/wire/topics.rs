//! Creating, growing, deleting and paging through topics: quirks 20 to 22.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeTopicPartitionsRequest,
};
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::Uuid;

use crate::ask::topic_name;
use crate::client::Client;
use crate::requests::{batch, text};
use crate::world::World;

fn topic(name: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
}

fn create(
    client: &mut Client,
    version: i16,
    topics: Vec<CreatableTopic>,
) -> Vec<CreatableTopicResult> {
    let request = CreateTopicsRequest::default().with_topics(topics);
    client.call(version, &request).topics
}

fn assigned(name: &str, replicas: &[&[i32]]) -> CreatableTopic {
    let assignments = (0..).zip(replicas).map(|(partition, replicas)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(partition)
            .with_broker_ids(replicas.iter().map(|id| BrokerId(*id)).collect())
    });
    topic(name, -1, -1).with_assignments(assignments.collect())
}

#[test]
fn quirk_20_counts_are_defaults_or_checked() {
    let world = World::with(&[("num.partitions", "3")]);
    let mut client = world.client();
    let created = create(&mut client, 7, vec![topic("t", -1, -1)]).remove(0);
    assert_eq!((created.error_code, created.num_partitions), (0, 3));
    assert_eq!(created.replication_factor, 1);
    assert_eq!(created.topic_id, client.describe("t").topic_id);
    let mut code = |topic| create(&mut client, 7, vec![topic]).remove(0).error_code;
    let invalid_replicas = ErrorCode::InvalidReplicationFactor.code();
    assert_eq!(code(topic("u", 0, 1)), ErrorCode::InvalidPartitions.code());
    assert_eq!(code(topic("u", -2, 1)), ErrorCode::InvalidPartitions.code());
    assert_eq!(code(topic("u", 1, 0)), invalid_replicas);
    assert_eq!(
        code(topic("u", 1, 2)),
        invalid_replicas,
        "there is one broker"
    );
    assert_eq!(code(topic("t", 1, 1)), ErrorCode::TopicAlreadyExists.code());
}

#[test]
fn quirk_20_assignments_by_hand_exclude_counts() {
    let world = World::new();
    let mut client = world.client();
    let us = client.find_coordinator("g").0;
    let mut code = |topic| create(&mut client, 5, vec![topic]).remove(0).error_code;
    assert_eq!(code(assigned("t", &[&[us], &[us]])), 0);
    let both = assigned("u", &[&[us]]).with_num_partitions(1);
    assert_eq!(code(both), ErrorCode::InvalidRequest.code());
    let invalid = ErrorCode::InvalidReplicaAssignment.code();
    assert_eq!(code(assigned("u", &[&[us + 1]])), invalid);
    assert_eq!(code(assigned("u", &[&[us, us]])), invalid);
    assert_eq!(code(assigned("u", &[&[]])), invalid);
    assert_eq!(client.describe("t").partitions.len(), 2);
}

#[test]
fn quirk_20_validate_only_creates_nothing_and_tells_everything() {
    let world = World::new();
    let mut client = world.client();
    let asked = topic("t", 2, 1);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![asked.clone()])
        .with_validate_only(true);
    let answer = client.call(7, &request);
    assert_eq!(
        (answer.topics[0].error_code, answer.topics[0].num_partitions),
        (0, 2)
    );
    assert_eq!(
        client.describe("t").error_code,
        ErrorCode::UnknownTopicOrPartition.code()
    );
    assert_eq!(create(&mut client, 7, vec![asked]).remove(0).error_code, 0);
}

#[test]
fn quirk_20_settings_are_checked_and_returned() {
    let world = World::new();
    let mut client = world.client();
    let set = |name: &str, value: &str| {
        let config = CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)));
        topic("t", 1, 1).with_configs(vec![config])
    };
    let invalid = ErrorCode::InvalidConfig.code();
    for (name, value) in [
        ("no.such.key", "1"),
        ("retention.ms", "soon"),
        ("cleanup.policy", "x"),
    ] {
        let refused = create(&mut client, 5, vec![set(name, value)]).remove(0);
        assert_eq!(refused.error_code, invalid, "{name}={value}");
        assert!(refused.error_message.is_some(), "{name}={value}");
    }
    let created = create(&mut client, 5, vec![set("retention.ms", "1234")]).remove(0);
    assert_eq!(created.error_code, 0);
    let configs = created.configs.expect("from version 5 on");
    assert!(configs.len() >= 30, "{}", configs.len());
    let retention = configs
        .iter()
        .find(|config| config.name.as_str() == "retention.ms");
    let retention = retention.expect("it was set");
    assert_eq!(retention.value.as_deref(), Some("1234"));
    assert_eq!(retention.config_source, 1, "of this topic");
}

#[test]
fn quirk_20_a_name_that_comes_twice_is_refused_once() {
    let world = World::new();
    let mut client = world.client();
    let asked = vec![topic("t", 1, 1), topic("t", 2, 1), topic("u", 1, 1)];
    let mut answers: Vec<_> = create(&mut client, 5, asked)
        .into_iter()
        .map(|result| (result.name.as_str().to_owned(), result.error_code))
        .collect();
    answers.sort();
    let refused = ErrorCode::InvalidRequest.code();
    assert_eq!(answers, [("t".to_owned(), refused), ("u".to_owned(), 0)]);
}

#[test]
fn quirk_21_every_topic_has_one_result_and_partitions_only_grow() {
    let world = World::with_topics(&["t", "u"]);
    let mut client = world.client();
    let mut grow = |names: &[(&str, i32)]| {
        let topics = names.iter().map(|(name, count)| {
            CreatePartitionsTopic::default()
                .with_name(topic_name(name))
                .with_count(*count)
                .with_assignments(None)
        });
        let request = CreatePartitionsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(20_000);
        let mut results: Vec<_> = client
            .call(3, &request)
            .results
            .iter()
            .map(|result| (result.name.as_str().to_owned(), result.error_code))
            .collect();
        results.sort();
        results
    };
    let invalid = ErrorCode::InvalidPartitions.code();
    let result = |name: &str, code: i16| (name.to_owned(), code);
    assert_eq!(
        grow(&[("t", 3), ("u", 1)]),
        [result("t", 0), result("u", invalid)]
    );
    assert_eq!(grow(&[("t", 2)]), [result("t", invalid)]);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(grow(&[("nowhere", 2)]), [result("nowhere", unknown)]);
    let partitions = client.describe("t").partitions;
    assert!(partitions.len() == 3 && partitions.iter().all(|p| p.error_code == 0));
}

#[test]
fn quirk_21_topics_are_deleted_by_name_or_id() {
    let world = World::with_topics(&["t", "u"]);
    let mut client = world.client();
    let id = client.describe("u").topic_id;
    let unknown_id = Uuid::from_bytes([9; 16]);
    let by_name = |name: &str| DeleteTopicState::default().with_name(Some(topic_name(name)));
    let by_id = |id| {
        DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(id)
    };
    let topics = vec![
        by_name("t"),
        by_id(id),
        by_name("nowhere"),
        by_id(unknown_id),
    ];
    let request = DeleteTopicsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(20_000);
    let answer = client.call(6, &request);
    let result = |id: Uuid, name: &str| {
        let found = answer.responses.iter().find(|response| {
            response.topic_id == id || response.name.as_ref() == Some(&topic_name(name))
        });
        found.map(|response| response.error_code)
    };
    assert_eq!(result(id, "u"), Some(0));
    assert_eq!(result(Uuid::from_bytes([1; 16]), "t"), Some(0));
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(result(Uuid::from_bytes([1; 16]), "nowhere"), Some(unknown));
    assert_eq!(
        result(unknown_id, "-"),
        Some(ErrorCode::UnknownTopicId.code())
    );
    assert_eq!(client.describe("t").error_code, unknown);
    assert_eq!(client.describe("u").error_code, unknown);
}

#[test]
fn quirk_21_deletion_can_be_disabled() {
    let world = World::with(&[("delete.topic.enable", "false")]);
    let mut client = world.client();
    client.create_topic("t", &[]);
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    let code =
        |client: &mut Client, version| client.call(version, &request).responses[0].error_code;
    assert_eq!(
        code(&mut client, 5),
        ErrorCode::TopicDeletionDisabled.code()
    );
    assert_eq!(
        code(&mut client, 2),
        ErrorCode::InvalidRequest.code(),
        "it knows no better"
    );
    assert_eq!(client.describe("t").error_code, 0);
}

#[test]
fn quirk_22_partitions_are_paged_and_names_sorted() {
    let world = World::new();
    let mut client = world.client();
    for (name, partitions) in [("b", 3), ("a", 2), ("c", 1)] {
        assert_eq!(client.try_create_topic(name, partitions, &[]).0, 0);
    }
    let names = ["c", "a", "b"].map(|name| TopicRequest::default().with_name(topic_name(name)));
    let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, None::<Cursor>);
    loop {
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(names.to_vec())
            .with_response_partition_limit(2)
            .with_cursor(cursor.take());
        let answer = client.call(0, &request);
        pages += 1;
        for topic in &answer.topics {
            assert_eq!(topic.error_code, 0);
            let name = topic.name.as_ref().expect("it was asked by name").as_str();
            let partitions = topic.partitions.iter();
            seen.extend(partitions.map(|p| format!("{name}-{}", p.partition_index)));
        }
        let Some(next) = answer.next_cursor else {
            break;
        };
        cursor = Some(
            Cursor::default()
                .with_topic_name(next.topic_name)
                .with_partition_index(next.partition_index),
        );
        assert!(pages < 10, "it comes to an end");
    }
    assert_eq!(seen, ["a-0", "a-1", "b-0", "b-1", "b-2", "c-0"]);
    assert_eq!(pages, 3);
    let all = client.call(
        0,
        &DescribeTopicPartitionsRequest::default().with_response_partition_limit(2_000),
    );
    let names: Vec<_> = all.topics.iter().flat_map(|topic| &topic.name).collect();
    assert!(
        names.iter().map(|name| name.as_str()).eq(["a", "b", "c"]),
        "none named is all"
    );
}

#[test]
fn quirk_22_a_page_holds_one_partition_at_least() {
    let world = World::new();
    let mut client = world.client();
    assert_eq!(client.try_create_topic("t", 3, &[]).0, 0);
    for limit in [0, -5, 1] {
        let topics = vec![TopicRequest::default().with_name(topic_name("t"))];
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(topics)
            .with_response_partition_limit(limit);
        let answer = client.call(0, &request);
        assert_eq!(answer.topics[0].partitions.len(), 1, "limit={limit}");
        let next = answer.next_cursor.expect("there are more");
        assert_eq!(
            (next.topic_name, next.partition_index),
            (topic_name("t"), 1)
        );
    }
}

/// What the broker's process holds in memory, as the system counts it.
fn resident_kib(world: &World) -> u64 {
    let id = world.broker().process.id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

#[test]
fn a_hundred_thousand_topics_are_refused_at_the_limit_and_others_are_served() {
    const LIMIT: usize = 60;
    const PER_REQUEST: usize = 10_000;
    let limit = LIMIT.to_string();
    let world = World::with(&[("klamm.partitions.max", &limit)]);
    world.client().create_topic("t", &[]);
    let mut greedy = world.client();
    let mut created = 0;
    let mut resident = None;
    for request in 0..10 {
        let names = (0..PER_REQUEST).map(|number| format!("greedy-{request}-{number}"));
        let topics = names.map(|name| topic(&name, 1, 1)).collect();
        for answer in create(&mut greedy, 7, topics) {
            let text = answer.error_message.unwrap_or_default();
            match answer.error_code {
                0 => created += 1,
                code => {
                    assert_eq!(code, ErrorCode::PolicyViolation.code(), "{text}");
                    assert!(text.contains("klamm.partitions.max"), "{text}");
                }
            }
        }
        // The first requests show what the largest ones take anyhow.
        let first = *resident.get_or_insert_with(|| resident_kib(&world));
        let now = resident_kib(&world);
        assert!(now < first + (64 << 10), "{first} KiB, then {now}");
    }
    assert_eq!(created, LIMIT - 1);

    let mut other = world.client();
    assert_eq!(other.produce("t", &batch(&[b"served"])), Ok(0));
    let more = CreatePartitionsTopic::default()
        .with_name(topic_name("t"))
        .with_count(2)
        .with_assignments(None);
    let more = CreatePartitionsRequest::default().with_topics(vec![more]);
    let refused = &other.call(3, &more).results[0];
    assert_eq!(refused.error_code, ErrorCode::PolicyViolation.code());
    let on_first_use = other.metadata("new").topics.remove(0);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(
        on_first_use.error_code, unknown,
        "as with a policy of Kafka"
    );
    // What groups need is there for them all the same.
    other.find_coordinator("g");
    assert_eq!(other.describe("__consumer_offsets").partitions.len(), 2);
}
