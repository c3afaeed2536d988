//! Which partitions this broker holds: opened at start and as topics are created, closed as they
//! are deleted.

use std::rc::Rc;

use klamm_metadata::{
    LogEnd, MetadataImage, PartitionImage, ResourceKind, TopicConfig, TopicImage,
};
use klamm_model::{BrokerId, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};
use klamm_replication::{EntryId, Members, ReplicaId, UncleanElection};
use klamm_storage::{Log, LogConfig, Offline, OpenLogError};

use crate::background::Background;
use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::controller::METADATA_TOPIC;
use crate::entropy;
use crate::log_dirs::{LogDirs, OpeningLog};
use crate::metrics::counters::Counters;
use crate::partition::assignment::first_members;
use crate::partition::driver::unclean::{self, Settled};
use crate::partition::driver::{DriverParams, OpenError, PartitionDriver};
use crate::partition::{Holders, Partition};

/// Why a partition cannot be used. Others are not affected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    #[error(transparent)]
    Log(#[from] OpenLogError),
    #[error(transparent)]
    Driver(#[from] OpenError),
    #[error(transparent)]
    Offline(#[from] Offline),
}

/// One partition to be opened.
pub(crate) struct Wanted {
    pub(crate) id: TopicPartition,
    pub(crate) topic_id: TopicId,
    pub(crate) config: Rc<TopicConfig>,
    /// The replica that this broker holds.
    pub(crate) replica: ReplicaId,
    pub(crate) holders: Holders,
    /// The members with which the group began, for a log that is new; nobody, of a group that this
    /// replica is added to: the others tell it.
    pub(crate) members: Members,
    /// Whether this replica is the one that should lead.
    pub(crate) is_preferred: bool,
    /// The last unclean election of the group, if there was one.
    pub(crate) unclean_election: Option<UncleanElection>,
}

impl Wanted {
    /// Which replica it is, and which unclean election it has been told of: another one is another log.
    pub(crate) fn identity(&self) -> (ReplicaId, Option<UncleanElection>) {
        (self.replica, self.unclean_election)
    }
}

/// What partitions are opened with.
pub(crate) struct Opener<'a> {
    pub(crate) dirs: &'a LogDirs,
    pub(crate) background: &'a Background,
    pub(crate) clock: Clock,
    pub(crate) config: &'a BrokerConfig,
    pub(crate) counters: &'a Counters,
}

impl Opener<'_> {
    /// Opens partitions and lets each elect its leader. Logs are opened, recovered and synced side
    /// by side in the background, where the filesystem merges their fsyncs; the elections share
    /// one fsync of each journal.
    pub(crate) async fn open(&self, wanted: Vec<Wanted>) -> Vec<Rc<Partition>> {
        let opening: Vec<_> = wanted
            .into_iter()
            .map(|wanted| {
                let config = log_config(&wanted.config, self.config);
                let open = self.dirs.opening(&wanted.id, wanted.topic_id, config);
                let now = self.clock.wall();
                (
                    wanted,
                    self.background.start_work(move || open_log(open, now)),
                )
            })
            .collect();
        let mut opened = Vec::with_capacity(opening.len());
        for (wanted, log) in opening {
            let id = wanted.id.clone();
            let settled = match log.await {
                Ok(log) => self.settle(&wanted, log).await,
                Err(error) => Err(error),
            };
            match settled.and_then(|log| self.start(wanted, log)) {
                Ok(partition) => opened.push(Rc::new(partition)),
                Err(error) => {
                    tracing::error!(partition = %id, %error, "partition cannot be opened");
                }
            }
        }
        self.sync_journals(&opened).await;
        opened
    }

    /// The log with which a replica goes on after the last unclean election of its group: the one that was
    /// found, or a new one in its place.
    async fn settle(&self, wanted: &Wanted, mut log: Log) -> Result<Log, HostError> {
        let Some(election) = &wanted.unclean_election else {
            return Ok(log);
        };
        match unclean::settle(&mut log, wanted.replica, election)? {
            Settled::GoesOn => Ok(log),
            Settled::GoesOnAlone => {
                tracing::error!(partition = %wanted.id, offset = %log.log_end_offset(),
                    "unclean election: this replica goes on alone with the log that it has; \
                     what others held from this offset on is lost");
                Ok(log)
            }
            Settled::IsGivenUp { lost_from } => {
                self.report_given_up(&wanted.id, &log, lost_from);
                log.retire();
                drop(log);
                self.begin_anew(wanted).await
            }
        }
    }

    fn report_given_up(&self, partition: &TopicPartition, log: &Log, lost_from: Offset) {
        let end = log.log_end_offset();
        if lost_from < end {
            self.counters.acknowledged_losses.add(1);
            tracing::error!(%partition, from = %lost_from, %end,
                "the log here was given up by an unclean election: acknowledged records are lost");
        } else {
            tracing::warn!(%partition, "the log here was given up by an unclean election, with no record in it that may be lost");
        }
    }

    /// The log is given up: a new one takes its place, which others fill.
    async fn begin_anew(&self, wanted: &Wanted) -> Result<Log, HostError> {
        if let Some(files) = self.dirs.delete_log(&wanted.id, wanted.topic_id)? {
            let removed = self.background.run(move || files.run()).await;
            removed.map_err(OpenLogError::from)?;
        }
        let config = log_config(&wanted.config, self.config);
        let open = self.dirs.opening(&wanted.id, wanted.topic_id, config);
        let now = self.clock.wall();
        self.background.run(move || open_log(open, now)).await
    }

    fn start(&self, wanted: Wanted, log: Log) -> Result<Partition, HostError> {
        for damage in log.damages() {
            tracing::error!(partition = %wanted.id, file = %damage.file.display(),
                position = damage.position, first_offset = %damage.first_offset,
                next_offset = %damage.next_offset,
                "records are damaged; they are served around, never cut off");
        }
        let recovering = self.dirs.is_recovering(&wanted.id) && !is_strict(&wanted.config);
        let params = DriverParams {
            replica: wanted.replica,
            members: wanted.members,
            preferred: wanted.is_preferred,
            seed: entropy::seed(),
            life: entropy::seed(),
            recovering,
            message_bytes: PartitionDriver::MESSAGE_BYTES,
            begin_by_copy_bytes: begin_by_copy_bytes(&wanted.id),
        };
        let mut driver = PartitionDriver::open(params, log)?;
        let mut outcomes = Vec::new();
        driver.start(self.clock.now(), &mut outcomes);
        if driver.is_recovering() {
            self.dirs.note_recovering(&wanted.id);
        }
        let writer = self.dirs.writer_of(&wanted.id);
        let traffic = self.counters.traffic.of(&wanted.id.topic);
        let partition = Partition::new(
            wanted.id,
            wanted.topic_id,
            wanted.holders,
            driver,
            wanted.config,
            writer,
            traffic,
        );
        partition.take_in(&mut outcomes);
        Ok(partition)
    }

    /// Makes durable what the elections wrote, until no partition waits for it.
    pub(crate) async fn sync_journals(&self, partitions: &[Rc<Partition>]) {
        loop {
            let waiting: Vec<_> = partitions
                .iter()
                .filter(|partition| partition.driver().awaits_journal())
                .collect();
            if waiting.is_empty() {
                return;
            }
            let mut results = Vec::new();
            for dir in self.dirs.iter() {
                let journal = dir.journal().clone();
                results.push(self.background.run(move || journal.sync()).await);
            }
            let mut outcomes = Vec::new();
            for partition in waiting {
                let result = &results[self.dirs.number_of(partition.id())];
                partition
                    .driver_mut()
                    .journal_synced(self.clock.now(), result, &mut outcomes);
                partition.take_in(&mut outcomes);
            }
        }
    }
}

