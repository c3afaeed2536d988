//! What is not in memory: it leaves as a ticket, or is waited for, and is never just touched (the
//! disk in memory panics if it is).

use super::*;
use crate::OpenLogError;

const BATCHES: i64 = 30;

/// A log of some segments that another life of the process wrote, with nothing of it in memory.
fn cold() -> World {
    let mut world = World::new(small_config());
    append_many(&mut world.log, BATCHES as usize);
    let mut world = world.reopen_clean();
    assert!(world.log.segment_count() > 2);
    lead(&mut world.log, 2).unwrap();
    world.disk.evict();
    world
}

/// Tries until it is done, with the disk's help; returns how often that was needed, too.
fn persist<T>(
    log: &mut Log,
    mut attempt: impl FnMut(&mut Log) -> Result<Attempt<T>, ReadError>,
) -> Result<(T, usize), ReadError> {
    for tickets in 0..20 {
        match attempt(log)? {
            Attempt::Done(done) => return Ok((done, tickets)),
            Attempt::Cold(ticket) => log.populated(ticket.run())?,
        }
    }
    panic!("what was populated is not asked for again")
}

fn persist_read(log: &mut Log, from: i64, max_bytes: usize) -> Result<(i64, usize), ReadError> {
    let (from, upper) = (Offset::new(from), log.log_end_offset());
    let (read, tickets) = persist(log, |log| log.try_read(from, upper, max_bytes, true))?;
    assert!(read.base_offset <= from && from < read.next_offset);
    Ok((read.next_offset.get(), tickets))
}

fn first_segment(world: &World) -> std::path::PathBuf {
    let directory = Path::new(ROOT).join("orders-0");
    let files = world.disk.files().into_iter();
    let mut logs = files.filter(|path| {
        path.starts_with(&directory) && path.extension().is_some_and(|end| end == "log")
    });
    logs.next().unwrap()
}

#[test]
fn cold_records_are_a_ticket_and_then_are_there() {
    let mut world = cold();
    let end = Offset::new(BATCHES);
    let Ok(Attempt::Cold(ticket)) = world.log.try_read(Offset::ZERO, end, 500, true) else {
        panic!("nothing is in memory");
    };
    let written = world.log.segments[0].length();
    assert_eq!(
        ticket.size_bytes() as u64,
        written,
        "of a small segment, all"
    );
    assert!(matches!(
        world.log.try_read(Offset::ZERO, end, 500, true),
        Ok(Attempt::Cold(_))
    ));
    world.log.populated(ticket.run()).unwrap();
    let Ok(Attempt::Done(read)) = world.log.try_read(Offset::ZERO, end, 500, true) else {
        panic!("it was populated");
    };
    assert_eq!(read.base_offset, Offset::ZERO);
    assert!(!read.records.is_empty() && read.records.len() <= 500);
}

#[test]
fn a_ticket_is_in_proportion_to_the_read() {
    let mut world = World::new(LogConfig::default());
    let value = "x".repeat(10_000);
    for _ in 0..200 {
        append(&mut world.log, vec![batch(1, &[&value])]).unwrap();
    }
    let mut world = world.reopen_clean();
    for max_bytes in [1, 100_000, 600_000] {
        world.disk.evict();
        let from = Offset::new(20);
        let (mut tickets, mut bytes) = (0, 0);
        while let Attempt::Cold(ticket) = world
            .log
            .try_read(from, Offset::new(200), max_bytes, true)
            .unwrap()
        {
            tickets += 1;
            bytes += ticket.size_bytes();
            world.log.populated(ticket.run()).unwrap();
        }
        assert_eq!(tickets, 2, "the index, and the records");
        let least = max_bytes + 200_000;
        assert!(bytes <= max_bytes.max(256 << 10) + least, "{bytes}");
    }
}

#[test]
fn every_record_is_reached_wherever_the_reader_begins_and_however_little_is_in_memory() {
    let mut world = cold();
    for from in 0..BATCHES {
        for max_bytes in [1, 400, 100_000] {
            world.disk.evict();
            let (next, tickets) = persist_read(&mut world.log, from, max_bytes).unwrap();
            assert!(
                next > from && (1..=2).contains(&tickets),
                "{from} {tickets}"
            );
        }
    }
    world.disk.evict();
    assert_eq!(read_all(&mut world.log).len() as i64, BATCHES);
}

#[test]
fn what_was_written_a_moment_ago_gives_no_ticket() {
    let mut world = cold();
    append_many(&mut world.log, 10);
    for from in BATCHES..BATCHES + 10 {
        assert_eq!(
            persist_read(&mut world.log, from, 1).unwrap(),
            (from + 1, 0)
        );
    }
}

#[test]
#[should_panic(expected = "what is touched is in memory")]
fn what_was_written_a_moment_ago_is_not_even_asked_about() {
    let mut world = cold();
    append_many(&mut world.log, 1);
    world.disk.evict();
    let _ = persist_read(&mut world.log, BATCHES, 1);
}

