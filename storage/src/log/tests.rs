use std::path::Path;

use klamm_model::record_batch::BatchHeader;
use klamm_model::{ProducerEpoch, ProducerId};

use super::*;
use crate::testing::*;
use crate::{Crash, Fault, MemDisk};

mod cold;
mod crashes;
mod cuts;
mod damage;
mod model;
mod segments;

fn offsets(log: &mut Log) -> Vec<i64> {
    read_all(log)
        .into_iter()
        .map(|(offset, _)| offset)
        .collect()
}

/// Base offsets of the batches that a read returns.
fn read_bases(log: &mut Log, from: i64, upper: i64, max_bytes: usize, one: bool) -> Vec<i64> {
    let result = log
        .read(Offset::new(from), Offset::new(upper), max_bytes, one)
        .unwrap();
    let mut bytes = result.records;
    let mut bases = Vec::new();
    while !bytes.is_empty() {
        let header = BatchHeader::peek(&bytes).unwrap();
        bases.push(header.base_offset().get());
        bytes = bytes.slice(header.size_bytes()..);
    }
    bases
}

#[test]
fn what_is_appended_is_read_back() {
    let mut world = World::new(LogConfig::default());
    let log = &mut world.log;
    let appended = append(log, vec![batch(1, &["a", "b"]), batch(5, &["c"])]).unwrap();
    assert_eq!(appended.log_end_offset, Offset::new(3));
    assert_eq!(appended.last_index, LogIndex(3));
    let expected = [(0, "a"), (1, "b"), (2, "c")].map(|(offset, value)| (offset, value.to_owned()));
    assert_eq!(read_all(log), expected);
}

#[test]
fn reads_return_whole_batches_from_the_one_that_holds_the_offset() {
    let mut world = World::new(LogConfig::default());
    let log = &mut world.log;
    append(
        log,
        vec![
            batch(1, &["a", "b"]),
            batch(5, &["c"]),
            batch(6, &["d", "e"]),
        ],
    )
    .unwrap();
    let size = batch(1, &["a", "b"]).size_bytes();
    let mut check = |from, upper, max_bytes, one, expected: &[i64]| {
        let found = read_bases(log, from, upper, max_bytes, one);
        assert_eq!(found, expected, "{from}..{upper} {max_bytes} {one}");
    };
    check(0, 5, 1 << 20, true, &[0, 2, 3]);
    check(1, 5, 1 << 20, true, &[0, 2, 3]);
    check(2, 5, 1 << 20, true, &[2, 3]);
    check(4, 5, 1 << 20, true, &[3]);
    check(5, 5, 1 << 20, true, &[]);
    check(0, 3, 1 << 20, true, &[0, 2]);
    check(0, 1, 1 << 20, true, &[]);
    check(0, 99, size, false, &[0]);
    check(0, 99, size - 1, false, &[]);
    check(0, 99, 0, true, &[0]);
    let out = log.read(Offset::new(6), Offset::new(9), 100, true);
    assert!(matches!(out, Err(ReadError::OffsetOutOfRange { .. })));
}

#[test]
fn long_reads_return_the_batches_that_short_ones_do() {
    let mut world = World::new(LogConfig {
        segment_bytes: 200_000,
        ..LogConfig::default()
    });
    append_many(&mut world.log, 3000);
    let short = read_all(&mut world.log);
    for start_over in [false, true] {
        let log = &mut world.log;
        for (from, upper) in [(0, 3000), (7, 2990), (1500, 1700), (2990, 3000)] {
            for max_bytes in [70_000, 150_000, 1 << 20] {
                let (from, upper) = (Offset::new(from), Offset::new(upper));
                let result = log.read(from, upper, max_bytes, true).unwrap();
                assert!(result.records.len() <= max_bytes);
                assert!(result.next_offset <= upper && result.base_offset == from);
                let mut bytes = result.records;
                let mut expected = from.get();
                while !bytes.is_empty() {
                    let batch = klamm_model::RecordBatch::parse(&mut bytes).unwrap();
                    assert_eq!(batch.base_offset().get(), expected);
                    expected = batch.next_offset().get();
                }
                assert_eq!(expected, result.next_offset.get());
                let full = result.next_offset == upper
                    || log
                        .segments
                        .iter()
                        .any(|s| s.base_offset() == result.next_offset);
                let more = log.read(from, upper, max_bytes + 200, true).unwrap();
                assert!(
                    full || more.next_offset > result.next_offset,
                    "as much as fits"
                );
            }
        }
        assert_eq!(read_all(log), short);
        if !start_over {
            world = world.reopen_clean();
        }
    }
}

