use std::collections::BTreeMap;

use klamm_model::record_batch::{BatchBuilder, Compression};
use klamm_model::{LeaderEpoch, LogIndex, RecordBatch};

use super::*;
use crate::log::CompactionRule;
use crate::testing::*;
use crate::{AppendError, Crash, Log, LogConfig, MemDisk, ReadError};

mod crashes;
mod model;
mod producers;
mod swaps;

/// A record: its offset, key and value.
type Keyed = (i64, String, Option<String>);

const CONFIG: CleanerConfig = CleanerConfig {
    dedupe_buffer_bytes: 1 << 20,
    load_factor: 0.9,
    io_buffer_bytes: 700,
    hash_seed: 7,
};

fn keyed(time: i64, records: &[(&str, Option<&str>)]) -> RecordBatch {
    let mut builder = BatchBuilder::new();
    for (at, (key, value)) in records.iter().enumerate() {
        let time = Timestamp(time + at as i64);
        let value = value.map(str::as_bytes);
        builder.append(time, Some(key.as_bytes()), value, &[]);
    }
    builder.build()
}

/// Appends records of one key each, `per_batch` to a batch; the value tells the offset.
fn write(log: &mut Log, keys: &[&str], per_batch: usize) {
    for keys in keys.chunks(per_batch) {
        let first = log.log_end_offset().get();
        let values: Vec<_> = (first..).take(keys.len()).collect();
        let values: Vec<_> = values.iter().map(|at| value(*at as usize)).collect();
        let records = keys.iter().zip(&values);
        let records: Vec<_> = records
            .map(|(key, value)| (*key, Some(value.as_str())))
            .collect();
        append(log, vec![keyed(1000 + first, &records)]).unwrap();
    }
}

/// Rolls, so that all there is can be compacted, and makes it durable.
fn close_segment(log: &mut Log) {
    log.roll(NOW).unwrap();
    log.sync().unwrap();
}

/// Compacts what is due; how many copies were put in place.
fn compact(log: &mut Log, rule: &CompactionRule, now: Timestamp) -> usize {
    compact_with(log, rule, now, &CONFIG).unwrap()
}

fn compact_with(
    log: &mut Log,
    rule: &CompactionRule,
    now: Timestamp,
    config: &CleanerConfig,
) -> Result<usize, AppendError> {
    let bound = log.log_end_offset();
    let Some(cleanable) = log.cleanable(rule, now, bound)? else {
        return Ok(0);
    };
    if !cleanable.is_due(rule) {
        return Ok(0);
    }
    let mut compaction = log.begin_compaction(&cleanable, rule, config, now)?;
    let mut swaps = 0;
    while let Some(group) = next(&mut compaction)? {
        let ticket = log.begin_swap(group)?.expect("nothing else has changed");
        log.swapped(ticket.run())?;
        swaps += 1;
    }
    log.compacted(compaction.cleaned_to());
    Ok(swaps)
}

/// The disk's errors are those of the log; others are not expected.
fn next(compaction: &mut Compaction) -> Result<Option<CleanedGroup>, AppendError> {
    match compaction.next_group(&mut Unhurried) {
        Err(CompactionError::Unwritable(error) | CompactionError::Unreadable(error)) => {
            Err(AppendError::of(error))
        }
        Err(CompactionError::Gone) => Ok(None),
        other => Ok(other.unwrap()),
    }
}

/// All that is there, as a consumer from the start sees it.
fn read_keyed(log: &mut Log) -> Vec<Keyed> {
    let mut records = Vec::new();
    let (mut next, end) = (log.log_start_offset(), log.log_end_offset());
    while next < end {
        let result = log.read(next, end, 600, true).unwrap();
        assert!(result.next_offset > next, "reading goes on at {next}");
        let mut bytes = result.records;
        while !bytes.is_empty() {
            let batch = RecordBatch::parse(&mut bytes).unwrap();
            if batch.header().is_control() {
                continue;
            }
            for record in batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                let key = record.key.map(text).unwrap();
                if record.offset >= next {
                    records.push((record.offset.get(), key, record.value.map(text)));
                }
            }
        }
        next = result.next_offset;
    }
    records
}

/// The newest record of each key.
fn newest(records: &[Keyed]) -> BTreeMap<String, Keyed> {
    let by_key = records
        .iter()
        .map(|record| (record.1.clone(), record.clone()));
    by_key.collect()
}

fn offsets(log: &mut Log) -> Vec<i64> {
    read_keyed(log).into_iter().map(|record| record.0).collect()
}

