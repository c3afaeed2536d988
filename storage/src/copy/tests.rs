use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use klamm_model::raft::{HardState, MetaKind};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{ProducerEpoch, ProducerId, RecordBatch, Timestamp};

use super::*;
use crate::testing::*;
use crate::{
    AbortedTransaction, CleanerConfig, Crash, Disk, EntryInfo, Fault, Log, LogConfig, LogDir,
    MemDisk,
};

mod crashes;
mod model;

fn compact(log: &mut Log) {
    log.sync().unwrap();
    let bound = log.last_stable_offset(log.log_end_offset());
    let Some(cleanable) = log.cleanable(&RULE, NOW, bound).unwrap() else {
        return;
    };
    let config = CleanerConfig {
        dedupe_buffer_bytes: 1 << 20,
        load_factor: 0.9,
        io_buffer_bytes: 700,
        hash_seed: 7,
    };
    let mut compaction = log
        .begin_compaction(&cleanable, &RULE, &config, NOW)
        .unwrap();
    while let Some(group) = compaction.next_group(&mut Unhurried).unwrap() {
        let ticket = log.begin_swap(group).unwrap().unwrap();
        log.swapped(ticket.run()).unwrap();
    }
    log.compacted(compaction.cleaned_to());
}

/// Records of these keys; the value tells the offset.
fn keyed(builder: BatchBuilder, first: i64, keys: &[u8]) -> RecordBatch {
    let mut builder = builder;
    for (offset, key) in (first..).zip(keys) {
        let key = format!("k{key}");
        let value = value(offset as usize);
        let time = Timestamp(1000 + offset);
        builder.append(time, Some(key.as_bytes()), Some(value.as_bytes()), &[]);
    }
    builder.build()
}

fn append_keyed(log: &mut Log, keys: &[u8]) {
    let first = log.log_end_offset().get();
    let batch = keyed(BatchBuilder::new(), first, keys);
    append(log, vec![batch]).unwrap();
}

const ABORT: u8 = 0;

fn marker(producer: i64, kind: u8) -> RecordBatch {
    let mut builder = BatchBuilder::new()
        .producer(ProducerId(producer), ProducerEpoch(0), -1)
        .transactional()
        .control();
    builder.append(NOW, Some(&[0, 0, 0, kind]), Some(&[0, 0, 0, 0, 0, 3]), &[]);
    builder.build()
}

fn in_transaction(producer: i64, sequence: i32, first: i64) -> RecordBatch {
    let builder = BatchBuilder::new()
        .producer(ProducerId(producer), ProducerEpoch(0), sequence)
        .transactional();
    keyed(builder, first, &[100 + producer as u8])
}

fn add_member(log: &mut Log) {
    log.append_meta(&MetaEntry {
        index: log.last_index().next(),
        term: log.last_term(),
        at_offset: log.log_end_offset(),
        kind: MetaKind::Membership(Bytes::from(format!("members-{}", log.last_index()))),
    })
    .unwrap();
}

/// A log that has been through everything: terms, members, producers, an aborted transaction,
/// compaction, deletion.
fn eventful(config: LogConfig) -> World {
    let mut world = World::new(config);
    let log = &mut world.log;
    add_member(log);
    for round in 0..8 {
        append_keyed(log, &[round, 1, 2]);
        append(log, vec![produced(4, 0, i32::from(round), &["p"])]).unwrap();
    }
    log.roll(NOW).unwrap();
    let ticket = log
        .delete_records(Offset::new(15), Offset::new(15))
        .unwrap();
    ticket.unwrap().run().unwrap();
    lead(log, 3).unwrap();
    let log = &mut world.log;
    for round in 0..6 {
        append_keyed(log, &[round + 10, 1]);
    }
    let first = log.log_end_offset().get();
    append(log, vec![in_transaction(9, 0, first)]).unwrap();
    append_keyed(log, &[1]);
    append(log, vec![marker(9, ABORT)]).unwrap();
    add_member(log);
    lead(log, 4).unwrap();
    for round in 0..5 {
        append(&mut world.log, vec![produced(4, 0, 8 + round, &["q"])]).unwrap();
    }
    world.log.sync().unwrap();
    world
}

