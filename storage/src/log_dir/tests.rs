use std::io::IoSlice;

use super::*;
use crate::testing::*;
use crate::{Crash, FileDisk, MemDisk};

fn write(disk: &dyn Disk, path: &str, text: &str) {
    let file = disk.open(Path::new(path), Open::Truncate).unwrap();
    file.write_at(&mut [IoSlice::new(text.as_bytes())], 0)
        .unwrap();
}

#[test]
fn a_new_directory_gets_its_identity_and_keeps_it() {
    let disk = MemDisk::new(1);
    assert_eq!(LogDir::identity_of(&disk, Path::new(ROOT)).unwrap(), None);
    let dir = open_dir(&disk).unwrap();
    assert_eq!(dir.boot().kind, BootKind::First);
    drop(dir);
    let found = LogDir::identity_of(&disk, Path::new(ROOT)).unwrap();
    assert_eq!(found, Some(options().identity));
    let mut options = options();
    options.identity.directory_id = TopicId::from_bytes([1; 16]);
    let dir = LogDir::open(Arc::new(disk), Path::new(ROOT), options).unwrap();
    assert_eq!(
        Some(dir.identity()),
        found.as_ref(),
        "a directory keeps its id"
    );
}

#[test]
fn another_owner_is_refused() {
    let disk = MemDisk::new(1);
    drop(open_dir(&disk).unwrap());
    let open = |identity| {
        let options = LogDirOptions {
            identity,
            ..options()
        };
        LogDir::open(Arc::new(disk.clone()), Path::new(ROOT), options)
    };
    let mut identity = options().identity;
    identity.cluster_id = "other".to_owned();
    let error = open(identity).unwrap_err();
    assert!(matches!(
        error,
        LogDirError::ForeignOwner {
            what: "cluster",
            ..
        }
    ));
    let mut identity = options().identity;
    identity.node_id = BrokerId(2);
    let error = open(identity).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the log directory belongs to another broker path=/data found=1 expected=2"
    );
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let disk = MemDisk::new(1);
    disk.create_dir_all(Path::new(ROOT)).unwrap();
    write(&disk, "/data/letter.txt", "dear");
    let before = disk.files();
    let error = open_dir(&disk).unwrap_err();
    assert!(
        matches!(error, LogDirError::ForeignDirectory { .. }),
        "{error}"
    );
    assert_eq!(disk.files(), before);
    // Apache Kafka's own directory has the same identity file, but no journal.
    disk.remove_file(Path::new("/data/letter.txt")).unwrap();
    let text = checkpoint::encode_identity(&options().identity);
    write(&disk, "/data/meta.properties", &text);
    let error = open_dir(&disk).unwrap_err();
    assert!(
        matches!(error, LogDirError::ForeignDirectory { .. }),
        "{error}"
    );
    write(&disk, "/data/meta.properties", "version=9\n");
    let error = open_dir(&disk).unwrap_err();
    assert!(matches!(error, LogDirError::Damaged { .. }), "{error}");
}

#[test]
fn a_directory_is_used_by_one_process() {
    let disk = MemDisk::new(1);
    let held = open_dir(&disk).unwrap();
    let error = open_dir(&disk).unwrap_err();
    assert_eq!(error.to_string(), "another klamm runs here path=/data");
    drop(held);
    open_dir(&disk).unwrap();
}

#[test]
fn each_way_to_end_is_told_from_the_others() {
    let disk = MemDisk::new(1);
    let check = |disk: &MemDisk, kind, incarnation, recovering| {
        let dir = open_dir(disk).unwrap();
        let expected = Boot {
            kind,
            incarnation,
            recovering,
        };
        assert_eq!(dir.boot(), expected);
        dir
    };
    let dir = check(&disk, BootKind::First, 1, false);
    dir.close(&[]).unwrap();
    drop(dir);
    check(&disk, BootKind::Clean, 2, false);
    disk.restart(Crash::Kill);
    check(&disk, BootKind::Killed, 3, false);
    disk.restart(Crash::PowerLoss);
    check(&disk, BootKind::Lossy, 4, true);
    disk.restart(Crash::Kill);
    let dir = check(&disk, BootKind::Killed, 5, true);
    dir.recovery_finished().unwrap();
    drop(dir);
    disk.restart(Crash::Kill);
    let dir = check(&disk, BootKind::Killed, 6, false);
    dir.close(&[]).unwrap();
    drop(dir);
    disk.restart(Crash::PowerLoss);
    check(&disk, BootKind::Clean, 7, false);
}

