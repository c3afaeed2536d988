//! The machine stops, the disk is full or fails, in the middle of every single operation of taking
//! in a copy and putting it in place: the partition has its old log or the new one, whole.

use super::*;

const OLD_RECORDS: usize = 60;

/// The partition's log before, with a vote; its checkpoints reach to its end.
fn target(seed: u64) -> MemDisk {
    let mut world = World::open(MemDisk::new(seed), small_config());
    lead(&mut world.log, 2).unwrap();
    append_many(&mut world.log, OLD_RECORDS);
    world.log.save_hard_state(voted(LogIndex(5))).unwrap();
    world.log.sync().unwrap();
    let world = world.reopen_clean();
    world.write_checkpoints();
    drop(world.log);
    drop(world.dir);
    world.disk
}

/// Nothing of the partition.
fn empty(seed: u64) -> MemDisk {
    let disk = MemDisk::new(seed);
    drop(open_dir(&disk).unwrap());
    disk
}

fn voted(commit: LogIndex) -> HardState {
    HardState {
        term: Term::new(7),
        vote: 3,
        commit,
    }
}

/// All of a copy; returns whether it was installed, and how it ended.
fn attempt(dir: &LogDir, source: &Log) -> (bool, Result<(), CopyError>) {
    let mut installed = false;
    let manifest = source.manifest(source.last_index()).unwrap();
    let mut attempt = || {
        let mut copy = dir.begin_copy(&partition(), TOPIC_ID, &manifest)?;
        while let Some((base_offset, part, position)) = copy.next_missing() {
            let read = source.read_part(&manifest, base_offset, part, (position, 1 << 20));
            copy.write(base_offset, part, position, &[read.unwrap()])?;
        }
        copy.finish()?;
        let ticket = dir.install_copy(&mut copy)?;
        installed = true;
        Ok(ticket.run().map_err(disk_failed)?)
    };
    let result = attempt();
    (installed, result)
}

/// As [`attempt`], from a start on.
fn start_and_attempt(disk: &MemDisk, source: &Log) -> bool {
    open_dir(disk).is_ok_and(|dir| attempt(&dir, source).0)
}