#[test]
fn a_segment_is_rolled_when_it_is_full_and_reads_go_across() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 40);
    assert!(world.log.segment_count() >= 4);
    assert_eq!(offsets(&mut world.log), (0..40).collect::<Vec<_>>());
    for segment in &world.log.segments {
        assert!(segment.length() <= 1500);
    }
    // One call may roll more than once.
    let batches = (0..30).map(|number| batch(number, &[&value(0)])).collect();
    let appended = append(&mut world.log, batches).unwrap();
    assert!(appended.rolled);
    assert_eq!(offsets(&mut world.log), (0..70).collect::<Vec<_>>());
}

#[test]
fn a_segment_is_rolled_when_its_first_record_is_too_old() {
    let config = LogConfig {
        segment_ms: 1000,
        ..LogConfig::default()
    };
    let mut world = World::new(config);
    for (time, segments) in [(5000, 1), (6000, 1), (6001, 2), (7001, 2), (7002, 3)] {
        append(&mut world.log, vec![batch(time, &["x"])]).unwrap();
        assert_eq!(world.log.segment_count(), segments, "at {time}");
    }
}

#[test]
fn a_segment_is_rolled_when_its_index_is_full() {
    let config = LogConfig {
        segment_index_bytes: 60,
        index_interval_bytes: 1,
        ..LogConfig::default()
    };
    let mut world = World::new(config);
    append_many(&mut world.log, 20);
    assert!(world.log.segment_count() > 3);
    for name in world.names() {
        if name.ends_with("index") {
            assert!(world.bytes_of(&name).len() <= 60, "{name}");
        }
    }
}

#[test]
fn jitter_rolls_earlier_and_the_same_way_each_time() {
    let config = LogConfig {
        segment_ms: 10_000,
        segment_jitter_ms: 5000,
        ..LogConfig::default()
    };
    let world = World::new(config);
    let jitters: BTreeSet<i64> = (0..50)
        .map(|base| world.log.jitter_ms(Offset::new(base)))
        .collect();
    assert!(jitters.len() > 20 && jitters.iter().all(|jitter| (0..5000).contains(jitter)));
}

#[test]
fn the_index_files_are_kafkas() {
    let mut world = World::new(LogConfig {
        index_interval_bytes: 200,
        ..LogConfig::default()
    });
    append_many(&mut world.log, 6);
    let size = batch(0, &[&value(0)]).size_bytes() as u32;
    world.log.close().unwrap();
    // An entry whenever more than 200 bytes lie since the last: the third and the fifth batch.
    let pairs = |pairs: &[(u32, u32)]| -> Vec<u8> {
        let bytes = pairs
            .iter()
            .flat_map(|(a, b)| [a.to_be_bytes(), b.to_be_bytes()]);
        bytes.flatten().collect()
    };
    let name = "00000000000000000000";
    assert_eq!(
        world.bytes_of(&format!("{name}.index")),
        pairs(&[(2, 2 * size), (4, 4 * size)])
    );
    assert_eq!(
        world.bytes_of(&format!("{name}.raftindex")),
        pairs(&[(2, 2 * size), (4, 4 * size)])
    );
    let times: Vec<u8> = [(1002_i64, 2_u32), (1004, 4), (1005, 5)]
        .iter()
        .flat_map(|(time, offset)| [time.to_be_bytes().to_vec(), offset.to_be_bytes().to_vec()])
        .flatten()
        .collect();
    assert_eq!(world.bytes_of(&format!("{name}.timeindex")), times);
    assert_eq!(world.bytes_of("leader-epoch-checkpoint"), b"0\n1\n1 0\n");
    assert!(
        world
            .names()
            .contains(&"00000000000000000006.snapshot".to_owned())
    );
}

#[test]
fn records_are_found_by_their_time() {
    let mut world = World::new(LogConfig {
        segment_bytes: 400,
        index_interval_bytes: 1,
        ..LogConfig::default()
    });
    // Times of single records; the third batch is out of order.
    for times in [&[10, 20][..], &[30], &[15, 40], &[35], &[50, 60]] {
        let mut builder = klamm_model::record_batch::BatchBuilder::new();
        for time in times {
            builder.append(Timestamp(*time), None, Some(&[0; 80]), &[]);
        }
        append(&mut world.log, vec![builder.build()]).unwrap();
    }
    assert!(world.log.segment_count() > 1);
    let mut check = |time: i64, upper: i64, expected: Option<(i64, i64)>| {
        let found = world
            .log
            .offset_for_timestamp(Timestamp(time), Offset::new(upper))
            .unwrap();
        let found = found.map(|found| (found.timestamp.0, found.offset.get()));
        assert_eq!(found, expected, "at {time} below {upper}");
    };
    check(0, 99, Some((10, 0)));
    check(10, 99, Some((10, 0)));
    check(11, 99, Some((20, 1)));
    check(21, 99, Some((30, 2)));
    check(31, 99, Some((40, 4)));
    check(41, 99, Some((50, 6)));
    check(51, 99, Some((60, 7)));
    check(51, 7, None);
    check(61, 99, None);
    let newest = world.log.max_timestamp().unwrap().unwrap();
    assert_eq!((newest.timestamp.0, newest.offset.get()), (60, 7));
    assert_eq!(newest.leader_epoch, LeaderEpoch(1));
}