#[test]
fn a_recovery_that_cannot_be_written_down_is_not_over() {
    let disk = MemDisk::new(1);
    open_dir(&disk).unwrap();
    disk.restart(Crash::PowerLoss);
    let dir = open_dir(&disk).unwrap();
    disk.set_capacity(Some(disk.used_bytes()));
    assert!(dir.recovery_finished().is_err());
    assert!(dir.boot().recovering);
    disk.set_capacity(None);
    dir.recovery_finished().unwrap();
    assert!(!dir.boot().recovering);
}

#[test]
fn checkpoints_are_read_back_at_the_next_start() {
    let mut world = World::new(LogConfig::default());
    append_many(&mut world.log, 5);
    world.log.sync().unwrap();
    world.write_checkpoints();
    let text = String::from_utf8(
        disk::read_small(
            &world.disk,
            Path::new("/data/recovery-point-offset-checkpoint"),
            99,
        )
        .unwrap(),
    );
    assert_eq!(text.unwrap(), "0\n1\norders 0 5\n");
    world.disk.restart(Crash::Kill);
    let dir = open_dir(&world.disk).unwrap();
    let checkpoint = dir.checkpoint(&partition()).unwrap();
    assert_eq!(checkpoint.recovery_point, Offset::new(5));
    assert_eq!(checkpoint.high_watermark, Offset::new(5));
    world.disk.restart(Crash::Kill);
    write(
        &world.disk,
        "/data/recovery-point-offset-checkpoint",
        "nonsense",
    );
    let dir = open_dir(&world.disk).unwrap();
    let checkpoint = dir.checkpoint(&partition()).unwrap();
    assert_eq!(
        checkpoint.recovery_point,
        Offset::ZERO,
        "read from the start"
    );
    assert_eq!(checkpoint.high_watermark, Offset::new(5));
}

#[test]
fn partitions_are_found_and_their_topics_are_told_apart() {
    let world = World::new(LogConfig::default());
    let other = TopicId::from_bytes([3; 16]);
    let refused = world
        .dir
        .open_log(&partition(), other, LogConfig::default(), NOW);
    assert!(matches!(
        refused,
        Err(crate::OpenLogError::ForeignTopic { .. })
    ));
    world.disk.restart(Crash::Kill);
    let dir = open_dir(&world.disk).unwrap();
    let expected = FoundPartition {
        topic_partition: partition(),
        topic_id: TOPIC_ID,
    };
    assert_eq!(dir.partitions(), [expected]);
}

#[test]
fn a_deleted_partition_is_gone_at_once_and_its_files_with_the_ticket() {
    let mut world = World::new(LogConfig::default());
    append_many(&mut world.log, 3);
    let group = world.log.group();
    let ticket = world.dir.delete_log(&partition(), TOPIC_ID).unwrap();
    assert_eq!(world.dir.partitions(), []);
    assert!(!world.dir.journal().groups().contains(&group));
    let names = || -> Vec<String> {
        let entries = world.disk.list(Path::new(ROOT)).unwrap();
        let directories = entries.into_iter().filter(|entry| entry.is_dir);
        directories.map(|entry| entry.name).collect()
    };
    assert_eq!(
        names(),
        ["orders-0.07070707070707070707070707070707-delete"]
    );
    // The same name can be used again before the files are gone.
    let again = TopicId::from_bytes([4; 16]);
    let log = world
        .dir
        .open_log(&partition(), again, LogConfig::default(), NOW);
    assert_eq!(log.unwrap().log_end_offset(), Offset::ZERO);
    ticket.run().unwrap();
    assert_eq!(names(), ["orders-0"]);
    let nothing = world.dir.delete_log(&partition(), TOPIC_ID).unwrap();
    nothing.run().unwrap();
    assert_eq!(names(), ["orders-0"]);
}

