//! Where segments begin is the leader's to say.

use klamm_model::raft::{DataEntry, LogEntry, Placement};
use proptest::prelude::*;

use super::*;

/// Settings by which segments begin elsewhere than by those of [`small_config`].
fn other_config() -> LogConfig {
    LogConfig {
        segment_bytes: 700,
        segment_ms: 3,
        ..small_config()
    }
}

fn placed(entries: Vec<DataEntry>, placement: Placement) -> Vec<DataEntry> {
    let placed = |entry| DataEntry { placement, ..entry };
    entries.into_iter().map(placed).collect()
}

fn append_one(log: &mut Log, placement: Placement) {
    let number = log.log_end_offset().get();
    let batch = batch(1000 + number, &[&value(number as usize)]);
    let entries = placed(entries(log, vec![batch]), placement);
    log.append(&entries, NOW).unwrap();
}

/// Base offset and length of each segment.
fn segments(log: &Log) -> Vec<(i64, u64)> {
    let segments = log.segments.iter();
    let all = segments.map(|segment| (segment.base_offset().get(), segment.length()));
    all.collect()
}

fn bases(log: &Log) -> Vec<i64> {
    segments(log).into_iter().map(|(base, _)| base).collect()
}

#[test]
fn a_follower_begins_segments_where_it_is_told_to_and_nowhere_else() {
    for config in [small_config(), other_config()] {
        let mut world = World::new(config);
        for number in 0..40 {
            append_one(
                &mut world.log,
                match number {
                    0 | 3 | 4 | 33 => Placement::Begins,
                    _ => Placement::Continues,
                },
            );
        }
        assert_eq!(bases(&world.log), [0, 3, 4, 33]);
        let mut world = world.reopen_clean();
        append_one(&mut world.log, Placement::Continues);
        assert_eq!(bases(&world.log), [0, 3, 4, 33]);
        assert_eq!(offsets(&mut world.log), (0..41).collect::<Vec<_>>());
    }
}

#[test]
fn the_leader_decides_ahead_of_its_writes_as_it_would_when_it_writes() {
    let mut decided = World::new(small_config());
    let mut as_written = World::new(small_config());
    let batches = || (0..60).map(|number| batch(number, &[&value(0)]));
    let mut all = entries(&decided.log, batches().collect());
    for turn in all.chunks_mut(7) {
        decided.log.place(turn, NOW);
    }
    for write in all.chunks(11) {
        decided.log.append(write, NOW).unwrap();
        if decided.log.last_index() < all[59].index {
            let before = bases(&decided.log);
            decided.log.roll(NOW).unwrap();
            assert_eq!(bases(&decided.log), before, "more is on its way");
        }
    }
    let batches = entries(&as_written.log, batches().collect());
    as_written.log.append(&batches, NOW).unwrap();
    assert!(decided.log.segment_count() > 4);
    assert_eq!(segments(&decided.log), segments(&as_written.log));
    for entry in &all {
        let base_offset = entry.batch.base_offset();
        assert_eq!(entry.placement, decided.log.placement_at(base_offset));
    }
    decided.log.roll(NOW).unwrap();
    assert_eq!(bases(&decided.log).last(), Some(&60), "nothing more is");
    append_many(&mut decided.log, 1);
    assert_eq!(bases(&decided.log).last(), Some(&60));
}

#[test]
fn the_beginning_of_a_segment_that_is_cut_leaves_no_trace() {
    for (next, bases_then) in [
        (Placement::Continues, vec![0, 5]),
        (Placement::Begins, vec![0, 5, 9]),
    ] {
        let mut world = World::new(LogConfig::default());
        for number in 0..12 {
            append_one(
                &mut world.log,
                match number {
                    5 | 9 => Placement::Begins,
                    _ => Placement::Continues,
                },
            );
        }
        world.log.sync().unwrap();
        // The entry of offset 9 is the eleventh, after a no-op.
        world.log.truncate_from(LogIndex(11)).unwrap();
        lead(&mut world.log, 2).unwrap();
        for _ in 0..3 {
            append_one(&mut world.log, next);
            if next == Placement::Begins {
                break;
            }
        }
        assert_eq!(bases(&world.log), bases_then);
        let end = world.log.log_end_offset().get();
        assert_eq!(offsets(&mut world.log), (0..end).collect::<Vec<_>>());
        world.log.sync().unwrap();
        let mut world = world.reopen_after(Crash::PowerLoss);
        assert_eq!(bases(&world.log), bases_then);
        assert_eq!(offsets(&mut world.log), (0..end).collect::<Vec<_>>());
    }
}