/// The disk as it would be if the process ended now.
fn fork(disk: &MemDisk) -> MemDisk {
    let disk = disk.fork();
    disk.restart(Crash::Kill);
    disk
}

/// Copies what is missing.
fn take(log: &Log, copy: &mut LogCopy, step: u32) -> Result<(), PartError> {
    while let Some((base_offset, part, position)) = copy.next_missing() {
        let manifest = copy.manifest().clone();
        let bytes = log.read_part(&manifest, base_offset, part, (position, step))?;
        assert!(!bytes.is_empty());
        copy.write(base_offset, part, position, &[bytes]).unwrap();
    }
    Ok(())
}

/// All of a copy, from one log to another directory.
fn copy_to(dir: &LogDir, log: &Log, through: LogIndex, step: u32) -> Result<(), CopyError> {
    let manifest = log.manifest(through).unwrap();
    let manifest = LogManifest::decode(&manifest.encode()).unwrap();
    let mut copy = dir.begin_copy(&partition(), TOPIC_ID, &manifest)?;
    take(log, &mut copy, step).unwrap();
    copy.finish()?;
    let ticket = dir.install_copy(&mut copy)?;
    ticket.run().map_err(|error| disk_failed(error).into())
}

fn open_log(dir: &LogDir, config: &LogConfig) -> Log {
    dir.open_log(&partition(), TOPIC_ID, config.clone(), NOW)
        .unwrap()
}

/// Id, epoch, last sequence and offset, and the first offset of the open transaction.
type Producer = (i64, i16, i32, Option<Offset>, Option<Offset>);

/// What a log says of itself.
#[derive(Debug, PartialEq)]
struct Said {
    range: (Offset, Offset, Offset, LogIndex, LogIndex),
    terms: (Term, Term),
    members: Bytes,
    metas: Vec<MetaEntry>,
    epochs: Vec<crate::EpochEntry>,
    entries: Vec<EntryInfo>,
    records: Records,
    producers: Vec<Producer>,
    stable: Offset,
    aborted: Vec<AbortedTransaction>,
    newest: Option<crate::TimestampOffset>,
}

fn said(log: &mut Log) -> Said {
    assert!(log.damages().is_empty(), "{:?}", log.damages());
    let (start, whole, end) = (
        log.log_start_offset(),
        log.whole_from(),
        log.log_end_offset(),
    );
    let producers = log.producers().iter();
    let producers = producers.map(|(id, entry)| {
        let last = entry.last_batch().map(|batch| batch.last_offset);
        let (epoch, sequence) = (entry.epoch().0, entry.last_sequence());
        (id.0, epoch, sequence, last, entry.transaction_start())
    });
    Said {
        range: (start, whole, end, log.first_index(), log.last_index()),
        terms: (log.prev_term(), log.last_term()),
        members: log.anchored_members(),
        metas: log.metas().to_vec(),
        epochs: log.leader_epochs().entries().to_vec(),
        producers: producers.collect(),
        stable: log.last_stable_offset(end),
        entries: log.entries(LogIndex(1), 100_000).unwrap(),
        records: read_all(log),
        // Where it was compacted, nothing is left of them.
        aborted: log.aborted_transactions(whole.max(start), end).unwrap(),
        newest: log.max_timestamp().unwrap(),
    }
}

/// Files of a partition that was closed, but for those whose number depends on how often.
fn files(disk: &MemDisk, whole_from: Offset) -> Vec<(String, Vec<u8>)> {
    let mut files = all_files(disk, whole_from);
    // Whether there is one with nothing in it depends on how it came to be.
    let may_be_missing = |name: &str| name.ends_with("txnindex") || name.ends_with("raftindex");
    files.retain(|(name, bytes)| !may_be_missing(name) || !bytes.is_empty());
    files
}