#[test]
fn an_empty_log_has_no_newest_record() {
    let mut world = World::new(LogConfig::default());
    assert_eq!(world.log.max_timestamp().unwrap(), None);
    let found = world.log.offset_for_timestamp(Timestamp(0), Offset::new(9));
    assert_eq!(found.unwrap(), None);
}

#[test]
fn entries_with_and_without_records_are_found_by_index() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 15);
    lead(&mut world.log, 2).unwrap();
    lead(&mut world.log, 4).unwrap();
    append_many(&mut world.log, 15);
    lead(&mut world.log, 5).unwrap();
    let check = |log: &mut Log| {
        let all = log.entries(LogIndex(1), 1000).unwrap();
        let indexes: Vec<u64> = all.iter().map(|entry| entry.index.0).collect();
        assert_eq!(indexes, (1..=34).collect::<Vec<_>>());
        let metas: Vec<u64> = all
            .iter()
            .filter(|entry| entry.size_bytes == 0)
            .map(|entry| entry.index.0)
            .collect();
        assert_eq!(metas, [1, 17, 18, 34]);
        assert_eq!(
            (all[15].term, all[15].base_offset),
            (Term::new(1), Offset::new(14))
        );
        assert_eq!(
            (all[18].term, all[18].base_offset),
            (Term::new(4), Offset::new(15))
        );
        for from in 1..=34 {
            let some = log.entries(LogIndex(from), 3).unwrap();
            let skip = from as usize - 1;
            assert_eq!(some, all[skip..(skip + 3).min(34)], "from {from}");
        }
    };
    check(&mut world.log);
    check(&mut world.reopen_clean().log);
}

#[test]
fn a_clean_start_finds_everything_without_reading_it() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 40);
    let (end, last) = (world.log.log_end_offset(), world.log.last_index());
    let segments = world.log.segment_count();
    let mut world = world.reopen_clean();
    assert_eq!(world.dir.boot().kind, crate::BootKind::Clean);
    assert_eq!(world.log.log_end_offset(), end);
    assert_eq!(world.log.last_index(), last);
    assert_eq!(world.log.segment_count(), segments);
    assert_eq!(world.log.recovery_point(), end);
    assert_eq!(offsets(&mut world.log), (0..40).collect::<Vec<_>>());
    append_many(&mut world.log, 10);
    let mut world = world.reopen_clean();
    assert_eq!(offsets(&mut world.log), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_killed_process_loses_nothing() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 40);
    lead(&mut world.log, 2).unwrap();
    append_many(&mut world.log, 2);
    let mut world = world.reopen_after(Crash::Kill);
    assert_eq!(world.dir.boot().kind, crate::BootKind::Killed);
    assert_eq!(offsets(&mut world.log), (0..42).collect::<Vec<_>>());
    assert_eq!(world.log.last_index(), LogIndex(44));
    assert_eq!(world.log.last_term(), Term::new(2));
    assert_eq!(
        world.log.recovery_point(),
        Offset::new(42),
        "synced before use"
    );
    // Indexes of a log that was recovered are those of one that was not.
    append_many(&mut world.log, 3);
    assert_eq!(offsets(&mut world.log), (0..45).collect::<Vec<_>>());
}

#[test]
fn after_a_power_loss_what_was_synced_is_there_and_the_rest_is_a_prefix() {
    for seed in 0..60 {
        let mut world = World::open(MemDisk::new(seed), small_config());
        lead(&mut world.log, 1).unwrap();
        append_many(&mut world.log, 20);
        world.log.sync().unwrap();
        append_many(&mut world.log, 20);
        let mut world = world.reopen_after(Crash::PowerLoss);
        assert_eq!(world.dir.boot().kind, crate::BootKind::Lossy);
        assert!(world.dir.boot().recovering);
        let found = offsets(&mut world.log);
        assert!(found.len() >= 20, "seed {seed}: {found:?}");
        assert_eq!(found, (0..found.len() as i64).collect::<Vec<_>>());
        assert!(world.log.damages().is_empty());
        append_many(&mut world.log, 5);
    }
}

#[test]
fn batches_of_a_term_whose_no_op_is_lost_are_cut() {
    let mut world = World::new(LogConfig::default());
    append_many(&mut world.log, 3);
    world.log.sync().unwrap();
    world.write_checkpoints();
    // The journal is not synced, against the rule.
    world
        .log
        .append_meta(&MetaEntry {
            index: world.log.last_index().next(),
            term: Term::new(2),
            at_offset: Offset::new(3),
            kind: MetaKind::Noop,
        })
        .unwrap();
    append_many(&mut world.log, 3);
    world.log.sync().unwrap();
    let journal = Path::new(ROOT).join("klamm.journal");
    let length = world.disk.open(&journal, disk::Open::Existing).unwrap();
    length
        .truncate(world.dir.journal().length_bytes() - 1)
        .unwrap();
    let mut world = world.reopen_after(Crash::Kill);
    assert_eq!(offsets(&mut world.log), [0, 1, 2]);
    assert_eq!(world.log.last_index(), LogIndex(4));
    assert_eq!(world.log.last_term(), Term::new(1));
}

