//! A partition as the shard sees it: appends, reads, and who waits for what.
//!
//! All of it is plain data of one thread. [`driver`] is the synchronous core, also run by the
//! simulation; this module adds the producers that wait for their acknowledgement ([`acks`]) and
//! the consumers that wait for records ([`Waiter`]).

pub(crate) mod acks;
pub mod assignment;
pub mod driver;
mod in_sync;
mod replicas;

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use klamm_metadata::TopicConfig;
use klamm_model::{
    BrokerId, Instant, LeaderEpoch, Offset, RecordBatch, Timestamp, TopicId, TopicPartition,
};
use klamm_protocol::ErrorCode;
use klamm_replication::{JournalTicket, ReplicaId};
use klamm_storage::{AppendDone, AppendTicket, LogConfig};
use tokio::sync::Notify;

use self::acks::{AckPoint, AckTarget, Acks};
use self::driver::{AppendOrigin, Outcome, PartitionDriver, StageError, Staged};
use self::in_sync::InSync;
use crate::controller::{broker_of_metadata_replica, metadata_replica};
use crate::metrics::traffic::TopicTraffic;
use crate::peer::Group;
use crate::writer::Writer;

/// A consumer's request that waits for records of one or more partitions.
pub(crate) trait Waiter {
    /// The high watermark of a partition it waits for has risen over `bytes` more bytes, or
    /// something else has happened that the consumer should be told.
    fn woken(self: Rc<Self>, bytes: usize);
}

/// When the reply to an append may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckWhen {
    /// Written by the leader (`acks=1`).
    Written,
    /// Below the high watermark: what the broker writes for itself.
    Visible,
    /// So, and held by as many replicas as the topic wants (`acks=all`).
    Held,
}

/// Which brokers hold the replicas of a partition.
#[derive(Clone, Debug)]
pub(crate) enum Holders {
    /// As the metadata says.
    Listed(Vec<(ReplicaId, BrokerId)>),
    /// Of the metadata itself: as the brokers' numbers say.
    ByNumber,
}

impl Holders {
    fn broker_of(&self, replica: ReplicaId) -> Option<BrokerId> {
        match self {
            Self::Listed(listed) => {
                let mut listed = listed.iter();
                let found = listed.find(|(listed, _)| *listed == replica);
                found.map(|(_, broker)| *broker)
            }
            Self::ByNumber => broker_of_metadata_replica(replica),
        }
    }

    fn replica_on(&self, broker: BrokerId) -> Option<ReplicaId> {
        match self {
            Self::Listed(listed) => {
                let mut listed = listed.iter();
                let found = listed.find(|(_, holder)| *holder == broker);
                found.map(|(replica, _)| *replica)
            }
            Self::ByNumber => Some(metadata_replica(broker)),
        }
    }
}

/// One partition on this broker.
pub(crate) struct Partition {
    id: TopicPartition,
    topic_id: TopicId,
    holders: RefCell<Holders>,
    driver: RefCell<PartitionDriver>,
    config: RefCell<Rc<TopicConfig>>,
    writer: Rc<Writer>,
    traffic: Arc<TopicTraffic>,
    acks: Acks,
    in_sync: RefCell<InSync>,
    /// How often acknowledged records were lost since somebody looked.
    losses: Cell<u64>,
    waiters: RefCell<Vec<Rc<dyn Waiter>>>,
    newly_visible_bytes: Cell<usize>,
    news_for_waiters: Cell<bool>,
    /// It is out of service, or its topic is gone.
    is_deleted: Arc<AtomicBool>,
    /// What is under way on other threads, and will touch its files.
    works: Cell<usize>,
    /// One of them has ended, or a write, or it has gone out of service.
    stirred: Notify,
    has_left: Cell<bool>,
    touched: Cell<bool>,
    /// Its replica is among those whose clocks run.
    ticks: Cell<bool>,
    unsynced: Cell<bool>,
    /// Leadership was won or lost since somebody looked.
    leadership: Cell<Option<Leadership>>,
    /// It has caught up after a loss of power since somebody looked.
    recovered: Cell<bool>,
    /// It lacks what that replica has not as entries any more, and nobody has looked since it said so.
    copy_wanted: Cell<Option<ReplicaId>>,
    /// Where brokers with a replica are known to let its log begin, if it is led here.
    starts_told: RefCell<BTreeMap<BrokerId, Offset>>,
    /// It waits for the next fsync of the journal.
    awaits_journal: Cell<bool>,
    outcomes: RefCell<Vec<Outcome>>,
}

/// Something that touches a partition's files.
pub(crate) struct Work(Rc<Partition>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.works.set(self.0.works.get() - 1);
        self.0.stirred.notify_waiters();
    }
}

/// What has become of a replica's leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// It leads, in this epoch.
    Won(LeaderEpoch),
    /// It leads no more.
    Lost,
}

