//! Replicas whose log can only go on as a copy of another's: the copy is taken in beside the log, and then
//! takes its place.
//!
//! While it is taken in, the replica goes on as it is: it votes, and if a leader turns up that has what it
//! needs as entries, the copy is thrown away. The partition is closed only while the files change places,
//! and is opened as after a restart.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::topic_config::ThrottledReplicas;
use klamm_model::TopicPartition;
use klamm_replication::ReplicaId;
use klamm_storage::{CopyError, LogCopy};
use tokio::sync::{Semaphore, oneshot};

use crate::background;
use crate::clock::Clock;
use crate::config::ThrottleConfig;
use crate::controller::{self, METADATA_TOPIC};
use crate::partition::Partition;
use crate::peer::bulk::{self, Pull, PullError, Throttle, pull};
use crate::shard::Shard;
use crate::tasks;

/// Copies that are taken in at once at most: each reads and writes as fast as it can.
const COPIES_MAX: usize = 2;
/// After one that failed, before the next of the same partition.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Copies {
    /// Partitions of which a copy is under way.
    under_way: RefCell<BTreeSet<TopicPartition>>,
    /// Partitions that are closed while a copy takes the log's place.
    replacing: RefCell<BTreeSet<TopicPartition>>,
    turns: Semaphore,
    /// Of what others copy from here.
    sent: Arc<Throttle>,
    /// Of what is copied to here.
    received: Arc<Throttle>,
}

/// Why a replica goes on without the copy that it needs.
#[derive(Debug, thiserror::Error)]
enum CopyingError {
    #[error("the broker that has the log is not known")]
    NoSource,
    #[error(transparent)]
    Pull(#[from] PullError),
    #[error("no thread can be started: {0}")]
    Thread(std::io::Error),
    #[error("the copy cannot take the place of the log: {0}")]
    Place(#[from] CopyError),
}

impl Copies {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            under_way: RefCell::default(),
            replacing: RefCell::default(),
            turns: Semaphore::new(COPIES_MAX),
            sent: Arc::new(Throttle::new(clock)),
            received: Arc::new(Throttle::new(clock)),
        }
    }

    /// Whether a partition that is not open will be in a moment, or has files that nobody else may touch.
    pub(crate) fn is_replacing(&self, partition: &TopicPartition) -> bool {
        self.replacing.borrow().contains(partition)
    }

    /// A partition is closed, to be opened anew in a moment: nobody else may do so meanwhile.
    pub(crate) fn begin_replacing(&self, partition: &TopicPartition) {
        self.replacing.borrow_mut().insert(partition.clone());
    }

    /// The limits on rates are these from now on.
    pub(crate) fn set_rates(&self, rates: &ThrottleConfig) {
        self.sent.set_rate(rates.leader);
        self.received.set_rate(rates.follower);
    }
}

impl Shard {
    /// What holds back the copies that others take of a replica here, if anything does.
    pub(crate) fn leader_throttle(&self, partition: &Partition) -> Option<Arc<Throttle>> {
        self.throttle(
            partition,
            &partition.config().leader_throttled,
            &self.copies.sent,
        )
    }

    /// What holds back the copies for a replica here, if anything does.
    fn follower_throttle(&self, partition: &Partition) -> Option<Arc<Throttle>> {
        self.throttle(
            partition,
            &partition.config().follower_throttled,
            &self.copies.received,
        )
    }

    fn throttle(
        &self,
        partition: &Partition,
        throttled: &ThrottledReplicas,
        throttle: &Arc<Throttle>,
    ) -> Option<Arc<Throttle>> {
        let is_throttled = throttled.covers(partition.id().partition, self.node_id);
        is_throttled.then(|| throttle.clone())
    }

