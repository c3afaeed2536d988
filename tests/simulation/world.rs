//! A seed's world: one broker after another on one disk, producers, a flusher, and everything that
//! goes wrong. Every choice follows from the seed.

mod clients;
mod compaction;
mod faults;
mod upkeep;

use std::time::Duration;

use klamm_model::{Instant, Timestamp};
use klamm_storage::{Crash, LogConfig, MemDisk};

use crate::broker::{Broker, Partition};
use crate::checker;
use crate::oracle::Oracle;
use crate::workload::{Numbers, Producer};
use klamm_simulation::{Random, Tally, Trace};

/// A fault planted beside the product, which some seed must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// Producers are told that a batch is safe when it is staged.
    AckBeforeWrite,
    /// With `flush.messages=1`, they are told when it is written.
    AckBeforeFlush,
    /// The disk does not sync segments.
    SegmentSyncIsALie,
    /// The disk does not sync the journal.
    JournalSyncIsALie,
    /// The next process does not learn that an fsync failed.
    FailedSyncIsForgotten,
}

/// See the module.
pub(crate) struct World {
    random: Random,
    trace: Trace,
    tally: Tally,
    planted: Option<Planted>,
    disk: MemDisk,
    configs: Vec<LogConfig>,
    /// Per partition: what was acknowledged before its settings changed was not under the new ones.
    config_holds_after: Vec<i64>,
    broker: Option<Broker>,
    now: Instant,
    wall: Timestamp,
    oracles: Vec<Oracle>,
    producers: Vec<Producer>,
    numbers: Numbers,
    pending: Vec<Pending>,
    /// The process has no file descriptor left: flushes are put off.
    out_of_files: bool,
}

/// A producer that waits for its acknowledgement.
struct Pending {
    producer: usize,
    partition: usize,
    end: i64,
    records: Vec<u64>,
}

const PARTITIONS: usize = 3;
/// The partition of which only the newest record of each key stays.
const COMPACTED: usize = 2;
const PRODUCERS: usize = 7;
const EVENTS: u64 = 250;

/// Lives a whole life; panics where something is not as it must be.
pub(crate) fn live(seed: u64, planted: Option<Planted>, trace: &Trace) -> Tally {
    let mut world = World::new(seed, planted, trace.clone());
    for _ in 0..EVENTS {
        world.event();
        world.check_positions();
    }
    world.finish();
    world.tally.ended(world.now.since_start());
    world.tally
}

impl World {
    fn new(seed: u64, planted: Option<Planted>, trace: Trace) -> Self {
        let mut random = Random::new(seed);
        let mut numbers = Numbers::default();
        let configs = (0..PARTITIONS).map(|_| config(&mut random)).collect();
        let producers = (0..PRODUCERS)
            .map(|nth| Producer::new(nth % PARTITIONS, nth < 5, &mut numbers))
            .collect();
        let mut world = Self {
            disk: MemDisk::new(random.number()),
            random,
            trace,
            tally: Tally::default(),
            planted,
            configs,
            config_holds_after: vec![0; PARTITIONS],
            broker: None,
            now: Instant::START,
            wall: Timestamp(1_700_000_000_000),
            oracles: (0..PARTITIONS).map(|_| Oracle::default()).collect(),
            producers,
            numbers,
            pending: Vec::new(),
            out_of_files: false,
        };
        world.start(None);
        world
    }

    fn event(&mut self) {
        self.now = self.now + Duration::from_millis(self.random.below(200));
        self.wall = self.wall.plus_millis(self.random.below(200) as i64);
        match self.random.below(100) {
            0..36 => self.produce(),
            36..38 => self.compact(),
            38..45 => self.progress_write(),
            45..57 => self.begin_flush(),
            57..69 => self.end_flush(),
            69..73 => self.consume(),
            73..76 => self.retention(),
            76..78 => self.delete_records(),
            78 => self.roll(),
            79 => self.compact(),
            80..82 => self.checkpoint(),
            82..84 => self.run_deletions(),
            84 => self.jump_clock(),
            85 => self.compact(),
            86..88 => self.change_config(),
            88 => self.run_out_of_files(),
            89 => self.fill_disk(),
            90..92 => self.plan_fault(),
            92..94 => self.plan_crash(),
            94..96 => self.crash(Crash::Kill),
            96..98 => self.crash(Crash::PowerLoss),
            _ => self.shut_down(),
        }
        if self.disk.is_crashed() {
            let crash = self.any_crash();
            self.crash(crash);
        }
    }

    fn check_positions(&mut self) {
        let broker = self.broker.as_ref().expect("a broker runs");
        for partition in &broker.partitions {
            checker::positions(&partition.driver);
        }
    }

    /// Heals everything, lets it come to rest, and reads it all once more.
    fn finish(&mut self) {
        self.crash(Crash::Kill);
        for _ in 0..8 {
            self.produce();
        }
        self.finish_writes();
        for number in 0..PARTITIONS {
            let mut outcomes = vec![Vec::new(); PARTITIONS];
            let now = self.now;
            let driver = &mut self.partition(number).driver;
            assert!(driver.is_leader(), "{number} has no leader");
            if let Some(ticket) = driver.begin_sync(&mut outcomes[number]) {
                let done = ticket.run();
                driver.sync_finished(now, done, &mut outcomes[number]);
            }
            assert_eq!(driver.committed_offset(), driver.log_end_offset());
            self.take_in(outcomes);
            self.check_all_records(number);
        }
        assert!(self.pending.is_empty(), "somebody still waits");
    }

    fn partition(&mut self, number: usize) -> &mut Partition {
        let broker = self.broker.as_mut().expect("a broker runs");
        &mut broker.partitions[number]
    }

    fn note(&self, write: impl FnOnce(&mut String) -> std::fmt::Result) {
        let mut line = String::new();
        write(&mut line).expect("a string takes everything");
        self.trace.note(line);
    }
}

/// Small segments, so that much happens to few records.
fn config(random: &mut Random) -> LogConfig {
    let unlimited = random.one_in(2);
    LogConfig {
        segment_bytes: 2_048 + random.below(8_192) as u32,
        index_interval_bytes: 512,
        segment_index_bytes: 4_096,
        retention_bytes: if unlimited {
            -1
        } else {
            random.below(16_384) as i64
        },
        flush_messages: if random.one_in(3) { 1 } else { i64::MAX },
        ..LogConfig::default()
    }
}