fn is_sound(log: &mut Log) {
    assert!(log.damages().is_empty(), "{:?}", log.damages());
    let entries = log.entries(LogIndex(1), 10_000).unwrap();
    let first = entries.first().map(|entry| entry.index);
    assert!(first.is_none_or(|first| first == log.first_index()));
    let last = entries.last().map(|entry| entry.index);
    assert!(last.is_none_or(|last| last == log.last_index()));
    for pair in entries.windows(2) {
        assert_eq!(pair[1].index, pair[0].index.next());
        assert_eq!(pair[1].base_offset, pair[0].next_offset);
    }
}

#[test]
fn of_each_key_the_newest_record_stays_where_it_was() {
    let mut world = World::new(small_config());
    for round in 0..30 {
        let other = format!("once-{round}");
        write(&mut world.log, &["a", "b", &other, "a"], 2);
    }
    close_segment(&mut world.log);
    write(&mut world.log, &["a", "c"], 1);
    world.log.sync().unwrap();
    let before = read_keyed(&mut world.log);
    let (end, index) = (world.log.log_end_offset(), world.log.last_index());
    assert!(compact(&mut world.log, &RULE, NOW) > 0);

    let after = read_keyed(&mut world.log);
    let closed: Vec<_> = before.iter().filter(|it| it.0 < 120).cloned().collect();
    let mut expected: Vec<_> = newest(&closed).into_values().collect();
    expected.extend(before.iter().filter(|it| it.0 >= 120).cloned());
    expected.sort();
    assert_eq!(after, expected);
    assert_eq!(world.log.log_end_offset(), end);
    assert_eq!(world.log.log_start_offset(), Offset::ZERO);
    assert_eq!(world.log.last_index(), index);
    assert_eq!(world.log.cleaned_to(), Some(Offset::new(120)));
    is_sound(&mut world.log);

    for crash in [None, Some(Crash::Kill), Some(Crash::PowerLoss)] {
        world = match crash {
            None => world.reopen_clean(),
            Some(crash) => world.reopen_after(crash),
        };
        assert_eq!(read_keyed(&mut world.log), expected, "{crash:?}");
        assert_eq!(world.log.log_end_offset(), end);
        assert_eq!(world.log.last_index(), index);
        is_sound(&mut world.log);
    }
    assert_eq!(
        world.log.cleaned_to(),
        Some(Offset::new(120)),
        "as checkpointed when it was closed"
    );
}

#[test]
fn small_segments_become_one() {
    let mut world = World::new(small_config());
    let mut counts = Vec::new();
    for _ in 0..3 {
        write(&mut world.log, &["a", "b"].repeat(20), 1);
        close_segment(&mut world.log);
        compact(&mut world.log, &RULE, NOW);
        counts.push(world.log.segment_count());
    }
    // What was compacted together with the dirty part was not small yet.
    assert!(counts[2] < counts[0] * 2, "{counts:?}");
    write(&mut world.log, &["c"], 1);
    close_segment(&mut world.log);
    compact(&mut world.log, &RULE, NOW);
    assert_eq!(world.log.segment_count(), 2);
    assert_eq!(offsets(&mut world.log), [118, 119, 120]);
    let files = world.names().into_iter();
    let files: Vec<_> = files.filter(|name| name.starts_with("0000")).collect();
    let at_start = ["index", "log", "timeindex"].map(|kind| format!("{:020}.{kind}", 0));
    assert_eq!(files[..3], at_start, "no index of Raft's");
    assert_eq!(files.len(), 3 + 4, "{files:?}");
}

#[test]
fn a_reader_from_any_offset_goes_on_with_the_next_record() {
    let mut world = World::new(small_config());
    for _ in 0..20 {
        write(&mut world.log, &["a", "b", "c"], 1);
    }
    write(&mut world.log, &["only"], 1);
    for _ in 0..20 {
        write(&mut world.log, &["a", "b", "c"], 1);
    }
    close_segment(&mut world.log);
    compact(&mut world.log, &RULE, NOW);
    let left = offsets(&mut world.log);
    assert_eq!(left, [60, 118, 119, 120]);
    let end = world.log.log_end_offset();
    for from in 0..121 {
        let result = world.log.read(Offset::new(from), end, 1 << 20, true);
        let result = result.unwrap();
        let mut bytes = result.records;
        let batch = RecordBatch::parse(&mut bytes).unwrap();
        // The last batch of a segment stays, without records.
        assert!(batch.last_offset().get() >= from);
        assert!(result.next_offset > Offset::new(from));
    }
    // By time, the newest and the first after a time are found across what is gone.
    let found = world.log.max_timestamp().unwrap().unwrap();
    assert_eq!(found.offset, Offset::new(120));
    let found = world.log.offset_for_timestamp(Timestamp(1001), end);
    assert_eq!(found.unwrap().unwrap().offset, Offset::new(60));
}