fn all_files(disk: &MemDisk, whole_from: Offset) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(ROOT).join("orders-0");
    let names = disk.list(&directory).unwrap().into_iter();
    let names = names.map(|entry| entry.name).filter(|name| {
        let of = crate::log::parse_name(name);
        // What compaction leaves means nothing: the transactions' records and the entries are gone.
        !matches!(of, Some((_, "snapshot")))
            && !matches!(of, Some((base, "txnindex" | "raftindex")) if base < whole_from)
    });
    let read = |name: String| {
        let bytes = crate::disk::read_small(disk, &directory.join(&name), 1 << 20).unwrap();
        (name, bytes)
    };
    names.map(read).collect()
}

fn no_leftovers(disk: &MemDisk, what: &str) {
    for entry in disk.list(Path::new(ROOT)).unwrap() {
        let set_aside = entry.name.ends_with("-copy") || entry.name.ends_with("-delete");
        assert!(!set_aside, "{what}: {}", entry.name);
    }
}

#[test]
fn a_copy_is_the_log_again() {
    for compacted in [false, true] {
        let mut source = eventful(small_config());
        if compacted {
            compact(&mut source.log);
            assert!(source.log.whole_from() > source.log.log_start_offset());
        }
        let target = MemDisk::new(2);
        let dir = open_dir(&target).unwrap();
        let through = source.log.last_index();
        copy_to(&dir, &source.log, through, 300).unwrap();
        no_leftovers(&target, "installed");
        let mut log = open_log(&dir, &small_config());
        let of_source = said(&mut source.log);
        assert!(compacted || of_source.aborted.len() == 1);
        assert_eq!(said(&mut log), of_source);
        let HardState { term, commit, .. } = log.hard_state();
        assert_eq!((term, commit), (Term::new(4), through));
        // It is a log as any other.
        for log in [&mut log, &mut source.log] {
            lead(log, 9).unwrap();
            append_many(log, 20);
            log.close().unwrap();
        }
        let whole_from = log.whole_from();
        assert_eq!(files(&target, whole_from), files(&source.disk, whole_from));
        drop((log, dir));
        target.restart(Crash::PowerLoss);
        let mut target = World::open(target, small_config());
        let mut source = source.reopen_after(Crash::PowerLoss);
        assert_eq!(said(&mut target.log), said(&mut source.log));
    }
}

#[test]
fn a_copy_ends_with_the_entry_it_was_asked_for() {
    let source = eventful(small_config());
    let first = source.log.first_index().0;
    for through in first - 1..=source.log.last_index().0 {
        let mut source = World::open(fork(&source.disk), small_config());
        let end = source.log.entries(LogIndex(through), 1).unwrap();
        let target = MemDisk::new(2);
        let dir = open_dir(&target).unwrap();
        copy_to(&dir, &source.log, LogIndex(through), 1 << 20).unwrap();
        let mut log = open_log(&dir, &small_config());
        assert_eq!(log.last_index(), LogIndex(through));
        let log_start = source.log.log_start_offset();
        if through >= first && end[0].next_offset >= log_start {
            source.log.truncate_from(LogIndex(through + 1)).unwrap();
            assert_eq!(said(&mut log), said(&mut source.log), "{through}");
        }
    }
    let check = |through: u64| {
        let error = source.log.manifest(LogIndex(through)).unwrap_err();
        assert!(matches!(error, ManifestError::NotThere { .. }), "{error}");
    };
    check(first - 2);
    check(source.log.last_index().0 + 1);
}

