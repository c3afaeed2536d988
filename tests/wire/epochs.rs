//! Leader epochs: quirks 17, 28, 46 and 76.

use kafka_protocol::messages::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::EpochEndOffset;
use kafka_protocol::messages::{BrokerId, DeleteTopicsRequest};
use klamm_protocol::ErrorCode;

use crate::ask::{Fetch, batches, epoch_in, epoch_of, list_offsets_request, topic_name};
use crate::client::Client;
use crate::requests::batch;
use crate::world::World;

fn end_of_epoch(client: &mut Client, current: i32, asked: i32) -> EpochEndOffset {
    let partition = OffsetForLeaderPartition::default()
        .with_partition(0)
        .with_current_leader_epoch(current)
        .with_leader_epoch(asked);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(topic_name("t"))
        .with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    client
        .call(4, &request)
        .topics
        .remove(0)
        .partitions
        .remove(0)
}

/// The epoch that every API agrees on, after one more record in it.
fn agreed_epoch(client: &mut Client) -> i32 {
    let epoch = epoch_of(&client.describe("t"));
    let offset = client.append(9, "t", &batch(&[b"v"])).base_offset;
    let latest = client.list_offset(5, "t", -1);
    assert_eq!((latest.offset, latest.leader_epoch), (offset + 1, epoch));
    let found = Fetch::of("t").from(offset).epoch(epoch).first(client, 12);
    assert_eq!(found.error_code, 0);
    assert_eq!(epoch_in(&batches(found.records.as_ref())[0]), epoch);
    let end = end_of_epoch(client, epoch, epoch);
    assert_eq!(
        (end.error_code, end.leader_epoch, end.end_offset),
        (0, epoch, offset + 1)
    );
    epoch
}

#[test]
fn quirk_17_one_leader_epoch_everywhere_that_rises_with_every_restart() {
    let mut world = World::with_topics(&["t"]);
    let first = agreed_epoch(&mut world.client());
    assert!(first >= 0, "-1 would mean that there are no epochs");
    assert_eq!(agreed_epoch(&mut world.client()), first);
    world.restart();
    let second = agreed_epoch(&mut world.client());
    assert!(second > first, "{second} after {first}");
    world.kill_and_restart();
    let third = agreed_epoch(&mut world.client());
    assert!(third > second, "{third} after {second}");
}

#[test]
fn quirk_28_a_client_with_an_old_epoch_is_told_who_leads() {
    let mut world = World::with_topics(&["t"]);
    let old = epoch_of(&world.client().describe("t"));
    world.restart();
    let mut client = world.client();
    let topic = client.describe("t");
    let request = Fetch::of_id(topic.topic_id).epoch(old);
    let answer = request.ask(&mut client, 16);
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::FencedLeaderEpoch.code());
    let leader = topic.partitions[0].leader_id;
    assert_eq!(partition.current_leader.leader_id, leader);
    assert_eq!(partition.current_leader.leader_epoch, epoch_of(&topic));
    let endpoint = &answer.node_endpoints[0];
    assert_eq!(
        (endpoint.node_id, endpoint.port),
        (leader, i32::from(world.port()))
    );
    let before = request.ask(&mut client, 15);
    assert!(
        before.node_endpoints.is_empty(),
        "not known before version 16"
    );
}

#[test]
fn quirk_46_epochs_are_fenced_or_unknown() {
    let mut world = World::with_topics(&["t"]);
    world.restart();
    let mut client = world.client();
    let epoch = epoch_of(&client.describe("t"));
    let fenced = ErrorCode::FencedLeaderEpoch.code();
    let unknown = ErrorCode::UnknownLeaderEpoch.code();
    for (claimed, code) in [
        (-1, 0),
        (epoch, 0),
        (epoch - 1, fenced),
        (epoch + 1, unknown),
    ] {
        let fetched = Fetch::of("t").epoch(claimed).first(&mut client, 12);
        assert_eq!(fetched.error_code, code, "Fetch with {claimed} of {epoch}");
        let answer = client.call(5, &list_offsets_request("t", claimed, -1));
        assert_eq!(
            answer.topics[0].partitions[0].error_code, code,
            "ListOffsets"
        );
        let end = end_of_epoch(&mut client, claimed, epoch);
        assert_eq!(end.error_code, code, "OffsetForLeaderEpoch");
    }
}

#[test]
fn quirk_46_the_end_of_an_epoch_is_where_the_next_one_begins() {
    let mut world = World::with_topics(&["t"]);
    let first = agreed_epoch(&mut world.client());
    world.restart();
    let second = agreed_epoch(&mut world.client());
    let mut client = world.client();
    let mut end = |asked| {
        let end = end_of_epoch(&mut client, -1, asked);
        (end.error_code, end.leader_epoch, end.end_offset)
    };
    assert_eq!(end(first), (0, first, 1));
    assert_eq!(end(second), (0, second, 2));
    assert_eq!(end(second + 1), (0, -1, -1), "not known yet");
    assert_eq!(end(-1), (0, -1, -1));
}

#[test]
fn quirk_46_a_reader_of_lost_records_is_told_where_to_go_on() {
    let mut world = World::with_topics(&["t"]);
    let first = agreed_epoch(&mut world.client());
    world.restart();
    let second = agreed_epoch(&mut world.client());
    let mut client = world.client();
    let good = Fetch::of("t")
        .from(1)
        .last_fetched(first)
        .first(&mut client, 12);
    assert_eq!((good.error_code, good.diverging_epoch.epoch), (0, -1));
    // It has read two records in the first epoch, of which there was one.
    let lost = Fetch::of("t")
        .from(2)
        .last_fetched(first)
        .first(&mut client, 12);
    assert_eq!(lost.error_code, 0);
    let told = (lost.diverging_epoch.epoch, lost.diverging_epoch.end_offset);
    assert_eq!(told, (first, 1));
    assert!(batches(lost.records.as_ref()).is_empty());
    let good = Fetch::of("t")
        .from(2)
        .last_fetched(second)
        .first(&mut client, 12);
    assert_eq!((good.error_code, good.diverging_epoch.epoch), (0, -1));
}

#[test]
fn quirk_76_epochs_never_go_back_while_records_go() {
    let mut world = World::with_topics(&["t"]);
    let mut before = agreed_epoch(&mut world.client());
    for round in 0..3 {
        let mut client = world.client();
        let (_, end) = client.ends("t");
        assert_eq!(client.delete_records("t", end), (0, end));
        if round == 1 {
            world.kill_and_restart();
        } else {
            world.restart();
        }
        let mut client = world.client();
        let empty = client.list_offset(5, "t", -1);
        assert!(
            empty.leader_epoch > before,
            "{} after {before}",
            empty.leader_epoch
        );
        let earliest = client.list_offset(5, "t", -2);
        assert_eq!((earliest.error_code, earliest.offset), (0, end));
        before = agreed_epoch(&mut client);
    }
    // Another topic of the same name starts anew; clients tell it by its id.
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    let mut client = world.client();
    assert_eq!(client.call(5, &request).responses[0].error_code, 0);
    client.create_topic("t", &[]);
    assert!(agreed_epoch(&mut client) >= 0);
}
