//! The cluster's metadata, kept in a partition of its own and changed one decision at a time.
//!
//! A change is decided on the image as it is, written, and applied once it is durable: only then
//! do others see it, partitions are opened or closed, and the reply leaves. The partition is
//! always strict (`flush.messages=1`).

mod effects;
mod load;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use klamm_metadata::controller::{Decision, NewTopic, TopicRules};
use klamm_metadata::{
    Controller as Decider, MetadataImage, MetadataRecord, Refusal, TopicConfig, TopicIds,
};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{TopicId, TopicName};
use klamm_protocol::ErrorCode;
use tokio::sync::Mutex;

use crate::coordinator::offsets_topic::{self, OFFSETS_TOPIC};
use crate::net::occasional::Occasional;
use crate::partition::Partition;
use crate::partition::driver::AppendOrigin;
use crate::shard::Shard;

pub(crate) use self::effects::open_missing;
pub(crate) use klamm_metadata::controller::METADATA_TOPIC;

pub use self::load::LoadError;
pub(crate) use self::load::load;

/// The only partition of [`METADATA_TOPIC`].
pub(crate) const METADATA_PARTITION: i32 = 0;
/// The id under which the metadata lie on disk: Kafka's `Uuid.METADATA_TOPIC_ID`.
pub(crate) const METADATA_TOPIC_ID: TopicId =
    TopicId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// See the [module](self).
pub(crate) struct Controller {
    partition: Rc<Partition>,
    ids: RefCell<TopicIds>,
    changing: Mutex<()>,
    /// Topics not created on first use because there are as many partitions as there may be.
    full: Occasional,
}

impl Controller {
    pub(crate) fn new(partition: Rc<Partition>, seed: [u8; 32]) -> Self {
        Self {
            partition,
            ids: RefCell::new(TopicIds::new(seed)),
            changing: Mutex::new(()),
            full: Occasional::default(),
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
    decide: impl FnOnce(&mut Decider<'_>) -> Decision<T>,
) -> Result<T, ErrorCode> {
    let _changing = shard.controller.changing.lock().await;
    let before = shard.image();
    let Decision { records, reply } = decided(shard, &before, decide);
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
    // Opened before anybody can see them: some clients give up on a partition without a leader.
    let opened = effects::open_new(shard, &after, &records).await;
    shard.publish(Arc::new(after));
    effects::perform(shard, &records, opened);
    Ok(reply)
}

/// Asks the decider without writing anything.
fn decided<T>(
    shard: &Shard,
    image: &MetadataImage,
    decide: impl FnOnce(&mut Decider<'_>) -> Decision<T>,
) -> Decision<T> {
    let config = shard.config();
    let topics = &config.topics;
    decide(&mut Decider {
        image,
        layers: config.layers(image),
        topic_defaults: &config.topic_defaults,
        rules: TopicRules {
            num_partitions: topics.num_partitions,
            default_replication_factor: topics.default_replication_factor,
            partitions_max: topics.partitions_max.unwrap_or(shard.partitions_affordable),
            clamp_replication_factor: topics.clamp_replication_factor,
            deletion_enabled: topics.delete_enabled,
        },
        ids: &mut shard.controller.ids.borrow_mut(),
    })
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
    let batch = batch.build();
    match shard
        .append_and_wait(partition, batch.clone(), origin)
        .await
    {
        // On a full disk, records and topics can still be deleted: the ballast is for this.
        Err(ErrorCode::KafkaStorageError)
            if partition.driver().offline().is_none() && shard.log_dirs.drop_ballast() =>
        {
            shard.append_and_wait(partition, batch, origin).await?;
        }
        result => {
            result?;
        }
    }
    Ok(())
}

/// A block of producer ids that nobody else gets.
pub(crate) async fn allocate_producer_ids(shard: &Rc<Shard>) -> Result<Range<i64>, ErrorCode> {
    let block = change(shard, |decider| match decider.allocate_producer_ids() {
        Ok(Decision { records, reply }) => Decision {
            records,
            reply: Some(reply),
        },
        Err(refusal) => {
            tracing::error!(%refusal, "no producer id can be given out");
            Decision {
                records: Vec::new(),
                reply: None,
            }
        }
    });
    let block = block.await?.ok_or(ErrorCode::UnknownServerError)?;
    Ok(block.start.0..block.end.0)
}

/// Creates the topics that are not there yet, with the broker's defaults or, of Kafka's own, with
/// theirs.
pub(crate) async fn auto_create(shard: &Rc<Shard>, names: &[TopicName]) {
    let (offsets, brokers) = (&shard.config().offsets, shard.image().broker_count());
    let topics: Vec<_> = names
        .iter()
        .map(|name| match name.as_str() {
            OFFSETS_TOPIC => offsets_topic::new_topic(offsets, brokers),
            other => NewTopic::with_defaults(other),
        })
        .collect();
    let created = change(shard, |decider| decider.create_topics(&topics, false)).await;
    match created {
        Ok(outcomes) => {
            for (topic, outcome) in outcomes {
                if let Err(refusal @ Refusal::PartitionsMax(_)) = &outcome
                    && let Some(times) = shard.controller.full.count(shard.clock.now())
                {
                    // Clients are only told that there is no such topic, as by Kafka.
                    tracing::warn!(topic, times, %refusal, "topic is not created on first use");
                } else if let Err(refusal) = outcome {
                    tracing::debug!(topic, %refusal, "topic is not created on first use");
                }
            }
        }
        Err(error) => {
            tracing::warn!(
                error = error.name(),
                "topics cannot be created on first use"
            );
        }
    }
}