#[test]
fn retention_by_size_drops_the_oldest_segments_but_not_what_is_uncommitted() {
    let mut world = World::new(LogConfig {
        retention_bytes: 3000,
        ..small_config()
    });
    append_many(&mut world.log, 60);
    let bound = Offset::new(15);
    let ticket = world
        .log
        .apply_retention(NOW, bound, true)
        .unwrap()
        .unwrap();
    let start = world.log.log_start_offset();
    assert!(start > Offset::ZERO && start <= bound);
    ticket.run().unwrap();
    let end = world.log.log_end_offset();
    world
        .log
        .apply_retention(NOW, end, true)
        .unwrap()
        .unwrap()
        .run()
        .unwrap();
    let start = world.log.log_start_offset();
    assert!(world.log.size_bytes() >= 3000 && world.log.size_bytes() < 4500);
    assert!(world.log.apply_retention(NOW, end, true).unwrap().is_none());
    assert!(world.log.read(Offset::ZERO, end, 100, true).is_err());
    assert_eq!(
        offsets(&mut world.log),
        (start.get()..60).collect::<Vec<_>>()
    );
    let first = world.log.first_index();
    assert_eq!(first, LogIndex(start.get() as u64 + 2));
    assert_eq!(world.log.prev_term(), Term::new(1));
    assert_eq!(
        world.log.leader_epochs().encode(),
        format!("0\n1\n1 {start}\n")
    );
    assert_eq!(world.log.entries(LogIndex(1), 1).unwrap()[0].index, first);
    let mut world = world.reopen_after(Crash::Kill);
    assert_eq!(world.log.log_start_offset(), start);
    assert_eq!(world.log.first_index(), first);
    assert_eq!(
        offsets(&mut world.log),
        (start.get()..60).collect::<Vec<_>>()
    );
    assert_eq!(world.log.last_index(), LogIndex(61));
}

#[test]
fn the_first_members_of_the_group_outlive_the_beginning_of_the_log() {
    let mut world = World::new(small_config());
    assert!(world.log.anchored_members().is_empty());
    world.log.set_first_members("members".into()).unwrap();
    assert_eq!(world.log.first_index(), LogIndex(1));
    append_many(&mut world.log, 60);
    let mut world = world.reopen_after(Crash::Kill);
    assert_eq!(world.log.anchored_members(), "members");
    assert_eq!(offsets(&mut world.log), (0..60).collect::<Vec<_>>());
    let ticket = world
        .log
        .delete_records(Offset::new(30), Offset::new(30))
        .unwrap()
        .unwrap();
    ticket.run().unwrap();
    assert!(world.log.first_index() > LogIndex(1));
    assert_eq!(world.log.anchored_members(), "members");
    let world = world.reopen_clean();
    assert_eq!(world.log.anchored_members(), "members");
}

#[test]
fn retention_by_time_may_empty_the_log() {
    let mut world = World::new(LogConfig {
        retention_ms: 500,
        ..small_config()
    });
    append_many(&mut world.log, 30);
    let end = world.log.log_end_offset();
    assert!(
        world
            .log
            .apply_retention(Timestamp(1000), end, true)
            .unwrap()
            .is_none()
    );
    let ticket = world
        .log
        .apply_retention(Timestamp(9000), end, true)
        .unwrap();
    ticket.unwrap().run().unwrap();
    assert_eq!(world.log.log_start_offset(), end);
    assert_eq!(world.log.segment_count(), 1);
    assert_eq!(world.log.first_index(), LogIndex(32));
    assert_eq!(world.log.last_index(), LogIndex(31));
    let logs = world.names();
    assert_eq!(logs.iter().filter(|name| name.ends_with(".log")).count(), 1);
    append_many(&mut world.log, 3);
    let mut world = world.reopen_clean();
    assert_eq!(offsets(&mut world.log), [30, 31, 32]);
    assert_eq!(world.log.last_index(), LogIndex(34));
}

#[test]
fn records_are_deleted_at_once_but_what_is_not_committed_stays_on_the_disk() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 40);
    let segments = world.log.segment_count();
    let second = world.log.segments[1].base_offset();
    let ticket = world.log.delete_records(Offset::new(25), second).unwrap();
    ticket.unwrap().run().unwrap();
    assert_eq!(world.log.segment_count(), segments - 1);
    assert_eq!(offsets(&mut world.log), (25..40).collect::<Vec<_>>());
    let end = world.log.log_end_offset();
    let ticket = world.log.apply_retention(Timestamp(0), end, true).unwrap();
    ticket.unwrap().run().unwrap();
    assert!(world.log.segments[0].base_offset() <= Offset::new(25));
    assert!(world.log.segments[1].base_offset() > Offset::new(25));
    assert_eq!(offsets(&mut world.log), (25..40).collect::<Vec<_>>());
}

