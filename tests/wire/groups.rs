//! Classic groups: quirks 52 to 55 and 58 to 60.

use std::time::{Duration, Instant};

use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, JoinGroupRequest,
    ListGroupsRequest, SyncGroupRequest,
};
use klamm_protocol::ErrorCode;

use crate::ask::group_id;
use crate::client::Client;
use crate::member::{Member, gather};
use crate::requests::text;
use crate::support::eventually;
use crate::world::World;

/// State, protocol and the ids of members.
fn described(client: &mut Client, group: &str) -> (String, String, Vec<String>) {
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

fn state(client: &mut Client, group: &str) -> String {
    described(client, group).0
}

#[test]
fn quirk_52_a_new_member_is_sent_back_for_its_id_from_version_4_on() {
    let world = World::new();
    let mut client = world.client();
    client.find_coordinator("g");
    for version in 0..=9 {
        let group = format!("g{version}");
        let mut member = Member::new(&world, &group);
        let first = client.call(version, &member.join_request());
        if version < 4 {
            assert_eq!(first.error_code, 0, "version={version}");
            assert!(!first.member_id.is_empty());
            continue;
        }
        let required = ErrorCode::MemberIdRequired.code();
        assert_eq!(first.error_code, required, "version={version}");
        member.id = first.member_id.as_str().to_owned();
        assert!(!member.id.is_empty());
        assert_eq!(
            described(&mut client, &group).2,
            [""; 0],
            "it is only expected"
        );
        let second = client.call(version, &member.join_request());
        assert_eq!(
            (second.error_code, second.member_id.as_str()),
            (0, member.id.as_str())
        );
        assert_eq!(described(&mut client, &group).2, [member.id]);
    }
    let mut stranger = Member::new(&world, "g9");
    stranger.id = "never-given".to_owned();
    let unknown = ErrorCode::UnknownMemberId.code();
    assert_eq!(stranger.try_join().error_code, unknown);
}

#[test]
fn quirk_52_a_static_member_comes_back_without_a_rebalance_and_fences_its_former_self() {
    let world = World::new();
    let mut old = Member::new(&world, "g").instance("i");
    assert_eq!(
        old.join().error_code,
        0,
        "at once: it has a name of its own"
    );
    assert_eq!(old.sync(&[(&old.id.clone(), "a")]).error_code, 0);
    let mut new = Member::new(&world, "g").instance("i");
    new.join();
    assert_ne!(new.id, old.id);
    assert_eq!(new.generation, old.generation);
    assert_eq!(new.sync(&[]).assignment, "a");
    let fenced = ErrorCode::FencedInstanceId.code();
    assert_eq!(old.heartbeat(), fenced);
    assert_eq!(old.sync(&[]).error_code, fenced);
    assert_eq!(old.try_join().error_code, fenced);
    assert_eq!(new.heartbeat(), 0);
    assert_eq!(described(&mut new.client, "g").2, [new.id]);
}

#[test]
fn quirk_53_members_agree_on_type_and_protocols() {
    let world = World::new();
    let mut first = Member::alone(&world, "g");
    let inconsistent = ErrorCode::InconsistentGroupProtocol.code();
    let other_type = Member::new(&world, "g").of_type("connect").try_join();
    assert_eq!(other_type.error_code, inconsistent);
    let disjoint = Member::new(&world, "g")
        .protocols(&["roundrobin"])
        .try_join();
    assert_eq!(disjoint.error_code, inconsistent);
    for nothing in [
        Member::new(&world, "h").protocols(&[]),
        Member::new(&world, "h").of_type(""),
    ] {
        assert_eq!({ nothing }.try_join().error_code, inconsistent);
    }
    assert_eq!(first.heartbeat(), 0);
}

#[test]
fn quirk_53_the_protocol_with_most_votes_wins_and_only_the_leader_sees_the_members() {
    let world = World::new();
    let mut members = [
        Member::new(&world, "g").protocols(&["range", "sticky", "roundrobin"]),
        Member::new(&world, "g").protocols(&["roundrobin", "range", "sticky"]),
        Member::new(&world, "g").protocols(&["mine", "roundrobin", "range"]),
    ];
    let joined = gather(&mut members);
    let leader = joined[0].leader.as_str();
    assert_eq!(leader, members[0].id, "the first");
    for (answer, member) in joined.iter().zip(&members) {
        assert_eq!(
            answer.protocol_name.as_deref(),
            Some("roundrobin"),
            "two of three"
        );
        assert_eq!(
            answer.protocol_type.as_deref(),
            Some("consumer"),
            "from version 7 on"
        );
        assert_eq!(answer.leader.as_str(), leader);
        assert_eq!(answer.generation_id, 3);
        let told = if member.id == leader { 3 } else { 0 };
        assert_eq!(answer.members.len(), told);
    }
    assert!(
        joined[0]
            .members
            .iter()
            .all(|member| !member.metadata.is_empty())
    );
}

#[test]
fn quirk_54_the_first_rebalance_waits_for_more_members() {
    let delay = Duration::from_millis(300);
    let world = World::with(&[("group.initial.rebalance.delay.ms", "300")]);
    let began = Instant::now();
    let mut members = [Member::new(&world, "g"), Member::new(&world, "g")];
    for member in &mut members {
        member.send_join();
    }
    let joined = members.each_mut().map(Member::receive_join);
    assert!(began.elapsed() >= delay);
    assert!(
        joined
            .iter()
            .all(|answer| answer.error_code == 0 && answer.generation_id == 1)
    );
    let seen: usize = joined.iter().map(|answer| answer.members.len()).sum();
    assert_eq!(seen, 2, "one leads, and sees both");
}

#[test]
fn quirk_54_a_full_group_takes_nobody_else() {
    let world = World::with(&[("group.max.size", "2")]);
    let mut members = [Member::new(&world, "g"), Member::new(&world, "g")];
    gather(&mut members);
    let refused = Member::new(&world, "g").try_join();
    assert_eq!(refused.error_code, ErrorCode::GroupMaxSizeReached.code());
    assert_eq!(members[0].heartbeat(), 0);
    members[1].leave();
}

#[test]
fn quirk_54_session_timeouts_have_limits() {
    let world = World::new();
    let code = |timeout: i32| {
        let mut member = Member::new(&world, &format!("g{timeout}"));
        member.session_timeout_ms = timeout;
        member.try_join().error_code
    };
    let invalid = ErrorCode::InvalidSessionTimeout.code();
    for timeout in [i32::MIN, -1, 0, 5_999, 1_800_001, i32::MAX] {
        assert_eq!(code(timeout), invalid, "{timeout}");
    }
    assert_eq!((code(6_000), code(1_800_000)), (0, 0));
}

#[test]
fn quirk_54_a_silent_member_is_removed_when_its_session_ends() {
    let world = World::with(&[("group.min.session.timeout.ms", "50")]);
    let mut silent = Member::new(&world, "g");
    silent.session_timeout_ms = 50;
    silent.join();
    assert_eq!(silent.sync(&[]).error_code, 0);
    let mut client = world.client();
    eventually("the group is empty", || {
        (state(&mut client, "g") == "Empty").then_some(())
    });
    assert_eq!(silent.heartbeat(), ErrorCode::UnknownMemberId.code());
}

#[test]
fn quirk_55_errors_tell_members_what_to_do() {
    let world = World::new();
    let mut member = Member::alone(&world, "g");
    assert_eq!(member.heartbeat(), 0);
    member.generation += 1;
    let illegal = ErrorCode::IllegalGeneration.code();
    assert_eq!(
        (member.heartbeat(), member.sync(&[]).error_code),
        (illegal, illegal)
    );
    member.generation -= 1;
    let known = std::mem::replace(&mut member.id, "nobody".to_owned());
    let unknown = ErrorCode::UnknownMemberId.code();
    assert_eq!(
        (member.heartbeat(), member.sync(&[]).error_code),
        (unknown, unknown)
    );
    member.id = known;
    let mut other = Member::new(&world, "g");
    other.send_join();
    let in_progress = ErrorCode::RebalanceInProgress.code();
    eventually("the group rebalances", || {
        (member.heartbeat() == in_progress).then_some(())
    });
    assert_eq!(member.sync(&[]).error_code, in_progress);
    member.join();
    assert_eq!(other.receive_join().error_code, 0);
    assert_eq!(Member::new(&world, "no-such-group").heartbeat(), unknown);
}

#[test]
fn quirk_55_a_follower_waits_for_the_leaders_assignment() {
    let world = World::new();
    let mut members = [Member::new(&world, "g"), Member::new(&world, "g")];
    gather(&mut members);
    let [leader, follower] = &mut members;
    follower.send_sync();
    let ids = (leader.id.clone(), follower.id.clone());
    let synced = leader.sync(&[(&ids.0, "for the leader"), (&ids.1, "for the follower")]);
    assert_eq!(
        (synced.error_code, &synced.assignment[..]),
        (0, &b"for the leader"[..])
    );
    assert_eq!(synced.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(synced.protocol_name.as_deref(), Some("range"));
    let synced = follower.receive_sync();
    assert_eq!(
        (synced.error_code, &synced.assignment[..]),
        (0, &b"for the follower"[..])
    );
    assert_eq!(
        follower.sync(&[]).assignment,
        "for the follower",
        "asked again"
    );
}

#[test]
fn quirk_55_sync_checks_type_and_name_of_the_protocol() {
    let world = World::new();
    let mut member = Member::alone(&world, "g");
    let right = member.sync_request(&[]);
    let mut code = |request: SyncGroupRequest| member.client.call(5, &request).error_code;
    let inconsistent = ErrorCode::InconsistentGroupProtocol.code();
    assert_eq!(code(right.clone()), 0);
    assert_eq!(
        code(right.clone().with_protocol_type(Some(text("connect")))),
        inconsistent
    );
    assert_eq!(
        code(right.clone().with_protocol_name(Some(text("sticky")))),
        inconsistent
    );
    assert_eq!(
        code(right.with_protocol_type(None).with_protocol_name(None)),
        0
    );
}

#[test]
fn quirk_55_groups_that_rebalance_at_once_lose_no_member() {
    let world = World::new();
    let names: Vec<_> = (0..8).map(|number| format!("g{number}")).collect();
    let mut firsts: Vec<_> = names
        .iter()
        .map(|group| Member::alone(&world, group))
        .collect();
    let mut seconds: Vec<_> = names
        .iter()
        .map(|group| Member::new(&world, group))
        .collect();
    seconds.iter_mut().for_each(Member::send_join);
    let in_progress = ErrorCode::RebalanceInProgress.code();
    for first in &mut firsts {
        eventually("it rebalances", || {
            (first.heartbeat() == in_progress).then_some(())
        });
    }
    firsts.iter_mut().for_each(Member::send_join);
    for (first, second) in firsts.iter_mut().zip(&mut seconds) {
        assert_eq!(first.receive_join().error_code, 0);
        assert_eq!(second.receive_join().error_code, 0);
        second.send_sync();
        let ids = (first.id.clone(), second.id.clone());
        let synced = first.sync(&[(&ids.0, "a"), (&ids.1, "b")]);
        assert_eq!(
            (synced.assignment, second.receive_sync().assignment),
            ("a".into(), "b".into())
        );
    }
    for (group, (first, second)) in names.iter().zip(firsts.iter_mut().zip(&mut seconds)) {
        let mut ids = vec![first.id.clone(), second.id.clone()];
        ids.sort();
        assert_eq!(described(&mut first.client, group).2, ids);
        assert_eq!((first.heartbeat(), second.heartbeat()), (0, 0));
    }
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
