//! What clients are told of topics and brokers: quirks 12 to 15, 18, 19, 75 and 78.

use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeGroupsRequest, DescribeTopicPartitionsRequest, MetadataRequest,
    MetadataResponse,
};
use klamm_model::record_batch::BatchBuilder;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::Uuid;

use crate::ask::{Fetch, batch_at, epoch_of, group_id, millis, topic_name};
use crate::client::Client;
use crate::requests::batch;
use crate::world::World;

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(topic_name(name)))
}

fn ask(client: &mut Client, create: bool, topics: Vec<MetadataRequestTopic>) -> MetadataResponse {
    let request = MetadataRequest::default()
        .with_topics(Some(topics))
        .with_allow_auto_topic_creation(create);
    client.call(12, &request)
}

#[test]
fn quirk_12_unknown_topics_are_told_apart() {
    let world = World::new();
    let mut client = world.client();
    let nowhere = Uuid::from_bytes([7; 16]);
    let by_id = MetadataRequestTopic::default()
        .with_topic_id(nowhere)
        .with_name(None);
    let asked = vec![named("nowhere"), named("no good"), named(".."), by_id];
    let answer = ask(&mut client, false, asked);
    let codes: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    let illegal = ErrorCode::InvalidTopicException.code();
    let unknown_id = ErrorCode::UnknownTopicId.code();
    assert_eq!(codes, [unknown, illegal, illegal, unknown_id]);
    assert_eq!(answer.topics[3].topic_id, nowhere);
    assert!(
        answer
            .topics
            .iter()
            .all(|topic| topic.partitions.is_empty())
    );

    let illegal_name = ask(&mut client, true, vec![named("no good")]);
    assert_eq!(illegal_name.topics[0].error_code, illegal, "never created");
    assert_eq!(
        client.append(9, "nowhere", &batch(&[b"v"])).error_code,
        unknown
    );
    assert_eq!(
        Fetch::of("nowhere").first(&mut client, 12).error_code,
        unknown
    );
    assert_eq!(
        Fetch::of_id(nowhere).first(&mut client, 13).error_code,
        unknown_id
    );
    assert_eq!(client.list_offset(5, "nowhere", -1).error_code, unknown);
    let topics =
        ["nowhere", "no good"].map(|name| TopicRequest::default().with_name(topic_name(name)));
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(topics.to_vec())
        .with_response_partition_limit(10);
    let answer = client.call(0, &request);
    let mut codes: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [unknown, illegal]);
    let all = client.call(12, &MetadataRequest::default().with_topics(None));
    assert!(all.topics.is_empty(), "nothing was created on the way");
}

#[test]
fn quirk_12_topic_ids_and_null_names_are_refused_before_version_12() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let id = client.describe("t").topic_id;
    let by_id = MetadataRequestTopic::default()
        .with_topic_id(id)
        .with_name(None);
    for version in [10, 11] {
        let request = MetadataRequest::default().with_topics(Some(vec![by_id.clone()]));
        let answer = client.call(version, &request);
        let code = answer.topics[0].error_code;
        assert_eq!(code, ErrorCode::InvalidRequest.code(), "version={version}");
    }
    let request = MetadataRequest::default().with_topics(Some(vec![by_id]));
    let answer = client.call(12, &request);
    assert_eq!(answer.topics[0].name, Some(topic_name("t")));
}

#[test]
fn a_topic_that_is_asked_for_twice_is_answered_once() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let id = client.describe("t").topic_id;
    let by_id = |id| {
        MetadataRequestTopic::default()
            .with_topic_id(id)
            .with_name(None)
    };
    let names = |answer: &MetadataResponse| -> Vec<_> {
        let named = answer.topics.iter().map(|topic| topic.name.clone());
        named
            .map(|name| name.map(|name| name.to_string()))
            .collect()
    };
    let some = |name: &str| Some(name.to_owned());
    let asked = ["t", "new", "t", "no", "new", "no"].map(named).to_vec();
    let answer = ask(&mut client, false, asked.clone());
    assert_eq!(names(&answer), ["t", "new", "no"].map(some));
    let answer = ask(&mut client, true, asked);
    assert_eq!(names(&answer), ["t", "new", "no"].map(some));
    assert!(answer.topics.iter().all(|topic| topic.error_code == 0));
    let nowhere = Uuid::from_bytes([7; 16]);
    let asked = [id, nowhere, id, nowhere].map(by_id).to_vec();
    let answer = ask(&mut client, false, asked);
    assert_eq!(names(&answer), [some("t"), None]);
}

