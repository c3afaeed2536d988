//! What the data plane is asked at each scrape: how many there are of what.
//!
//! The question comes from another thread and is answered by a task of the data plane, in small
//! steps, so that a broker with many partitions does not hold its clients up.

mod cluster;

use std::rc::Rc;
use std::time::Duration;

use klamm_coordinator::GroupState;
use tokio::sync::{mpsc, oneshot};

use self::cluster::ClusterSurvey;
use super::process;
use crate::partition::Partition;
use crate::partition::driver::OfflineReason;
use crate::shard::Shard;

/// Asks for a survey.
pub(crate) type Question = oneshot::Sender<Survey>;

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    pub(crate) topics: u64,
    pub(crate) partitions_online: u64,
    /// Taken offline, or never opened.
    pub(crate) partitions_offline: u64,
    /// Replicas that neither wait nor say anything.
    pub(crate) asleep: u64,
    pub(crate) segments: u64,
    /// Partitions that compaction has given up.
    pub(crate) uncleanable: u64,
    pub(crate) log_dirs: Vec<LogDirSurvey>,
    pub(crate) connections: u64,
    pub(crate) connections_max: u64,
    pub(crate) request_bytes: u64,
    pub(crate) request_bytes_max: u64,
    pub(crate) unread_bytes: u64,
    pub(crate) unread_bytes_max: u64,
    pub(crate) delayed_requests: u64,
    pub(crate) muted_connections: u64,
    pub(crate) quota_sensors: u64,
    pub(crate) cluster: ClusterSurvey,
    /// By state, in the order of [`GROUP_STATES`].
    pub(crate) groups: [u64; GROUP_STATES.len()],
    /// CPU time of the data plane's thread.
    pub(crate) cpu: Duration,
}

/// One of `log.dirs`.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogDirSurvey {
    pub(crate) path: String,
    pub(crate) partitions: u64,
    pub(crate) bytes: u64,
    /// A write or an fsync has failed there.
    pub(crate) is_offline: bool,
    /// Its thread writes, since writes are held up or it was set so.
    pub(crate) is_offloading: bool,
}

/// States that a group can be in.
pub(crate) const GROUP_STATES: [GroupState; 4] = [
    GroupState::Empty,
    GroupState::PreparingRebalance,
    GroupState::CompletingRebalance,
    GroupState::Stable,
];

/// Partitions looked at before others have their turn: some ten microseconds.
const STEP: usize = 256;

/// Answers questions for as long as there can be any.
pub(crate) async fn answer(shard: Rc<Shard>, mut questions: mpsc::Receiver<Question>) {
    while let Some(question) = questions.recv().await {
        let survey = take(&shard).await;
        // Whoever asked may have given up.
        question.send(survey).ok();
    }
}

async fn take(shard: &Rc<Shard>) -> Survey {
    let now = shard.clock.now();
    let net = &shard.net;
    let mut survey = Survey {
        connections: net.quota.total() as u64,
        connections_max: net.quota.total_max() as u64,
        request_bytes: net.budget.used_bytes() as u64,
        request_bytes_max: net.budget.limit_bytes() as u64,
        unread_bytes: net.unread.held_bytes() as u64,
        unread_bytes_max: net.unread.limit_bytes() as u64,
        delayed_requests: shard.purgatory.len() as u64,
        muted_connections: net.muted() as u64,
        quota_sensors: shard.quotas.sensor_count() as u64,
        cluster: ClusterSurvey::take(shard).await,
        ..Survey::default()
    };
    for (dir, writer) in shard.log_dirs.iter().zip(shard.log_dirs.writers()) {
        survey.log_dirs.push(LogDirSurvey {
            path: dir.path().display().to_string(),
            is_offloading: writer.is_offloading(now),
            ..LogDirSurvey::default()
        });
    }
    let mut partitions: Vec<_> = shard.topics.borrow().partitions().cloned().collect();
    partitions.push(shard.controller.partition().clone());
    for step in partitions.chunks(STEP) {
        step.iter()
            .for_each(|partition| survey.add(shard, partition));
        tokio::task::yield_now().await;
    }
    let image = shard.image();
    survey.topics = image.topic_count() as u64;
    let wanted: usize = image.topics().map(|topic| topic.partitions.len()).sum();
    let unopened = (wanted + 1).saturating_sub(partitions.len());
    survey.partitions_offline += unopened as u64;
    for counted in shard.coordinators.count_groups() {
        for (sum, state) in survey.groups.iter_mut().zip(GROUP_STATES) {
            *sum += counted.get(&state).copied().unwrap_or(0) as u64;
        }
        tokio::task::yield_now().await;
    }
    survey.cpu = process::thread_cpu_time();
    survey
}

impl Survey {
    fn add(&mut self, shard: &Shard, partition: &Partition) {
        let lost = partition.take_losses();
        shard.counters().acknowledged_losses.add(lost);
        self.cluster.add(shard, partition);
        let driver = partition.driver();
        match driver.offline() {
            None => self.partitions_online += 1,
            Some(_) => self.partitions_offline += 1,
        }
        self.asleep += u64::from(driver.is_asleep());
        self.segments += driver.log().segment_count() as u64;
        self.uncleanable += u64::from(driver.log().is_uncleanable());
        let mut writers = shard.log_dirs.writers();
        let dir = writers
            .position(|writer| Rc::ptr_eq(writer, partition.writer()))
            .and_then(|number| self.log_dirs.get_mut(number));
        if let Some(dir) = dir {
            dir.partitions += 1;
            dir.bytes += driver.log().size_bytes();
            dir.is_offline |= match driver.offline() {
                Some(OfflineReason::Log(_) | OfflineReason::Journal(_)) => true,
                Some(OfflineReason::Replica(_) | OfflineReason::Replaced) | None => false,
            };
        }
    }
}