#[test]
fn what_a_crash_left_of_a_deletion_is_removed_at_the_next_start() {
    let world = World::new(LogConfig::default());
    drop(world.dir.delete_log(&partition(), TOPIC_ID).unwrap());
    world.disk.restart(Crash::Kill);
    let dir = open_dir(&world.disk).unwrap();
    assert_eq!(dir.partitions(), []);
    let files = world.disk.files();
    assert!(
        !files
            .iter()
            .any(|path| path.to_string_lossy().contains("orders")),
        "{files:?}"
    );
}

#[test]
fn the_ballast_is_given_back_and_taken_again() {
    let disk = MemDisk::new(1);
    let options = LogDirOptions {
        ballast_bytes: 1 << 20,
        ..options()
    };
    disk.set_capacity(Some(4 << 20));
    let dir = LogDir::open(Arc::new(disk.clone()), Path::new(ROOT), options).unwrap();
    let with = dir.space().unwrap().available_bytes;
    assert!(dir.drop_ballast().unwrap());
    assert!(dir.space().unwrap().available_bytes >= with + (1 << 20));
    assert!(!dir.drop_ballast().unwrap());
    dir.restore_ballast().unwrap();
    assert_eq!(dir.space().unwrap().available_bytes, with);
    dir.drop_ballast().unwrap();
    disk.set_capacity(Some(disk.used_bytes() + (1 << 20)));
    dir.restore_ballast().unwrap();
    assert!(!dir.drop_ballast().unwrap(), "not while room is short");
}

#[test]
fn all_of_it_works_on_real_files() {
    let directory = crate::disk::suite::temporary_directory("log-dir");
    let root = directory.path().join("deep/data");
    let open = || LogDir::open(Arc::new(FileDisk::new()), &root, options());
    for round in 0..3 {
        let dir = open().unwrap();
        assert!(matches!(open(), Err(LogDirError::InUse { .. })));
        let mut log = dir
            .open_log(&partition(), TOPIC_ID, small_config(), NOW)
            .unwrap();
        assert_eq!(log.log_end_offset(), Offset::new(20 * round));
        lead(&mut log, round as u64 + 1).unwrap();
        append_many(&mut log, 20);
        assert_eq!(read_all(&mut log).len() as i64, 20 * (round + 1));
        log.sync().unwrap();
        if round == 1 {
            // Killed, as far as the directory can tell.
            continue;
        }
        log.close().unwrap();
        let checkpoint = LogCheckpoint {
            recovery_point: log.recovery_point(),
            high_watermark: log.log_end_offset(),
            log_start_offset: Offset::ZERO,
            cleaned_to: None,
        };
        dir.close(&[(partition(), checkpoint)]).unwrap();
    }
    let ticket = open().unwrap().delete_log(&partition(), TOPIC_ID).unwrap();
    ticket.run().unwrap();
    assert!(open().unwrap().partitions().is_empty());
}

use crate::LogConfig;

/// What was found at the start would reach beyond the end of the log by then.
#[test]
fn a_log_that_is_opened_again_has_the_checkpoint_written_last() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 40);
    let mut world = world.reopen_clean();
    world.log.truncate_from(klamm_model::LogIndex(20)).unwrap();
    lead(&mut world.log, 2).unwrap();
    append_many(&mut world.log, 5);
    world.log.sync().unwrap();
    world.write_checkpoints();
    let end = world.log.log_end_offset();
    world.log.close().unwrap();
    let mut log = world
        .dir
        .open_log(&partition(), TOPIC_ID, small_config(), NOW)
        .unwrap();
    assert_eq!(log.log_end_offset(), end);
    assert_eq!(read_all(&mut log).len() as i64, end.get());
    assert!(log.damages().is_empty());
}
