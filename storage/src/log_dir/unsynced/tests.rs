use super::*;
use crate::testing::*;
use crate::{BootKind, Crash, Fault, LogConfig, MemDisk};

/// A log of which a few records are durable and checkpointed, and more are not.
fn half_synced(seed: u64, config: LogConfig) -> World {
    let mut world = World::open(MemDisk::new(seed), config);
    lead(&mut world.log, 1).unwrap();
    append_many(&mut world.log, 20);
    world.log.sync().unwrap();
    world.write_checkpoints();
    append_many(&mut world.log, 30);
    world
}

/// As [`half_synced`], after an fsync that failed and the end of the process.
fn failed(seed: u64) -> MemDisk {
    let mut world = half_synced(seed, small_config());
    world.disk.fail_syncs(true);
    world.log.sync().unwrap_err();
    world.disk.restart(Crash::Kill);
    world.disk
}

fn is_whole(world: &mut World) -> bool {
    let records = read_all(&mut world.log);
    records == (0..50).map(|at| (at as i64, value(at))).collect::<Vec<_>>()
}

fn is_marked_on(disk: &MemDisk) -> bool {
    let path = Path::new(ROOT).join("klamm.boot");
    let text = crate::disk::read_small(disk, &path, 1 << 10).unwrap();
    String::from_utf8(text).unwrap().contains("unsynced=true")
}

#[test]
fn records_of_a_failed_fsync_survive_a_restart_and_then_the_loss_of_power() {
    for config in [small_config(), LogConfig::default()] {
        for seed in 0..40 {
            let mut world = half_synced(seed, config.clone());
            world.disk.fail_syncs(true);
            world.log.sync().unwrap_err();
            let mut world = world.reopen_after(Crash::Kill);
            assert!(is_whole(&mut world), "they are in the page cache");
            assert!(!is_marked_on(&world.disk));
            world.write_checkpoints();
            let mut world = world.reopen_after(Crash::PowerLoss);
            assert!(is_whole(&mut world), "seed {seed}");
        }
    }
}

#[test]
fn a_term_whose_fsync_failed_survives_a_restart_and_then_the_loss_of_power() {
    for seed in 0..40 {
        let mut world = half_synced(seed, small_config());
        world.disk.fail_syncs(true);
        lead(&mut world.log, 2).unwrap_err();
        let world = world.reopen_after(Crash::Kill);
        let term = world.log.last_term();
        assert_eq!(term.get(), 2, "it is in the page cache");
        let mut world = world.reopen_after(Crash::PowerLoss);
        assert_eq!(world.log.last_term(), term, "seed {seed}");
        assert!(is_whole(&mut world), "seed {seed}");
    }
}

#[test]
fn whatever_fails_while_it_is_written_again_the_next_start_does_it() {
    let mut refusals = Vec::new();
    for (seed, fault) in (0..).zip([Fault::Io, Fault::Crash, Fault::NoSpace]) {
        let disk = failed(seed);
        let mut operation = disk.operations();
        loop {
            operation += 1;
            let disk = disk.fork();
            disk.fail_at(operation, fault);
            let opened = open_dir(&disk).map(drop);
            if disk.operations() < operation {
                break;
            }
            assert!(opened.is_ok() || disk.is_crashed() || is_marked_on(&disk));
            refusals.extend(opened.err().map(|error| error.to_string()));
            disk.restart(Crash::Kill);
            drop(World::open(disk.clone(), small_config()));
            assert!(!is_marked_on(&disk));
            disk.restart(Crash::PowerLoss);
            let mut world = World::open(disk, small_config());
            assert!(is_whole(&mut world), "{fault:?} at {operation}");
        }
    }
    let words = "an fsync failed in the log directory, and what it may have lost cannot be written";
    assert!(refusals.iter().any(|text| text.starts_with(words)));
}

#[test]
fn a_fsync_that_fails_elsewhere_keeps_the_directory_from_being_closed_in_good_order() {
    let mut world = half_synced(3, small_config());
    let ticket = world.log.begin_sync().unwrap().unwrap();
    world.disk.fail_at(world.disk.operations() + 1, Fault::Io);
    drop(ticket.run());
    // The kernel has forgotten the pages and the error: this one has nothing to do.
    world.log.close().unwrap();
    let error = world.dir.close(&[(partition(), world.checkpoint())]);
    assert!(matches!(error, Err(LogDirError::SyncFailed { .. })));
    let world = world.reopen_after(Crash::Kill);
    assert_eq!(world.dir.boot().kind, BootKind::Lossy);
    let mut world = world.reopen_after(Crash::PowerLoss);
    assert!(is_whole(&mut world));
}

#[test]
fn the_mark_needs_neither_room_nor_a_file_descriptor() {
    let disk = MemDisk::new(5);
    let dir = open_dir(&disk).unwrap();
    disk.set_capacity(Some(disk.used_bytes()));
    let file = dir
        .disk
        .open(&dir.path.join("klamm.journal"), Open::Existing);
    disk.run_out_of_files(true);
    disk.fail_syncs(true);
    file.unwrap().sync_data().unwrap_err();
    disk.run_out_of_files(false);
    assert!(is_marked_on(&disk));
}

#[test]
fn the_mark_is_left_although_the_disk_refuses_it_at_first() {
    let disk = MemDisk::new(6);
    let dir = open_dir(&disk).unwrap();
    let next = disk.operations() + 1;
    for operation in next..next + 3 {
        disk.fail_at(operation, Fault::NoSpace);
    }
    dir.disk.sync_dir(Path::new(ROOT)).unwrap_err();
    assert!(is_marked_on(&disk));
}
