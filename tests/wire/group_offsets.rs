//! Offsets of classic groups: quirks 10, 56, 57 and 59.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest,
};
use klamm_protocol::ErrorCode;

use crate::ask::{group_id, topic_name};
use crate::client::Client;
use crate::member::Member;
use crate::requests::text;
use crate::world::World;

fn commit_request(group: &str, topic: &str, offset: i64, note: &str) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_leader_epoch(3)
        .with_committed_metadata(Some(text(note)));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

fn commit(client: &mut Client, request: &OffsetCommitRequest) -> i16 {
    client.call(8, request).topics[0].partitions[0].error_code
}

/// Error code, offset, epoch and note of the first partition of `t`.
fn committed(client: &mut Client, group: &str) -> (i16, i64, i32, String) {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(group_id(group))
        .with_topics(Some(vec![topic]));
    let answer = client.call(7, &request);
    assert_eq!(answer.error_code, 0);
    let found = &answer.topics[0].partitions[0];
    let note = found.metadata.as_deref().expect("never null").to_owned();
    (
        found.error_code,
        found.committed_offset,
        found.committed_leader_epoch,
        note,
    )
}

#[test]
fn quirk_56_who_is_no_member_commits_only_to_an_empty_group() {
    let world = World::with_topics(&["t"]);
    let mut member = Member::new(&world, "g");
    let mut client = world.client();
    let outside = commit_request("g", "t", 5, "");
    assert_eq!(
        commit(&mut client, &outside),
        0,
        "the group comes to be by it"
    );
    member.join();
    member.sync(&[]);
    let unknown = ErrorCode::UnknownMemberId.code();
    assert_eq!(commit(&mut client, &outside), unknown);
    let inside = outside
        .clone()
        .with_member_id(text(&member.id))
        .with_generation_id_or_member_epoch(member.generation);
    assert_eq!(commit(&mut client, &inside), 0);
    let old = inside
        .clone()
        .with_generation_id_or_member_epoch(member.generation - 1);
    assert_eq!(
        commit(&mut client, &old),
        ErrorCode::IllegalGeneration.code()
    );
    let stranger = inside.with_member_id(text("nobody"));
    assert_eq!(commit(&mut client, &stranger), unknown);
    member.leave();
    assert_eq!(commit(&mut client, &outside), 0);
}

#[test]
fn quirk_56_notes_come_back_as_they_were_and_have_a_limit() {
    let mut world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.find_coordinator("g");
    let longest = "x".repeat(4096);
    assert_eq!(
        commit(&mut client, &commit_request("g", "t", 7, &longest)),
        0
    );
    let too_long = commit_request("g", "t", 8, &"x".repeat(4097));
    assert_eq!(
        commit(&mut client, &too_long),
        ErrorCode::OffsetMetadataTooLarge.code()
    );
    assert_eq!(committed(&mut client, "g"), (0, 7, 3, longest.clone()));
    let null = {
        let mut request = commit_request("h", "t", 9, "");
        request.topics[0].partitions[0].committed_metadata = None;
        request
    };
    assert_eq!(commit(&mut client, &null), 0);
    assert_eq!(committed(&mut client, "h"), (0, 9, 3, String::new()));
    world.kill_and_restart();
    assert_eq!(committed(&mut world.client(), "g"), (0, 7, 3, longest));
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    let nowhere = commit_request("g", "nowhere", 1, "");
    assert_eq!(commit(&mut world.client(), &nowhere), unknown);
}

#[test]
fn quirk_56_the_group_without_a_name_stores_offsets_and_has_no_members() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.find_coordinator("");
    assert_eq!(commit(&mut client, &commit_request("", "t", 3, "")), 0);
    assert_eq!(committed(&mut client, "").1, 3);
    let invalid = ErrorCode::InvalidGroupId.code();
    let mut nobody = Member::new(&world, "");
    assert_eq!(nobody.try_join().error_code, invalid);
    assert_eq!(
        (nobody.sync(&[]).error_code, nobody.heartbeat()),
        (invalid, invalid)
    );
    assert_eq!(nobody.remove(&[("m", None)]).0, invalid);
}

#[test]
fn quirk_57_an_unknown_group_has_no_offsets_and_that_is_no_error() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.find_coordinator("g");
    let nothing = (0, -1, -1, String::new());
    assert_eq!(committed(&mut client, "nowhere"), nothing);
    commit(&mut client, &commit_request("g", "t", 4, "n"));
    let topic = OffsetFetchRequestTopics::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0, 1]);
    let groups = ["g", "nowhere"].map(|group| {
        OffsetFetchRequestGroup::default()
            .with_group_id(group_id(group))
            .with_topics(Some(vec![topic.clone()]))
    });
    for require_stable in [false, true] {
        let request = OffsetFetchRequest::default()
            .with_groups(groups.to_vec())
            .with_require_stable(require_stable);
        let answer = client.call(8, &request);
        let offsets = answer.groups.iter().map(|group| {
            assert_eq!(group.error_code, 0);
            let partitions = group.topics[0].partitions.iter();
            partitions
                .map(|p| (p.error_code, p.committed_offset))
                .collect::<Vec<_>>()
        });
        let offsets: Vec<_> = offsets.collect();
        assert_eq!(offsets, [[(0, 4), (0, -1)], [(0, -1), (0, -1)]]);
    }
}