#[test]
fn a_segment_that_was_begun_for_what_never_came_gives_way() {
    let mut world = World::new(LogConfig::default());
    for _ in 0..5 {
        append_one(&mut world.log, Placement::Continues);
    }
    world.log.roll(NOW).unwrap();
    assert_eq!(bases(&world.log), [0, 5]);
    append_one(&mut world.log, Placement::Continues);
    assert_eq!(bases(&world.log), [0]);
    world.log.roll(NOW).unwrap();
    append_one(&mut world.log, Placement::Begins);
    assert_eq!(bases(&world.log), [0, 6]);
    assert_eq!(offsets(&mut world.log), (0..7).collect::<Vec<_>>());
}

#[test]
fn the_active_segment_is_given_up_by_the_leader_alone() {
    let mut world = World::new(LogConfig {
        retention_ms: 500,
        ..small_config()
    });
    append_many(&mut world.log, 30);
    let (end, now) = (world.log.log_end_offset(), Timestamp(9000));
    let active = *bases(&world.log).last().unwrap();
    let dropped = world.log.apply_retention(now, end, false).unwrap();
    dropped.unwrap().run().unwrap();
    assert_eq!(bases(&world.log), [active]);
    assert!(
        world
            .log
            .apply_retention(now, end, false)
            .unwrap()
            .is_none()
    );
    let dropped = world.log.apply_retention(now, end, true).unwrap();
    dropped.unwrap().run().unwrap();
    assert_eq!(bases(&world.log), [end.get()]);
}

#[test]
fn damage_ends_a_segment_whatever_the_leader_says() {
    let mut world = World::new(LogConfig::default());
    append_many(&mut world.log, 10);
    world.log.sync().unwrap();
    world.write_checkpoints();
    let path = Path::new(ROOT).join("orders-0/00000000000000000000.log");
    assert!(world.disk.damage(&path, 400, 1));
    let mut world = world.reopen_after(Crash::Kill);
    read_around(&mut world.log);
    assert_eq!(world.log.damages().len(), 1);
    append_one(&mut world.log, Placement::Continues);
    assert_eq!(bases(&world.log), [0, 10]);
    append_one(&mut world.log, Placement::Continues);
    assert_eq!(bases(&world.log), [0, 10]);
}

#[derive(Clone, Debug)]
enum Operation {
    /// The leader appends batches of so many records.
    Append(Vec<u8>),
    /// The follower is given at most so many entries.
    Follow(u8),
    /// So many of its last entries are cut from the follower's log.
    Cut(u8),
    /// The follower leads for a while, and nobody else hears of it.
    Stray(Vec<u8>),
    /// The follower's settings change.
    Configure(u16),
    Kill,
    PowerLoss,
}

fn operation() -> impl Strategy<Value = Operation> {
    let sizes = || prop::collection::vec(1..5_u8, 1..9);
    prop_oneof![
        6 => sizes().prop_map(Operation::Append),
        6 => (1..20_u8).prop_map(Operation::Follow),
        2 => (1..12_u8).prop_map(Operation::Cut),
        2 => sizes().prop_map(Operation::Stray),
        1 => (500..4_000_u16).prop_map(Operation::Configure),
        1 => Just(Operation::Kill),
        1 => Just(Operation::PowerLoss),
    ]
}

