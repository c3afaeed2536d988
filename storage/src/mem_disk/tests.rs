use super::*;
use crate::disk::suite;

fn write(file: &dyn DiskFile, bytes: &[u8], position: u64) {
    file.write_at(&mut [IoSlice::new(bytes)], position).unwrap();
}

fn read(disk: &MemDisk, path: &str) -> Vec<u8> {
    crate::disk::read_small(disk, Path::new(path), 1 << 20).unwrap()
}

/// A disk with a file of 4 sectors, synced, and then 4 more written over and behind them.
fn half_synced(seed: u64) -> MemDisk {
    let disk = MemDisk::new(seed);
    disk.create_dir_all(Path::new("/d")).unwrap();
    let file = disk.open(Path::new("/d/f"), Open::Create).unwrap();
    write(&*file, &[1; 2048], 0);
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    write(&*file, &[2; 2048], 1024);
    disk
}

#[test]
fn the_disk_suite_passes_in_memory() {
    let disk = MemDisk::new(1);
    disk.create_dir_all(Path::new("/suite")).unwrap();
    suite::run(&disk, Path::new("/suite"));
}

#[test]
fn what_left_memory_has_to_be_populated() {
    let disk = half_synced(1);
    let file = disk.open(Path::new("/d/f"), Open::Existing).unwrap();
    let mapping = file.map_read_only(8192).unwrap();
    let touch = || {
        let slice = std::panic::AssertUnwindSafe(|| mapping.slice(0..3000));
        std::panic::catch_unwind(slice).is_ok()
    };
    assert!(mapping.is_resident(0..3072) && touch());
    disk.evict();
    assert!(!mapping.is_resident(0..3072) && !touch());
    assert_eq!(file.read_at_once(&mut [0], 0).unwrap(), None);
    mapping.populate(0..1).unwrap();
    assert!(mapping.is_resident(0..3072) && touch());
    assert!(disk.fail_reads(Path::new("/d/f"), 0..1));
    assert!(mapping.populate(0..1).is_err() && !touch());
    assert!(file.read_at(&mut [0], 0).is_err());
    write(&*file, &[3; 3072], 0);
    assert!(touch(), "written anew");
}

#[test]
fn a_killed_process_leaves_everything_written() {
    let disk = half_synced(1);
    disk.restart(Crash::Kill);
    let bytes = read(&disk, "/d/f");
    assert_eq!(bytes, [[1; 1024].as_slice(), &[2; 2048]].concat());
    assert_eq!(disk.boot_id().unwrap(), "boot-0");
}

#[test]
fn a_power_loss_keeps_what_was_synced_and_any_part_of_the_rest() {
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let disk = half_synced(seed);
        disk.restart(Crash::PowerLoss);
        let bytes = read(&disk, "/d/f");
        assert!(bytes.len() >= 2048, "synced length is kept");
        assert!(
            bytes[..1024].iter().all(|byte| *byte == 1),
            "not written to"
        );
        for sector in bytes[1024..].chunks(SECTOR) {
            let first = sector[0];
            assert!(
                sector.iter().all(|byte| *byte == first),
                "sectors are whole"
            );
        }
        outcomes.insert(bytes);
    }
    assert!(outcomes.len() > 20, "different seeds lose different things");
    const SECTOR: usize = 512;
}

#[test]
fn a_name_that_was_not_synced_may_be_lost_and_a_rename_is_whole() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..50 {
        let disk = half_synced(seed);
        disk.rename(Path::new("/d/f"), Path::new("/d/g")).unwrap();
        disk.restart(Crash::PowerLoss);
        let names: Vec<String> = disk
            .list(Path::new("/d"))
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["f"] => old += 1,
            ["g"] => new += 1,
            _ => panic!("seed {seed}: {names:?}"),
        }
    }
    assert!(old > 5 && new > 5, "old {old} new {new}");
}

#[test]
fn a_planned_crash_stops_the_world_until_the_restart() {
    let disk = MemDisk::new(3);
    let file = disk.open(Path::new("/f"), Open::Create).unwrap();
    disk.crash_at(disk.operations() + 2);
    write(&*file, b"one", 0);
    assert!(file.write_at(&mut [IoSlice::new(b"two")], 3).is_err());
    assert!(disk.is_crashed());
    assert!(file.sync_data().is_err());
    assert!(disk.list(Path::new("/")).is_err());
    disk.restart(Crash::Kill);
    assert!(
        file.sync_data().is_err(),
        "handles of the former life are dead"
    );
    assert!(b"onetwo".starts_with(&read(&disk, "/f")[..]));
}

#[test]
fn a_failed_sync_loses_what_it_should_have_kept() {
    let disk = half_synced(4);
    let file = disk.open(Path::new("/d/f"), Open::Existing).unwrap();
    disk.fail_at(disk.operations() + 1, Fault::Io);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    disk.restart(Crash::PowerLoss);
    let bytes = read(&disk, "/d/f");
    assert!(
        bytes.iter().all(|byte| *byte != 2),
        "the second sync had nothing to write"
    );
}

#[test]
fn a_full_disk_refuses_writes_and_allocations_until_there_is_room() {
    let disk = MemDisk::new(5);
    let file = disk.open(Path::new("/f"), Open::Create).unwrap();
    disk.set_capacity(Some(8192));
    write(&*file, &[1; 8192], 0);
    assert!(
        file.write_at(&mut [IoSlice::new(&[1])], 8192)
            .unwrap_err()
            .is_no_space()
    );
    assert!(file.allocate(8192, 1).unwrap_err().is_no_space());
    assert_eq!(file.length().unwrap(), 8192);
    disk.set_capacity(Some(1 << 20));
    file.allocate(8192, 1).unwrap();
    assert_eq!(disk.used_bytes(), 3 * 4096);
    file.truncate(8192).unwrap();
    assert_eq!(disk.used_bytes(), 2 * 4096);
}
