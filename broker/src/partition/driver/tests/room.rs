//! Followers whose disk is full: nothing was reserved for what a leader sends.

use super::group::{Group, config, id, voters};
use super::*;

/// A follower that lacks its last segment, since its disk took no more.
fn with_a_full_follower() -> Group {
    let mut group = Group::new(&[config(1_000), config(1_000)]);
    group.change_members(0, voters(&[0]).with_learners([id(1)]));
    group.produce(0, 3);
    let disk = &group.nodes[1].0.disk;
    disk.set_capacity(Some(disk.used_bytes()));
    group.produce(0, 30);
    assert!(group.driver(1).log_end_offset() < Offset::new(33));
    group
}

fn make_room(group: &mut Group) {
    group.nodes[1].0.disk.set_capacity(None);
    let due = NOW + Duration::from_secs(2);
    for at in [1, 0] {
        group.driver(at).tick(due, &mut Vec::new());
        group.exchange();
    }
}

#[test]
fn a_follower_with_a_full_disk_lags_until_there_is_room() {
    let mut group = with_a_full_follower();
    assert!(group.driver(1).offline().is_none());
    let due = group.driver(1).next_deadline();
    assert!(due.is_some_and(|due| due <= NOW + Duration::from_secs(1)));
    make_room(&mut group);
    assert_eq!(group.driver(1).log_end_offset(), Offset::new(33));
    assert_eq!(group.segments(1), group.segments(0));
}

#[test]
fn what_waits_for_room_does_not_keep_the_log_from_being_closed() {
    let mut group = with_a_full_follower();
    assert!(!group.driver(1).is_writing());
    group.nodes[1].0.disk.set_capacity(None);
    group.driver(1).close().unwrap();
}

#[test]
fn what_is_refused_again_stands_where_it_stood() {
    let mut group = with_a_full_follower();
    let end = group.driver(1).log_end_offset();
    let due = NOW + Duration::from_secs(2);
    group.driver(1).tick(due, &mut Vec::new());
    assert!(group.driver(1).is_writing(), "it tries again");
    group.exchange();
    assert_eq!(group.driver(1).log_end_offset(), end);
    make_room(&mut group);
    assert_eq!(group.segments(1), group.segments(0));
}