#[test]
fn a_copy_takes_the_place_of_a_longer_log_that_went_elsewhere() {
    let mut source = eventful(small_config());
    let mut target = World::open(MemDisk::new(2), small_config());
    lead(&mut target.log, 2).unwrap();
    append_many(&mut target.log, 200);
    let voted = HardState {
        term: Term::new(7),
        vote: 3,
        commit: LogIndex(5),
    };
    target.log.save_hard_state(voted).unwrap();
    let of_old = target.checkpoint();
    let mut target = target.reopen_clean();
    assert_eq!(
        target.dir.checkpoint(&partition()).unwrap().recovery_point,
        Offset::new(200)
    );
    target.log.close().unwrap();
    drop(target.log);
    let through = source.log.last_index();
    copy_to(&target.dir, &source.log, through, 1000).unwrap();
    // Says nothing of the new log, whoever is late with it.
    target
        .dir
        .write_checkpoints(&[(partition(), of_old)])
        .unwrap();
    assert_eq!(target.dir.checkpoint(&partition()), None);
    for restart in [None, Some(Crash::Kill), Some(Crash::PowerLoss)] {
        if let Some(crash) = restart {
            drop(target.dir);
            target.disk.restart(crash);
            target.dir = open_dir(&target.disk).unwrap();
            assert_eq!(target.dir.checkpoint(&partition()), None);
        }
        let mut log = open_log(&target.dir, &small_config());
        assert_eq!(said(&mut log), said(&mut source.log));
        assert_eq!(log.cleaned_to(), None);
        let kept = HardState {
            commit: through,
            ..voted
        };
        assert_eq!(log.hard_state(), kept);
    }
    // From the first checkpoint of its own on it is as any log.
    let log = open_log(&target.dir, &small_config());
    let target = World { log, ..target };
    target.write_checkpoints();
    target.dir.journal().sync().unwrap();
    let checkpoint = target.checkpoint();
    assert_eq!(target.dir.checkpoint(&partition()), Some(checkpoint));
    let mut target = target.reopen_after(Crash::PowerLoss);
    assert_eq!(target.dir.checkpoint(&partition()), Some(checkpoint));
    assert_eq!(said(&mut target.log), said(&mut source.log));
}

/// What was deleted below is known from the snapshot only.
#[test]
fn producers_of_records_that_are_gone_are_known() {
    let mut source = World::new(small_config());
    append(&mut source.log, vec![produced(4, 0, 0, &["a"])]).unwrap();
    append_many(&mut source.log, 40);
    source.log.sync().unwrap();
    let end = source.log.log_end_offset();
    source
        .log
        .delete_records(end, end)
        .unwrap()
        .unwrap()
        .run()
        .unwrap();
    assert!(source.log.first_index() > LogIndex(5));
    let dir = open_dir(&MemDisk::new(2)).unwrap();
    copy_to(&dir, &source.log, source.log.last_index(), 1000).unwrap();
    let mut log = open_log(&dir, &small_config());
    assert_eq!(log.producers().len(), 1);
    assert_eq!(said(&mut log), said(&mut source.log));
}

#[test]
fn a_manifest_is_read_back_and_none_that_was_changed() {
    let mut source = eventful(small_config());
    for round in 0..2 {
        let manifest = source.log.manifest(source.log.last_index()).unwrap();
        let bytes = manifest.encode();
        assert_eq!(LogManifest::decode(&bytes), Ok(manifest.clone()));
        assert!(manifest.size_bytes() > 2000 && manifest.segments().len() > 2);
        for length in 0..bytes.len() {
            assert!(LogManifest::decode(&bytes[..length]).is_err(), "{length}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(LogManifest::decode(&bad).is_err(), "{at} {bit}");
                // Whoever makes the checksum right is refused, or what is read holds together.
                let body = bad.len() - 4;
                let checksum = crc32c::crc32c(&bad[..body]);
                bad[body..].copy_from_slice(&checksum.to_be_bytes());
                if let Ok(read) = LogManifest::decode(&bad) {
                    assert_eq!(read.encode(), bad, "{at} {bit}");
                }
            }
        }
        if round == 0 {
            compact(&mut source.log);
        }
    }
    assert!(LogManifest::decode(&[]).is_err());
}

