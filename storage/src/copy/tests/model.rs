//! Random logs, copied to another disk: what is there is what the source has, byte for byte.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Append(Vec<u8>),
    /// One batch of an idempotent producer.
    Produce(u8),
    Begin(u8),
    /// Aborts, or commits.
    End(u8, bool),
    Lead,
    Members,
    Roll,
    DeleteRecords(u8),
    Retain,
    Compact,
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => prop::collection::vec(0..9_u8, 1..4).prop_map(Operation::Append),
        4 => (0..3_u8).prop_map(Operation::Produce),
        3 => (3..6_u8).prop_map(Operation::Begin),
        3 => (3..6_u8, any::<bool>()).prop_map(|(id, aborts)| Operation::End(id, aborts)),
        1 => Just(Operation::Lead),
        1 => Just(Operation::Members),
        2 => Just(Operation::Roll),
        1 => any::<u8>().prop_map(Operation::DeleteRecords),
        1 => Just(Operation::Retain),
        1 => Just(Operation::Compact),
        1 => Just(Operation::Reopen),
    ]
}

/// The next sequence number of a producer.
fn sequence(log: &Log, producer: i64) -> i32 {
    let entry = log.producers().get(ProducerId(producer));
    entry.map_or(0, |entry| entry.last_sequence() + 1)
}

fn apply(mut world: World, operation: &Operation) -> World {
    let log = &mut world.log;
    let end = log.log_end_offset();
    match operation {
        Operation::Append(keys) => append_keyed(log, keys),
        Operation::Produce(id) => {
            let id = i64::from(*id);
            let next = sequence(log, id);
            let builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(0), next);
            append(log, vec![keyed(builder, end.get(), &[id as u8])]).unwrap();
        }
        Operation::Begin(id) => {
            let id = i64::from(*id);
            let batch = in_transaction(id, sequence(log, id), end.get());
            append(log, vec![batch]).unwrap();
        }
        Operation::End(id, aborts) => {
            let id = i64::from(*id);
            let entry = log.producers().get(ProducerId(id));
            if entry.is_some_and(|entry| entry.transaction_start().is_some()) {
                append(log, vec![marker(id, u8::from(!aborts))]).unwrap();
            }
        }
        Operation::Lead => {
            let term = log.last_term().get() + 1;
            lead(log, term).unwrap();
        }
        Operation::Members => add_member(log),
        Operation::Roll => log.roll(NOW).unwrap(),
        Operation::DeleteRecords(part) => {
            let start = log.log_start_offset().get();
            let before = start + (end.get() - start) * i64::from(*part) / 256;
            if let Some(ticket) = log
                .delete_records(Offset::new(before), Offset::new(before))
                .unwrap()
            {
                ticket.run().unwrap();
            }
        }
        Operation::Retain => {
            let config = LogConfig {
                retention_bytes: 4000,
                ..small_config()
            };
            log.set_config(config);
            log.sync().unwrap();
            if let Some(ticket) = log.apply_retention(NOW, end, true).unwrap() {
                ticket.run().unwrap();
            }
        }
        Operation::Compact => {
            log.high_watermark_moved(end);
            compact(log);
        }
        Operation::Reopen => return world.reopen_clean(),
    }
    world
}

fn build(seed: u64, operations: &[Operation]) -> World {
    let mut world = World::open(MemDisk::new(seed), small_config());
    lead(&mut world.log, 1).unwrap();
    for operation in operations {
        world = apply(world, operation);
    }
    world.log.sync().unwrap();
    world
}

/// An entry at or behind the log start: a copy can end with it.
fn through(log: &mut Log, part: u8) -> LogIndex {
    let log_start = log.log_start_offset();
    let entries = log.entries(LogIndex(1), 100_000).unwrap();
    let reaching = entries
        .iter()
        .filter(|entry| entry.next_offset >= log_start);
    let reaching: Vec<LogIndex> = reaching.map(|entry| entry.index).collect();
    match reaching.len() {
        0 => log.last_index(),
        count => reaching[(count - 1) * usize::from(part) / 255],
    }
}

/// Both go on alike.
fn go_on(world: &mut World) {
    lead(&mut world.log, 1000).unwrap();
    append_many(&mut world.log, 15);
    let next = sequence(&world.log, 1);
    append(&mut world.log, vec![produced(1, 0, next, &["x"])]).unwrap();
    world.log.sync().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_copy_is_what_was_copied(
        seed in any::<u64>(),
        operations in prop::collection::vec(operation(), 1..60),
        before in prop::option::of(prop::collection::vec(operation(), 1..30)),
        part in any::<u8>(),
        step in 50..3000_u32,
        crash in prop::option::of(prop_oneof![Just(Crash::Kill), Just(Crash::PowerLoss)]),
    ) {
        let mut source = build(seed, &operations);
        let disk = match before {
            None => MemDisk::new(seed),
            Some(before) => build(seed, &before).disk,
        };
        disk.restart(Crash::Kill);
        let through = through(&mut source.log, part);
        let mut dir = open_dir(&disk).unwrap();
        copy_to(&dir, &source.log, through, step).unwrap();
        source.log.truncate_from(through.next()).unwrap();
        source.log.sync().unwrap();
        if let Some(crash) = crash {
            drop(dir);
            disk.restart(crash);
            dir = open_dir(&disk).unwrap();
        }
        let log = open_log(&dir, &small_config());
        let mut target = World { disk, dir, log };
        // What is known of a producer depends on when it was last saved.
        let mut source = source.reopen_after(Crash::Kill);
        source.log.set_config(small_config());
        prop_assert_eq!(said(&mut target.log), said(&mut source.log));
        for world in [&mut target, &mut source] {
            go_on(world);
        }
        prop_assert_eq!(said(&mut target.log), said(&mut source.log));
        let (mut target, mut source) = (target.reopen_clean(), source.reopen_clean());
        prop_assert_eq!(said(&mut target.log), said(&mut source.log));
        let whole_from = source.log.whole_from();
        let files = |disk: &MemDisk| -> Vec<(String, String)> {
            let files = files(disk, whole_from).into_iter();
            files.map(|(name, bytes)| (name, format!("{bytes:02x?}"))).collect()
        };
        let (of_target, of_source) = (files(&target.disk), files(&source.disk));
        for (target, source) in of_target.iter().zip(&of_source) {
            prop_assert_eq!(target, source);
        }
        prop_assert_eq!(of_target.len(), of_source.len());
    }
}