#[test]
fn an_entry_without_records_where_the_log_begins_is_not_gone_with_the_records_before() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 40);
    world.log.roll(Timestamp(0)).unwrap();
    // It may not be committed when all that has records is.
    lead(&mut world.log, 2).unwrap();
    let noop = world.log.last_index();
    let end = world.log.log_end_offset();
    let ticket = world.log.delete_records(end, end).unwrap();
    ticket.unwrap().run().unwrap();
    assert_eq!(world.log.segment_count(), 1);
    assert_eq!(world.log.first_index(), noop);
    let mut world = world.reopen_clean();
    assert_eq!(world.log.first_index(), noop);
    append_many(&mut world.log, 3);
    assert_eq!(offsets(&mut world.log), [40, 41, 42]);
}

#[test]
fn deleted_records_stay_deleted() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 40);
    assert!(
        world
            .log
            .delete_records(Offset::ZERO, Offset::ZERO)
            .unwrap()
            .is_none()
    );
    let ticket = world
        .log
        .delete_records(Offset::new(25), Offset::new(25))
        .unwrap()
        .unwrap();
    assert_eq!(offsets(&mut world.log), (25..40).collect::<Vec<_>>());
    ticket.run().unwrap();
    for crash in [Crash::Kill, Crash::PowerLoss] {
        world.log.sync().unwrap();
        world = world.reopen_after(crash);
        assert_eq!(world.log.log_start_offset(), Offset::new(25));
        assert_eq!(offsets(&mut world.log), (25..40).collect::<Vec<_>>());
    }
    let end = world.log.log_end_offset();
    world
        .log
        .delete_records(end, end)
        .unwrap()
        .unwrap()
        .run()
        .unwrap();
    assert_eq!(offsets(&mut world.log), [0_i64; 0]);
}

#[test]
fn a_conflicting_end_is_cut_with_all_that_hangs_on_it() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 20);
    lead(&mut world.log, 2).unwrap();
    append_many(&mut world.log, 20);
    world.log.sync().unwrap();
    world.write_checkpoints();
    world.log.truncate_from(LogIndex(30)).unwrap();
    assert_eq!(world.log.log_end_offset(), Offset::new(27));
    assert_eq!(world.log.last_index(), LogIndex(29));
    assert_eq!(world.log.last_term(), Term::new(2));
    world.log.truncate_from(LogIndex(22)).unwrap();
    assert_eq!(world.log.last_term(), Term::new(1));
    assert_eq!(world.log.leader_epochs().encode(), "0\n1\n1 0\n");
    assert_eq!(world.log.recovery_point(), Offset::new(20));
    lead(&mut world.log, 3).unwrap();
    append_many(&mut world.log, 5);
    assert_eq!(offsets(&mut world.log), (0..25).collect::<Vec<_>>());
    // The checkpoint still speaks of 40 synced records: the journal knows better.
    let mut world = world.reopen_after(Crash::Kill);
    assert!(world.log.damages().is_empty());
    assert_eq!(offsets(&mut world.log), (0..25).collect::<Vec<_>>());
    assert_eq!(world.log.last_index(), LogIndex(27));
    world.log.truncate_from(LogIndex(2)).unwrap();
    assert_eq!(world.log.log_end_offset(), Offset::ZERO);
    append_many(&mut world.log, 2);
}

#[test]
fn producers_are_known_again_after_every_kind_of_start() {
    let mut world = World::new(small_config());
    for sequence in 0..30 {
        let batch = produced(7, 0, sequence, &[&value(0)]);
        append(&mut world.log, vec![batch]).unwrap();
    }
    let check = |log: &Log| {
        let entry = log.producers().get(ProducerId(7)).unwrap();
        assert_eq!(
            (entry.last_sequence(), entry.epoch()),
            (29, ProducerEpoch(0))
        );
        for sequence in 25..30 {
            let again = produced(7, 0, sequence, &["x"]);
            let answer = log.producers().check(again.header());
            let Ok(crate::ProducerCheck::Duplicate(original)) = answer else {
                panic!("sequence {sequence}: {answer:?}");
            };
            assert_eq!(original.base_offset().get(), i64::from(sequence));
        }
    };
    check(&world.log);
    world = world.reopen_clean();
    check(&world.log);
    world = world.reopen_after(Crash::Kill);
    check(&world.log);
    world.log.sync().unwrap();
    world = world.reopen_after(Crash::PowerLoss);
    check(&world.log);
    // A damaged snapshot is as good as none.
    let snapshots = world
        .names()
        .into_iter()
        .filter(|name| name.ends_with("snapshot"));
    for name in snapshots.collect::<Vec<_>>() {
        world
            .disk
            .damage(&Path::new(ROOT).join("orders-0").join(name), 12, 1);
    }
    check(&world.reopen_after(Crash::Kill).log);
}

