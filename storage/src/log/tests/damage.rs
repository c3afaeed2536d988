//! Bits flip: every flip is found or harmless, and everything else is served.

use super::*;

/// A log of a few segments, synced and checkpointed, batches of two records.
fn synced() -> World {
    let mut world = World::new(small_config());
    for number in 0..12 {
        let (a, b) = (value(2 * number), value(2 * number + 1));
        append(&mut world.log, vec![batch(number as i64, &[&a, &b])]).unwrap();
    }
    world.log.sync().unwrap();
    world.write_checkpoints();
    world
}

fn expected() -> Vec<(i64, String)> {
    (0..24)
        .map(|number| (number, value(number as usize)))
        .collect()
}

/// What can be read is right, and what cannot is one batch.
fn check(world: &mut World, what: &str) {
    let (records, holes) = read_around(&mut world.log);
    let expected = expected();
    for record in &records {
        assert_eq!(*record, expected[record.0 as usize], "{what}");
    }
    let lost = 24 - records.len();
    let in_holes: i64 = holes.iter().map(|(first, next)| next - first).sum();
    assert_eq!(lost as i64, in_holes, "{what}: {holes:?}");
    assert!(lost <= 2, "{what}: one flip takes one batch: {holes:?}");
    assert_eq!(world.log.log_end_offset(), Offset::new(24), "{what}");
    assert_eq!(world.log.damages().len(), holes.len(), "{what}");
}

fn log_files(world: &World) -> Vec<(std::path::PathBuf, u64)> {
    let directory = Path::new(ROOT).join("orders-0");
    let entries = world.disk.list(&directory).unwrap().into_iter();
    entries
        .filter(|entry| entry.name.ends_with(".log"))
        .map(|entry| (directory.join(entry.name), entry.length))
        .collect()
}

#[test]
fn every_flipped_bit_of_a_log_is_found_after_a_kill_and_served_around() {
    let world = synced();
    let mut found = 0;
    for (path, length) in log_files(&world) {
        for position in 0..length {
            // All of the headers, some of the records.
            if position % 333 > 70 && position % 13 != 0 {
                continue;
            }
            let disk = world.disk.fork();
            disk.restart(Crash::Kill);
            assert!(disk.damage(&path, position, 1 << (position % 8)));
            let mut world = World::open(disk, small_config());
            let what = format!("{} at {position}", path.display());
            check(&mut world, &what);
            found += world.log.damages().len();
            append_many(&mut world.log, 3);
            let mut world = world.reopen_after(Crash::Kill);
            assert_eq!(world.log.log_end_offset(), Offset::new(27), "{what}");
            assert!(read_all(&mut world.log).len() >= 25, "{what}");
        }
    }
    assert!(found > 100);
}

#[test]
fn every_flipped_bit_of_a_log_is_found_after_a_clean_close() {
    let mut world = synced();
    world.log.close().unwrap();
    let checkpoint = world.checkpoint();
    let disk = world.disk.clone();
    let files = log_files(&world);
    world.dir.close(&[(partition(), checkpoint)]).unwrap();
    for (path, length) in files {
        for position in (0..length).step_by(7) {
            let disk = disk.fork();
            disk.restart(Crash::Kill);
            disk.damage(&path, position, 0x80);
            let mut world = World::open(disk, small_config());
            assert_eq!(world.dir.boot().kind, crate::BootKind::Clean);
            let what = format!("{} at {position}", path.display());
            check(&mut world, &what);
            assert_eq!(world.log.damages().len(), 1, "{what}");
            assert_eq!(world.log.last_index(), LogIndex(13), "{what}");
        }
    }
}

#[test]
fn every_flipped_bit_of_an_index_is_harmless() {
    let mut world = synced();
    world.log.close().unwrap();
    let checkpoint = world.checkpoint();
    let disk = world.disk.clone();
    let directory = Path::new(ROOT).join("orders-0");
    let files = world.disk.list(&directory).unwrap();
    world.dir.close(&[(partition(), checkpoint)]).unwrap();
    for file in files.iter().filter(|file| file.name.ends_with("index")) {
        for position in 0..file.length {
            let disk = disk.fork();
            disk.restart(Crash::Kill);
            disk.damage(&directory.join(&file.name), position, 1 << (position % 8));
            let mut world = World::open(disk, small_config());
            let what = format!("{} at {position}", file.name);
            assert_eq!(read_all(&mut world.log), expected(), "{what}");
            for offset in 0..24 {
                let result = world
                    .log
                    .read(Offset::new(offset), Offset::new(24), 1, true)
                    .unwrap();
                assert!(result.base_offset.get() <= offset, "{what}");
                assert!(result.next_offset.get() > offset, "{what}");
            }
            assert!(world.log.damages().is_empty(), "{what}");
        }
    }
}