/// A leader, and a follower whose own settings would have other segments.
struct Pair {
    leader: World,
    follower: World,
    /// All that the leader has, as it was sent; the first entry has the index 1.
    sent: Vec<LogEntry>,
    term: u64,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut pair = Self {
            leader: World::open(MemDisk::new(seed), small_config()),
            follower: World::open(MemDisk::new(seed + 1), other_config()),
            sent: Vec::new(),
            term: 0,
        };
        pair.lead();
        pair
    }

    fn lead(&mut self) {
        self.term += 1;
        lead(&mut self.leader.log, self.term).unwrap();
        let noop = self.leader.log.metas().last().unwrap();
        self.sent.push(LogEntry::Meta(noop.clone()));
    }

    fn batches(sizes: &[u8], log: &Log) -> Vec<DataEntry> {
        let values = |size: &u8| (0..*size).map(|_| value(0)).collect::<Vec<_>>();
        let batches = sizes.iter().map(|size| {
            let values = values(size);
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            batch(1000 + log.log_end_offset().get(), &values)
        });
        entries(log, batches.collect())
    }

    fn apply(mut self, operation: &Operation) -> Self {
        let log = &mut self.follower.log;
        match operation {
            Operation::Append(sizes) => {
                let mut entries = Self::batches(sizes, &self.leader.log);
                self.leader.log.place(&mut entries, NOW);
                self.leader.log.append(&entries, NOW).unwrap();
                self.sent.extend(entries.into_iter().map(LogEntry::Records));
            }
            Operation::Follow(count) => self.follow(usize::from(*count)),
            Operation::Cut(count) => {
                let from = (log.last_index().0 + 1).saturating_sub(u64::from(*count));
                if from > 1 {
                    log.truncate_from(LogIndex(from)).unwrap();
                }
            }
            Operation::Stray(sizes) => {
                let before = log.last_index();
                self.term += 1;
                lead(log, self.term).unwrap();
                let mut entries = Self::batches(sizes, log);
                log.place(&mut entries, NOW);
                log.append(&entries, NOW).unwrap();
                log.truncate_from(before.next()).unwrap();
                self.lead();
            }
            Operation::Configure(segment_bytes) => log.set_config(LogConfig {
                segment_bytes: u32::from(*segment_bytes),
                ..other_config()
            }),
            Operation::Kill => self.follower = self.follower.reopen_after(Crash::Kill),
            Operation::PowerLoss => self.follower = self.follower.reopen_after(Crash::PowerLoss),
        }
        self
    }

    fn follow(&mut self, count: usize) {
        let log = &mut self.follower.log;
        let from = log.last_index().0 as usize;
        let mut records = Vec::new();
        for entry in self.sent.iter().skip(from).take(count) {
            match entry {
                LogEntry::Records(entry) => records.push(entry.clone()),
                LogEntry::Meta(meta) => {
                    log.append(&std::mem::take(&mut records), NOW).unwrap();
                    log.append_meta(meta).unwrap();
                    log.journal().sync().unwrap();
                }
            }
        }
        log.append(&records, NOW).unwrap();
    }

    /// Whoever is given entries that are in the log already is told the same of them.
    fn check_leader(&self) {
        for entry in &self.sent {
            if let LogEntry::Records(entry) = entry {
                let base_offset = entry.batch.base_offset();
                let placement = self.leader.log.placement_at(base_offset);
                assert_eq!(placement, entry.placement, "{base_offset}");
            }
        }
    }

    fn check_equal(&mut self) {
        assert_eq!(segments(&self.follower.log), segments(&self.leader.log));
        let follower = read_all(&mut self.follower.log);
        assert_eq!(follower, read_all(&mut self.leader.log));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_follower_has_the_segments_of_the_leader(
        seed in any::<u32>(),
        operations in prop::collection::vec(operation(), 1..40),
    ) {
        let mut pair = Pair::new(u64::from(seed));
        for operation in &operations {
            pair = pair.apply(operation);
        }
        pair.follow(usize::MAX);
        pair.check_leader();
        pair.check_equal();
    }
}