/// From which size on a new replica begins with a copy of the log: never with the metadata's, which is
/// followed from its beginning and is open all the time.
fn begin_by_copy_bytes(id: &TopicPartition) -> u64 {
    match id.topic.as_str() {
        METADATA_TOPIC => u64::MAX,
        _ => PartitionDriver::BEGIN_BY_COPY_BYTES,
    }
}

/// Runs in the background. What recovery found in the page cache only is synced here, not on the
/// data plane.
fn open_log(open: OpeningLog, now: Timestamp) -> Result<Log, HostError> {
    let mut log = open.run(now)?;
    if log.synced_index() < log.last_index() {
        log.sync()?;
    }
    Ok(log)
}

/// Closes the logs of partitions in good order, side by side; `false` if any could not be.
pub(crate) fn close_all(partitions: &[Rc<Partition>]) -> bool {
    let mut drivers: Vec<_> = partitions
        .iter()
        .map(|partition| (partition.id(), partition.driver_mut()))
        .collect();
    let mut logs: Vec<_> = drivers
        .iter_mut()
        .map(|(id, driver)| (*id, driver.log_mut()))
        .collect();
    let share = logs.len().div_ceil(CLOSING_THREADS).max(1);
    std::thread::scope(|scope| {
        let closing: Vec<_> = logs
            .chunks_mut(share)
            .map(|logs| scope.spawn(|| close_share(logs)))
            .collect();
        closing
            .into_iter()
            .all(|thread| thread.join().unwrap_or(false))
    })
}