    /// Has a copy taken if the partition's replica wants one and none is under way.
    pub(crate) fn copy_when_wanted(self: &Rc<Self>, partition: &Rc<Partition>) {
        let Some(from) = partition.take_copy_wanted() else {
            return;
        };
        if partition.id().topic.as_str() == METADATA_TOPIC {
            tracing::error!(
                "another broker says that the metadata can only be copied, which nothing does"
            );
            return;
        }
        let mut under_way = self.copies.under_way.borrow_mut();
        if under_way.insert(partition.id().clone()) {
            tasks::spawn(self.clone().copy(partition.clone(), from));
        }
    }

    async fn copy(self: Rc<Self>, partition: Rc<Partition>, from: ReplicaId) {
        let turn = self.copies.turns.acquire().await;
        let copied = self.take_copy(&partition, from).await;
        drop(turn);
        if let Err(error) = copied {
            tracing::warn!(partition = %partition.id(), %error, "no copy of the log is taken");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        self.copies.under_way.borrow_mut().remove(partition.id());
    }

    async fn take_copy(
        self: &Rc<Self>,
        partition: &Rc<Partition>,
        from: ReplicaId,
    ) -> Result<(), CopyingError> {
        let wanted = self.pull_of(partition, from);
        let wanted = wanted.ok_or(CopyingError::NoSource)?;
        let (sender, receiver) = oneshot::channel();
        let thread = std::thread::Builder::new().name("klamm-copy-in".to_owned());
        let work = move || {
            background::give_way();
            // Nobody may be waiting any more: the process ends.
            sender.send(pull(&wanted)).ok();
        };
        thread.spawn(work).map_err(CopyingError::Thread)?;
        match receiver.await {
            Ok(copy) => self.replace_log(partition, copy?).await,
            Err(_) => Err(PullError::CalledOff.into()),
        }
    }

    fn pull_of(&self, partition: &Partition, from: ReplicaId) -> Option<Pull> {
        let broker = partition.broker_of(from)?;
        let (source, greeting) = self.peers.bulk_connection(broker)?;
        Some(Pull {
            source,
            greeting,
            group: partition.group(),
            dir: self.log_dirs.shared_dir_of(partition.id()),
            partition: partition.id().clone(),
            topic_id: partition.topic_id(),
            throttle: self.follower_throttle(partition),
            called_off: partition.gone(),
        })
    }

    /// Puts the copy in the place of the log, unless that has gone on without it.
    async fn replace_log(
        self: &Rc<Self>,
        partition: &Rc<Partition>,
        mut copy: LogCopy,
    ) -> Result<(), CopyingError> {
        if !self.retire(partition, &copy).await {
            tracing::info!(partition = %partition.id(), "a copy of the log is not needed any more");
            self.background.run(move || bulk::discard(copy)).await;
            return Ok(());
        }
        partition.at_rest().await;
        partition.driver_mut().retire();
        let dir = self.log_dirs.shared_dir_of(partition.id());
        let checkpointing = self.log_dirs.checkpointing().await;
        let install = move || dir.install_copy(&mut copy);
        let installed = self.background.run(install).await;
        drop(checkpointing);
        let placed = installed.map(|old| self.remove_files(Duration::ZERO, old));
        controller::reopen(self, partition.id(), partition.topic_id()).await;
        placed?;
        tracing::info!(partition = %partition.id(), "a copy has taken the place of the log");
        Ok(())
    }

    /// Takes the partition out of service for its copy, if it still wants one.
    async fn retire(self: &Rc<Self>, partition: &Rc<Partition>, copy: &LogCopy) -> bool {
        let _unchanged = self.controller.opening.lock().await;
        let end = copy.manifest().end().index;
        if partition.is_deleted() || !partition.driver().wants_copy(end) {
            return false;
        }
        self.copies.begin_replacing(partition.id());
        controller::retire(self, partition);
        true
    }

    /// A partition is open again, or is to stay closed.
    pub(crate) fn replaced(&self, partition: &TopicPartition) {
        self.copies.replacing.borrow_mut().remove(partition);
    }
}
