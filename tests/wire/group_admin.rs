//! What tools ask of classic groups, and where groups are: quirks 58 to 60.

use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, JoinGroupRequest,
    ListGroupsRequest,
};
use klamm_protocol::ErrorCode;

use crate::ask::group_id;
use crate::client::Client;
use crate::member::{Member, gather};
use crate::requests::text;
use crate::support::eventually;
use crate::world::World;

/// State, protocol and the ids of members.
pub(crate) fn described(client: &mut Client, group: &str) -> (String, String, Vec<String>) {
    let request = DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
    let answer = client.call(5, &request).groups.remove(0);
    assert_eq!(answer.error_code, 0);
    let members = answer.members.iter();
    let mut ids: Vec<_> = members
        .map(|member| member.member_id.as_str().to_owned())
        .collect();
    ids.sort();
    let (state, protocol) = (answer.group_state, answer.protocol_data);
    (state.as_str().to_owned(), protocol.as_str().to_owned(), ids)
}

pub(crate) fn state(client: &mut Client, group: &str) -> String {
    described(client, group).0
}

#[test]
fn quirk_58_groups_are_described_in_the_words_that_tools_parse() {
    let world = World::new();
    let mut client = world.client();
    client.find_coordinator("g");
    assert_eq!(
        state(&mut client, "g"),
        "Dead",
        "without an error up to version 5"
    );
    let request = DescribeGroupsRequest::default().with_groups(vec![group_id("g")]);
    let unknown = client.call(6, &request).groups.remove(0);
    assert_eq!(unknown.error_code, ErrorCode::GroupIdNotFound.code());
    assert_eq!(unknown.group_state.as_str(), "Dead");
    assert!(unknown.error_message.is_some());

    let mut member = Member::new(&world, "g");
    member.join();
    assert_eq!(state(&mut client, "g"), "CompletingRebalance");
    assert_eq!(member.sync(&[(&member.id.clone(), "a")]).error_code, 0);
    let stable = (
        "Stable".to_owned(),
        "range".to_owned(),
        vec![member.id.clone()],
    );
    assert_eq!(described(&mut client, "g"), stable);
    let mut other = Member::new(&world, "g");
    other.send_join();
    eventually("it rebalances", || {
        (state(&mut client, "g") == "PreparingRebalance").then_some(())
    });
    member.join();
    other.receive_join();
    member.leave();
    other.leave();
    assert_eq!(state(&mut client, "g"), "Empty");
}

#[test]
fn quirk_58_members_are_described_with_all_they_said() {
    let world = World::new();
    let mut member = Member::new(&world, "g").instance("i");
    member.join();
    member.sync(&[(&member.id.clone(), "assigned")]);
    let request = DescribeGroupsRequest::default().with_groups(vec![group_id("g")]);
    let group = member.client.call(5, &request).groups.remove(0);
    assert_eq!(group.protocol_type.as_str(), "consumer");
    let told = &group.members[0];
    assert_eq!(told.group_instance_id.as_deref(), Some("i"));
    assert_eq!(told.client_host.as_str(), "/127.0.0.1");
    assert!(!told.client_id.is_empty());
    assert!(!told.member_metadata.is_empty());
    assert_eq!(told.member_assignment, "assigned");
}

