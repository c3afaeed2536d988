//! The cluster's metadata, kept in a partition of its own and changed one decision at a time.
//!
//! The leader of that partition is the controller: a change is decided on the image as it is, written,
//! and applied once it is durable on a majority of the voters. Every broker, the controller too, applies
//! what is committed ([`mod@follow`]): only then do others see it, partitions are opened or closed, and
//! the reply leaves. The partition is always strict (`flush.messages=1`).

pub mod duties;
mod effects;
mod follow;
mod load;
pub mod patience;
pub(crate) mod requests;
mod unclean;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use klamm_metadata::controller::{Decision, TopicRules};
use klamm_metadata::{Controller as Decider, MetadataImage, MetadataRecord, TopicConfig, TopicIds};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{BrokerId, LeaderEpoch, Offset, TopicId};
use klamm_protocol::ErrorCode;
use tokio::sync::{Mutex, Notify};

use crate::net::occasional::Occasional;
use crate::partition::driver::AppendOrigin;
use crate::partition::{Partition, Waiter};
use crate::shard::Shard;

pub(crate) use self::effects::{learn, missing, open_missing, reopen, retire};
pub(crate) use klamm_metadata::controller::METADATA_TOPIC;

pub(crate) use self::duties::{broker_of_metadata_replica, metadata_replica, perform_duties};
pub(crate) use self::follow::{follow, follow_quietly};
pub use self::load::LoadError;
pub(crate) use self::load::read_all;
pub(crate) use self::unclean::holding;

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
    /// Partitions are being opened.
    pub(crate) opening: Mutex<()>,
    /// Brokers that are about to be removed.
    leaving: RefCell<Vec<BrokerId>>,
    /// The first record that the image does not hold yet.
    applied: Cell<Offset>,
    /// `applied` has moved.
    advanced: Notify,
    /// The high watermark of the partition has moved.
    news: Rc<News>,
    /// Topics not created on first use because there are as many partitions as there may be.
    full: Occasional,
}

/// Wakes whoever applies changes.
#[derive(Default)]
struct News(Notify);

impl Waiter for News {
    fn woken(self: Rc<Self>, _bytes: usize) {
        self.0.notify_one();
    }
}

/// How long a controller that was just elected may take to know all that was decided before.
const CATCH_UP_TIME: Duration = Duration::from_secs(10);

impl Controller {
    pub(crate) fn new(partition: Rc<Partition>, seed: [u8; 32]) -> Self {
        let news = Rc::new(News::default());
        partition.add_waiter(news.clone());
        let log_start = partition.driver().log_start_offset();
        Self {
            applied: Cell::new(log_start),
            partition,
            ids: RefCell::new(TopicIds::new(seed)),
            changing: Mutex::new(()),
            leaving: RefCell::default(),
            opening: Mutex::new(()),
            advanced: Notify::new(),
            news,
            full: Occasional::default(),
        }
    }

    /// The partition that holds the metadata.
    pub(crate) fn partition(&self) -> &Rc<Partition> {
        &self.partition
    }

    /// Records that are decided, as far as is known here, and not applied.
    pub(crate) fn lag(&self) -> u64 {
        let end = self.partition.driver().high_watermark();
        let behind = end.get().saturating_sub(self.applied.get().get());
        u64::try_from(behind).unwrap_or(0)
    }

    /// Waits until something more has been applied.
    pub(crate) async fn advanced(&self) {
        self.advanced.notified().await;
    }

    /// Waits until the image holds everything below `offset`.
    async fn applied(&self, offset: Offset) {
        loop {
            let advanced = self.advanced.notified();
            if self.applied.get() >= offset {
                return;
            }
            advanced.await;
        }
    }
}

/// Whether this broker is the controller.
pub(crate) fn leads(shard: &Shard) -> bool {
    shard.controller.partition.driver().is_leader()
}

/// The settings under which the metadata partition is kept.
pub(crate) fn metadata_topic_config(defaults: &TopicConfig) -> TopicConfig {
    let mut config = defaults.clone();
    config.flush_messages = Some(1);
    // A majority decides; more would let one broker that is gone stop all changes.
    config.min_insync_replicas = 1;
    config.retention_ms = None;
    config.retention_bytes = None;
    config
}

/// Decides, writes, and waits until it is applied here. `decide` sees the cluster as it is; nothing
/// else is decided until its records are durable.
///
/// # Errors
/// [`ErrorCode::NotController`] on any broker but the controller; then nothing was decided. Any other
/// error leaves open what will become of the change.
pub(crate) async fn change<T>(
    shard: &Rc<Shard>,
    decide: impl FnOnce(&mut Decider<'_>) -> Decision<T>,
) -> Result<T, ErrorCode> {
    let controller = &shard.controller;
    let changing = controller.changing.lock().await;
    if !leads(shard) {
        return Err(ErrorCode::NotController);
    }
    // What an earlier controller has written is applied first.
    let epoch = controller.partition.driver().leader_epoch();
    let end = controller.partition.driver().log_end_offset();
    let caught_up = tokio::time::timeout(CATCH_UP_TIME, controller.applied(end)).await;
    caught_up.map_err(|_| ErrorCode::NotController)?;
    let Decision { records, reply } = decided(shard, &shard.image(), decide);
    if records.is_empty() {
        return Ok(reply);
    }
    let last = commit(shard, &records, epoch).await?;
    controller.applied(last.plus(1)).await;
    drop(changing);
    if !shard.peers.is_alone() {
        requests::await_spread(shard, last.plus(1)).await;
    }
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
    let alive = shard.peers.alive();
    decide(&mut Decider {
        image,
        alive: &alive,
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

async fn commit(
    shard: &Shard,
    records: &[MetadataRecord],
    leader_epoch: LeaderEpoch,
) -> Result<Offset, ErrorCode> {
    let now = shard.clock.wall();
    let mut batch = BatchBuilder::new();
    for record in records {
        batch.append(now, None, Some(&record.encode()), &[]);
    }
    let partition = &shard.controller.partition;
    let origin = AppendOrigin::Coordinator { leader_epoch };
    let batch = batch.build();
    let written = match shard
        .append_and_wait(partition, batch.clone(), origin)
        .await
    {
        // On a full disk, records and topics can still be deleted: the ballast is for this.
        Err(ErrorCode::KafkaStorageError)
            if partition.driver().offline().is_none() && shard.log_dirs.drop_ballast() =>
        {
            shard.append_and_wait(partition, batch, origin).await
        }
        written => written,
    };
    written.map_err(|error| match error {
        ErrorCode::NotLeaderOrFollower => ErrorCode::NotController,
        other => other,
    })
}
