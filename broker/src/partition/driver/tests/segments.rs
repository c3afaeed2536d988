//! Where segments begin is the leader's to say.

use klamm_model::raft::{LogEntry, Placement};
use klamm_replication::frame::Format;

use super::group::{Group, config, id, voters};
use super::*;

#[test]
fn a_follower_is_told_where_segments_begin_by_new_entries_and_by_those_of_the_log() {
    let mut group = Group::new(&[config(1_000), config(10_000), config(500)]);
    // What was there before it had anybody to tell is read from the log.
    group.produce(0, 30);
    group.change_members(0, voters(&[0]).with_learners([id(1)]));
    assert!(group.said.len() >= 30);
    group.produce(0, 30);
    // These the leader still has in memory.
    group.change_members(0, voters(&[0]).with_learners([id(1), id(2)]));
    assert!(!group.said.contains(&Placement::Undecided));
    let segments = group.segments(0);
    assert!(segments.len() > 8, "{segments:?}");
    assert_eq!(group.segments(1), segments);
    assert_eq!(group.segments(2), segments);
}

#[test]
fn who_was_not_told_decides_alone_and_tells_others_when_it_leads() {
    let mut group = Group::new(&[config(1_000), config(700), config(10_000)]);
    group.format = Format::One;
    group.change_members(0, voters(&[0]).with_learners([id(1)]));
    group.produce(0, 30);
    assert_ne!(group.segments(0), group.segments(1));
    group.format = Format::Two;
    group.change_members(0, voters(&[0, 1]));
    group
        .driver(0)
        .transfer_leadership(NOW, id(1), &mut Vec::new());
    group.exchange();
    assert!(group.driver(1).is_leader());
    group.change_members(1, voters(&[0, 1]).with_learners([id(2)]));
    assert!(group.said.len() >= 30);
    assert!(!group.said.contains(&Placement::Undecided));
    group.produce(1, 30);
    assert_eq!(group.segments(1), group.segments(2));
    // Also where they were not the same they are from the next beginning on.
    let (first, second) = (group.segments(0), group.segments(1));
    assert_eq!(first.last(), second.last());
}

#[test]
fn where_retention_empties_the_log_a_segment_ends_on_the_leader_first() {
    let config = LogConfig {
        retention_ms: 1_000,
        ..LogConfig::default()
    };
    let mut group = Group::new(&[config.clone(), config]);
    group.change_members(0, voters(&[0]).with_learners([id(1)]));
    group.produce(0, 10);
    group.announce();
    let later = Timestamp(WALL.0 + 5_000);
    assert!(group.driver(1).apply_retention(later).unwrap().is_none());
    let dropped = group.driver(0).apply_retention(later).unwrap();
    dropped.unwrap().run().unwrap();
    let start = group.driver(0).log_start_offset();
    assert_eq!(start, Offset::new(10));
    let dropped = group.driver(1).delete_records(start, later).unwrap();
    dropped.unwrap().run().unwrap();
    assert_eq!(group.segments(1), group.segments(0));
    group.produce(0, 3);
    let [begins, continues] = [Placement::Begins, Placement::Continues];
    assert_eq!(group.said, [begins, continues, continues]);
    assert_eq!(group.segments(1), group.segments(0));
}

#[test]
fn deleting_all_records_ends_the_segment_so_that_its_file_goes() {
    let mut group = Group::new(&[LogConfig::default()]);
    group.produce(0, 10);
    let end = group.driver(0).log_end_offset();
    // Not while more is on its way to it.
    group
        .driver(0)
        .stage(batch(1), AppendOrigin::Client)
        .unwrap();
    group.driver(0).turn(NOW, WALL, &mut Vec::new());
    let deleted = group.driver(0).delete_records(end, WALL).unwrap();
    deleted.unwrap().run().unwrap();
    assert_eq!(group.segments(0)[0].0, "00000000000000000000.log");
    group.exchange();
    let end = group.driver(0).log_end_offset();
    let deleted = group.driver(0).delete_records(end, WALL).unwrap();
    deleted.unwrap().run().unwrap();
    let names = [("00000000000000000011.log".to_owned(), 0)];
    assert_eq!(group.segments(0), names);
}

#[test]
fn a_segment_does_not_end_before_entries_that_have_come_and_are_not_written() {
    let mut group = Group::new(&[LogConfig::default(), LogConfig::default()]);
    group.change_members(0, voters(&[0]).with_learners([id(1)]));
    group.produce(0, 10);
    group.announce();
    let end = group.driver(1).log_end_offset();
    group
        .driver(0)
        .stage(batch(1), AppendOrigin::Client)
        .unwrap();
    turn(group.driver(0));
    let messages = group.driver(0).take_outgoing();
    group.deliver(messages);
    let deleted = group.driver(1).delete_records(end, WALL).unwrap();
    deleted.unwrap().run().unwrap();
    group.exchange();
    assert_eq!(group.segments(1), group.segments(0));
}

#[test]
fn who_proposed_entries_says_where_they_go_though_it_leads_no_more_when_they_are_given_out() {
    let mut group = Group::new(&[config(1_000), config(700)]);
    group.change_members(0, voters(&[0]).with_learners([id(1)]));
    group.change_members(0, voters(&[0, 1]));
    group.produce(0, 5);
    // Batches wait for the journal behind an entry without records.
    let leader = group.driver(0);
    let wanted = voters(&[0, 1]).with_learners([id(2)]);
    leader.change_members(NOW, wanted, &mut Vec::new());
    assert!(leader.awaits_journal());
    for _ in 0..5 {
        leader.stage(batch(1), AppendOrigin::Client).unwrap();
    }
    turn(leader);
    // Nobody answers, and it steps down.
    for ticks in 1.. {
        if !leader.is_leader() {
            break;
        }
        leader.tick(NOW + Duration::from_millis(50) * ticks, &mut Vec::new());
    }
    leader.take_outgoing();
    let (fixture, leader) = &mut group.nodes[0];
    fixture.sync_journal(leader);
    let said = leader.take_outgoing().into_iter().flat_map(|message| {
        let records = message.entries.into_iter();
        records.filter_map(|entry| match entry {
            LogEntry::Records(entry) => Some(entry.placement),
            LogEntry::Meta(_) => None,
        })
    });
    let said: Vec<_> = said.collect();
    assert!(!said.is_empty(), "what was held is of its term still");
    assert!(!said.contains(&Placement::Undecided), "{said:?}");
}