/// fsyncs that go on at once at the end, since the filesystem merges them.
const CLOSING_THREADS: usize = 8;

fn close_share(logs: &mut [(&TopicPartition, &mut Log)]) -> bool {
    let mut in_order = true;
    for (id, log) in logs {
        if let Err(error) = log.close() {
            tracing::error!(partition = %id, %error, "log cannot be closed");
            in_order = false;
        }
    }
    in_order
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

/// One partition, to be opened; `None` if this broker holds no replica of it.
pub(crate) fn wanted(
    topic: &TopicImage,
    index: PartitionIndex,
    broker: BrokerId,
    config: &Rc<TopicConfig>,
) -> Option<Wanted> {
    let partition = topic.partition(index)?;
    let replica = ReplicaId::new(partition.replica_on(broker)?)?;
    Some(Wanted {
        id: TopicPartition::new(topic.name.clone(), index),
        topic_id: topic.id,
        config: config.clone(),
        replica,
        holders: holders(partition),
        members: first_members(partition, replica),
        is_preferred: partition.preferred_leader() == Some(broker),
        unclean_election: partition.unclean_election.and_then(unclean_election),
    })
}

/// As replicas know it.
fn unclean_election(decided: klamm_metadata::UncleanElection) -> Option<UncleanElection> {
    let LogEnd {
        term,
        index,
        offset,
    } = decided.log_end;
    Some(UncleanElection {
        number: decided.number,
        survivor: ReplicaId::new(decided.survivor)?,
        last: EntryId { index, term },
        end_offset: offset,
        term: decided.leader_epoch.term()?,
    })
}

/// Who holds the replicas of a partition.
pub(crate) fn holders(partition: &PartitionImage) -> Holders {
    let listed = partition.replicas.iter();
    let listed = listed.filter_map(|one| Some((ReplicaId::new(one.id)?, one.broker)));
    Holders::Listed(listed.collect())
}

/// Whether what was acknowledged is always on the disk: then none of it can be missing.
fn is_strict(config: &TopicConfig) -> bool {
    config.flush_messages == Some(1)
}

/// What the log needs to know of a topic's settings.
pub(crate) fn log_config(topic: &TopicConfig, broker: &BrokerConfig) -> LogConfig {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let or_unlimited = |number: Option<u64>| number.map_or(-1, signed);
    // Only closed segments are compacted (`LogConfig.maxSegmentMs`).
    let segment_ms = match topic.cleanup_policy.compact {
        true => topic.segment_ms.min(topic.max_compaction_lag_ms),
        false => topic.segment_ms,
    };
    LogConfig {
        segment_bytes: topic.segment_bytes,
        segment_ms: signed(segment_ms),
        segment_jitter_ms: signed(topic.segment_jitter_ms),
        segment_index_bytes: topic.segment_index_bytes,
        index_interval_bytes: topic.index_interval_bytes,
        retention_ms: or_unlimited(topic.local_retention_ms()),
        retention_bytes: or_unlimited(topic.local_retention_bytes()),
        keeps_until_archived: topic.remote.is_enabled && !topic.remote.copies_nothing_more,
        delete_old_segments: topic.cleanup_policy.delete,
        flush_messages: topic.flush_messages.map_or(i64::MAX, signed),
        flush_ms: topic.flush_ms.map_or(i64::MAX, signed),
        flush_bytes: broker.log.flush_bytes,
        preallocate: topic.preallocate,
        producer_id_expiration_ms: i64::try_from(broker.producers.id_expiration.as_millis())
            .unwrap_or(i64::MAX),
    }
}

#[test]
fn a_large_log_of_metadata_is_followed_and_not_copied() {
    let partition = |topic: &str| {
        let topic = klamm_model::TopicName::new(topic).expect("a legal name");
        TopicPartition::new(topic, PartitionIndex(0))
    };
    assert_eq!(begin_by_copy_bytes(&partition(METADATA_TOPIC)), u64::MAX);
    assert!(begin_by_copy_bytes(&partition("t")) < u64::MAX);
}