#[test]
fn a_part_of_a_segment_that_changed_is_gone() {
    let gone = |log: &Log, manifest: &LogManifest, at: usize| {
        let base_offset = manifest.segments()[at].base_offset;
        let read = log.read_part(manifest, base_offset, Part::Log, (0, 10));
        match read {
            Ok(bytes) => {
                assert_eq!(bytes.len(), 10);
                false
            }
            Err(PartError::Gone { .. }) => true,
            Err(error) => panic!("{error}"),
        }
    };
    let mut source = eventful(small_config());
    let manifest = source.log.manifest(source.log.last_index()).unwrap();
    let last = manifest.segments().len() - 1;
    let base_offset = manifest.segments()[0].base_offset;
    let wanted = manifest.wanted_part(base_offset, Part::Log, (0, 10));
    let wanted = wanted.unwrap();
    let begun = source.log.begin_read_part(&wanted).unwrap();
    // What is appended changes nothing.
    append_many(&mut source.log, 30);
    assert!(!(0..=last).any(|at| gone(&source.log, &manifest, at)));
    let mut deleted = World::open(fork(&source.disk), small_config());
    compact(&mut source.log);
    assert!(gone(&source.log, &manifest, 0));
    let read = source.log.part_read(begun.run());
    assert!(matches!(read, Err(PartError::Gone { .. })));
    // Also in another life, although names and lengths of the files are the same: what happened in
    // between is not known.
    let manifest = source.log.manifest(source.log.last_index()).unwrap();
    let last = manifest.segments().len() - 1;
    assert!(!(0..last).any(|at| gone(&source.log, &manifest, at)));
    let source = source.reopen_clean();
    assert!((0..=last).all(|at| gone(&source.log, &manifest, at)));
    let manifest = deleted.log.manifest(deleted.log.last_index()).unwrap();
    let second = manifest.segments()[1].base_offset;
    let ticket = deleted.log.delete_records(second, second).unwrap().unwrap();
    assert!(gone(&deleted.log, &manifest, 0) && !gone(&deleted.log, &manifest, 1));
    ticket.run().unwrap();
    // Of another directory.
    let other = LogManifest {
        directory_id: TopicId::from_bytes([1; 16]),
        ..manifest.clone()
    };
    assert!(gone(&deleted.log, &other, 1));
    let check = |base_offset: Offset, part, position| {
        let read = deleted
            .log
            .read_part(&manifest, base_offset, part, (position, 1));
        assert!(matches!(read, Err(PartError::NotListed { .. })));
    };
    check(second.plus(1), Part::Log, 0);
    check(second, Part::Log, manifest.segments()[1].log_bytes + 1);
}

#[test]
fn while_a_compaction_takes_its_place_nothing_is_copied() {
    let mut source = eventful(small_config());
    let manifest = source.log.manifest(source.log.last_index()).unwrap();
    let base_offset = manifest.segments()[0].base_offset;
    let wanted = manifest.wanted_part(base_offset, Part::Log, (0, 50));
    let begin = |log: &Log| log.begin_read_part(&wanted.unwrap());
    let before = begin(&source.log).unwrap();
    let bound = source.log.log_end_offset();
    let cleanable = source.log.cleanable(&RULE, NOW, bound).unwrap().unwrap();
    let config = CleanerConfig {
        dedupe_buffer_bytes: 1 << 20,
        load_factor: 0.9,
        io_buffer_bytes: 700,
        hash_seed: 7,
    };
    let compaction = source.log.begin_compaction(&cleanable, &RULE, &config, NOW);
    let group = compaction.unwrap().next_group(&mut Unhurried).unwrap();
    let ticket = source.log.begin_swap(group.unwrap()).unwrap().unwrap();
    let through = source.log.last_index();
    assert!(matches!(
        source.log.manifest(through),
        Err(ManifestError::Gone)
    ));
    // The file is another one already, and the log does not know yet.
    let swapped = ticket.run();
    assert!(matches!(begin(&source.log), Err(PartError::Gone { .. })));
    let read = source.log.part_read(before.run());
    assert!(matches!(read, Err(PartError::Gone { .. })));
    source.log.swapped(swapped).unwrap();
    assert!(matches!(begin(&source.log), Err(PartError::Gone { .. })));
    assert!(source.log.manifest(through).is_ok());
}

