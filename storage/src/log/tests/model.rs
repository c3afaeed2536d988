//! Random operations against a map of what the log must hold.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Append(Vec<u8>),
    Lead,
    Roll,
    Sync,
    Checkpoint,
    Truncate(u8),
    DeleteRecords(u8),
    Retain,
    ReopenClean,
    Kill,
    PowerLoss,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => prop::collection::vec(1..5_u8, 1..4).prop_map(Operation::Append),
        1 => Just(Operation::Lead),
        1 => Just(Operation::Roll),
        2 => Just(Operation::Sync),
        1 => Just(Operation::Checkpoint),
        1 => any::<u8>().prop_map(Operation::Truncate),
        1 => any::<u8>().prop_map(Operation::DeleteRecords),
        1 => Just(Operation::Retain),
        1 => Just(Operation::ReopenClean),
        1 => Just(Operation::Kill),
        1 => Just(Operation::PowerLoss),
    ]
}

/// What must be there.
struct Model {
    records: BTreeMap<i64, String>,
    /// Index and end offset after it of each entry, and its term.
    entries: BTreeMap<u64, (i64, u64)>,
    start: i64,
    first_index: u64,
    synced: (i64, u64),
    count: usize,
    term: u64,
}

impl Model {
    fn cut(&mut self, index: u64) {
        self.entries.split_off(&index);
        let end = self.end();
        self.records.split_off(&end);
        self.synced = (self.synced.0.min(end), self.synced.1.min(index - 1));
    }

    fn end(&self) -> i64 {
        self.entries
            .last_key_value()
            .map_or(self.start, |(_, (end, _))| *end)
            .max(self.start)
    }

    fn start_at(&mut self, start: Offset, first_index: LogIndex) {
        self.start = start.get();
        self.first_index = first_index.0;
        self.records = self.records.split_off(&self.start);
    }
}

fn check(log: &mut Log, model: &Model) {
    assert_eq!(log.log_start_offset().get(), model.start);
    assert_eq!(log.log_end_offset().get(), model.end());
    let expected: Vec<(i64, String)> = model.records.clone().into_iter().collect();
    assert_eq!(read_all(log), expected);
    let (last_index, (_, last_term)) = match model.entries.last_key_value() {
        Some((index, entry)) => (*index, *entry),
        None => (0, (0, 0)),
    };
    assert_eq!(log.last_index().0, last_index);
    assert_eq!(log.last_term().get(), last_term);
    let listed = log.entries(LogIndex(1), 10_000).unwrap();
    let listed: Vec<(u64, i64, u64)> = listed
        .iter()
        .map(|entry| (entry.index.0, entry.next_offset.get(), entry.term.get()))
        .collect();
    let kept = model.entries.range(model.first_index..);
    let expected: Vec<(u64, i64, u64)> = kept
        .map(|(index, (end, term))| (*index, *end, *term))
        .collect();
    assert_eq!(listed, expected);
    assert!(log.damages().is_empty());
}

fn run(seed: u64, operations: &[Operation]) {
    let mut world = World::open(MemDisk::new(seed), small_config());
    let mut model = Model {
        records: BTreeMap::new(),
        entries: BTreeMap::new(),
        start: 0,
        first_index: 1,
        synced: (0, 0),
        count: 0,
        term: 0,
    };
    begin_term(&mut world, &mut model);
    for operation in operations {
        world = apply(world, &mut model, operation);
        check(&mut world.log, &model);
    }
}

fn begin_term(world: &mut World, model: &mut Model) {
    // A term is never used twice, even if its no-op was cut.
    model.term += 1;
    let term = model.term;
    lead(&mut world.log, term).unwrap();
    let end = world.log.log_end_offset().get();
    model.entries.insert(world.log.last_index().0, (end, term));
}

fn apply(mut world: World, model: &mut Model, operation: &Operation) -> World {
    let log = &mut world.log;
    match operation {
        Operation::Append(sizes) => append_batches(log, model, sizes),
        Operation::Lead => begin_term(&mut world, model),
        Operation::Roll => log.roll(NOW).unwrap(),
        Operation::Sync => {
            let synced = log.sync().unwrap();
            model.synced = (synced.offset.get(), synced.index.0);
        }
        Operation::Checkpoint => world.write_checkpoints(),
        Operation::Truncate(back) => {
            // Not below what is behind the anchor, not the first no-op, not what is deleted.
            let mut index = log.last_index().0.saturating_sub(u64::from(back % 8));
            let low = log.first_index().0.max(2);
            index = index.max(low);
            let keeps_start = model
                .entries
                .get(&(index - 1))
                .is_some_and(|(end, _)| *end >= model.start);
            if keeps_start && index <= log.last_index().0 {
                log.truncate_from(LogIndex(index)).unwrap();
                model.cut(index);
                // Only another leader's entries cut anything; until its no-op is in the journal,
                // a power loss may bring back what was cut.
                begin_term(&mut world, model);
            }
        }
        Operation::DeleteRecords(part) => {
            let (start, end) = (model.start, model.synced.0.max(model.start));
            let before = start + (end - start) * i64::from(*part) / 256;
            if let Some(ticket) = log
                .delete_records(Offset::new(before), Offset::new(before))
                .unwrap()
            {
                ticket.run().unwrap();
            }
            model.start_at(log.log_start_offset(), log.first_index());
        }
        Operation::Retain => {
            let mut config = small_config();
            config.retention_bytes = 3000;
            log.set_config(config);
            let bound = Offset::new(model.synced.0);
            if let Some(ticket) = log.apply_retention(NOW, bound, true).unwrap() {
                ticket.run().unwrap();
            }
            model.start_at(log.log_start_offset(), log.first_index());
        }
        Operation::ReopenClean => {
            let world = world.reopen_clean();
            model.synced = (model.end(), world.log.last_index().0);
            return world;
        }
        Operation::Kill => {
            let world = world.reopen_after(Crash::Kill);
            model.synced = (model.end(), world.log.last_index().0);
            return world;
        }
        Operation::PowerLoss => {
            let world = world.reopen_after(Crash::PowerLoss);
            let log = &world.log;
            assert!(
                log.log_end_offset().get() >= model.synced.0,
                "synced records are kept"
            );
            assert!(
                log.last_index().0 >= model.synced.1,
                "synced entries are kept"
            );
            model.cut(log.last_index().0 + 1);
            model.synced = (model.end(), log.last_index().0);
            return world;
        }
    }
    world
}

fn append_batches(log: &mut Log, model: &mut Model, sizes: &[u8]) {
    let mut batches = Vec::new();
    let mut offset = log.log_end_offset().get();
    let mut index = log.last_index().0;
    for size in sizes {
        let values: Vec<String> = (0..*size)
            .map(|_| {
                model.count += 1;
                value(model.count)
            })
            .collect();
        for value in &values {
            model.records.insert(offset, value.clone());
            offset += 1;
        }
        index += 1;
        model.entries.insert(index, (offset, log.last_term().get()));
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        batches.push(batch(500, &values));
    }
    append(log, batches).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_log_holds_what_the_model_says(
        seed in any::<u64>(),
        operations in prop::collection::vec(operation(), 1..50),
    ) {
        run(seed, &operations);
    }
}
