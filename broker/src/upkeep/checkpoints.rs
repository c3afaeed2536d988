//! Writes down how far each partition has got, which spares the next start work.
//!
//! Four files for each log directory, each with two fsyncs: a background thread writes them. What
//! they say is some milliseconds old then, which is checked where it matters.

use std::rc::Rc;
use std::time::Duration;

use klamm_model::TopicPartition;
use klamm_storage::log_dir::LogCheckpoint;

use crate::partition::Partition;
use crate::shard::Shard;

/// Writes them at this interval; ends with the runtime.
pub(super) async fn repeat(shard: Rc<Shard>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        write(&shard).await;
    }
}

async fn write(shard: &Rc<Shard>) {
    let dirs = &shard.log_dirs;
    let _turn = dirs.checkpointing().await;
    let written = dirs.write_checkpoints(&shard.background, &all(shard)).await;
    dirs.checkpoints_written(written, &all(shard));
}

/// How far each partition has got.
fn all(shard: &Shard) -> Vec<(TopicPartition, LogCheckpoint)> {
    let mut all = super::partitions(shard);
    all.push(shard.controller.partition().clone());
    all.iter()
        .map(|partition| (partition.id().clone(), of(partition)))
        .collect()
}

/// How far a partition has got.
pub(crate) fn of(partition: &Partition) -> LogCheckpoint {
    let driver = partition.driver();
    LogCheckpoint {
        recovery_point: driver.log().recovery_point(),
        high_watermark: driver.high_watermark(),
        log_start_offset: driver.log_start_offset(),
        cleaned_to: driver.log().cleaned_to(),
    }
}
