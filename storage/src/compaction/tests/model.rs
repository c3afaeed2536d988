//! Random operations against a map of what must be there.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    /// Keys, one batch; an odd number deletes.
    Write(Vec<u8>),
    Lead,
    Close,
    /// Milliseconds later.
    Compact(u16),
    DeleteRecords(u8),
    ReopenClean,
    Kill,
    PowerLoss,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        10 => prop::collection::vec(0..12_u8, 1..5).prop_map(Operation::Write),
        1 => Just(Operation::Lead),
        3 => Just(Operation::Close),
        3 => (0..900_u16).prop_map(Operation::Compact),
        1 => any::<u8>().prop_map(Operation::DeleteRecords),
        1 => Just(Operation::ReopenClean),
        1 => Just(Operation::Kill),
        1 => Just(Operation::PowerLoss),
    ]
}

/// What was written, and what of it may have gone.
#[derive(Default)]
struct Model {
    all: Vec<Keyed>,
    start: i64,
    now: i64,
    term: u64,
}

impl Model {
    /// Newest records that have to be there; tombstones may have gone.
    fn check(&self, log: &mut Log) {
        let left = read_keyed(log);
        assert!(left.iter().all(|record| self.all.contains(record)));
        assert!(left.is_sorted_by_key(|record| record.0));
        let kept = self.all.iter().filter(|record| record.0 >= self.start);
        let kept: Vec<Keyed> = kept.cloned().collect();
        let values = |records: &[Keyed]| {
            let mut newest = newest(records);
            newest.retain(|_, record| record.2.is_some());
            newest
        };
        assert_eq!(values(&left), values(&kept));
        // What was not compacted is all there.
        let whole = log.cleaned_to().unwrap_or(Offset::ZERO).get();
        let dirty = |records: &[Keyed]| -> Vec<Keyed> {
            let from = |record: &&Keyed| record.0 >= whole;
            records.iter().filter(from).cloned().collect()
        };
        if log.whole_from() == log.log_start_offset() {
            assert_eq!(left, kept, "nothing was compacted");
        }
        if whole >= log.whole_from().get() {
            assert_eq!(dirty(&left), dirty(&kept));
        }
        is_sound(log);
    }

    fn cut(&mut self, end: Offset) {
        self.all.retain(|record| record.0 < end.get());
    }
}

fn apply(mut world: World, model: &mut Model, operation: &Operation) -> World {
    let log = &mut world.log;
    match operation {
        Operation::Write(keys) => {
            let first = log.log_end_offset().get();
            let records: Vec<(String, Option<String>)> = (first..)
                .zip(keys)
                .map(|(offset, key)| {
                    let deletes = key % 4 == 3 && offset % 2 == 1;
                    (
                        format!("k{key}"),
                        (!deletes).then(|| value(offset as usize)),
                    )
                })
                .collect();
            let borrowed: Vec<_> = records
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_deref()))
                .collect();
            append(log, vec![keyed(model.now, &borrowed)]).unwrap();
            let written = (first..)
                .zip(records)
                .map(|(at, (key, value))| (at, key, value));
            model.all.extend(written);
        }
        Operation::Lead => {
            model.term += 1;
            lead(log, model.term).unwrap();
        }
        Operation::Close => close_segment(log),
        Operation::Compact(later) => {
            model.now += i64::from(*later);
            compact(log, &RULE, Timestamp(model.now));
        }
        Operation::DeleteRecords(part) => {
            let (start, end) = (model.start, log.recovery_point().get().max(model.start));
            let before = start + (end - start) * i64::from(*part) / 256;
            if let Some(ticket) = log
                .delete_records(Offset::new(before), Offset::new(before))
                .unwrap()
            {
                ticket.run().unwrap();
            }
            model.start = log.log_start_offset().get();
        }
        Operation::ReopenClean => return world.reopen_clean(),
        Operation::Kill => return world.reopen_after(Crash::Kill),
        Operation::PowerLoss => {
            let world = world.reopen_after(Crash::PowerLoss);
            model.cut(world.log.log_end_offset());
            return world;
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_compacted_log_holds_the_newest_of_each_key(
        seed in any::<u64>(),
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let mut world = World::open(MemDisk::new(seed), small_config());
        let mut model = Model { now: NOW.millis(), term: 1, ..Model::default() };
        lead(&mut world.log, 1).unwrap();
        for operation in &operations {
            world = apply(world, &mut model, operation);
            model.check(&mut world.log);
        }
    }
}