#[test]
fn records_that_the_disk_does_not_give_are_an_error_for_their_reader_only() {
    let mut world = cold();
    let path = first_segment(&world);
    assert!(world.disk.fail_reads(&path, 0..1));
    let error = persist_read(&mut world.log, 0, 1).unwrap_err();
    assert!(matches!(error, ReadError::Unreadable(_)), "{error}");
    assert!(error.to_string().contains(".log"), "{error}");
    let waits = world.log.read(Offset::ZERO, Offset::new(9), 1, true);
    assert!(matches!(waits, Err(ReadError::Unreadable(_))));
    assert!(world.log.offline().is_none() && world.log.damages().is_empty());
    let next = world.log.segments[1].base_offset().get();
    assert!(persist_read(&mut world.log, next, 1).is_ok());
    append_many(&mut world.log, 1);
    assert!(persist_read(&mut world.log, BATCHES, 1).is_ok());
}

#[test]
fn an_index_that_the_disk_does_not_give_is_an_error_too() {
    let mut world = cold();
    let path = first_segment(&world).with_extension("index");
    assert!(world.disk.fail_reads(&path, 0..1));
    let error = persist_read(&mut world.log, 5, 1).unwrap_err();
    assert!(error.to_string().contains(".index"), "{error}");
}

#[test]
fn looking_for_times_does_not_wait_either() {
    let mut world = cold();
    let end = world.log.log_end_offset();
    for number in 0..BATCHES {
        world.disk.evict();
        let time = Timestamp(1000 + number);
        let (found, tickets) = persist(&mut world.log, |log| {
            log.try_offset_for_timestamp(time, end)
        })
        .unwrap();
        assert_eq!(found.unwrap().offset.get(), number);
        assert!(tickets > 0);
        world.disk.evict();
        let waited = world.log.offset_for_timestamp(time, end).unwrap();
        assert_eq!(waited, found);
    }
    world.disk.evict();
    let (newest, tickets) = persist(&mut world.log, Log::try_max_timestamp).unwrap();
    assert_eq!(newest.unwrap().offset.get(), BATCHES - 1);
    assert!(tickets > 0);
    world.disk.fail_reads(&first_segment(&world), 0..1);
    let lost = persist(&mut world.log, |log| {
        log.try_offset_for_timestamp(Timestamp(1000), end)
    });
    assert!(matches!(lost, Err(ReadError::Unreadable(_))));
}

#[test]
fn damage_is_found_and_stepped_over_where_nothing_is_in_memory() {
    let mut world = cold();
    let path = first_segment(&world);
    assert!(world.disk.damage(&path, 200, 1));
    let mut lost = 0;
    let mut next = 0;
    while next < BATCHES {
        world.disk.evict();
        match persist_read(&mut world.log, next, 1) {
            Ok((after, _)) => next = after,
            Err(ReadError::Corrupt(damage)) => {
                lost += 1;
                next = damage.next_offset.get();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(lost, 1);
}

#[test]
fn a_ticket_for_what_was_cut_or_deleted_meanwhile_says_nothing_about_the_disk() {
    let mut world = cold();
    let path = first_segment(&world);
    let ticket = |log: &mut Log| match log.try_read(Offset::ZERO, Offset::new(9), 1, true) {
        Ok(Attempt::Cold(ticket)) => ticket,
        other => panic!("{other:?}"),
    };
    let (cut, deleted) = (ticket(&mut world.log), ticket(&mut world.log));
    world.disk.fail_reads(&path, 0..1);
    let populated = deleted.run();
    assert!(world.log.populated(populated).is_err());
    let last = world.log.last_index();
    world.log.truncate_from(last).unwrap();
    let populated = cut.run();
    world.log.populated(populated).unwrap();

    world.disk.evict();
    let third = world.log.segments[2].base_offset();
    let Ok(Attempt::Cold(ticket)) = world.log.try_read(third, third.plus(1), 1, true) else {
        panic!("nothing is in memory");
    };
    let end = world.log.log_end_offset();
    let files = world.log.delete_records(end, end).unwrap().unwrap();
    files.run().unwrap();
    world.log.populated(ticket.run()).unwrap();
    let read = world.log.try_read(third, third.plus(1), 1, true);
    assert!(matches!(read, Err(ReadError::OffsetOutOfRange { .. })));
}

#[test]
fn a_log_whose_end_the_disk_does_not_give_is_not_opened_and_nothing_is_lost() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 12);
    let disk = world.disk.clone();
    disk.restart(Crash::Kill);
    let path = first_segment(&world);
    let bytes = crate::disk::read_small(&disk, &path, 1 << 20).unwrap();
    assert!(disk.fail_reads(&path, 0..1));
    let dir = open_dir(&disk).unwrap();
    let open = || dir.open_log(&partition(), TOPIC_ID, small_config(), NOW);
    assert!(matches!(open(), Err(OpenLogError::Disk(_))));
    // The disk comes to its senses.
    let file = disk.open(&path, crate::disk::Open::Existing).unwrap();
    file.write_at(&mut [std::io::IoSlice::new(&bytes)], 0)
        .unwrap();
    assert_eq!(read_all(&mut open().unwrap()).len(), 12);
}
