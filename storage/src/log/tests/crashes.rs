//! The machine stops in the middle of every single operation of a scenario that does everything a
//! log does: the next start succeeds, and what it finds is a prefix that has all that was
//! promised.

use super::*;

/// What the scenario was told.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Records whose append returned.
    written: i64,
    /// Records of which the log said that they are durable.
    synced: i64,
    /// Where the log started as of a ticket that ran.
    start: i64,
    /// The term and vote that were synced.
    vote: u64,
    /// Hard states that were saved, synced or not.
    vote_saved: u64,
}

/// Ends at the first error: the machine is down.
fn scenario(disk: &MemDisk, told: &mut Told) -> Option<()> {
    let mut dir = open_dir(disk).ok()?;
    for round in 0..3 {
        let mut log = dir
            .open_log(&partition(), TOPIC_ID, small_config(), NOW)
            .ok()?;
        told.written = log.log_end_offset().get();
        told.synced = told.written;
        election(&mut log, told, round + 1)?;
        for _ in 0..3 {
            appends(&mut log, told)?;
        }
        let mut config = small_config();
        config.retention_bytes = 2500;
        log.set_config(config);
        let bound = log.recovery_point();
        if let Some(ticket) = log.apply_retention(NOW, bound, true).ok()? {
            ticket.run().ok()?;
            told.start = log.log_start_offset().get();
        }
        let before = Offset::new(told.start + 1);
        if let Some(ticket) = log.delete_records(before, before).ok()? {
            ticket.run().ok()?;
            told.start += 1;
        }
        dir.journal().rewrite().ok()?;
        dir = next_start(disk, dir, log, told, round)?;
    }
    let other = TopicPartition::parse("gone-3").unwrap();
    let id = klamm_model::TopicId::from_bytes([8; 16]);
    let mut log = dir.open_log(&other, id, small_config(), NOW).ok()?;
    lead(&mut log, 1).ok()?;
    append(&mut log, vec![batch(0, &["x"])]).ok()?;
    dir.delete_log(&other, id).ok()?.run().ok()
}

fn election(log: &mut Log, told: &mut Told, term: u64) -> Option<()> {
    told.vote_saved = term;
    let hard_state = HardState {
        term: Term::new(term),
        vote: term,
        commit: LogIndex::ZERO,
    };
    log.save_hard_state(hard_state).ok()?;
    log.journal().sync().ok()?;
    told.vote = term;
    lead(log, term).ok()
}

fn appends(log: &mut Log, told: &mut Told) -> Option<()> {
    for _ in 0..4 {
        let number = log.log_end_offset().get();
        let batches = vec![
            batch(number, &[&value(number as usize)]),
            produced(4, 0, number as i32, &[&value(number as usize + 1)]),
        ];
        log.reserve(500).ok()?;
        append(log, batches).ok()?;
        told.written = log.log_end_offset().get();
    }
    let synced = log.sync().ok()?;
    told.synced = synced.offset.get();
    append(log, vec![batch(0, &[&value(told.written as usize)])]).ok()?;
    told.written = log.log_end_offset().get();
    Some(())
}

/// Checkpoints and, every other time, a close in good order.
fn next_start(
    disk: &MemDisk,
    dir: crate::LogDir,
    mut log: Log,
    told: &mut Told,
    round: u64,
) -> Option<crate::LogDir> {
    let checkpoint = |log: &Log| crate::LogCheckpoint {
        recovery_point: log.recovery_point(),
        high_watermark: log.recovery_point(),
        log_start_offset: log.log_start_offset(),
        cleaned_to: log.cleaned_to(),
    };
    if round == 1 {
        dir.write_checkpoints(&[(partition(), checkpoint(&log))])
            .ok()?;
    } else {
        log.close().ok()?;
        told.synced = told.written;
        dir.close(&[(partition(), checkpoint(&log))]).ok()?;
    }
    drop(dir);
    open_dir(disk).ok()
}