impl Partition {
    pub(crate) fn new(
        id: TopicPartition,
        topic_id: TopicId,
        holders: Holders,
        driver: PartitionDriver,
        config: Rc<TopicConfig>,
        writer: Rc<Writer>,
        traffic: Arc<TopicTraffic>,
    ) -> Self {
        Self {
            id,
            topic_id,
            holders: RefCell::new(holders),
            driver: RefCell::new(driver),
            config: RefCell::new(config),
            writer,
            traffic,
            acks: Acks::default(),
            in_sync: RefCell::default(),
            losses: Cell::new(0),
            waiters: RefCell::default(),
            newly_visible_bytes: Cell::new(0),
            news_for_waiters: Cell::new(false),
            is_deleted: Arc::default(),
            works: Cell::new(0),
            stirred: Notify::new(),
            has_left: Cell::new(false),
            touched: Cell::new(false),
            ticks: Cell::new(false),
            unsynced: Cell::new(false),
            leadership: Cell::new(None),
            recovered: Cell::new(false),
            copy_wanted: Cell::default(),
            starts_told: RefCell::default(),
            awaits_journal: Cell::new(false),
            outcomes: RefCell::default(),
        }
    }

    pub(crate) fn id(&self) -> &TopicPartition {
        &self.id
    }

    pub(crate) fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// Its Raft group.
    pub(crate) fn group(&self) -> Group {
        Group {
            topic_id: self.topic_id,
            partition: self.id.partition,
        }
    }

    /// The broker that holds a replica.
    pub(crate) fn broker_of(&self, replica: ReplicaId) -> Option<BrokerId> {
        self.holders.borrow().broker_of(replica)
    }

    /// The replica that a broker holds.
    pub(crate) fn replica_on(&self, broker: BrokerId) -> Option<ReplicaId> {
        self.holders.borrow().replica_on(broker)
    }

    /// How many brokers hold a replica, as the metadata says.
    pub(crate) fn holder_count(&self) -> usize {
        match &*self.holders.borrow() {
            Holders::Listed(listed) => listed.len(),
            Holders::ByNumber => 0,
        }
    }

    /// How often acknowledged records were lost since the last call.
    pub(crate) fn take_losses(&self) -> u64 {
        self.losses.take()
    }

    /// Other brokers hold its replicas now.
    pub(crate) fn set_holders(&self, holders: Holders) {
        self.holders.replace(holders);
    }

    /// The topic's settings in force.
    pub(crate) fn config(&self) -> Rc<TopicConfig> {
        self.config.borrow().clone()
    }

    /// Who writes to its log directory.
    pub(crate) fn writer(&self) -> &Rc<Writer> {
        &self.writer
    }

    /// What has gone through its topic.
    pub(crate) fn traffic(&self) -> &TopicTraffic {
        &self.traffic
    }

