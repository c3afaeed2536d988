//! Which partitions this broker holds: opened at start and as topics are created, closed as they
//! are deleted.

use std::rc::Rc;

use klamm_metadata::{MetadataImage, ResourceKind, TopicConfig, TopicImage};
use klamm_model::{PartitionIndex, TopicId, TopicPartition};
use klamm_replication::ReplicaId;
use klamm_storage::{AppendError, JournalError, LogConfig, OpenLogError};

use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::entropy;
use crate::log_dirs::LogDirs;
use crate::partition::Partition;
use crate::partition::driver::{DriverParams, OpenError, PartitionDriver};

/// Why a partition cannot be used. Others are not affected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    #[error(transparent)]
    Log(#[from] OpenLogError),
    #[error(transparent)]
    Driver(#[from] OpenError),
}

/// One partition to be opened.
pub(crate) struct Wanted {
    pub(crate) id: TopicPartition,
    pub(crate) topic_id: TopicId,
    pub(crate) config: Rc<TopicConfig>,
}

/// Opens partitions and lets each elect its leader, with one fsync of each journal for all.
pub(crate) fn open(
    dirs: &LogDirs,
    clock: Clock,
    config: &BrokerConfig,
    wanted: Vec<Wanted>,
) -> Vec<Rc<Partition>> {
    let mut opened = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let id = wanted.id.clone();
        match open_one(dirs, clock, config, wanted) {
            Ok(partition) => opened.push(Rc::new(partition)),
            Err(error) => {
                tracing::error!(partition = %id, %error, "partition cannot be opened");
            }
        }
    }
    sync_journals(dirs, clock, &opened);
    opened
}

fn open_one(
    dirs: &LogDirs,
    clock: Clock,
    broker: &BrokerConfig,
    wanted: Wanted,
) -> Result<Partition, HostError> {
    let config = log_config(&wanted.config, broker);
    let log = dirs.open_log(&wanted.id, wanted.topic_id, config, clock.wall())?;
    for damage in log.damages() {
        tracing::error!(partition = %wanted.id, file = %damage.file.display(),
            position = damage.position, first_offset = %damage.first_offset,
            next_offset = %damage.next_offset,
            "records are damaged; they are served around, never cut off");
    }
    let replica = ReplicaId::new(1).expect("1 is not 0");
    let params = DriverParams {
        replica,
        voters: vec![replica],
        seed: entropy::seed(),
    };
    let mut driver = PartitionDriver::open(params, log)?;
    let mut outcomes = Vec::new();
    driver.start(clock.now(), clock.wall(), &mut outcomes);
    let partition = Partition::new(wanted.id, wanted.topic_id, driver, wanted.config);
    partition.take_in(&mut outcomes);
    Ok(partition)
}

/// Makes durable what the elections wrote, until no partition waits for it.
fn sync_journals(dirs: &LogDirs, clock: Clock, partitions: &[Rc<Partition>]) {
    loop {
        let waiting: Vec<_> = partitions
            .iter()
            .filter(|partition| partition.driver().awaits_journal())
            .collect();
        if waiting.is_empty() {
            return;
        }
        let results: Vec<Result<(), JournalError>> =
            dirs.iter().map(|dir| dir.journal().sync()).collect();
        let mut outcomes = Vec::new();
        for partition in waiting {
            let result = dirs
                .iter()
                .zip(&results)
                .find(|(dir, _)| dirs.holds(dir, partition.id()))
                .map(|(_, result)| result)
                .expect("an open partition lies in a directory");
            let (now, wall) = (clock.now(), clock.wall());
            partition
                .driver_mut()
                .journal_synced(now, wall, result, &mut outcomes);
            partition.take_in(&mut outcomes);
        }
    }
}

/// The settings in force for a topic.
pub(crate) fn topic_config(
    config: &BrokerConfig,
    image: &MetadataImage,
    topic: &str,
) -> Rc<TopicConfig> {
    let overrides = image.configs(ResourceKind::Topic, topic);
    Rc::new(config.topic_defaults.with(overrides))
}

/// All partitions of a topic, to be opened.
pub(crate) fn wanted_of(
    config: &BrokerConfig,
    image: &MetadataImage,
    topic: &TopicImage,
    from: usize,
) -> Vec<Wanted> {
    let settings = topic_config(config, image, topic.name.as_str());
    (from..topic.partitions.len())
        .map(|index| Wanted {
            id: TopicPartition::new(topic.name.clone(), PartitionIndex(index as i32)),
            topic_id: topic.id,
            config: settings.clone(),
        })
        .collect()
}

/// What the log needs to know of a topic's settings.
pub(crate) fn log_config(topic: &TopicConfig, broker: &BrokerConfig) -> LogConfig {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let or_unlimited = |number: Option<u64>| number.map_or(-1, signed);
    LogConfig {
        segment_bytes: topic.segment_bytes,
        segment_ms: signed(topic.segment_ms),
        segment_jitter_ms: signed(topic.segment_jitter_ms),
        segment_index_bytes: topic.segment_index_bytes,
        index_interval_bytes: topic.index_interval_bytes,
        retention_ms: or_unlimited(topic.retention_ms),
        retention_bytes: or_unlimited(topic.retention_bytes),
        delete_old_segments: topic.cleanup_policy.delete,
        flush_messages: topic.flush_messages.map_or(i64::MAX, signed),
        flush_ms: topic.flush_ms.map_or(i64::MAX, signed),
        producer_id_expiration_ms: i64::try_from(broker.producers.id_expiration.as_millis())
            .unwrap_or(i64::MAX),
    }
}

/// Why a log was not closed in good order; the next start recovers it.
pub(crate) fn close(partition: &Partition) -> Result<(), AppendError> {
    partition.driver_mut().log_mut().close()
}