#[test]
fn a_copy_that_was_overtaken_goes_on_with_what_is_the_same() {
    for compacted in [false, true] {
        let mut source = eventful(small_config());
        let dir = open_dir(&MemDisk::new(2)).unwrap();
        let manifest = source.log.manifest(source.log.last_index()).unwrap();
        let mut copy = dir.begin_copy(&partition(), TOPIC_ID, &manifest).unwrap();
        let second = manifest.segments()[1].base_offset;
        // Some of the first and the last, and all of the second.
        let last = manifest.segments().last().unwrap();
        let first = manifest.segments()[0].base_offset;
        for (base, part, length) in [
            (first, Part::Log, 100),
            (second, Part::Log, 1 << 20),
            (second, Part::ProducerSnapshot, 1 << 20),
            (last.base_offset, Part::Log, 100),
        ] {
            let read = source.log.read_part(&manifest, base, part, (0, length));
            copy.write(base, part, 0, &[read.unwrap()]).unwrap();
        }
        let ticket = source.log.delete_records(second, second).unwrap();
        ticket.unwrap().run().unwrap();
        append_many(&mut source.log, 3);
        if compacted {
            append_many(&mut source.log, 20);
            compact(&mut source.log);
        }
        assert!(take(&source.log, &mut copy, 300).is_err());
        let manifest = source.log.manifest(source.log.last_index()).unwrap();
        copy.renew(&manifest).unwrap();
        let written = [second, last.base_offset].map(|base| copy.written_bytes(base, Part::Log));
        match compacted {
            false => assert_eq!(written, [manifest.segments()[0].log_bytes, 100]),
            true => assert_eq!(written, [0, 0]),
        }
        take(&source.log, &mut copy, 300).unwrap();
        copy.finish().unwrap();
        dir.install_copy(&mut copy).unwrap().run().unwrap();
        let mut log = open_log(&dir, &small_config());
        assert_eq!(said(&mut log), said(&mut source.log));
    }
}

#[test]
fn bytes_that_do_not_belong_there_are_refused() {
    let source = eventful(small_config());
    let manifest = source.log.manifest(source.log.last_index()).unwrap();
    let dir = open_dir(&MemDisk::new(2)).unwrap();
    let mut copy = dir.begin_copy(&partition(), TOPIC_ID, &manifest).unwrap();
    let base = manifest.segments()[0].base_offset;
    let size = manifest.segments()[0].log_bytes;
    let mut refused = |base: Offset, part, position: u64, length: u64| {
        let bytes = Bytes::from(vec![0; length as usize]);
        copy.write(base, part, position, &[bytes]).unwrap_err()
    };
    let error = refused(base, Part::Log, 1, 1);
    assert!(matches!(error, CopyError::OutOfOrder { .. }), "{error}");
    let error = refused(base, Part::Log, 0, size + 1);
    assert!(matches!(error, CopyError::OutOfOrder { .. }), "{error}");
    let error = refused(base.plus(1), Part::Log, 0, 1);
    assert!(matches!(error, CopyError::NotListed { .. }), "{error}");
    let error = copy.finish().unwrap_err();
    assert!(matches!(error, CopyError::Incomplete { .. }), "{error}");
    let other = dir.begin_copy(&partition(), TOPIC_ID, &manifest);
    assert!(matches!(other, Err(CopyError::InProgress(_))));
    copy.discard().unwrap();
    let log = open_log(&dir, &small_config());
    drop(log);
    let other = dir.begin_copy(&partition(), TopicId::from_bytes([1; 16]), &manifest);
    assert!(matches!(other, Err(CopyError::ForeignTopic { .. })));
    // Taken in again, after one that was given up.
    copy_to(&dir, &source.log, source.log.last_index(), 100).unwrap();
}

