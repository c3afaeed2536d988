//! The cluster's metadata, kept in a partition of its own and changed one decision at a time.
//!
//! A change is decided on the image as it is, written, and applied once it is durable: only then
//! do others see it, partitions are opened or closed, and the reply leaves. The partition is
//! always strict (`flush.messages=1`).

mod effects;
mod load;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use klamm_metadata::{MetadataImage, MetadataRecord, TopicConfig};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{PartitionIndex, ProducerId, TopicId, TopicName};
use klamm_protocol::ErrorCode;
use tokio::sync::Mutex;

use crate::partition::Partition;
use crate::partition::driver::AppendOrigin;
use crate::shard::Shard;

pub use self::load::LoadError;
pub(crate) use self::load::load;

/// The topic that holds the metadata; the name and id are those of Kafka's metadata log.
pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";
/// Its only partition.
pub(crate) const METADATA_PARTITION: i32 = 0;
/// Its id: Kafka's `Uuid.METADATA_TOPIC_ID`.
pub(crate) const METADATA_TOPIC_ID: TopicId =
    TopicId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// See the [module](self).
pub(crate) struct Controller {
    partition: Rc<Partition>,
    changing: Mutex<()>,
}

impl Controller {
    pub(crate) fn new(partition: Rc<Partition>) -> Self {
        Self {
            partition,
            changing: Mutex::new(()),
        }
    }

    /// The partition that holds the metadata.
    pub(crate) fn partition(&self) -> &Rc<Partition> {
        &self.partition
    }
}

/// The settings under which the metadata partition is kept.
pub(crate) fn metadata_topic_config(defaults: &TopicConfig) -> TopicConfig {
    let mut config = defaults.clone();
    config.flush_messages = Some(1);
    config.retention_ms = None;
    config.retention_bytes = None;
    config
}

/// Decides, writes, and applies. `decide` sees the cluster as it is; nothing else is decided until
/// its records are durable.
pub(crate) async fn change<T>(
    shard: &Rc<Shard>,
    decide: impl FnOnce(&MetadataImage) -> (Vec<MetadataRecord>, T),
) -> Result<T, ErrorCode> {
    let _changing = shard.controller.changing.lock().await;
    let before = shard.image();
    let (records, reply) = decide(&before);
    if records.is_empty() {
        return Ok(reply);
    }
    commit(shard, &records).await?;
    let mut after = MetadataImage::clone(&before);
    for record in &records {
        after
            .apply(record)
            .expect("the controller decides what fits the image");
    }
    shard.publish(Arc::new(after));
    effects::perform(shard, &records);
    Ok(reply)
}

async fn commit(shard: &Shard, records: &[MetadataRecord]) -> Result<(), ErrorCode> {
    let now = shard.clock.wall();
    let mut batch = BatchBuilder::new();
    for record in records {
        batch.append(now, None, Some(&record.encode()), &[]);
    }
    let partition = &shard.controller.partition;
    let origin = AppendOrigin::Coordinator {
        leader_epoch: partition.driver().leader_epoch(),
    };
    shard
        .append_and_wait(partition, batch.build(), origin)
        .await?;
    Ok(())
}

/// Producer ids given to a broker at once (Kafka's `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
const PRODUCER_IDS_PER_BLOCK: i64 = 1000;

/// A block of producer ids that nobody else gets.
pub(crate) async fn allocate_producer_ids(shard: &Rc<Shard>) -> Result<Range<i64>, ErrorCode> {
    change(shard, |image| {
        let ProducerId(first) = image.next_producer_id();
        let next = first + PRODUCER_IDS_PER_BLOCK;
        (
            vec![MetadataRecord::ProducerIds {
                next: ProducerId(next),
            }],
            first..next,
        )
    })
    .await
}

/// Creates the topics that are not there yet, with the broker's defaults.
pub(crate) async fn auto_create(shard: &Rc<Shard>, names: Vec<TopicName>) {
    for name in names {
        let partitions = shard.config().topics.num_partitions;
        let node_id = shard.node_id;
        let created = change(shard, |image| {
            if image.topic(name.as_str()).is_some() {
                return (Vec::new(), ());
            }
            let id = crate::entropy::uuid();
            let mut records = vec![MetadataRecord::Topic {
                name: name.clone(),
                id,
            }];
            records.extend((0..partitions).map(|index| MetadataRecord::Partition {
                topic: id,
                index: PartitionIndex(index),
                replicas: vec![node_id],
            }));
            (records, ())
        })
        .await;
        if let Err(error) = created {
            tracing::warn!(topic = %name, error = error.name(), "topic cannot be created");
        }
    }
}