/// What is found then: whether it is the copy. What was decided stays.
fn check(disk: &MemDisk, source: &Said, installed: bool, had_log: bool, what: &str) -> bool {
    let dir = open_dir(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    no_leftovers(disk, what);
    let is_new = check_in(&dir, source, installed, had_log, what);
    drop(dir);
    let dir = open_dir(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(
        check_in(&dir, source, is_new, had_log, what),
        is_new,
        "{what}"
    );
    is_new
}

fn check_in(dir: &LogDir, source: &Said, installed: bool, had_log: bool, what: &str) -> bool {
    let is_there = !dir.partitions().is_empty();
    if !is_there {
        assert!(!installed && !had_log, "{what}");
        return false;
    }
    let log = dir.open_log(&partition(), TOPIC_ID, small_config(), NOW);
    let mut log = log.unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = said(&mut log);
    let is_new = found == *source;
    let (records, expected) = match is_new {
        true if had_log => (&source.records, voted(found.range.4)),
        true => {
            let learned = HardState {
                term: source.terms.1,
                vote: 0,
                commit: found.range.4,
            };
            (&source.records, learned)
        }
        false => {
            assert!(!installed && had_log, "{what}: {found:?}");
            let old = (0..OLD_RECORDS).map(|at| (at as i64, value(at)));
            (&old.collect(), voted(LogIndex(5)))
        }
    };
    assert_eq!(found.records, *records, "{what}");
    assert_eq!(log.hard_state(), expected, "{what}");
    is_new
}

fn source() -> World {
    let mut source = eventful(small_config());
    compact(&mut source.log);
    lead(&mut source.log, 6).unwrap();
    append_many(&mut source.log, 12);
    source.log.sync().unwrap();
    source
}

/// Operations of an attempt, with the start before it.
fn operations(source: &Log, template: &MemDisk) -> u64 {
    let disk = template.fork();
    disk.restart(Crash::Kill);
    let before = disk.operations();
    assert!(start_and_attempt(&disk, source));
    disk.operations() - before
}

#[test]
fn a_crash_at_any_operation_leaves_the_old_log_or_the_copy() {
    let mut source = source();
    let expected = said(&mut source.log);
    for had_log in [false, true] {
        let make = if had_log { target } else { empty };
        let took = operations(&source.log, &make(1));
        assert!(took > 40, "{took}");
        let mut news = 0;
        for at in 1..=took {
            for (seed, crash) in [
                (0, Crash::Kill),
                (1, Crash::PowerLoss),
                (2, Crash::PowerLoss),
            ] {
                let disk = make(at * 10 + seed);
                disk.crash_at(disk.operations() + at);
                let installed = start_and_attempt(&disk, &source.log);
                disk.restart(crash);
                let what = format!("log {had_log} {crash:?} {seed} at {at} of {took}");
                news += u64::from(check(&disk, &expected, installed, had_log, &what));
            }
        }
        assert!(news > 10 && news < 3 * took, "{news} of {took}");
    }
}

#[test]
fn a_crash_while_an_installation_is_finished_is_no_harm() {
    let mut source = source();
    let expected = said(&mut source.log);
    let took = operations(&source.log, &target(1));
    for at in took - 20..=took {
        for again in 1..40 {
            let disk = target(at * 100 + again);
            disk.crash_at(disk.operations() + at);
            let installed = start_and_attempt(&disk, &source.log);
            disk.restart(Crash::PowerLoss);
            disk.crash_at(disk.operations() + again);
            if let Ok(dir) = open_dir(&disk) {
                let _ = dir.open_log(&partition(), TOPIC_ID, small_config(), NOW);
            }
            disk.restart(Crash::PowerLoss);
            let what = format!("at {at}, then {again}");
            check(&disk, &expected, installed, true, &what);
        }
    }
}

/// One upon the other: nothing of the first is mistaken for the second's.
#[test]
fn a_crash_during_a_second_copy_leaves_the_first_or_the_second() {
    let mut first = eventful(small_config());
    let of_first = said(&mut first.log);
    let mut second = source();
    let expected = said(&mut second.log);
    let with_first = |seed| {
        let disk = target(seed);
        assert!(start_and_attempt(&disk, &first.log));
        disk
    };
    let took = operations(&second.log, &with_first(1));
    for at in 1..=took {
        let disk = with_first(at);
        disk.crash_at(disk.operations() + at);
        let installed = start_and_attempt(&disk, &second.log);
        disk.restart(Crash::PowerLoss);
        let what = format!("at {at}");
        let dir = open_dir(&disk).unwrap();
        no_leftovers(&disk, &what);
        let mut log = open_log(&dir, &small_config());
        let found = said(&mut log);
        let is_new = found == expected;
        assert!(
            is_new || !installed && found == of_first,
            "{what}: {found:?}"
        );
        assert_eq!(log.hard_state().vote, 3);
    }
}

#[test]
fn a_full_disk_puts_a_copy_off() {
    let mut source = source();
    let expected = said(&mut source.log);
    for had_log in [false, true] {
        let make = if had_log { target } else { empty };
        let template = make(1);
        let took = operations(&source.log, &template);
        for at in 1..=took {
            let disk = template.fork();
            disk.restart(Crash::Kill);
            let dir = open_dir(&disk).unwrap();
            disk.fail_at(disk.operations() + at, Fault::NoSpace);
            let what = format!("log {had_log}, full at {at}");
            let (installed, result) = attempt(&dir, &source.log);
            disk.clear_faults();
            let refused = match result {
                Ok(()) => false,
                Err(CopyError::NoSpace(_)) => true,
                // As any failure: of a sync.
                Err(CopyError::Offline(_)) => {
                    drop(dir);
                    disk.restart(Crash::Kill);
                    check(&disk, &expected, installed, had_log, &what);
                    continue;
                }
                Err(error) => panic!("{what}: {error}"),
            };
            if refused {
                // Nothing has happened, or the copy gets its place when the log is opened.
                check_in(&dir, &expected, installed, had_log, &what);
                let (installed, result) = attempt(&dir, &source.log);
                assert!(installed && result.is_ok(), "{what}");
            }
            assert!(!dir.partitions().is_empty());
            let mut log = open_log(&dir, &small_config());
            assert_eq!(said(&mut log), expected, "{what}");
        }
    }
}

#[test]
fn a_step_that_was_refused_is_done_again() {
    let mut source = eventful(small_config());
    let expected = said(&mut source.log);
    let manifest = source.log.manifest(source.log.last_index()).unwrap();
    let template = target(1);
    let took = operations(&source.log, &template);
    let mut refusals = 0;
    for at in 1..=took {
        let disk = template.fork();
        disk.restart(Crash::Kill);
        let dir = open_dir(&disk).unwrap();
        let mut copy = dir.begin_copy(&partition(), TOPIC_ID, &manifest).unwrap();
        disk.fail_at(disk.operations() + at, Fault::NoSpace);
        let mut result = steps(&dir, &source.log, &mut copy);
        if matches!(result, Err(CopyError::NoSpace(_))) {
            refusals += 1;
            result = steps(&dir, &source.log, &mut copy);
            assert!(result.is_ok(), "{at}: {result:?}");
        }
        // Unless it was a sync that was refused.
        if result.is_ok() {
            assert_eq!(said(&mut open_log(&dir, &small_config())), expected, "{at}");
        }
    }
    assert!(refusals > 10);
}

/// All that is left to do of a copy.
fn steps(dir: &LogDir, source: &Log, copy: &mut LogCopy) -> Result<(), CopyError> {
    let manifest = copy.manifest().clone();
    while let Some((base_offset, part, position)) = copy.next_missing() {
        let read = source.read_part(&manifest, base_offset, part, (position, 400));
        copy.write(base_offset, part, position, &[read.unwrap()])?;
    }
    copy.finish()?;
    dir.install_copy(copy).map(drop)
}

#[test]
fn a_sync_that_fails_takes_the_directory_offline() {
    let source = source();
    let disk = target(1);
    let dir = open_dir(&disk).unwrap();
    let manifest = source.log.manifest(source.log.last_index()).unwrap();
    let mut copy = dir.begin_copy(&partition(), TOPIC_ID, &manifest).unwrap();
    let next = |copy: &LogCopy| {
        let (base_offset, part, position) = copy.next_missing().unwrap();
        let read = source
            .log
            .read_part(&manifest, base_offset, part, (position, 1 << 20));
        (base_offset, part, position, [read.unwrap()])
    };
    let (base_offset, part, position, bytes) = next(&copy);
    copy.write(base_offset, part, position, &bytes).unwrap();
    disk.fail_syncs(true);
    let (base_offset, part, position, bytes) = next(&copy);
    let error = copy.write(base_offset, part, position, &bytes).unwrap_err();
    assert!(matches!(error, CopyError::Offline(_)), "{error}");
    disk.fail_syncs(false);
    // Not again, although it would succeed now.
    let error = copy.write(base_offset, part, position, &bytes).unwrap_err();
    assert!(matches!(error, CopyError::Offline(_)), "{error}");
    let error = copy.finish().unwrap_err();
    assert!(matches!(error, CopyError::Offline(_)), "{error}");
    drop(copy);
    let refused = dir.close(&[]).unwrap_err();
    assert!(matches!(refused, crate::LogDirError::SyncFailed { .. }));
}

/// The next process finds in the page cache what never reaches the disk.
#[test]
fn a_sync_that_fails_at_any_operation_leaves_the_old_log_or_the_copy() {
    let mut source = source();
    let expected = said(&mut source.log);
    let took = operations(&source.log, &target(1));
    for at in 1..=took {
        for again in [0, 10, 20, 30, 40, 50, 60] {
            let disk = target(at * 100 + again);
            let Ok(dir) = open_dir(&disk) else { continue };
            disk.fail_at(disk.operations() + at, Fault::Io);
            let (installed, _) = attempt(&dir, &source.log);
            drop(dir);
            disk.restart(Crash::Kill);
            if again > 0 {
                disk.crash_at(disk.operations() + again);
                if let Ok(dir) = open_dir(&disk) {
                    let _ = dir.open_log(&partition(), TOPIC_ID, small_config(), NOW);
                }
                disk.restart(Crash::PowerLoss);
            }
            let what = format!("at {at}, then {again}");
            check(&disk, &expected, installed, true, &what);
        }
    }
}

#[test]
fn a_partition_that_is_deleted_meanwhile_does_not_come_back() {
    let source = source();
    let took = operations(&source.log, &target(1));
    for at in 1..=took {
        let disk = target(at);
        let dir = open_dir(&disk).unwrap();
        disk.fail_at(disk.operations() + at, Fault::NoSpace);
        let (_, result) = attempt(&dir, &source.log);
        disk.clear_faults();
        if matches!(result, Err(CopyError::Offline(_))) {
            continue;
        }
        let ticket = dir.delete_log(&partition(), TOPIC_ID).unwrap();
        ticket.run().unwrap();
        drop(dir);
        disk.restart(Crash::PowerLoss);
        let dir = open_dir(&disk).unwrap();
        assert_eq!(dir.partitions(), [], "{at}");
        assert_eq!(dir.journal().groups(), [], "{at}");
        no_leftovers(&disk, "deleted");
    }
}