#[test]
fn no_damage_in_a_copy_goes_unnoticed() {
    for compacted in [false, true] {
        let mut source = eventful(small_config());
        if compacted {
            compact(&mut source.log);
        }
        let through = source.log.last_index();
        let manifest = source.log.manifest(through).unwrap();
        let log_start = source.log.log_start_offset();
        for segment in manifest.segments() {
            let parts = [Part::Log, Part::ProducerSnapshot];
            for part in parts
                .into_iter()
                .filter(|part| segment.part_bytes(*part) > Some(0))
            {
                let size = segment.part_bytes(part).unwrap();
                for at in (0..size).step_by(13) {
                    let dir = open_dir(&MemDisk::new(2)).unwrap();
                    let mut copy = dir.begin_copy(&partition(), TOPIC_ID, &manifest).unwrap();
                    take_damaged(&source.log, &mut copy, (segment.base_offset, part, at));
                    let what = format!("{compacted} {part:?} {} {at}", segment.base_offset);
                    let error = match copy.finish() {
                        // Below the log start nobody remembers epochs, and no checksum covers them.
                        Ok(()) if compacted && at < 16 && segment.base_offset < log_start => {
                            continue;
                        }
                        result => result.unwrap_err(),
                    };
                    assert!(
                        matches!(error, CopyError::Unsound { .. }),
                        "{what}: {error}"
                    );
                    assert!(!copy.is_finished());
                }
            }
        }
    }
}

/// Copies with one byte changed.
fn take_damaged(log: &Log, copy: &mut LogCopy, (base_offset, part, at): (Offset, Part, u64)) {
    while let Some((base, of, position)) = copy.next_missing() {
        let manifest = copy.manifest().clone();
        let bytes = log
            .read_part(&manifest, base, of, (position, 1 << 20))
            .unwrap();
        let mut bytes = bytes.to_vec();
        if (base, of) == (base_offset, part) {
            bytes[at as usize] ^= 0x40;
        }
        copy.write(base, of, position, &[bytes.into()]).unwrap();
    }
}

/// A manifest that holds together, of another log than the bytes are of.
#[test]
fn bytes_that_do_not_fit_the_manifest_are_refused() {
    let source = eventful(small_config());
    let manifest = source.log.manifest(source.log.last_index()).unwrap();
    let check = |change: &dyn Fn(&mut LogManifest)| {
        let mut lie = manifest.clone();
        change(&mut lie);
        let lie = LogManifest::decode(&lie.encode()).unwrap();
        let dir = open_dir(&MemDisk::new(2)).unwrap();
        let mut copy = dir.begin_copy(&partition(), TOPIC_ID, &lie).unwrap();
        take(&source.log, &mut copy, 1000).unwrap();
        let error = copy.finish().unwrap_err();
        assert!(matches!(error, CopyError::Unsound { .. }), "{error}");
    };
    let noop = |lie: &LogManifest| {
        let mut metas = lie.metas.iter();
        metas.position(|meta| meta.kind == MetaKind::Noop).unwrap()
    };
    check(&|lie| lie.end.index = lie.end.index.next());
    check(&|lie| lie.end.offset = lie.end.offset.plus(1));
    check(&|lie| lie.segments.last_mut().unwrap().log_bytes -= 1);
    check(&|lie| lie.anchor.prev_term = Term::new(2));
    check(&|lie| {
        let at = noop(lie);
        lie.metas[at].at_offset = lie.metas[at].at_offset.plus(1);
    });
    check(&|lie| {
        let at = noop(lie);
        lie.metas.remove(at);
    });
    check(&|lie| {
        let base_index = lie.segments[1].base_index.unwrap();
        lie.segments[1].base_index = Some(base_index.next());
    });
}