#[test]
fn quirk_13_a_topic_is_created_on_first_use_and_has_a_leader_at_once() {
    let world = World::new();
    let mut client = world.client();
    let asked = ask(&mut client, false, vec![named("t")]);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(asked.topics[0].error_code, unknown, "the request says no");
    let all = client.call(12, &MetadataRequest::default().with_topics(None));
    assert!(all.topics.is_empty(), "asking for all creates nothing");
    let created = ask(&mut client, true, vec![named("t")]);
    let topic = &created.topics[0];
    assert_eq!((topic.error_code, topic.partitions.len()), (0, 1));
    assert_eq!(topic.partitions[0].error_code, 0);
    assert_eq!(topic.partitions[0].leader_id, created.controller_id);
    assert_eq!(client.append(9, "t", &batch(&[b"v"])).error_code, 0);
    // Before version 4 the request cannot say no.
    let request = MetadataRequest::default().with_topics(Some(vec![named("u")]));
    assert_eq!(client.call(3, &request).topics[0].error_code, 0);
}

#[test]
fn quirk_13_the_servers_setting_forbids_creation_on_first_use() {
    let world = World::with(&[("auto.create.topics.enable", "false")]);
    let mut client = world.client();
    let asked = ask(&mut client, true, vec![named("t")]);
    assert_eq!(
        asked.topics[0].error_code,
        ErrorCode::UnknownTopicOrPartition.code()
    );
    client.find_coordinator("g");
    assert_eq!(
        client.describe("__consumer_offsets").error_code,
        0,
        "but for the broker's own"
    );
}

#[test]
fn quirk_14_topics_created_on_first_use_have_num_partitions() {
    let world = World::with(&[("num.partitions", "4")]);
    let mut client = world.client();
    let created = ask(
        &mut client,
        true,
        vec![named("t"), named("__consumer_offsets")],
    );
    let counts: Vec<_> = created.topics.iter().map(|t| t.partitions.len()).collect();
    assert_eq!(
        counts,
        [4, 2],
        "the topic of offsets has a setting of its own"
    );
    let defaults = World::new();
    let created = ask(&mut defaults.client(), true, vec![named("t")]);
    assert_eq!(created.topics[0].partitions.len(), 1);
}

#[test]
fn quirk_15_names_are_checked_and_may_not_collide() {
    let world = World::new();
    let mut client = world.client();
    let mut code = |name: &str| client.try_create_topic(name, 1, &[]).0;
    let illegal = ErrorCode::InvalidTopicException.code();
    let longest = "x".repeat(249);
    for good in ["a.b", "c_d", "A-1", "...", longest.as_str()] {
        assert_eq!(code(good), 0, "{good}");
    }
    let too_long = "y".repeat(250);
    for bad in [
        "",
        ".",
        "..",
        "a b",
        "ä",
        "a/b",
        "a_b",
        "c.d",
        too_long.as_str(),
    ] {
        assert_eq!(code(bad), illegal, "{bad}");
    }
    // Nor is one made on first use, though the answer is another, as Kafka's.
    let answer = ask(&mut client, true, vec![named("a_b")]);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(answer.topics[0].error_code, unknown);
}

#[test]
fn quirk_18_internal_topics_are_marked_and_the_controller_is_a_live_broker() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.find_coordinator("g");
    assert!(client.describe("__consumer_offsets").is_internal);
    assert!(!client.describe("t").is_internal);
    for version in 1..=12 {
        let answer = client.call(version, &MetadataRequest::default().with_topics(None));
        let internal = answer
            .topics
            .iter()
            .filter(|topic| topic.is_internal)
            .count();
        assert_eq!(internal, 1, "version={version}");
        let is_live =
            |broker: &kafka_protocol::messages::metadata_response::MetadataResponseBroker| {
                broker.node_id == answer.controller_id
            };
        assert!(answer.brokers.iter().any(is_live), "version={version}");
    }
    let cluster = client.call(0, &DescribeClusterRequest::default());
    assert!(
        cluster
            .brokers
            .iter()
            .any(|broker| broker.broker_id == cluster.controller_id)
    );
    let record = batch_at(BatchBuilder::new(), &[millis()]);
    let refused = client.append(9, "__consumer_offsets", &record);
    assert_eq!(refused.error_code, ErrorCode::InvalidTopicException.code());
}

