//! Full disks, failing disks, no file descriptors, crashes and orderly ends; and what must be true after each start.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use klamm_storage::disk::Open;
use klamm_storage::{Crash, Disk, Fault};

use super::{PARTITIONS, Planted, World};
use crate::broker::{Broker, Partition};
use crate::checker;
use crate::disk::{Lie, LyingDisk};

impl World {
    /// The disk fills up for a while.
    pub(super) fn fill_disk(&mut self) {
        let left = self.random.below(64 << 10);
        let capacity = self.disk.used_bytes() + left;
        let full = self.random.one_in(2);
        self.disk.set_capacity(full.then_some(capacity));
        if full {
            self.tally.count("full disks");
        }
        self.note(|line| write!(line, "full disk: {full}"));
    }

    /// The process has no file descriptor left for a while.
    pub(super) fn run_out_of_files(&mut self) {
        let out = self.random.one_in(2);
        if out {
            self.tally.count("times without file descriptors");
        }
        self.have_files(!out);
        self.note(|line| write!(line, "out of files: {out}"));
    }

    pub(super) fn have_files(&mut self, have: bool) {
        self.out_of_files = !have;
        self.disk.run_out_of_files(!have);
    }

    pub(super) fn plan_fault(&mut self) {
        let at = self.disk.operations() + 1 + self.random.below(20);
        let fault = if self.random.one_in(2) {
            Fault::Io
        } else {
            Fault::NoSpace
        };
        self.tally.count("operations that fail");
        self.disk.fail_at(at, fault);
        self.note(|line| write!(line, "{fault:?} at {at}"));
    }

    pub(super) fn plan_crash(&mut self) {
        let at = self.disk.operations() + 1 + self.random.below(30);
        self.disk.crash_at(at);
        self.note(|line| write!(line, "crash at {at}"));
    }

    pub(super) fn any_crash(&mut self) -> Crash {
        if self.random.one_in(2) {
            Crash::Kill
        } else {
            Crash::PowerLoss
        }
    }

    pub(super) fn crash(&mut self, crash: Crash) {
        self.broker = None;
        self.tally.count(match crash {
            Crash::Kill => "kills",
            Crash::PowerLoss => "power losses",
        });
        self.restart(crash);
    }

    pub(super) fn restart(&mut self, crash: Crash) {
        self.disk.set_capacity(None);
        let interrupted = self.disk.is_crashed() && self.disk.has_forgotten();
        self.disk.restart(crash);
        // Nobody can know of a failed fsync if the process ended before it could leave the mark.
        let crash = match interrupted && !self.is_marked() {
            true => {
                self.disk.restart(Crash::PowerLoss);
                Crash::PowerLoss
            }
            false => crash,
        };
        self.out_of_files = false;
        self.start(Some(crash));
    }

    fn is_marked(&self) -> bool {
        let path = Path::new("/data/klamm.boot");
        let mut bytes = [0; 64];
        let file = self.disk.open(path, Open::Existing);
        let read = file.and_then(|file| file.read_at(&mut bytes, 0));
        let length = read.expect("every life begins with it");
        String::from_utf8_lossy(&bytes[..length]).contains("unsynced=true")
    }

    /// Stops in good order, unless a partition is beyond that.
    pub(super) fn shut_down(&mut self) {
        self.finish_writes();
        let broker = self.broker.take().expect("a broker runs");
        let offline = |p: &Partition| p.driver.offline().is_some();
        if broker.partitions.iter().any(offline) {
            drop(broker);
            let crash = self.any_crash();
            return self.crash(crash);
        }
        self.disk.set_capacity(None);
        self.have_files(true);
        if !broker.close() {
            return self.crash(Crash::Kill);
        }
        for number in 0..PARTITIONS {
            let end = self.oracles[number].acknowledged_end();
            self.oracles[number].flushed(end);
        }
        self.note(|line| line.write_str("closed"));
        let crash = self.any_crash();
        self.restart(crash);
    }

    pub(super) fn start(&mut self, crash: Option<Crash>) {
        self.pending.clear();
        let disk: Arc<dyn Disk> = match self.planted {
            Some(Planted::SegmentSyncIsALie) => self.lying_about(".log", Lie::Synced),
            Some(Planted::JournalSyncIsALie) => self.lying_about("klamm.journal", Lie::Synced),
            Some(Planted::FailedSyncIsForgotten) => {
                self.lying_about("klamm.boot", Lie::Overwritten)
            }
            _ => Arc::new(self.disk.clone()),
        };
        let seed = self.random.number() >> 1;
        // Neither a start nor what follows it may count on what an earlier life had in memory.
        self.disk.evict();
        let broker = Broker::start(disk, &self.configs, seed, self.wall);
        self.disk.evict();
        self.broker = Some(broker);
        for number in 0..PARTITIONS {
            self.check_restarted(number, crash);
        }
        let now = self.now;
        let broker = self.broker.as_mut().expect("just started");
        let outcomes = broker.elect(now);
        for producer in &mut self.producers {
            producer.disconnected();
        }
        self.take_in(outcomes);
    }

    pub(super) fn lying_about(&self, about: &'static str, lie: Lie) -> Arc<dyn Disk> {
        let disk = self.disk.clone();
        Arc::new(LyingDisk { disk, about, lie })
    }

    pub(super) fn check_restarted(&mut self, number: usize, crash: Option<Crash>) {
        let broker = self.broker.as_mut().expect("just started");
        let driver = &mut broker.partitions[number].driver;
        let (start, end) = (driver.log_start_offset(), driver.log_end_offset());
        self.trace.note(format!(
            "{number} restarted after {crash:?}: {start}..{end}"
        ));
        let whole_from = driver.log().whole_from().max(start);
        let lost = self.oracles[number].restarted(crash, start.get(), end.get());
        let driver = &mut self.partition(number).driver;
        assert_eq!(
            driver.high_watermark(),
            end,
            "a lone replica shows all it has"
        );
        checker::entries(driver);
        self.check_all_records(number);
        // Unacknowledged batches may be gone after any crash, acknowledged ones after a power
        // loss only; producers send the former again, and must start over after the latter.
        for producer in self.producers.iter_mut().filter(|p| p.partition == number) {
            producer.may_be_unknown |= lost || producer.stood_below(whole_from.get());
        }
    }

    pub(super) fn check_all_records(&mut self, number: usize) {
        let broker = self.broker.as_mut().expect("a broker runs");
        let driver = &mut broker.partitions[number].driver;
        let start = driver.log_start_offset();
        checker::records(driver, start, &self.oracles[number]);
    }
}
