//! What else may happen to a log while a compaction is on its way.

use super::*;

fn world() -> World {
    let mut world = World::new(small_config());
    for round in 0..20 {
        let other = format!("once-{round}");
        write(&mut world.log, &["a", "b", &other], 2);
    }
    close_segment(&mut world.log);
    write(&mut world.log, &["c"], 1);
    world.log.sync().unwrap();
    world
}

fn begin(log: &mut Log) -> Compaction {
    let end = log.log_end_offset();
    let cleanable = log.cleanable(&RULE, NOW, end).unwrap().unwrap();
    log.begin_compaction(&cleanable, &RULE, &CONFIG, NOW)
        .unwrap()
}

#[test]
fn readers_go_on_while_files_change_their_names() {
    let mut world = world();
    let before = read_keyed(&mut world.log);
    let end = world.log.log_end_offset();
    let held = world.log.read(Offset::ZERO, end, 1 << 20, true).unwrap();
    let held_bytes = held.records.to_vec();
    let mut compaction = begin(&mut world.log);
    while let Some(group) = compaction.next_group(&mut Unhurried).unwrap() {
        let ticket = world.log.begin_swap(group).unwrap().unwrap();
        assert_eq!(newest(&read_keyed(&mut world.log)), newest(&before));
        let swapped = ticket.run();
        assert_eq!(newest(&read_keyed(&mut world.log)), newest(&before));
        world.log.swapped(swapped).unwrap();
    }
    assert_eq!(newest(&read_keyed(&mut world.log)), newest(&before));
    assert_eq!(held.records, held_bytes);
    is_sound(&mut world.log);
}

#[test]
fn records_are_appended_while_files_change_their_names() {
    let mut world = world();
    let mut compaction = begin(&mut world.log);
    let group = compaction.next_group(&mut Unhurried).unwrap().unwrap();
    let ticket = world.log.begin_swap(group).unwrap().unwrap();
    write(&mut world.log, &["a", "d"].repeat(20), 2);
    let swapped = ticket.run();
    write(&mut world.log, &["e"], 2);
    world.log.swapped(swapped).unwrap();
    is_sound(&mut world.log);
    let before = newest(&read_keyed(&mut world.log));
    let mut world = world.reopen_after(Crash::Kill);
    assert_eq!(newest(&read_keyed(&mut world.log)), before);
    is_sound(&mut world.log);
}

#[test]
fn what_is_deleted_meanwhile_is_not_brought_back() {
    let mut world = world();
    let mut compaction = begin(&mut world.log);
    let ticket = world
        .log
        .delete_records(Offset::new(30), Offset::new(30))
        .unwrap();
    ticket.unwrap().run().unwrap();
    let gone = compaction.next_group(&mut Unhurried);
    assert!(matches!(gone, Err(CompactionError::Gone)), "{gone:?}");
    let left = offsets(&mut world.log);
    assert_eq!(left[0], 30);

    // The copy was ready.
    let mut compaction = begin(&mut world.log);
    let group = compaction.next_group(&mut Unhurried).unwrap().unwrap();
    let ticket = world
        .log
        .delete_records(Offset::new(50), Offset::new(50))
        .unwrap();
    assert!(world.log.begin_swap(group).unwrap().is_none());
    ticket.unwrap().run().unwrap();
    assert!(!world.names().iter().any(|name| name.ends_with(".cleaned")));
    assert_eq!(offsets(&mut world.log)[0], 50);

    // It is being put in place: what is deleted goes from sight, and its files a little later.
    let mut compaction = begin(&mut world.log);
    let group = compaction.next_group(&mut Unhurried).unwrap().unwrap();
    let swap = world.log.begin_swap(group).unwrap().unwrap();
    let end = world.log.log_end_offset();
    let ticket = world.log.delete_records(end, end).unwrap().unwrap();
    assert_eq!(ticket.segment_count(), 0);
    ticket.run().unwrap();
    world.log.swapped(swap.run()).unwrap();
    assert_eq!(offsets(&mut world.log), [0_i64; 0]);
    let ticket = world.log.apply_retention(NOW, end, true).unwrap().unwrap();
    assert!(ticket.segment_count() > 0);
    ticket.run().unwrap();
    let mut world = world.reopen_after(Crash::PowerLoss);
    assert_eq!(world.log.log_start_offset(), end);
    is_sound(&mut world.log);
}

#[test]
fn a_log_closed_meanwhile_is_found_whole() {
    let mut world = world();
    let before = newest(&read_keyed(&mut world.log));
    let mut compaction = begin(&mut world.log);
    let group = compaction.next_group(&mut Unhurried).unwrap().unwrap();
    let ticket = world.log.begin_swap(group).unwrap().unwrap();
    world.log.close().unwrap();
    world.log.swapped(ticket.run()).unwrap();
    let checkpoint = world.checkpoint();
    world.dir.close(&[(partition(), checkpoint)]).unwrap();
    drop(world.dir);
    let mut world = World::open(world.disk, small_config());
    assert_eq!(newest(&read_keyed(&mut world.log)), before);
    is_sound(&mut world.log);
}

#[test]
fn a_stopped_compaction_leaves_nothing_behind() {
    struct Steps(u32);
    impl Pace for Steps {
        fn moved(&mut self, _bytes: u64) -> bool {
            self.0 -= 1;
            self.0 > 0
        }
    }
    let mut world = world();
    let before = read_keyed(&mut world.log);
    let mut steps = 1;
    loop {
        let mut compaction = begin(&mut world.log);
        let stopped = compaction.next_group(&mut Steps(steps));
        if let Ok(group) = stopped {
            assert!(group.is_some() && steps > 20);
            break;
        }
        assert!(matches!(stopped, Err(CompactionError::Stopped)));
        steps += 1;
        assert!(!world.names().iter().any(|name| name.ends_with(".cleaned")));
    }
    assert_eq!(read_keyed(&mut world.log), before);
}