#[test]
fn quirk_19_operations_are_told_only_to_who_asks() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let mut metadata = |asked: bool| {
        let request = MetadataRequest::default()
            .with_topics(Some(vec![named("t")]))
            .with_include_cluster_authorized_operations(asked)
            .with_include_topic_authorized_operations(asked);
        let answer = client.call(8, &request);
        [
            answer.cluster_authorized_operations,
            answer.topics[0].topic_authorized_operations,
        ]
    };
    assert_eq!(metadata(false), [i32::MIN; 2]);
    assert!(metadata(true).iter().all(|bits| *bits > 0));
    let mut cluster = |asked| {
        let request =
            DescribeClusterRequest::default().with_include_cluster_authorized_operations(asked);
        client.call(0, &request).cluster_authorized_operations
    };
    assert_eq!(cluster(false), i32::MIN);
    assert!(cluster(true) > 0);
    client.find_coordinator("g");
    let request = DescribeGroupsRequest::default().with_groups(vec![group_id("g")]);
    assert_eq!(
        client.call(5, &request).groups[0].authorized_operations,
        i32::MIN
    );
}

#[test]
fn quirk_19_addresses_are_those_of_the_listener_used() {
    let world = World::with(&[
        ("listeners", "INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0"),
        (
            "advertised.listeners",
            "INSIDE://inside.example:19092,OUTSIDE://outside.example:29092",
        ),
        (
            "listener.security.protocol.map",
            "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
        ),
    ]);
    let line = world.broker().process.says("INSIDE://inside");
    assert!(line.contains("inside.example:19092"), "{line}");
    let ports = listening_ports(world.broker().process.id());
    assert_eq!(ports.len(), 2, "{ports:?}");
    let mut told: Vec<_> = ports
        .into_iter()
        .map(|port| {
            let mut client = Client::connect(port);
            let request = MetadataRequest::default().with_topics(Some(vec![]));
            let broker = client.call(12, &request).brokers.remove(0);
            let cluster = client
                .call(0, &DescribeClusterRequest::default())
                .brokers
                .remove(0);
            assert_eq!((&broker.host, broker.port), (&cluster.host, cluster.port));
            let key = kafka_protocol::messages::FindCoordinatorRequest::default()
                .with_key(crate::requests::text("g"));
            let coordinator = client.call(3, &key);
            assert_eq!(
                (&broker.host, broker.port),
                (&coordinator.host, coordinator.port)
            );
            format!("{}:{}", broker.host.as_str(), broker.port)
        })
        .collect();
    told.sort();
    assert_eq!(told, ["inside.example:19092", "outside.example:29092"]);
}

/// The ports on which a process listens: the advertised ones are not where it is reached.
fn listening_ports(process: u32) -> Vec<u16> {
    let links = std::fs::read_dir(format!("/proc/{process}/fd")).expect("our child");
    let links = links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok());
    let sockets: Vec<_> = links
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has one");
    let rows = table.lines().skip(1).filter_map(|row| {
        let fields: Vec<_> = row.split_whitespace().collect();
        let is_listening = fields.get(3) == Some(&"0A");
        let socket = format!("socket:[{}]", fields.get(9)?);
        let port = fields.get(1)?.rsplit_once(':')?.1;
        (is_listening && sockets.contains(&socket)).then(|| u16::from_str_radix(port, 16).ok())?
    });
    rows.collect()
}

#[test]
fn quirk_75_the_broker_keeps_its_number_and_tells_its_new_address_at_once() {
    let mut world = World::with(&[("broker.rack", "use1-az1")]);
    let told = |world: &World| {
        let request = MetadataRequest::default().with_topics(Some(vec![]));
        let answer = world.client().call(12, &request);
        let broker = &answer.brokers[0];
        let rack = broker.rack.as_deref().map(str::to_owned);
        assert_eq!(rack.as_deref(), Some("use1-az1"));
        assert_eq!(broker.port, i32::from(world.port()));
        (broker.node_id, answer.cluster_id)
    };
    let before = told(&world);
    assert!(before.0.0 >= 0);
    // Port 0 is another one each time.
    world.restart();
    assert_eq!(told(&world), before);
    world.kill_and_restart();
    assert_eq!(told(&world), before);
}

#[test]
fn quirk_78_no_topic_is_ever_seen_without_a_leader() {
    let mut world = World::new();
    for round in 0..20 {
        let name = format!("t{round}");
        let mut client = world.client();
        let created = ask(&mut client, true, vec![named(&name)]);
        assert_eq!(created.topics[0].partitions[0].error_code, 0);
        assert!(epoch_of(&created.topics[0]) >= 0);
    }
    world.kill_and_restart();
    let all = world
        .client()
        .call(12, &MetadataRequest::default().with_topics(None));
    let partitions = all.topics.iter().flat_map(|topic| &topic.partitions);
    let led = partitions.filter(|p| p.error_code == 0 && p.leader_id == all.controller_id);
    assert_eq!(led.count(), 20, "also right after a crash");
}
