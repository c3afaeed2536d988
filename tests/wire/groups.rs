//! Membership of classic groups: quirks 52 to 55.

use std::time::{Duration, Instant};

use kafka_protocol::messages::SyncGroupRequest;
use klamm_protocol::ErrorCode;

use crate::group_admin::{described, state};
use crate::member::{Member, gather};
use crate::requests::text;
use crate::support::eventually;
use crate::world::World;

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
