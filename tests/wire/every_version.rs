//! A client that speaks one version of everything: what it writes it can read, commit and find
//! again, whatever that version is.

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest,
    SyncGroupRequest,
};
use klamm_protocol::{ApiKey, ErrorCode};

use crate::ask::{Fetch, batch_at, batches, group_id, millis, topic_name};
use crate::client::Client;
use crate::requests::{produce_request, text};
use crate::world::World;

fn versions(key: ApiKey) -> std::ops::RangeInclusive<i16> {
    key.api().accepted_min..=key.api().max
}

#[test]
fn every_version_of_produce_is_read_by_every_version_of_fetch() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let id = client.describe("t").topic_id;
    let mut count = 0;
    for version in versions(ApiKey::Produce) {
        let sent = batch_at(Default::default(), &[millis()]);
        let mut request = produce_request("t", 0, -1, &sent);
        if version >= 13 {
            request.topic_data[0].name = topic_name("");
            request.topic_data[0].topic_id = id;
        }
        let answer = client.append_request(version, &request);
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (0, count),
            "version={version}"
        );
        count += 1;
    }
    // 17 and 18 differ in what replicas send alone.
    for version in versions(ApiKey::Fetch) {
        let fetch = if version >= 13 {
            Fetch::of_id(id)
        } else {
            Fetch::of("t")
        };
        let found = fetch.first(&mut client, version);
        assert_eq!(
            (found.error_code, found.high_watermark),
            (0, count),
            "version={version}"
        );
        let found = batches(found.records.as_ref());
        assert_eq!(found.len() as i64, count, "version={version}");
    }
    for version in 1..=10 {
        assert_eq!(
            client.list_offset(version, "t", -1).offset,
            count,
            "version={version}"
        );
        assert_eq!(
            client.list_offset(version, "t", -2).offset,
            0,
            "version={version}"
        );
    }
}

#[test]
fn every_version_of_commit_is_found_by_every_version_of_offset_fetch() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.find_coordinator("g");
    for version in 2..=9 {
        let partition = OffsetCommitRequestPartition::default()
            .with_committed_offset(i64::from(version))
            .with_committed_metadata(Some(text("note")));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id("g"))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        let answer = client.call(version, &request);
        assert_eq!(
            answer.topics[0].partitions[0].error_code, 0,
            "version={version}"
        );
        for version_of_fetch in 1..=9 {
            let found = committed(&mut client, version_of_fetch);
            assert_eq!(
                found,
                (i64::from(version), "note".to_owned()),
                "{version_of_fetch}"
            );
        }
    }
}

fn committed(client: &mut Client, version: i16) -> (i64, String) {
    let old = OffsetFetchRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0]);
    let new = OffsetFetchRequestTopics::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(group_id("g"))
        .with_topics(Some(vec![new]));
    let request = OffsetFetchRequest::default();
    if version >= 8 {
        let answer = client.call(version, &request.with_groups(vec![group]));
        let partition = &answer.groups[0].topics[0].partitions[0];
        let note = partition.metadata.as_deref().unwrap_or_default();
        return (partition.committed_offset, note.to_owned());
    }
    let request = request
        .with_group_id(group_id("g"))
        .with_topics(Some(vec![old]));
    let answer = client.call(version, &request);
    let partition = &answer.topics[0].partitions[0];
    let note = partition.metadata.as_deref().unwrap_or_default();
    (partition.committed_offset, note.to_owned())
}

#[test]
fn a_member_joins_syncs_beats_and_leaves_in_every_version() {
    let world = World::new();
    let mut client = world.client();
    client.find_coordinator("g");
    let latest = |key: ApiKey, version: i16| version.min(key.api().max);
    for version in versions(ApiKey::JoinGroup) {
        let group = format!("g{version}");
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata("said".into());
        let mut join = JoinGroupRequest::default()
            .with_group_id(group_id(&group))
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let mut joined = client.call(version, &join);
        if joined.error_code == ErrorCode::MemberIdRequired.code() {
            join.member_id = joined.member_id;
            joined = client.call(version, &join);
        }
        assert_eq!(
            (joined.error_code, joined.generation_id),
            (0, 1),
            "version={version}"
        );
        assert_eq!(joined.members[0].metadata, "said");
        let (member, generation) = (joined.member_id, joined.generation_id);

        let sync = SyncGroupRequest::default()
            .with_group_id(group_id(&group))
            .with_generation_id(generation)
            .with_member_id(member.clone());
        let synced = client.call(latest(ApiKey::SyncGroup, version), &sync);
        assert_eq!(synced.error_code, 0, "version={version}");
        let beat = HeartbeatRequest::default()
            .with_group_id(group_id(&group))
            .with_generation_id(generation)
            .with_member_id(member.clone());
        let beaten = client.call(latest(ApiKey::Heartbeat, version), &beat);
        assert_eq!(beaten.error_code, 0, "version={version}");
        let leave_version = latest(ApiKey::LeaveGroup, version);
        let leave = LeaveGroupRequest::default().with_group_id(group_id(&group));
        let leave = if leave_version >= 3 {
            leave.with_members(vec![MemberIdentity::default().with_member_id(member)])
        } else {
            leave.with_member_id(member)
        };
        let left = client.call(leave_version, &leave);
        assert_eq!(left.error_code, 0, "version={version}");
        assert!(left.members.iter().all(|member| member.error_code == 0));
    }
}
