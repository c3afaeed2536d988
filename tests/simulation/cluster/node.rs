//! One broker of the cluster: a disk, and while it runs, a log directory and a driver.

use std::path::Path;
use std::sync::Arc;

use klamm_broker::partition::driver::{DriverParams, PartitionDriver};
use klamm_model::raft::MetaKind;
use klamm_model::record_batch::RecordBatch;
use klamm_model::{BrokerId, PartitionIndex, Timestamp, TopicId, TopicName, TopicPartition};
use klamm_replication::{Members, ReplicaId};
use klamm_storage::log_dir::{LogDirIdentity, LogDirOptions};
use klamm_storage::{AppendTicket, Crash, Disk, LogConfig, LogDir, MemDisk, SyncTicket};

use super::copying::Copying;

pub(super) struct Node {
    pub(super) id: ReplicaId,
    pub(super) disk: MemDisk,
    pub(super) process: Option<Process>,
    /// Who was in the group when it began; nobody for one that joins later.
    pub(super) first: Members,
    /// The configurations that its last process left in its log.
    left: Vec<Members>,
    /// It has lost power, and what it may have lost has not come back yet.
    pub(super) recovering: bool,
    /// Whether its disk takes no more.
    pub(super) is_full: bool,
}

/// One life.
pub(super) struct Process {
    // Dropped in this order: the log before its directory.
    pub(super) driver: PartitionDriver,
    pub(super) write: Option<AppendTicket>,
    pub(super) flush: Option<SyncTicket>,
    pub(super) dir: LogDir,
    pub(super) copying: Option<Copying>,
    /// It lacks nothing any more.
    pub(super) has_recovered: bool,
}

impl Node {
    pub(super) fn new(id: ReplicaId, first: Members, seed: u64) -> Self {
        Self {
            id,
            disk: MemDisk::new(seed),
            process: None,
            left: vec![first.clone()],
            first,
            recovering: false,
            is_full: false,
        }
    }

    pub(super) fn start(
        &mut self,
        disk: Arc<dyn Disk>,
        config: &LogConfig,
        barred: bool,
        preferred: bool,
        seed: u64,
    ) {
        let options = LogDirOptions {
            identity: LogDirIdentity {
                cluster_id: "simulation".to_owned(),
                node_id: BrokerId(i32::try_from(self.id.get()).expect("few nodes")),
                directory_id: TopicId::from_bytes([1; 16]),
            },
            ballast_bytes: 0,
            mappings_max: 4,
        };
        let dir = LogDir::open(disk, Path::new("/data"), options).expect("a log directory");
        if !barred {
            dir.recovery_finished().expect("the disk works");
        }
        let recovering = dir.boot().recovering;
        assert_eq!(
            recovering, self.recovering,
            "the directory knows its losses"
        );
        let driver = self.open(&dir, config, recovering, preferred, seed);
        self.process = Some(Process {
            driver,
            write: None,
            flush: None,
            dir,
            copying: None,
            has_recovered: false,
        });
    }

    /// The partition's driver, on what the directory has of its log.
    pub(super) fn open(
        &self,
        dir: &LogDir,
        config: &LogConfig,
        recovering: bool,
        preferred: bool,
        seed: u64,
    ) -> PartitionDriver {
        let name = partition();
        let topic_id = TOPIC_ID;
        let log = dir
            .open_log(&name, topic_id, config.clone(), Timestamp(0))
            .expect("a log");
        let params = DriverParams {
            replica: self.id,
            members: self.first.clone(),
            seed,
            life: seed,
            recovering,
            preferred,
            message_bytes: 600,         // a few batches
            begin_by_copy_bytes: 6_000, // two to four segments
        };
        PartitionDriver::open(params, log).expect("a past that is possible")
    }

    /// Its replica is told to take a copy of another's log.
    pub(super) fn wants_copy(&mut self, from: ReplicaId) {
        if let Some(process) = &mut self.process {
            process.copying.get_or_insert(Copying { from, copy: None });
        }
    }

    /// What may have been lost is there again; the directory remembers that, once there is room to write
    /// it down.
    pub(super) fn recovered(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        process.has_recovered = true;
        match process.dir.recovery_finished() {
            Ok(()) => self.recovering = false,
            Err(error) => assert!(self.is_full, "the disk works: {error}"),
        }
    }

    /// The configurations that may be in force as far as its log tells, and the one that follows.
    pub(super) fn configurations(&self) -> Vec<Members> {
        let Some(process) = &self.process else {
            return self.left.clone();
        };
        let metas = process.driver.log().metas().iter();
        let changes = metas.filter_map(|meta| match &meta.kind {
            MetaKind::Membership(bytes) => Some(Members::decode(bytes).expect("members")),
            MetaKind::Noop | MetaKind::Archive(_) => None,
        });
        let mut all = vec![self.first.clone()];
        all.extend(changes);
        all.split_off(all.len().saturating_sub(2))
    }

    pub(super) fn crash(&mut self, crash: Crash) {
        self.left = self.configurations();
        self.process = None;
        self.disk.restart(crash);
        self.set_full(false);
    }

    /// Whether its disk takes no more than it holds.
    pub(super) fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
        let used = self.disk.used_bytes();
        self.disk.set_capacity(is_full.then_some(used));
        let waits = |process: &Process| process.has_recovered && process.dir.boot().recovering;
        if !is_full && self.process.as_ref().is_some_and(waits) {
            self.recovered();
        }
    }
}

/// What it is called on all nodes.
pub(super) fn partition() -> TopicPartition {
    TopicPartition {
        topic: TopicName::new("replicated").expect("a legal name"),
        partition: PartitionIndex(0),
    }
}

pub(super) const TOPIC_ID: TopicId = TopicId::from_bytes([2; 16]);

impl Process {
    /// All that is in the log up to `end`.
    pub(super) fn batches(&mut self, end: klamm_model::Offset) -> Vec<RecordBatch> {
        let log = self.driver.log_mut();
        let mut next = log.log_start_offset();
        let mut batches = Vec::new();
        while next < end {
            let read = log
                .read(next, end, 1 << 20, true)
                .expect("records are read");
            let mut bytes = read.records;
            assert!(!bytes.is_empty(), "nothing to read at {next} below {end}");
            while !bytes.is_empty() {
                batches.push(RecordBatch::parse(&mut bytes).expect("a whole batch"));
            }
            next = read.next_offset;
        }
        batches
    }
}