#[test]
fn a_sync_ticket_covers_what_was_there_when_it_was_made() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 5);
    let ticket = world.log.begin_sync().unwrap().unwrap();
    append_many(&mut world.log, 5);
    assert!(world.log.begin_sync().unwrap().is_none(), "one at a time");
    let synced = world.log.sync_done(ticket.run()).unwrap();
    assert_eq!((synced.offset, synced.index), (Offset::new(5), LogIndex(6)));
    let ticket = world.log.begin_sync().unwrap().unwrap();
    world.log.truncate_from(LogIndex(9)).unwrap();
    append_many(&mut world.log, 2);
    let synced = world.log.sync_done(ticket.run()).unwrap();
    assert_eq!(
        synced.offset,
        Offset::new(7),
        "what was cut and written anew is not synced"
    );
    assert_eq!(world.log.sync().unwrap().offset, Offset::new(9));
    assert!(world.log.begin_sync().unwrap().is_none());
}

#[test]
fn the_indexes_of_a_closed_segment_are_durable_when_its_end_is() {
    for seed in 0..30 {
        let mut world = World::open(MemDisk::new(seed), small_config());
        lead(&mut world.log, 1).unwrap();
        append_many(&mut world.log, 7);
        assert_eq!(world.log.segment_count(), 1);
        world.log.sync().unwrap();
        while world.log.segment_count() == 1 {
            append_many(&mut world.log, 1);
            world.log.sync().unwrap();
        }
        let name = |suffix| format!("00000000000000000000.{suffix}");
        let files = ["index", "timeindex", "raftindex"].map(name);
        let before = files.each_ref().map(|name| world.bytes_of(name));
        assert!(before.iter().all(|bytes| !bytes.is_empty()));
        world.disk.restart(Crash::PowerLoss);
        let after = files.each_ref().map(|name| world.bytes_of(name));
        assert_eq!(before, after, "seed {seed}");
    }
}

#[test]
fn indexes_that_a_former_life_wrote_are_durable_when_the_segment_is_closed() {
    for seed in 0..60 {
        let mut world = World::open(MemDisk::new(seed), small_config());
        lead(&mut world.log, 1).unwrap();
        append_many(&mut world.log, 10);
        world.log.sync().unwrap();
        // Other entries at the same places.
        world.log.truncate_from(LogIndex(4)).unwrap();
        lead(&mut world.log, 2).unwrap();
        append_many(&mut world.log, 6);
        world.log.sync().unwrap();
        world.write_checkpoints();
        let mut world = world.reopen_after(Crash::Kill);
        assert_eq!(world.log.segment_count(), 1);
        world.log.roll(NOW).unwrap();
        append_many(&mut world.log, 1);
        world.log.sync().unwrap();
        let name = "00000000000000000000.raftindex";
        let before = world.bytes_of(name);
        world.disk.restart(Crash::PowerLoss);
        assert_eq!(before, world.bytes_of(name), "seed {seed}");
    }
}

#[test]
fn the_flush_settings_say_when_to_sync() {
    use std::time::Duration;
    let at = |ms| Instant::after_start(Duration::from_millis(ms));
    let mut world = World::new(LogConfig {
        flush_ms: 1000,
        flush_messages: 3,
        ..LogConfig::default()
    });
    assert_eq!(world.log.sync_deadline(at(5)), None);
    append(&mut world.log, vec![batch(0, &["a", "b"])]).unwrap();
    assert_eq!(world.log.sync_deadline(at(10)), Some(at(1010)));
    assert_eq!(world.log.sync_deadline(at(20)), Some(at(1010)));
    append(&mut world.log, vec![batch(0, &["c"])]).unwrap();
    assert_eq!(world.log.sync_deadline(at(30)), Some(at(10)));
    world.log.sync().unwrap();
    assert_eq!(world.log.sync_deadline(at(40)), None);
}