#[test]
fn quirk_10_null_topics_are_all_of_them() {
    let world = World::with_topics(&["t", "u"]);
    let mut client = world.client();
    client.find_coordinator("g");
    for topic in ["t", "u"] {
        commit(&mut client, &commit_request("g", topic, 1, ""));
    }
    let mut count = |topics| {
        let request = OffsetFetchRequest::default()
            .with_group_id(group_id("g"))
            .with_topics(topics);
        let old = client.call(2, &request).topics.len();
        assert_eq!(client.call(7, &request).topics.len(), old);
        old
    };
    assert_eq!(count(None), 2);
    assert_eq!(count(Some(vec![])), 0);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(group_id("g"))
        .with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    assert_eq!(client.call(9, &request).groups[0].topics.len(), 2);
}

#[test]
fn quirk_59_offsets_of_subscribed_topics_are_not_deleted() {
    let world = World::with_topics(&["t", "u"]);
    let mut client = world.client();
    client.find_coordinator("g");
    for topic in ["t", "u"] {
        commit(&mut client, &commit_request("g", topic, 1, ""));
    }
    // It subscribes to t.
    let mut member = Member::alone(&world, "g");
    let mut codes = |group: &str| {
        let topics = ["t", "u", "nowhere"].map(|topic| {
            OffsetDeleteRequestTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(vec![OffsetDeleteRequestPartition::default()])
        });
        let request = OffsetDeleteRequest::default()
            .with_group_id(group_id(group))
            .with_topics(topics.to_vec());
        let answer = client.call(0, &request);
        let mut codes: Vec<_> = answer
            .topics
            .iter()
            .map(|topic| {
                (
                    topic.name.as_str().to_owned(),
                    topic.partitions[0].error_code,
                )
            })
            .collect();
        codes.sort();
        (answer.error_code, codes)
    };
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    let expected = |t: i16| {
        let rows = [("nowhere", unknown), ("t", t), ("u", 0)];
        (0, rows.map(|(name, code)| (name.to_owned(), code)).to_vec())
    };
    assert_eq!(
        codes("g"),
        expected(ErrorCode::GroupSubscribedToTopic.code())
    );
    member.leave();
    assert_eq!(codes("g"), expected(0));
    assert_eq!(
        codes("nowhere"),
        (ErrorCode::GroupIdNotFound.code(), vec![])
    );
    assert_eq!(committed(&mut world.client(), "g").1, -1);
}

#[test]
fn quirk_59_a_deleted_group_has_no_offsets_also_after_a_crash() {
    let mut world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.find_coordinator("g");
    for group in ["g", "h"] {
        assert_eq!(commit(&mut client, &commit_request(group, "t", 1, "")), 0);
    }
    let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id("g")]);
    assert_eq!(client.call(2, &request).results[0].error_code, 0);
    assert_eq!(committed(&mut client, "g").1, -1);
    world.kill_and_restart();
    assert_eq!(committed(&mut world.client(), "g").1, -1);
    assert_eq!(committed(&mut world.client(), "h").1, 1);
}

#[test]
fn quirk_60_offsets_lie_in_the_partition_of_the_groups_hash() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.find_coordinator("g");
    // Java's hash codes: 103 of "g", 98 of "b"; there are two partitions.
    for (group, ours, other) in [("g", 1, 0), ("b", 0, 1)] {
        let before = [ours, other].map(|p| client.fetch("__consumer_offsets", p, 0));
        assert_eq!(commit(&mut client, &commit_request(group, "t", 1, "")), 0);
        let after = [ours, other].map(|p| client.fetch("__consumer_offsets", p, 0));
        assert_eq!(
            after[0].records.len(),
            before[0].records.len() + 1,
            "{group}"
        );
        assert_eq!(after[1].records.len(), before[1].records.len(), "{group}");
    }
}

#[test]
fn quirk_60_groups_follow_the_topic_of_offsets() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    assert_eq!(
        client.try_create_topic("__consumer_offsets", 3, &[]).0,
        0,
        "made by hand"
    );
    let groups = ["a", "b", "c", "d", "e"];
    for group in groups {
        assert_eq!(commit(&mut client, &commit_request(group, "t", 5, "")), 0);
        assert_eq!(committed(&mut client, group).1, 5);
    }
    let request =
        DeleteTopicsRequest::default().with_topic_names(vec![topic_name("__consumer_offsets")]);
    assert_eq!(client.call(5, &request).responses[0].error_code, 0);
    let not_coordinator = commit(&mut client, &commit_request("a", "t", 6, ""));
    assert_ne!(not_coordinator, 0);
    client.find_coordinator("a");
    assert_eq!(
        client.describe("__consumer_offsets").partitions.len(),
        2,
        "made anew"
    );
    for group in groups {
        assert_eq!(committed(&mut client, group).1, -1, "gone with the topic");
        assert_eq!(commit(&mut client, &commit_request(group, "t", 7, "")), 0);
        assert_eq!(committed(&mut client, group).1, 7);
    }
}