#[test]
fn quirk_58_groups_are_listed_by_state_and_type() {
    let world = World::new();
    let _stable = Member::alone(&world, "stable");
    Member::alone(&world, "empty").leave();
    let mut client = world.client();
    let mut listed = |version: i16, states: &[&str], types: &[&str]| {
        let texts = |words: &[&str]| words.iter().map(|word| text(word)).collect::<Vec<_>>();
        let request = ListGroupsRequest::default()
            .with_states_filter(texts(states))
            .with_types_filter(texts(types));
        let answer = client.call(version, &request);
        assert_eq!(answer.error_code, 0);
        let groups = answer.groups.iter();
        let mut names: Vec<_> = groups
            .map(|group| group.group_id.as_str().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(listed(0, &[], &[]), ["empty", "stable"]);
    assert_eq!(listed(4, &["Stable"], &[]), ["stable"]);
    assert_eq!(
        listed(5, &["empty", "STABLE"], &["classic"]),
        ["empty", "stable"]
    );
    assert_eq!(listed(5, &[], &["consumer"]), [""; 0]);
    assert_eq!(listed(5, &["Dead"], &[]), [""; 0]);
}

#[test]
fn quirk_59_members_leave_together_by_id_or_by_instance() {
    let world = World::new();
    let mut members = [
        Member::new(&world, "g").instance("i"),
        Member::new(&world, "g"),
        Member::new(&world, "g").instance("j"),
    ];
    gather(&mut members);
    let dynamic = members[1].id.clone();
    let unknown = ErrorCode::UnknownMemberId.code();
    let fenced = ErrorCode::FencedInstanceId.code();
    let asked = [
        ("", Some("i")),
        (&dynamic, None),
        ("nobody", None),
        ("x", Some("j")),
        ("", Some("k")),
    ];
    let codes = members[0].remove(&asked);
    assert_eq!(codes, (0, vec![0, 0, unknown, fenced, unknown]));
    let left = described(&mut members[0].client, "g").2;
    assert_eq!(left, [members[2].id.clone()]);
    assert_eq!(members[0].remove(&[("", Some("j"))]), (0, vec![0]));
    assert_eq!(state(&mut members[0].client, "g"), "Empty");
}

#[test]
fn quirk_59_only_empty_groups_are_deleted() {
    let world = World::new();
    let mut member = Member::alone(&world, "g");
    let mut client = world.client();
    let mut codes = |version| {
        let names = vec![group_id("g"), group_id("nowhere")];
        let request = DeleteGroupsRequest::default().with_groups_names(names);
        let results = client.call(version, &request).results;
        results
            .iter()
            .map(|result| result.error_code)
            .collect::<Vec<_>>()
    };
    let not_found = ErrorCode::GroupIdNotFound.code();
    assert_eq!(codes(0), [ErrorCode::NonEmptyGroup.code(), not_found]);
    member.leave();
    assert_eq!(codes(2), [0, not_found]);
    assert_eq!(codes(2), [not_found, not_found]);
}

#[test]
fn quirk_60_the_coordinator_is_found_at_the_first_try() {
    let world = World::new();
    let mut client = world.client();
    let one = |version: i16, key_type: i8| {
        let request = FindCoordinatorRequest::default()
            .with_key(text("g"))
            .with_key_type(key_type);
        let answer = world.client().call(version, &request);
        (answer.error_code, answer.node_id.0, answer.port)
    };
    let (error, us, port) = one(0, 0);
    assert_eq!(
        (error, port),
        (0, i32::from(world.port())),
        "the topic of offsets is made for it"
    );
    assert!((0..4).all(|version| one(version, 0) == (0, us, port)));
    let keys = vec![text("a"), text("b")];
    let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
    for version in 4..=6 {
        let answer = client.call(version, &request);
        let found = answer.coordinators.iter();
        let found: Vec<_> = found
            .map(|c| (c.key.as_str(), c.error_code, c.node_id.0))
            .collect();
        assert_eq!(found, [("a", 0, us), ("b", 0, us)], "version={version}");
    }
    // Coordinators of transactions are not served, and nothing else is a kind of coordinator.
    for (key_type, version) in [(1, 1), (7, 3)] {
        let (error, node, _) = one(version, key_type);
        assert!(error != 0 && node == -1, "key_type={key_type}");
    }
    assert_eq!(
        client.call(0, &JoinGroupRequest::default()).error_code,
        ErrorCode::InvalidGroupId.code()
    );
}

#[test]
fn quirk_60_groups_are_there_again_after_a_crash() {
    let mut world = World::new();
    let mut member = Member::new(&world, "g").instance("i");
    member.join();
    member.sync(&[(&member.id.clone(), "mine")]);
    let before = described(&mut world.client(), "g");
    world.kill_and_restart();
    assert_eq!(described(&mut world.client(), "g"), before);
    member.client = world.client();
    assert_eq!(member.heartbeat(), 0, "its generation goes on");
    assert_eq!(member.sync(&[]).assignment, "mine");
}