#[test]
fn a_full_disk_is_a_clean_refusal_and_reads_go_on() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 10);
    world.disk.set_capacity(Some(world.disk.used_bytes()));
    assert!(matches!(
        world.log.reserve(1 << 20),
        Err(AppendError::NoSpace(_))
    ));
    let mut refused = 0;
    let mut appended = 10;
    for _ in 0..40 {
        match append(
            &mut world.log,
            vec![batch(0, &[&value(1)]), batch(0, &[&value(2)])],
        ) {
            Ok(_) => appended += 2,
            Err(AppendError::NoSpace(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        assert_eq!(offsets(&mut world.log), (0..appended).collect::<Vec<_>>());
    }
    assert!(refused > 0);
    world.log.sync().unwrap();
    world.disk.set_capacity(None);
    assert_eq!(world.log.sync().unwrap().offset, Offset::new(appended));
    world.log.reserve(1 << 20).unwrap();
    append_many(&mut world.log, 30);
    let end = appended + 30;
    let mut world = world.reopen_after(Crash::Kill);
    assert_eq!(offsets(&mut world.log), (0..end).collect::<Vec<_>>());
}

#[test]
fn no_space_at_any_operation_leaves_the_log_as_it_was() {
    for nth in 1..40 {
        let mut world = World::new(small_config());
        append_many(&mut world.log, 10);
        world
            .disk
            .fail_at(world.disk.operations() + nth, Fault::NoSpace);
        let batches: Vec<_> = (0..20).map(|time| batch(time, &[&value(3)])).collect();
        match append(&mut world.log, batches.clone()) {
            Ok(_) => assert_eq!(world.log.log_end_offset(), Offset::new(30)),
            Err(AppendError::NoSpace(_)) => {
                assert_eq!(offsets(&mut world.log), (0..10).collect::<Vec<_>>());
                // Nor does a part of what was refused come to light later.
                let disk = world.disk.fork();
                disk.restart(Crash::Kill);
                let mut found = World::open(disk, small_config());
                assert_eq!(
                    offsets(&mut found.log),
                    (0..10).collect::<Vec<_>>(),
                    "operation {nth}"
                );
                append(&mut world.log, batches).unwrap();
            }
            Err(error) => panic!("operation {nth}: {error}"),
        }
        world.disk.clear_faults();
        assert_eq!(
            offsets(&mut world.log),
            (0..30).collect::<Vec<_>>(),
            "operation {nth}"
        );
        world.log.sync().unwrap();
        let mut world = world.reopen_after(Crash::Kill);
        assert_eq!(
            offsets(&mut world.log),
            (0..30).collect::<Vec<_>>(),
            "operation {nth}"
        );
        assert_eq!(world.log.last_index(), LogIndex(31));
    }
}

#[test]
fn a_failed_sync_takes_the_log_offline_for_good() {
    let mut world = World::new(LogConfig::default());
    append_many(&mut world.log, 3);
    world.disk.fail_at(world.disk.operations() + 1, Fault::Io);
    assert!(world.log.sync().is_err());
    let before = world.disk.operations();
    assert!(world.log.begin_sync().is_err());
    assert!(world.log.offline().is_some());
    let refused = append(&mut world.log, vec![batch(0, &["x"])]);
    assert!(matches!(refused, Err(AppendError::Offline(_))));
    let refused = world.log.read(Offset::ZERO, Offset::new(3), 100, true);
    assert!(matches!(refused, Err(ReadError::Offline(_))));
    assert_eq!(world.disk.operations(), before, "nothing was tried again");
}

#[test]
fn a_failed_write_takes_the_log_offline() {
    let mut world = World::new(LogConfig::default());
    append_many(&mut world.log, 3);
    world.disk.fail_at(world.disk.operations() + 1, Fault::Io);
    let failed = append(&mut world.log, vec![batch(0, &["x"])]);
    assert!(matches!(failed, Err(AppendError::Offline(_))));
    let mut world = world.reopen_after(Crash::Kill);
    assert_eq!(offsets(&mut world.log), [0, 1, 2]);
}

#[test]
fn a_segment_made_ahead_is_used() {
    let mut world = World::new(LogConfig {
        segment_bytes: 16 << 20,
        ..LogConfig::default()
    });
    assert!(world.log.prepare().is_none(), "far from full");
    let big = "x".repeat(1 << 20);
    for _ in 0..13 {
        append(&mut world.log, vec![batch(0, &[&big])]).unwrap();
    }
    let ticket = world.log.prepare().unwrap();
    assert!(world.log.prepare().is_none(), "asked once");
    world.log.prepared(ticket.run());
    assert!(world.names().iter().any(|name| name.ends_with(".prepared")));
    for _ in 0..4 {
        append(&mut world.log, vec![batch(0, &[&big])]).unwrap();
    }
    assert_eq!(world.log.segment_count(), 2);
    assert!(!world.names().iter().any(|name| name.ends_with(".prepared")));
    assert_eq!(offsets(&mut world.log), (0..17).collect::<Vec<_>>());
}

#[test]
fn many_small_logs_take_little_room() {
    let mut world = World::new(LogConfig::default());
    append_many(&mut world.log, 1);
    assert!(
        world.disk.used_bytes() < 300 << 10,
        "{}",
        world.disk.used_bytes()
    );
    world.log.close().unwrap();
    assert!(
        world.disk.used_bytes() < 120 << 10,
        "{}",
        world.disk.used_bytes()
    );
}

#[test]
fn aborted_transactions_are_indexed_and_bound_the_stable_offset() {
    use klamm_model::record_batch::BatchBuilder;
    let mut world = World::new(LogConfig::default());
    let data = |sequence| {
        let builder = BatchBuilder::new()
            .producer(ProducerId(5), ProducerEpoch(0), sequence)
            .transactional();
        fill(builder, 0, &["x"])
    };
    let marker = |kind: u8| {
        let mut builder = BatchBuilder::new()
            .producer(ProducerId(5), ProducerEpoch(0), -1)
            .transactional()
            .control();
        let key = [0, 0, 0, kind];
        builder.append(Timestamp(0), Some(&key), Some(&[0, 0, 0, 0, 0, 3]), &[]);
        builder.build()
    };
    let log = &mut world.log;
    append(log, vec![batch(0, &["plain"]), data(0), data(1)]).unwrap();
    assert_eq!(log.last_stable_offset(Offset::new(3)), Offset::new(1));
    append(log, vec![marker(0), data(2)]).unwrap();
    assert_eq!(log.last_stable_offset(Offset::new(5)), Offset::new(4));
    assert_eq!(
        log.last_stable_offset(Offset::new(3)),
        Offset::new(1),
        "marker not visible"
    );
    append(log, vec![marker(1)]).unwrap();
    assert_eq!(log.last_stable_offset(Offset::new(6)), Offset::new(6));
    let expected = AbortedTransaction {
        producer_id: ProducerId(5),
        first_offset: Offset::new(1),
        last_offset: Offset::new(3),
        last_stable_offset: Offset::new(4),
    };
    let check = |log: &mut Log| {
        let aborted = log
            .aborted_transactions(Offset::ZERO, Offset::new(6))
            .unwrap();
        assert_eq!(aborted, [expected]);
        let aborted = log
            .aborted_transactions(Offset::new(4), Offset::new(6))
            .unwrap();
        assert_eq!(aborted, []);
        let entry = log.producers().get(ProducerId(5)).unwrap();
        assert_eq!(entry.coordinator_epoch(), 3);
        assert_eq!(entry.transaction_start(), None);
    };
    check(log);
    let name = "00000000000000000000.txnindex";
    assert_eq!(world.bytes_of(name).len(), 34);
    let mut world = world.reopen_after(Crash::Kill);
    check(&mut world.log);
    assert_eq!(world.bytes_of(name).len(), 34);
    world.log.truncate_from(LogIndex(5)).unwrap();
    assert_eq!(world.bytes_of(name).len(), 0);
    assert_eq!(world.log.last_stable_offset(Offset::new(3)), Offset::new(1));
}

use crate::AbortedTransaction;

#[test]
fn without_file_descriptors_a_roll_is_refused_or_done_and_the_log_stays_online() {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 5);
    // Where the segment has room nothing more is opened. Then a roll is refused, unless the next
    // file has been made before.
    let mut appended = 5;
    let mut rolls = 0;
    for reserved_before in [false, true] {
        let room = if reserved_before { 1500 } else { 200 };
        world.log.reserve(room).unwrap();
        world.disk.run_out_of_files(true);
        let refused = loop {
            if let Err(error) = world.log.reserve(200) {
                break error;
            }
            let value = value(appended as usize);
            let done = append(&mut world.log, vec![batch(1000 + appended, &[&value])]);
            rolls += i32::from(done.unwrap().rolled);
            appended += 1;
        };
        assert!(matches!(refused, AppendError::NoSpace(_)), "{refused}");
        let ticket = world.log.begin_sync().unwrap();
        if let Some(ticket) = ticket {
            world.log.sync_done(ticket.run()).unwrap();
        }
        assert!(world.log.offline().is_none());
        world.disk.run_out_of_files(false);
    }
    assert_eq!(rolls, 1);
    assert_eq!(world.log.sync().unwrap().offset, Offset::new(appended));
    let expected: Vec<_> = (0..appended).collect();
    assert_eq!(offsets(&mut world.log), expected);
    let mut world = world.reopen_after(Crash::PowerLoss);
    assert_eq!(offsets(&mut world.log), expected);
}

#[test]
fn a_sync_without_a_file_descriptor_is_put_off() {
    let at = |ms| klamm_model::Instant::after_start(std::time::Duration::from_millis(ms));
    let mut world = World::new(LogConfig::default());
    append_many(&mut world.log, 3);
    let ticket = world.log.begin_sync().unwrap().unwrap();
    world.disk.run_out_of_files(true);
    let synced = world.log.sync_done(ticket.run()).unwrap();
    assert_eq!(synced.offset, Offset::ZERO, "nothing counts as synced");
    assert_eq!(world.log.sync_deadline(at(10)), Some(at(110)));
    world.disk.run_out_of_files(false);
    let ticket = world.log.begin_sync().unwrap().unwrap();
    let synced = world.log.sync_done(ticket.run()).unwrap();
    assert_eq!(synced.offset, Offset::new(3));
    assert_eq!(world.log.sync_deadline(at(20)), None);
    let mut world = world.reopen_after(Crash::PowerLoss);
    assert_eq!(offsets(&mut world.log), [0, 1, 2]);
}
