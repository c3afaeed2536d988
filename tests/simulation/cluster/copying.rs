//! Logs that are shortened at their beginnings, and copies of them for replicas that lack what is gone.

use klamm_broker::partition::driver::PartitionDriver;
use klamm_replication::ReplicaId;
use klamm_simulation::members::place;
use klamm_storage::{LogCopy, LogManifest, PartError};

use super::node::{Process, TOPIC_ID, partition};
use super::segments;
use super::world::{WALL, World};

/// A copy of another replica's log that is being taken.
pub(super) struct Copying {
    pub(super) from: ReplicaId,
    /// Once it has begun.
    pub(super) copy: Option<LogCopy>,
}

/// Bytes that travel at once.
const PART_BYTES: u32 = 700;

impl World<'_> {
    /// A log begins later, somewhere in what is committed.
    pub(super) fn delete_records(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(process) = node.process.as_mut().filter(|_| !node.is_full) else {
            return;
        };
        let driver = &mut process.driver;
        let (start, committed) = (driver.log_start_offset(), driver.committed_offset());
        if committed <= start {
            return;
        }
        let room = committed.since(start).unsigned_abs();
        let before = start.plus(1 + self.random.below(room) as i64);
        let deleted = driver.log_mut().delete_records(before, committed);
        if let Some(ticket) = deleted.expect("the disk works") {
            ticket.run().expect("the disk works");
        }
        self.trace.note(format!("{}: begins at {before}", at + 1));
        self.drive(at, |process, now, outcomes| {
            process.driver.turn(now, WALL, outcomes);
        });
    }

    /// A copy that is under way gets a little further.
    pub(super) fn copy(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        // Who takes a copy waits for room.
        let process = node.process.as_mut().filter(|_| !node.is_full);
        let Some(Copying { from, copy }) = process.and_then(|process| process.copying.take())
        else {
            return;
        };
        match copy {
            Some(copy) if copy.is_finished() => self.install(at, copy),
            Some(copy) => self.go_on(at, from, copy),
            None => {
                if let Some(manifest) = self.manifest(at, from) {
                    let process = self.process(at);
                    let copy = process.dir.begin_copy(&partition(), TOPIC_ID, &manifest);
                    let copy = Some(copy.expect("the disk works"));
                    process.copying = Some(Copying { from, copy });
                }
            }
        }
    }

    fn go_on(&mut self, at: usize, from: ReplicaId, mut copy: LogCopy) {
        let Some((base_offset, part, position)) = copy.next_missing() else {
            copy.finish().expect("a sound copy");
            let copy = Some(copy);
            self.process(at).copying = Some(Copying { from, copy });
            return;
        };
        let range = (position, PART_BYTES);
        let Some(source) = self.source(at, from) else {
            return;
        };
        let log = source.driver.log();
        match log.read_part(copy.manifest(), base_offset, part, range) {
            Ok(bytes) => copy
                .write(base_offset, part, position, &[bytes])
                .expect("the disk works"),
            Err(PartError::Gone { .. }) => match self.manifest(at, from) {
                Some(manifest) => copy.renew(&manifest).expect("the disk works"),
                None => return,
            },
            Err(error) => panic!("a part is not read: {error}"),
        }
        let copy = Some(copy);
        self.process(at).copying = Some(Copying { from, copy });
    }

    /// The copy is the log from now on, unless that has gone on without it.
    fn install(&mut self, at: usize, mut copy: LogCopy) {
        let seed = self.random.number() >> 1;
        let config = segments::config_of(at, &self.config);
        let node = &mut self.nodes[at];
        let Some(mut process) = node.process.take() else {
            return;
        };
        let is_busy = process.write.is_some() || process.flush.is_some();
        let end = copy.manifest().end().index;
        if !process.driver.wants_copy(end) || is_busy || process.driver.is_writing() {
            node.process = Some(process);
            return;
        }
        let shown = process.driver.high_watermark();
        assert!(
            shown <= copy.manifest().end().offset,
            "what was shown is lost"
        );
        process.driver.retire();
        drop(process.driver);
        let installed = process.dir.install_copy(&mut copy);
        installed
            .expect("the disk works")
            .run()
            .expect("the disk works");
        let driver: PartitionDriver =
            node.open(&process.dir, &config, node.recovering, false, seed);
        node.process = Some(Process {
            driver,
            write: None,
            flush: None,
            dir: process.dir,
            copying: None,
            has_recovered: process.has_recovered,
        });
        self.copied += 1;
        self.trace.note(format!("{}: has a copy", at + 1));
        self.forget_pending(at);
        self.drive(at, |process, now, outcomes| {
            process.driver.start(now, outcomes);
        });
    }

    fn manifest(&mut self, at: usize, from: ReplicaId) -> Option<LogManifest> {
        let driver = &self.source(at, from)?.driver;
        driver.log().manifest(driver.copy_end()).ok()
    }

    /// The other replica, if it is reached.
    fn source(&mut self, at: usize, from: ReplicaId) -> Option<&mut Process> {
        let from = place(from);
        let is_cut_off = self.network.is_isolated(at) || self.network.is_isolated(from);
        self.nodes[from].process.as_mut().filter(|_| !is_cut_off)
    }

    fn process(&mut self, at: usize) -> &mut Process {
        self.nodes[at].process.as_mut().expect("it runs")
    }
}
