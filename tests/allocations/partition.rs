//! A partition on the real disk, since the one in memory allocates for every write.

use std::path::PathBuf;
use std::sync::Arc;

use klamm_broker::partition::driver::{AppendOrigin, DriverParams, Outcome, PartitionDriver};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{
    BrokerId, Instant, PartitionIndex, RecordBatch, Timestamp, TopicId, TopicName, TopicPartition,
};
use klamm_replication::{Members, ReplicaId};
use klamm_storage::log_dir::{LogDirIdentity, LogDirOptions};
use klamm_storage::{FileDisk, LogConfig, LogDir};

const WALL: Timestamp = Timestamp(1_700_000_000_000);
const NOW: Instant = Instant::START;

/// A leader, with its log directory.
pub(crate) struct Partition {
    pub(crate) driver: PartitionDriver,
    outcomes: Vec<Outcome>,
    _dir: LogDir,
    path: PathBuf,
}

impl Partition {
    /// Elected, on an empty log. Each test has a directory of its own name.
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("klamm-allocations-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let options = LogDirOptions {
            identity: LogDirIdentity {
                cluster_id: "test".to_owned(),
                node_id: BrokerId(1),
                directory_id: TopicId::from_bytes([1; 16]),
            },
            ballast_bytes: 0,
            mappings_max: 4,
        };
        let dir = LogDir::open(Arc::new(FileDisk::new()), &path, options).expect("a directory");
        let name = TopicPartition {
            topic: TopicName::new("topic").expect("a name"),
            partition: PartitionIndex(0),
        };
        let id = TopicId::from_bytes([2; 16]);
        let log = dir
            .open_log(&name, id, LogConfig::default(), WALL)
            .expect("a log");
        let replica = ReplicaId::new(1).expect("not 0");
        let params = DriverParams {
            replica,
            members: Members::of_voters([replica]),
            seed: 0,
            life: 0,
            recovering: false,
            preferred: false,
            message_bytes: PartitionDriver::MESSAGE_BYTES,
            begin_by_copy_bytes: PartitionDriver::BEGIN_BY_COPY_BYTES,
        };
        let mut outcomes = Vec::new();
        let mut driver = PartitionDriver::open(params, log).expect("a past that is possible");
        driver.start(NOW, &mut outcomes);
        driver.journal_synced(NOW, &dir.journal().sync(), &mut outcomes);
        assert!(driver.is_leader());
        Self {
            driver,
            outcomes,
            _dir: dir,
            path,
        }
    }

    /// What the shard does with batches that became ready in one poll.
    pub(crate) fn turn(&mut self, batches: impl IntoIterator<Item = RecordBatch>) {
        let Self {
            driver, outcomes, ..
        } = self;
        for batch in batches {
            driver.stage(batch, AppendOrigin::Client).expect("it leads");
        }
        driver.turn(NOW, WALL, outcomes);
        while let Some(ticket) = driver.begin_write(NOW, WALL, outcomes) {
            driver.write_finished(NOW, ticket.run(), outcomes);
        }
        outcomes.clear();
    }

    /// What comes once a second.
    pub(crate) fn flush(&mut self) {
        let ticket = self
            .driver
            .begin_sync(&mut self.outcomes)
            .expect("it is dirty");
        self.driver
            .sync_finished(NOW, ticket.run(), &mut self.outcomes);
        self.outcomes.clear();
    }
}

impl Drop for Partition {
    #[expect(clippy::disallowed_methods, reason = "a directory of the test itself")]
    fn drop(&mut self) {
        // What is left in the folder for temporary files is no failure.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A batch of one record.
pub(crate) fn batch() -> RecordBatch {
    let mut builder = BatchBuilder::new();
    builder.append(WALL, None, Some(&[b'v'; 200]), &[]);
    builder.build()
}