#[test]
fn a_tombstone_stays_for_its_time_and_then_goes() {
    let mut world = World::new(small_config());
    write(&mut world.log, &["a", "b"], 2);
    append(&mut world.log, vec![keyed(1000, &[("a", None)])]).unwrap();
    write(&mut world.log, &["b", "last"], 1);
    close_segment(&mut world.log);
    compact(&mut world.log, &RULE, NOW);
    assert_eq!(offsets(&mut world.log), [2, 3, 4]);

    // Not before its time is over, which counts from the first compaction.
    let again = |log: &mut Log, after_ms: i64| {
        write(log, &["last"], 1);
        close_segment(log);
        compact(log, &RULE, NOW.plus_millis(after_ms));
        offsets(log)
    };
    assert_eq!(again(&mut world.log, 999), [2, 3, 5]);
    let mut world = world.reopen_clean();
    assert_eq!(again(&mut world.log, 1000), [3, 6]);
}

#[test]
fn what_is_not_due_is_left_alone() {
    let mut world = World::new(small_config());
    let bound = |log: &Log| log.log_end_offset();
    let due = |log: &mut Log, rule: &CompactionRule, now| {
        let cleanable = log.cleanable(rule, Timestamp(now), bound(log)).unwrap();
        cleanable.is_some_and(|cleanable| cleanable.is_due(rule))
    };
    let half = CompactionRule {
        min_cleanable_dirty_ratio: 0.5,
        ..RULE
    };
    write(&mut world.log, &["a"; 40], 1);
    assert!(!due(&mut world.log, &half, 2000), "nothing is durable");
    close_segment(&mut world.log);
    assert!(due(&mut world.log, &half, 2000), "all is dirty");
    let lag = CompactionRule {
        min_compaction_lag_ms: 10_000,
        ..half
    };
    assert!(!due(&mut world.log, &lag, 2000), "all is young");
    assert!(due(&mut world.log, &lag, 12_000));
    let keys: Vec<String> = (0..40).map(|key| format!("k{key}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    write(&mut world.log, &keys, 1);
    close_segment(&mut world.log);
    compact(&mut world.log, &RULE, NOW);
    assert!(!due(&mut world.log, &half, 2000), "nothing is dirty");
    write(&mut world.log, &["a"; 10], 1);
    close_segment(&mut world.log);
    assert!(!due(&mut world.log, &half, 2000), "little is dirty");
    let overdue = CompactionRule {
        max_compaction_lag_ms: 500,
        ..half
    };
    assert!(!due(&mut world.log, &overdue, 1500));
    assert!(due(&mut world.log, &overdue, 2000), "but has waited");
    let end = bound(&world.log);
    let committed = Offset::new(5);
    let cleanable = world.log.cleanable(&half, NOW, committed).unwrap();
    assert_eq!(cleanable, None, "not committed, end {end}");
}

#[test]
fn too_many_keys_are_compacted_bit_by_bit() {
    let mut world = World::new(small_config());
    let keys: Vec<String> = (0..100).map(|key| format!("k{}", key % 50)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    write(&mut world.log, &keys, 3);
    close_segment(&mut world.log);
    let config = CleanerConfig {
        dedupe_buffer_bytes: 24 * 20,
        ..CONFIG
    };
    let all = read_keyed(&mut world.log);
    let mut rounds = 0;
    let mut cleaned_to = Offset::ZERO;
    while cleaned_to < Offset::new(100) {
        compact_with(&mut world.log, &RULE, NOW, &config).unwrap();
        let now = world.log.cleaned_to().unwrap();
        assert!(now > cleaned_to, "every round gets further");
        cleaned_to = now;
        assert_eq!(newest(&read_keyed(&mut world.log)), newest(&all));
        is_sound(&mut world.log);
        rounds += 1;
    }
    assert!(rounds > 3);
    assert_eq!(offsets(&mut world.log), (50..100).collect::<Vec<_>>());
}

#[test]
fn codecs_and_epochs_stay() {
    let mut world = World::new(small_config());
    for term in 2..5 {
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Zstd] {
            let mut builder = BatchBuilder::new().compression(codec, codec.default_level());
            for key in ["a", "b", "c"] {
                builder.append(NOW, Some(key.as_bytes()), Some(b"v"), &[]);
            }
            let own = format!("{codec:?}-{term}");
            builder.append(NOW, Some(own.as_bytes()), Some(b"v"), &[]);
            append(&mut world.log, vec![builder.build()]).unwrap();
        }
        close_segment(&mut world.log);
        lead(&mut world.log, term).unwrap();
    }
    write(&mut world.log, &["d"], 1);
    world.log.sync().unwrap();
    let epochs = world.log.leader_epochs().clone();
    compact(&mut world.log, &RULE, NOW);
    for _ in 0..2 {
        let log = &mut world.log;
        assert_eq!(log.leader_epochs(), &epochs);
        assert_eq!(read_keyed(log).len(), 9 + 3 + 1);
        let end = log.log_end_offset();
        let first = log.read(Offset::ZERO, end, 1 << 20, true).unwrap();
        let first = RecordBatch::parse(&mut first.records.clone()).unwrap();
        assert_eq!(first.header().compression(), Some(Compression::Gzip));
        assert_eq!(first.header().leader_epoch(), LeaderEpoch(1));
        is_sound(log);
        world = world.reopen_after(Crash::PowerLoss);
    }
}

#[test]
fn damage_stops_compaction_and_stays_for_readers_to_see() {
    let mut world = World::new(small_config());
    write(&mut world.log, &["a"; 60], 2);
    close_segment(&mut world.log);
    let mut world = world.reopen_clean();
    let name = world
        .names()
        .into_iter()
        .filter(|name| name.ends_with(".log"));
    let second = name.into_iter().nth(1).unwrap();
    let path = std::path::Path::new(ROOT).join("orders-0").join(&second);
    assert!(world.disk.damage(&path, 100, 1));
    let end = world.log.log_end_offset();
    let cleanable = world.log.cleanable(&RULE, NOW, end).unwrap().unwrap();
    let compaction = world.log.begin_compaction(&cleanable, &RULE, &CONFIG, NOW);
    let error = compaction.unwrap().next_group(&mut Unhurried).unwrap_err();
    assert!(matches!(error, CompactionError::Damaged(_)), "{error}");
    world.log.set_uncleanable();
    assert_eq!(world.log.cleanable(&RULE, NOW, end).unwrap(), None);
    let (records, holes) = read_around(&mut world.log);
    assert_eq!(records.len() + holes.len() * 2, 60);
    assert!(!world.names().iter().any(|name| name.ends_with(".cleaned")));
}

#[test]
fn a_damaged_copy_is_told_from_compaction() {
    let mut world = World::new(LogConfig {
        segment_bytes: 4000,
        ..small_config()
    });
    let keys: Vec<String> = (0..20).map(|key| format!("k{}", key / 2)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    write(&mut world.log, &keys, 1);
    close_segment(&mut world.log);
    assert_eq!(world.log.segment_count(), 2);
    compact(&mut world.log, &RULE, NOW);
    let whole = offsets(&mut world.log);
    let mut world = world.reopen_clean();
    let path = std::path::Path::new(ROOT).join("orders-0/00000000000000000000.log");
    assert!(world.disk.damage(&path, 300, 1));
    let (records, holes) = read_around(&mut world.log);
    assert_eq!(records.len(), whole.len() - 1);
    assert_eq!(holes.len(), 1);
    // Cut at the border of a batch: only the end that is missing tells.
    let length = world.bytes_of("00000000000000000000.log").len() as u64;
    let mut world = world.reopen_clean();
    let file = crate::Disk::open(&world.disk, &path, crate::disk::Open::Existing).unwrap();
    let last = RecordBatch::parse(&mut last_batch(&mut world.log)).unwrap();
    file.truncate(length - last.size_bytes() as u64).unwrap();
    let mut world = world.reopen_after(Crash::Kill);
    let missing = world
        .log
        .read(last.base_offset(), last.next_offset(), 1, true);
    assert!(matches!(missing, Err(ReadError::Corrupt(_))), "{missing:?}");
}

/// The last batch of the first segment.
fn last_batch(log: &mut Log) -> bytes::Bytes {
    let end = log.whole_from();
    let last = Offset::new(end.get() - 1);
    log.read(last, end, 1 << 20, true).unwrap().records
}