#[test]
fn a_damaged_log_is_not_copied() {
    let source = eventful(small_config()).reopen_clean();
    let name = source
        .names()
        .into_iter()
        .filter(|name| name.ends_with(".log"));
    let second = Path::new(ROOT)
        .join("orders-0")
        .join(name.into_iter().nth(1).unwrap());
    assert!(source.disk.damage(&second, 200, 1));
    // Not known yet: the copy is found out.
    let through = source.log.last_index();
    let dir = open_dir(&MemDisk::new(2)).unwrap();
    let error = copy_to(&dir, &source.log, through, 1000).unwrap_err();
    assert!(matches!(error, CopyError::Unsound { .. }), "{error}");
    let mut source = source.reopen_clean();
    let (_, holes) = read_around(&mut source.log);
    assert_eq!(holes.len(), 1);
    let error = source.log.manifest(through).unwrap_err();
    assert!(matches!(error, ManifestError::Damaged(_)), "{error}");
}

#[test]
fn a_snapshot_of_producers_that_was_torn_is_not_copied() {
    let source = eventful(small_config());
    let manifest = source.log.manifest(source.log.last_index()).unwrap();
    let mut segments = manifest.segments().iter();
    let with_snapshot = segments.find(|segment| segment.snapshot_bytes.is_some());
    let base_offset = with_snapshot.unwrap().base_offset;
    let name = format!("orders-0/{:020}.snapshot", base_offset.get());
    assert!(source.disk.damage(&Path::new(ROOT).join(name), 6, 1));
    let manifest = source.log.manifest(source.log.last_index()).unwrap();
    let segment = manifest.segment(base_offset).unwrap();
    assert_eq!(segment.snapshot_bytes, None);
}

#[test]
fn only_tickets_wait_for_the_disk() {
    let source = eventful(small_config());
    let through = LogIndex(source.log.last_index().0 - 3);
    source.disk.evict();
    // What opens a file now fails.
    source.disk.run_out_of_files(true);
    let begun = source.log.begin_manifest(through).unwrap();
    assert!(matches!(begun.run(), Err(ManifestError::Unreadable(_))));
    source.disk.run_out_of_files(false);
    let manifest = source.log.manifest(through).unwrap();
    source.disk.run_out_of_files(true);
    let base_offset = manifest.segments()[0].base_offset;
    let begin = || {
        let log = &source.log;
        let wanted = manifest.wanted_part(base_offset, Part::Log, (3, 1 << 20));
        log.begin_read_part(&wanted.unwrap())
    };
    let ticket = begin().unwrap();
    let size = manifest.segments()[0].log_bytes;
    assert_eq!(ticket.size_bytes() as u64, size - 3);
    let read = source.log.part_read(ticket.run());
    assert!(matches!(read, Err(PartError::Unreadable(_))));
    source.disk.run_out_of_files(false);
    let read = source.log.part_read(begin().unwrap().run());
    assert_eq!(read.unwrap().len() as u64, size - 3);
}

#[test]
fn copies_work_on_real_files() {
    let directory = crate::disk::suite::temporary_directory("copies");
    let open = |name: &str| {
        let root = directory.path().join(name);
        LogDir::open(Arc::new(crate::FileDisk::new()), &root, options()).unwrap()
    };
    let from = open("from");
    let mut source = open_log(&from, &small_config());
    lead(&mut source, 1).unwrap();
    append_many(&mut source, 50);
    source.sync().unwrap();
    let to = open("to");
    // The second takes the place of the first.
    for _ in 0..2 {
        append_many(&mut source, 10);
        source.sync().unwrap();
        copy_to(&to, &source, source.last_index(), 1000).unwrap();
        let mut log = open_log(&to, &small_config());
        assert_eq!(said(&mut log), said(&mut source));
        log.close().unwrap();
    }
    drop(to);
    let to = open("to");
    assert_eq!(said(&mut open_log(&to, &small_config())), said(&mut source));
    let names = std::fs::read_dir(directory.path().join("to")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_left = |name: &String| name.ends_with("-copy") || name.ends_with("-delete");
    assert!(!names.into_iter().any(|name| is_left(&name)));
}
