//! The machine stops, or the disk is full, in the middle of every single operation of a compaction.

use super::*;
use crate::Fault;

/// A log with three generations: compacted once, dirty since, and active.
fn world(seed: u64) -> World {
    let mut world = World::open(MemDisk::new(seed), small_config());
    lead(&mut world.log, 1).unwrap();
    for round in 0..12 {
        let other = format!("once-{round}");
        write(&mut world.log, &["a", "b", &other], 2);
    }
    close_segment(&mut world.log);
    compact(&mut world.log, &RULE, NOW);
    lead(&mut world.log, 2).unwrap();
    write(&mut world.log, &["a", "once-3", "c"].repeat(8), 2);
    append(&mut world.log, vec![keyed(1000, &[("once-5", None)])]).unwrap();
    close_segment(&mut world.log);
    write(&mut world.log, &["b"], 1);
    world.log.sync().unwrap();
    world.write_checkpoints();
    world
}

/// How many operations a compaction of it takes, and what is then there.
fn whole_run() -> (u64, Vec<Keyed>, Vec<Keyed>) {
    let mut world = world(1);
    let before = read_keyed(&mut world.log);
    let began = world.disk.operations();
    assert!(compact(&mut world.log, &RULE, NOW) > 0);
    let took = world.disk.operations() - began;
    (took, before, read_keyed(&mut world.log))
}

/// The log serves on, and compaction can be begun again.
fn check(log: &mut Log, before: &[Keyed], after: &[Keyed], what: &str) {
    let left = read_keyed(log);
    let of_before = |record: &Keyed| before.contains(record);
    assert!(left.iter().all(of_before), "{what}: nothing is made up");
    assert_eq!(newest(&left), newest(before), "{what}");
    assert_eq!(log.log_end_offset(), Offset::new(62), "{what}");
    is_sound(log);
    compact(log, &RULE, NOW);
    assert_eq!(read_keyed(log), after, "{what}");
    is_sound(log);
}

#[test]
fn a_crash_at_any_operation_leaves_the_newest_record_of_each_key() {
    let (took, before, after) = whole_run();
    assert!(took > 30, "{took}");
    for at in 1..=took {
        for crash in [Crash::Kill, Crash::PowerLoss] {
            let mut world = world(at);
            let now = world.disk.operations();
            world.disk.crash_at(now + at);
            let _ = compact_with(&mut world.log, &RULE, NOW, &CONFIG);
            let mut world = world.reopen_after(crash);
            let what = format!("{crash:?} at {at}");
            check(&mut world.log, &before, &after, &what);
            let is_leftover = |name: &String| name.ends_with(".swap") || name.ends_with(".cleaned");
            assert!(!world.names().iter().any(is_leftover), "{what}");
            let mut world = world.reopen_after(crash);
            assert_eq!(read_keyed(&mut world.log), after, "{what}, again");
        }
    }
}

#[test]
fn a_crash_while_a_compaction_is_finished_is_no_harm() {
    let (took, before, after) = whole_run();
    for at in (1..=took).step_by(3) {
        for again in 1..40 {
            let mut world = world(at);
            let now = world.disk.operations();
            world.disk.crash_at(now + at);
            let _ = compact_with(&mut world.log, &RULE, NOW, &CONFIG);
            let config = world.log.config().clone();
            let disk = world.disk;
            disk.restart(Crash::PowerLoss);
            disk.crash_at(disk.operations() + again);
            if let Ok(dir) = open_dir(&disk) {
                let _ = dir.open_log(&partition(), TOPIC_ID, config.clone(), NOW);
            }
            disk.restart(Crash::PowerLoss);
            let mut world = World::open(disk, config);
            let what = format!("at {at}, then {again}");
            check(&mut world.log, &before, &after, &what);
        }
    }
}

#[test]
fn a_full_disk_puts_compaction_off() {
    let (took, before, after) = whole_run();
    for at in 1..=took {
        let mut world = world(at);
        let now = world.disk.operations();
        world.disk.fail_at(now + at, Fault::NoSpace);
        let refused = compact_with(&mut world.log, &RULE, NOW, &CONFIG);
        let what = format!("full at {at}");
        // Where there is no way back, or the operation cannot be refused, it is as any failure.
        if world.log.offline().is_some() {
            assert!(refused.is_err(), "{what}");
            world = world.reopen_after(Crash::Kill);
        }
        check(&mut world.log, &before, &after, &what);
    }
}
