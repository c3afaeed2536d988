//! What is archived is agreed on by the group, and nothing leaves a disk before it is.

use klamm_model::archive::ArchiveState;

use super::group::{Group, id, voters};
use super::*;

/// Segments of a few batches, of which retention keeps none.
fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1_000,
        retention_bytes: 0,
        keeps_until_archived: true,
        ..LogConfig::default()
    }
}

fn led(configs: &[LogConfig]) -> Group {
    let mut group = Group::new(configs);
    group.format = klamm_replication::frame::Format::Three;
    group
}

fn at(offset: i64) -> Offset {
    Offset::new(offset)
}

fn archive(group: &mut Group, end: Offset) {
    let leader = group.driver(0);
    leader.plan_archive(NOW, end, &mut Vec::new());
    group.exchange();
    group.driver(0).archive_planned(NOW, &mut Vec::new());
    group.exchange();
}

#[test]
fn a_plan_and_what_came_of_it_are_known_to_all_replicas() {
    let mut group = led(&[config(), config()]);
    group.change_members(0, voters(&[0]).with_learners([id(1)]));
    group.produce(0, 30);
    assert_eq!(group.driver(0).archive(), None);
    let closed = group.driver(0).log().closed_segment_end(at(0), at(30));
    let end = closed.expect("some segments are closed");
    group.driver(0).plan_archive(NOW, end, &mut Vec::new());
    assert!(
        !group.driver(0).can_change_archive(),
        "one is on its way to be agreed on"
    );
    group.exchange();
    group.announce();
    let planned = group.driver(0).archive().unwrap();
    assert_eq!(planned.plan().map(|plan| plan.end), Some(end));
    assert_eq!(group.driver(1).archive(), Some(planned));
    group.driver(0).archive_planned(NOW, &mut Vec::new());
    group.exchange();
    group.announce();
    let archived = ArchiveState::beginning_at(at(0)).planned(planned.plan().unwrap());
    assert_eq!(group.driver(1).archive(), Some(archived.carried_out()));
}

#[test]
fn retention_removes_nothing_that_is_not_archived() {
    let mut group = led(&[config()]);
    group.produce(0, 30);
    assert!(group.driver(0).apply_retention(WALL).unwrap().is_none());
    let closed = group.driver(0).log().closed_segment_end(at(0), at(30));
    let end = closed.expect("some segments are closed");
    archive(&mut group, end);
    let dropped = group.driver(0).apply_retention(WALL).unwrap();
    dropped.unwrap().run().unwrap();
    let driver = group.driver(0);
    assert_eq!(driver.log_start_offset(), end);
    assert_eq!(driver.earliest_offset(), at(0), "from the archive");
    assert!(driver.apply_retention(WALL).unwrap().is_none());
}

#[test]
fn what_was_agreed_on_is_known_after_a_restart_though_the_log_begins_behind_it() {
    let mut group = led(&[config()]);
    group.produce(0, 30);
    archive(&mut group, at(10));
    group.produce(0, 30);
    archive(&mut group, at(50));
    let known = group.driver(0).archive();
    let dropped = group.driver(0).apply_retention(WALL).unwrap();
    dropped.unwrap().run().unwrap();
    let (fixture, driver) = group.nodes.remove(0);
    drop(driver);
    fixture.disk.restart(Crash::Kill);
    let fixture = Fixture::on(fixture.disk);
    let driver = fixture.driver(0, config());
    assert!(driver.log_start_offset() > at(40));
    assert_eq!(driver.archive(), known);
}

#[test]
fn deleted_records_are_not_in_the_archive_either() {
    let mut group = led(&[config()]);
    group.produce(0, 30);
    archive(&mut group, at(20));
    group.driver(0).shorten_archive(NOW, at(5), &mut Vec::new());
    group.exchange();
    assert_eq!(
        group.driver(0).archive().map(|state| state.start()),
        Some(at(5))
    );
    assert_eq!(
        group.driver(0).earliest_offset(),
        at(0),
        "on the disk they still are"
    );
}