#[test]
fn a_file_that_became_shorter_is_damage_not_a_tail() {
    let world = synced();
    let (path, length) = log_files(&world).pop().unwrap();
    for cut in [1, 100, length] {
        let disk = world.disk.fork();
        disk.restart(Crash::Kill);
        let file = disk.open(&path, disk::Open::Existing).unwrap();
        file.truncate(length - cut).unwrap();
        let mut world = World::open(disk, small_config());
        assert_eq!(world.log.log_end_offset(), Offset::new(24));
        let (records, holes) = read_around(&mut world.log);
        assert_eq!(records[..], expected()[..records.len()]);
        assert_eq!(holes.last().unwrap().1, 24, "cut {cut}");
        append_many(&mut world.log, 1);
        assert_eq!(read_all(&mut world.log).last().unwrap().0, 24);
    }
}

#[test]
fn an_index_that_is_missing_is_made_again() {
    let world = synced();
    let directory = Path::new(ROOT).join("orders-0");
    let before: Vec<_> = world.names();
    let contents: Vec<_> = before.iter().map(|name| world.bytes_of(name)).collect();
    for suffix in ["00.index", "00.timeindex", "00.raftindex"] {
        let disk = world.disk.fork();
        disk.restart(Crash::Kill);
        let name = before.iter().find(|name| name.ends_with(suffix)).unwrap();
        disk.remove_file(&directory.join(name)).unwrap();
        let mut world = World::open(disk, small_config());
        assert_eq!(read_all(&mut world.log), expected());
        let at = before.iter().position(|known| known == name).unwrap();
        assert_eq!(world.bytes_of(name), contents[at], "{name}");
    }
}

#[test]
fn damage_after_a_kill_is_told_from_an_unfinished_write_even_if_nothing_was_synced() {
    let mut world = World::new(LogConfig::default());
    append_many(&mut world.log, 10);
    let (path, length) = log_files(&world).pop().unwrap();
    let size = length / 10;
    for position in 0..length {
        let disk = world.disk.fork();
        disk.restart(Crash::Kill);
        disk.damage(&path, position, 1);
        let mut world = World::open(disk, LogConfig::default());
        let (records, holes) = read_around(&mut world.log);
        let hit = (position / size) as i64;
        // The last batch may as well be a write that did not finish.
        let expected = if hit == 9 {
            vec![]
        } else {
            vec![(hit, hit + 1)]
        };
        assert_eq!((holes, records.len()), (expected, 9), "at {position}");
    }
    for cut in 1..size {
        let disk = world.disk.fork();
        disk.restart(Crash::Kill);
        let file = disk.open(&path, disk::Open::Existing).unwrap();
        file.truncate(length - cut).unwrap();
        let mut world = World::open(disk, LogConfig::default());
        assert_eq!(offsets(&mut world.log), (0..9).collect::<Vec<_>>());
        assert!(world.log.damages().is_empty());
    }
}

#[test]
fn a_log_whose_files_all_vanished_is_damaged_not_new() {
    let world = synced();
    let directory = Path::new(ROOT).join("orders-0");
    for name in world.names() {
        if name != "partition.metadata" {
            world.disk.remove_file(&directory.join(name)).unwrap();
        }
    }
    let mut world = world.reopen_after(Crash::Kill);
    assert_eq!(world.log.log_end_offset(), Offset::new(24));
    assert_eq!(read_around(&mut world.log), (vec![], vec![(0, 24)]));
}

/// No checksum covers the base offset: behind other damage, a batch may claim to be anywhere.
#[test]
fn an_offset_that_no_segment_can_hold_is_damage() {
    let mut world = World::new(LogConfig::default());
    for number in 0..3 {
        append(&mut world.log, vec![batch(number, &["value"])]).unwrap();
    }
    let length = world.log.size_bytes() / 3;
    let (path, _) = log_files(&world).remove(0);
    let disk = world.disk.fork();
    disk.restart(Crash::Kill);
    assert!(disk.damage(&path, length + 70, 1));
    assert!(disk.damage(&path, 2 * length + 2, 1));
    let mut world = World::open(disk, LogConfig::default());
    let (records, _) = read_around(&mut world.log);
    assert_eq!(records, [(0, "value".to_owned())]);
    append(&mut world.log, vec![batch(9, &["more"])]).unwrap();
}
