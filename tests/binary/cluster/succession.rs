//! Between two leaders clients are told whom to ask next, and nothing that misleads them.

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{FetchRequest, MetadataRequest, ProduceRequest, TopicName};

use super::{Cluster, leader_as_told, metadata};
use crate::client::Client;
use crate::requests::{ALL, NOT_LEADER_OR_FOLLOWER, batch, produce_request, text};

const FENCED_LEADER_EPOCH: i16 = 74;

/// The topic as a broker describes it.
fn describe(client: &mut Client) -> MetadataResponseTopic {
    let wanted = MetadataRequestTopic::default().with_name(Some(TopicName(text("t"))));
    let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
    client.call(12, &request).topics.remove(0)
}

/// Produces until it is refused; who leads instead, with the address that is told.
fn produce_until_refused(client: &mut Client) -> (i32, Option<i32>) {
    let request = produce_request("t", 0, ALL, &batch(&[b"0"]));
    loop {
        let answer = client.call::<ProduceRequest>(10, &request);
        let told = &answer.responses[0].partition_responses[0];
        if told.error_code != 0 {
            assert_eq!(told.error_code, NOT_LEADER_OR_FOLLOWER);
            let endpoint = answer.node_endpoints.first();
            let port = endpoint.map(|endpoint| endpoint.port);
            return (told.current_leader.leader_id.0, port);
        }
    }
}

/// Fetches what comes until it is refused; who leads instead.
fn fetch_until_refused(client: &mut Client, described: &MetadataResponseTopic) -> i32 {
    let mut from = 0;
    loop {
        let partition = FetchPartition::default()
            .with_fetch_offset(from)
            .with_current_leader_epoch(described.partitions[0].leader_epoch)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default()
            .with_topic_id(described.topic_id)
            .with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_wait_ms(500)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let answer = client.call(16, &request);
        let told = &answer.responses[0].partitions[0];
        from = told.high_watermark.max(from);
        if told.error_code != 0 {
            assert!([NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH].contains(&told.error_code));
            return told.current_leader.leader_id.0;
        }
    }
}

#[test]
fn a_leader_that_gives_its_place_away_does_not_name_itself() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let preferred = cluster.leader("t", 0);
    cluster.kill(preferred);
    let acting = cluster.leader("t", 0);
    let described = describe(&mut cluster.client(acting));
    let (mut producer, mut consumer) = (cluster.client(acting), cluster.client(acting));
    let told = std::thread::scope(|scope| {
        let producing = scope.spawn(move || produce_until_refused(&mut producer));
        let consuming = scope.spawn(|| fetch_until_refused(&mut consumer, &described));
        // It gets its place back.
        cluster.start_one(preferred);
        let (leader, port) = producing.join().expect("it was refused");
        (leader, port, consuming.join().expect("it was refused"))
    });
    let (leader, port, leader_for_consumers) = told;
    let asked = described.partitions[0].leader_id.0;
    let successor = i32::from(cluster.seats[preferred].client_port);
    assert_ne!(leader, asked, "a producer is sent back");
    assert_ne!(leader_for_consumers, asked, "a consumer is sent back");
    assert!(port.is_none_or(|port| port == successor), "{port:?}");
}

#[test]
fn a_broker_that_died_is_named_until_clients_have_turned_to_other_leaders() {
    let mut cluster = Cluster::start();
    let (dead, mut client) = cluster.create_topic_and_kill_its_leader("t");
    let is_over = |client: &mut Client| {
        let told = leader_as_told(client, "t", 0);
        told.is_some_and(|told| told != dead)
    };
    while !is_over(&mut client) {}
    let brokers = metadata(&mut client, "t").brokers;
    let ports: Vec<_> = brokers.iter().map(|broker| broker.port).collect();
    assert!(ports.contains(&dead), "{ports:?} without {dead}");
}