    /// The synchronous core, to read from.
    pub(crate) fn driver(&self) -> Ref<'_, PartitionDriver> {
        self.driver.borrow()
    }

    /// The synchronous core, for the upkeep of its log.
    pub(crate) fn driver_mut(&self) -> RefMut<'_, PartitionDriver> {
        self.driver.borrow_mut()
    }

    /// Notes that the partition takes part in the next turn; `true` if it did not already.
    pub(crate) fn touch(&self) -> bool {
        !self.touched.replace(true)
    }

    /// When its replica has something to do, if it does not sleep.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        let driver = self.driver.borrow();
        driver.next_deadline().filter(|_| !driver.is_asleep())
    }

    /// Notes that the clock of its replica runs; `true` if it did not already.
    pub(crate) fn begin_ticking(&self) -> bool {
        !self.ticks.replace(true)
    }

    /// The clock stands still.
    pub(crate) fn end_ticking(&self) {
        self.ticks.set(false);
    }

    /// Notes that the flusher has to look after the partition; `true` if it did not already.
    pub(crate) fn note_unsynced(&self) -> bool {
        !self.unsynced.replace(true)
    }

    /// The flusher has it no more.
    pub(crate) fn forget_unsynced(&self) {
        self.unsynced.set(false);
    }

    /// Changes the topic's settings.
    pub(crate) fn set_config(&self, now: Instant, topic: Rc<TopicConfig>, log: LogConfig) {
        self.config.replace(topic);
        let mut outcomes = Vec::new();
        self.driver.borrow_mut().set_config(now, log, &mut outcomes);
        self.take_in(&mut outcomes);
    }

    /// Whether there is anything for a turn to do.
    pub(crate) fn wants_turn(&self) -> bool {
        if self.news_for_waiters.get() || self.leadership.get().is_some() || self.recovered.get() {
            return true;
        }
        let driver = self.driver.borrow();
        driver.wants_write()
            || driver.awaits_journal()
            || driver.wants_sync()
            || driver.is_failing()
            || self.may_acknowledge_held(&driver)
    }

    /// What has become of its leadership since the last call.
    pub(crate) fn take_leadership(&self) -> Option<Leadership> {
        self.leadership.take()
    }

    /// Whether it has caught up after a loss of power since the last call.
    pub(crate) fn take_recovered(&self) -> bool {
        self.recovered.take()
    }

    /// Notes that it waits for the next fsync of the journal; `true` if it did not already.
    pub(crate) fn queue_for_journal(&self) -> bool {
        !self.awaits_journal.replace(true)
    }

    /// An fsync of the journal begins: what it will have made durable.
    pub(crate) fn journal_sync_begins(&self) -> Option<JournalTicket> {
        self.awaits_journal.set(false);
        self.driver.borrow_mut().journal_sync_begins()
    }

    /// Stages one batch for the next turn.
    pub(crate) fn stage(
        &self,
        batch: RecordBatch,
        origin: AppendOrigin,
    ) -> Result<Staged, StageError> {
        self.driver.borrow_mut().stage(batch, origin)
    }

    /// Tells `target` once what was staged has got so far.
    pub(crate) fn acknowledge_when(
        &self,
        when: AckWhen,
        staged: &Staged,
        target: Rc<dyn AckTarget>,
        part: usize,
    ) {
        let (Staged::Appended { last_offset, .. } | Staged::Duplicate { last_offset, .. }) = staged;
        let end = last_offset.plus(1);
        let driver = self.driver.borrow();
        let point = match when {
            AckWhen::Written => AckPoint::Written(end),
            AckWhen::Visible => AckPoint::Visible(end),
            AckWhen::Held if !self.asks_for_more_than_majority(&driver) => AckPoint::Visible(end),
            AckWhen::Held => AckPoint::Held(match staged {
                Staged::Appended { index, .. } => *index,
                // Where the first of them stands is not remembered; no further than this.
                Staged::Duplicate { .. } => driver.staged_index(),
            }),
        };
        drop(driver);
        self.acks.push(point, target, part);
    }

    /// Proposes what was staged.
    pub(crate) fn turn(&self, now: Instant, wall: Timestamp) {
        self.touched.set(false);
        self.drive(|driver, outcomes| driver.turn(now, wall, outcomes));
    }

    /// What has to be written, unless a write is under way.
    pub(crate) fn begin_write(&self, now: Instant, wall: Timestamp) -> Option<AppendTicket> {
        self.drive(|driver, outcomes| driver.begin_write(now, wall, outcomes))
    }

    /// Takes a write back; whether it has begun a segment.
    pub(crate) fn write_finished(&self, now: Instant, done: AppendDone) -> bool {
        let rolled = self.drive(|driver, outcomes| driver.write_finished(now, done, outcomes));
        if self.is_deleted() {
            self.stirred.notify_waiters();
        }
        rolled
    }

    /// Lets the replica do what its time has come for.
    pub(crate) fn tick(&self, now: Instant) {
        self.drive(|driver, outcomes| driver.tick(now, outcomes));
    }

    /// Takes note of what has come of some work of the driver.
    pub(crate) fn drive<T>(
        &self,
        work: impl FnOnce(&mut PartitionDriver, &mut Vec<Outcome>) -> T,
    ) -> T {
        let mut outcomes = self.outcomes.take();
        let result = work(&mut self.driver.borrow_mut(), &mut outcomes);
        self.take_in(&mut outcomes);
        self.outcomes.replace(outcomes);
        result
    }

    /// Takes note of what the driver reports.
    pub(crate) fn take_in(&self, outcomes: &mut Vec<Outcome>) {
        for outcome in outcomes.drain(..) {
            match outcome {
                Outcome::HighWatermarkMoved { bytes, .. } => {
                    self.newly_visible_bytes
                        .set(self.newly_visible_bytes.get() + bytes);
                    self.news_for_waiters.set(true);
                }
                Outcome::CommitMoved { .. } => {}
                Outcome::ArchiveMoved { state } => {
                    tracing::debug!(partition = %self.id, %state, "archived");
                    self.stirred.notify_waiters();
                }
                Outcome::Recovered => self.recovered.set(true),
                Outcome::Truncated {
                    end_offset,
                    lost_visible,
                } => {
                    if lost_visible {
                        self.losses.set(self.losses.get() + 1);
                        tracing::error!(partition = %self.id, %end_offset, "acknowledged records are lost");
                    }
                }
                Outcome::BecameLeader {
                    epoch,
                    start_offset,
                } => {
                    tracing::debug!(partition = %self.id, epoch = epoch.0, %start_offset, "leads");
                    self.starts_told.borrow_mut().clear();
                    self.leadership.set(Some(Leadership::Won(epoch)));
                }
                Outcome::LostLeadership => {
                    tracing::debug!(partition = %self.id, "leads no more");
                    self.leadership.set(Some(Leadership::Lost));
                    self.fail_all(ErrorCode::NotLeaderOrFollower);
                }
                Outcome::StagedDropped { .. } => self.fail_all(ErrorCode::NotLeaderOrFollower),
                Outcome::CopyWanted { from } => self.copy_wanted.set(Some(from)),
                Outcome::MembersChanged { members } => {
                    tracing::info!(partition = %self.id, %members, "members have changed");
                }
                Outcome::Offline { error } => {
                    tracing::error!(partition = %self.id, %error, "partition is offline");
                    self.fail_all(ErrorCode::KafkaStorageError);
                }
            }
        }
    }

    /// Its replica is held by another broker now: whoever waits is told to look there.
    pub(crate) fn leave(&self) {
        self.has_left.set(true);
        self.go();
        self.fail_all(ErrorCode::NotLeaderOrFollower);
    }

    /// Whether its replica is held by another broker now.
    pub(crate) fn has_left(&self) -> bool {
        self.has_left.get()
    }

    /// Its topic has been deleted: whoever waits is told so.
    pub(crate) fn delete(&self) {
        self.go();
        self.fail_all(ErrorCode::UnknownTopicOrPartition);
    }

    /// Whether its topic has been deleted, or its files are for other reasons; requests that came before may still hold it.
    pub(crate) fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Relaxed)
    }

    /// Tells other threads when it [is deleted](Self::is_deleted).
    pub(crate) fn gone(&self) -> Arc<AtomicBool> {
        self.is_deleted.clone()
    }

    fn go(&self) {
        self.is_deleted.store(true, Ordering::Relaxed);
        self.stirred.notify_waiters();
    }

    /// Whether its replica was told that only a copy can take its log further, and from whom, since the
    /// last call.
    pub(crate) fn take_copy_wanted(&self) -> Option<ReplicaId> {
        self.copy_wanted.take()
    }

    /// Where a broker is known to let its replica's log begin.
    pub(crate) fn start_told(&self, broker: BrokerId) -> Offset {
        let told = self.starts_told.borrow();
        told.get(&broker).copied().unwrap_or(Offset::ZERO)
    }

    /// A broker lets its replica's log begin there.
    pub(crate) fn note_start_told(&self, broker: BrokerId, offset: Offset) {
        self.starts_told.borrow_mut().insert(broker, offset);
    }

    // ---- What others do to its files ----

    /// Something begins that will touch its files, on another thread; it lasts until this is dropped.
    pub(crate) fn begin_work(self: &Rc<Self>) -> Work {
        self.works.set(self.works.get() + 1);
        Work(self.clone())
    }

    /// Waits for a time, or until it goes out of service.
    pub(crate) async fn linger(&self, time: Duration) {
        let stirred = self.stirred.notified();
        if !self.is_deleted() {
            tokio::time::timeout(time, stirred).await.ok();
        }
    }

    /// Waits until nothing touches its files any more; it is out of service.
    pub(crate) async fn at_rest(&self) {
        loop {
            let stirred = self.stirred.notified();
            if self.works.get() == 0 && !self.driver().is_writing() {
                return;
            }
            stirred.await;
        }
    }

    /// Answers everybody who waits for an acknowledgement with `error`.
    pub(crate) fn fail_all(&self, error: ErrorCode) {
        self.acks.fail_all(error);
        self.news_for_waiters.set(true);
    }

    /// Lets consumers look at what has become visible.
    pub(crate) fn wake_waiters(&self) {
        if !self.news_for_waiters.replace(false) {
            return;
        }
        let bytes = self.newly_visible_bytes.replace(0);
        let waiters = self.waiters.borrow().clone();
        for waiter in waiters {
            waiter.woken(bytes);
        }
    }

    /// Answers the producers whose batches have got far enough.
    pub(crate) fn acknowledge(&self) {
        let (written, visible, held) = {
            let driver = self.driver.borrow();
            let is_held_back = self.acks.first_to_be_held().is_some();
            let held = is_held_back.then(|| self.held(&driver));
            (driver.log_end_offset(), driver.high_watermark(), held)
        };
        self.acks.complete(AckPoint::Written(written));
        self.acks.complete(AckPoint::Visible(visible));
        if let Some(held) = held {
            self.acks.complete(AckPoint::Held(held));
        }
    }

    pub(crate) fn add_waiter(&self, waiter: Rc<dyn Waiter>) {
        self.waiters.borrow_mut().push(waiter);
    }

    pub(crate) fn remove_waiter(&self, waiter: &Rc<dyn Waiter>) {
        let mut waiters = self.waiters.borrow_mut();
        if let Some(position) = waiters.iter().position(|other| Rc::ptr_eq(other, waiter)) {
            waiters.swap_remove(position);
        }
    }
}