/// What the next start finds.
fn check(disk: &MemDisk, told: &Told, kept: i64, what: &str) {
    let dir = open_dir(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut log = dir
        .open_log(&partition(), TOPIC_ID, small_config(), NOW)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(log.damages().is_empty(), "{what}: {:?}", log.damages());
    let (start, end) = (log.log_start_offset().get(), log.log_end_offset().get());
    assert!(end >= kept, "{what}: {told:?} end {end}");
    assert!(start >= told.start, "{what}: {told:?} start {start}");
    let expected: Vec<(i64, String)> = (start..end)
        .map(|number| (number, value(number as usize)))
        .collect();
    assert_eq!(read_all(&mut log), expected, "{what}");
    let vote = log.hard_state().vote;
    assert!(
        vote >= told.vote && vote <= told.vote_saved,
        "{what}: {told:?} vote {vote}"
    );
    let listed = log.entries(LogIndex(1), 10_000).unwrap();
    let last = listed.last().map_or(log.last_index(), |entry| entry.index);
    assert_eq!(last, log.last_index(), "{what}");
    // And it goes on.
    lead(&mut log, 99).unwrap();
    append_many(&mut log, 12);
    log.sync().unwrap();
    assert_eq!(read_all(&mut log).len() as i64, end - start + 12, "{what}");
    let names = disk.list(Path::new(ROOT)).unwrap();
    let deleted = names.iter().any(|name| name.name.ends_with("-delete"));
    assert!(!deleted, "{what}");
}

fn operations_of_the_scenario() -> u64 {
    let disk = MemDisk::new(0);
    let mut told = Told::default();
    scenario(&disk, &mut told).unwrap();
    assert_eq!(told.vote, 3);
    assert!(told.start > 3 && told.synced > 60, "{told:?}");
    disk.operations()
}

#[test]
fn a_kill_in_the_middle_of_any_operation_loses_no_written_record() {
    let operations = operations_of_the_scenario();
    assert!(operations > 300);
    for nth in 1..=operations {
        let disk = MemDisk::new(nth);
        let mut told = Told::default();
        disk.crash_at(nth);
        let finished = scenario(&disk, &mut told);
        assert!(
            finished.is_none() || nth > operations - 5,
            "operation {nth}"
        );
        disk.restart(Crash::Kill);
        check(&disk, &told, told.written, &format!("operation {nth}"));
    }
}

#[test]
fn a_power_loss_in_the_middle_of_any_operation_loses_no_synced_record() {
    let operations = operations_of_the_scenario();
    for nth in 1..=operations {
        for seed in 0..3 {
            let disk = MemDisk::new(nth * 1000 + seed);
            let mut told = Told::default();
            disk.crash_at(nth);
            let _ = scenario(&disk, &mut told);
            disk.restart(Crash::PowerLoss);
            check(
                &disk,
                &told,
                told.synced,
                &format!("operation {nth} seed {seed}"),
            );
        }
    }
}

#[test]
fn a_second_crash_during_recovery_is_no_worse_than_one() {
    let operations = operations_of_the_scenario();
    for nth in (1..=operations).step_by(17) {
        for second in 1..40 {
            let disk = MemDisk::new(nth);
            let mut told = Told::default();
            disk.crash_at(nth);
            let _ = scenario(&disk, &mut told);
            disk.restart(Crash::PowerLoss);
            disk.crash_at(disk.operations() + second);
            let opened = open_dir(&disk).map(|dir| {
                let opened = dir.open_log(&partition(), TOPIC_ID, small_config(), NOW);
                opened.map(drop)
            });
            drop(opened);
            disk.restart(Crash::PowerLoss);
            let what = format!("operation {nth} then {second}");
            check(&disk, &told, told.synced, &what);
        }
    }
}

#[test]
fn a_full_disk_at_any_operation_is_survived_and_later_tries_succeed() {
    let operations = operations_of_the_scenario();
    for nth in 1..=operations {
        let disk = MemDisk::new(nth);
        let mut told = Told::default();
        disk.fail_at(nth, Fault::NoSpace);
        let _ = scenario(&disk, &mut told);
        disk.restart(Crash::Kill);
        check(&disk, &told, told.written, &format!("operation {nth}"));
    }
}

use klamm_model::raft::HardState;

/// An append that fills one segment and begins another is refused by a full disk, and the process
/// ends while what it wrote is taken back.
#[test]
fn a_kill_while_a_refused_append_is_taken_back_damages_nothing() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 5);
    world.log.sync().unwrap();
    let disk = world.disk.fork();
    let two_segments = (5..15).map(|number| batch(0, &[&value(number)]));
    let entries = entries(&world.log, two_segments.collect());
    let before = disk.operations();
    let appended = world.log.append(&entries, NOW).unwrap();
    assert!(appended.rolled);
    let operations = world.disk.operations() - before;
    for refused in 1..=operations {
        for killed in 1..=10 {
            let disk = disk.fork();
            disk.restart(Crash::Kill);
            let mut world = World::open(disk, small_config());
            let now = world.disk.operations();
            world.disk.fail_at(now + refused, Fault::NoSpace);
            world.disk.crash_at(now + refused + killed);
            drop(world.log.append(&entries, NOW));
            let mut world = world.reopen_after(Crash::Kill);
            let what = format!("refused at {refused}, killed {killed} later");
            assert!(world.log.damages().is_empty(), "{what}");
            let listed = world.log.entries(LogIndex(1), 10_000).unwrap();
            let last = listed.last().map(|entry| entry.index);
            assert_eq!(last, Some(world.log.last_index()), "{what}");
        }
    }
}

/// The kernel may write anything at any time, also what is taken back a moment later. The batch that
/// stands there then begins just before the end of a sector, with what its checksum leaves out:
/// offset, length and epoch.
#[test]
fn what_a_full_disk_refused_does_not_come_back_under_another_header() {
    let outside_checksum = 16;
    let first = (0..512)
        .map(|length| batch(0, &[&"x".repeat(length)]))
        .find(|batch| batch.size_bytes() == 512 - outside_checksum)
        .unwrap();
    for seed in 0..100 {
        let mut world = World::open(MemDisk::new(seed), LogConfig::default());
        lead(&mut world.log, 1).unwrap();
        append(&mut world.log, vec![first.clone()]).unwrap();
        world.log.sync().unwrap();
        world.log.reserve(2_000).unwrap();
        world.disk.write_back(true);
        let next = world.disk.operations() + 1;
        world.disk.fail_at(next, Fault::NoSpace);
        let refused = (0..10).map(|_| batch(0, &["refused"])).collect();
        let refused = append(&mut world.log, refused);
        assert!(matches!(refused, Err(AppendError::NoSpace(_))));
        world.disk.write_back(false);
        lead(&mut world.log, 2).unwrap();
        append(&mut world.log, vec![batch(0, &["written"])]).unwrap();
        let mut world = world.reopen_after(Crash::PowerLoss);
        let found = read_all(&mut world.log);
        let next = found.get(1).map(|(_, value)| value.as_str());
        assert!(matches!(next, None | Some("written")), "{seed}: {next:?}");
    }
}
