//! One broker: a disk, clocks that are wrong, and while it runs, a process.

use std::path::Path;
use std::sync::Arc;

use klamm_broker::controller::patience::Patience;
use klamm_coordinator::Now;
use klamm_metadata::MetadataImage;
use klamm_model::{Instant, Offset, Timestamp, TopicId};
use klamm_simulation::Random;
use klamm_storage::log_dir::{LogDirIdentity, LogDirOptions};
use klamm_storage::{Crash, Disk, LogDir, MemDisk};

use super::changes::Changes;
use super::process::{Process, Turn};
use super::rules::{METADATA, Rules, Sabotage, WrongClock, broker_id};
use crate::disk::{Lie, LyingDisk};

/// When everything begins, by a wall clock that is right.
const WALL: Timestamp = Timestamp(1_700_000_000_000);

/// See the module.
pub(super) struct Broker {
    place: usize,
    pub(super) disk: MemDisk,
    pub(super) clock: WrongClock,
    pub(super) process: Option<Process>,
    /// It stands still until then, in µs.
    pub(super) halted_until: u64,
    /// Its disk answers nobody until then, in µs.
    pub(super) disk_stalls_until: u64,
    /// It may lack what its replicas have acknowledged.
    pub(super) is_lossy: bool,
}

impl Broker {
    pub(super) fn new(place: usize, random: &mut Random) -> Self {
        Self {
            place,
            disk: MemDisk::new(random.number()),
            clock: WrongClock {
                drift_ppm: random.below(20_000) as i64 - 10_000,
                wall_off_ms: random.below(4_000_000) as i64 - 2_000_000,
            },
            process: None,
            halted_until: 0,
            disk_stalls_until: 0,
            is_lossy: false,
        }
    }

    /// What its clocks show.
    pub(super) fn now(&self, us: u64) -> Now {
        let millis = i64::try_from(us / 1_000).expect("lives are short");
        Now {
            instant: Instant::after_start(self.clock.elapsed(us)),
            wall: WALL.plus_millis(millis + self.clock.wall_off_ms),
        }
    }

    /// A process begins on what the last one left; `false` if it ends at once, with its disk.
    pub(super) fn start(&mut self, rules: &Arc<Rules>, seed: u64, turn: &mut Turn<'_>) -> bool {
        let mut random = Random::new(seed);
        let options = LogDirOptions {
            identity: LogDirIdentity {
                cluster_id: "simulation".to_owned(),
                node_id: broker_id(self.place),
                directory_id: TopicId::from_bytes([self.place as u8 + 1; 16]),
            },
            ballast_bytes: 0,
            mappings_max: 16,
        };
        let opened = LogDir::open(self.disk_for(rules), Path::new("/data"), options);
        let dir = match opened {
            Ok(dir) => dir,
            Err(error) => {
                assert!(
                    self.disk.is_crashed(),
                    "a sound disk is not opened: {error}"
                );
                return false;
            }
        };
        let mut process = Process {
            own: self.place,
            incarnation: incarnation(&mut random),
            rules: rules.clone(),
            image: MetadataImage::default(),
            applied: Offset::ZERO,
            is_known: false,
            changes: Changes::new(random.number()),
            looks_at: turn.now.instant,
            patience: Patience::default(),
            random,
            leaders: Default::default(),
            reached: (0..rules.brokers).collect(),
            hosted: Default::default(),
            journal_sync_is_wanted: false,
            journal_is_offline: false,
            dir,
        };
        process.open(process.wanted_metadata(), turn);
        if !process.hosted.contains_key(&METADATA) {
            assert!(self.disk.is_crashed(), "sound metadata are not opened");
            return false;
        }
        self.process = Some(process);
        true
    }

    fn disk_for(&self, rules: &Rules) -> Arc<dyn Disk> {
        let disk = self.disk.clone();
        let about = match rules.sabotage {
            Some(Sabotage::SegmentSyncIsALie) => ".log",
            Some(Sabotage::JournalSyncIsALie) => "klamm.journal",
            _ => return Arc::new(disk),
        };
        let lie = Lie::Synced;
        Arc::new(LyingDisk { disk, about, lie })
    }

    /// Its process is over.
    pub(super) fn end(&mut self, crash: Crash) {
        self.process = None;
        self.halted_until = 0;
        self.disk.restart(Crash::Kill);
        if crash == Crash::PowerLoss {
            self.disk.restart(Crash::PowerLoss);
        }
    }
}

fn incarnation(random: &mut Random) -> TopicId {
    let mut bytes = [1; 16];
    bytes[..8].copy_from_slice(&random.number().to_be_bytes());
    TopicId::from_bytes(bytes)
}
