//! The part of a broker that is simulated: a log directory and the drivers of its partitions.

use std::path::Path;
use std::sync::Arc;

use klamm_broker::partition::driver::{DriverParams, Outcome, PartitionDriver};
use klamm_model::{
    BrokerId, Instant, PartitionIndex, Timestamp, TopicId, TopicName, TopicPartition,
};
use klamm_replication::{Members, ReplicaId};
use klamm_storage::log_dir::{LogCheckpoint, LogDirIdentity, LogDirOptions};
use klamm_storage::{
    AppendDone, AppendTicket, Compaction, DeleteTicket, Disk, LogConfig, LogDir, SwapTicket,
    SyncTicket,
};

/// One life of a process.
pub(crate) struct Broker {
    pub(crate) dir: LogDir,
    pub(crate) partitions: Vec<Partition>,
}

/// One partition, and what is under way for it.
pub(crate) struct Partition {
    pub(crate) driver: PartitionDriver,
    /// A write that is under way elsewhere.
    pub(crate) write: Option<Write>,
    /// A flush that has begun, and where the log ended then.
    pub(crate) flush: Option<(SyncTicket, i64)>,
    pub(crate) deletions: Vec<DeleteTicket>,
    pub(crate) compaction: Option<Compaction>,
    /// A compacted copy that takes its place elsewhere.
    pub(crate) swap: Option<SwapTicket>,
}

/// How far a write has got that is not made by the data plane itself.
pub(crate) enum Write {
    Begun(AppendTicket),
    /// Written, and the driver does not know.
    Done(AppendDone),
}

impl Broker {
    /// Starts a process on what the last one left. Panics if it cannot: nothing that may happen
    /// to the disk in this world is a reason.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        configs: &[LogConfig],
        seed: u64,
        wall: Timestamp,
    ) -> Self {
        let options = LogDirOptions {
            identity: LogDirIdentity {
                cluster_id: "simulation".to_owned(),
                node_id: BrokerId(1),
                directory_id: TopicId::from_bytes([1; 16]),
            },
            ballast_bytes: 0,
            mappings_max: 4,
        };
        let dir = LogDir::open(disk, Path::new("/data"), options).expect("a log directory");
        let partitions = (0..).zip(configs).map(|(number, config)| {
            let log = dir
                .open_log(
                    &name(number),
                    TopicId::from_bytes([2; 16]),
                    config.clone(),
                    wall,
                )
                .expect("a log");
            let id = ReplicaId::new(1).expect("not 0");
            let params = DriverParams {
                replica: id,
                members: Members::of_voters([id]),
                seed: seed + number as u64,
                life: seed,
                recovering: false,
                preferred: false,
                message_bytes: PartitionDriver::MESSAGE_BYTES,
                begin_by_copy_bytes: PartitionDriver::BEGIN_BY_COPY_BYTES,
            };
            Partition {
                driver: PartitionDriver::open(params, log).expect("a past that is possible"),
                write: None,
                flush: None,
                deletions: Vec::new(),
                compaction: None,
                swap: None,
            }
        });
        let partitions = partitions.collect();
        Self { dir, partitions }
    }

    /// Elects every partition's leader, with one fsync of the journal for all of them.
    pub(crate) fn elect(&mut self, now: Instant) -> Vec<Vec<Outcome>> {
        let mut outcomes: Vec<Vec<Outcome>> = Vec::new();
        for partition in &mut self.partitions {
            outcomes.push(Vec::new());
            let own = outcomes.last_mut().expect("just pushed");
            partition.driver.start(now, own);
        }
        self.sync_journal(now, &mut outcomes);
        outcomes
    }

    /// What a shard does after its turns.
    pub(crate) fn sync_journal(&mut self, now: Instant, outcomes: &mut [Vec<Outcome>]) {
        if !self.partitions.iter().any(|p| p.driver.awaits_journal()) {
            return;
        }
        let result = self.dir.journal().sync();
        for (partition, own) in self.partitions.iter_mut().zip(outcomes) {
            partition.driver.journal_synced(now, &result, own);
        }
    }

    /// Stops in good order; `false` if the disk did not let it.
    pub(crate) fn close(mut self) -> bool {
        for partition in &mut self.partitions {
            if partition.driver.log_mut().close().is_err() {
                return false;
            }
        }
        let checkpoints = self.checkpoints();
        drop(self.partitions);
        self.dir.close(&checkpoints).is_ok()
    }

    pub(crate) fn checkpoints(&self) -> Vec<(TopicPartition, LogCheckpoint)> {
        let of = |partition: &Partition| {
            let driver = &partition.driver;
            let checkpoint = LogCheckpoint {
                recovery_point: driver.log().recovery_point(),
                high_watermark: driver.high_watermark(),
                log_start_offset: driver.log_start_offset(),
                cleaned_to: driver.log().cleaned_to(),
            };
            (driver.log().topic_partition().clone(), checkpoint)
        };
        self.partitions.iter().map(of).collect()
    }
}

fn name(number: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicName::new("simulated").expect("a legal name"),
        partition: PartitionIndex(number),
    }
}
