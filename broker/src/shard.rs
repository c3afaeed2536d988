//! The data plane: everything that belongs to one thread.
//!
//! Partitions, connections and the requests between them are plain data here, without locks. Work
//! that blocks (fsync, deleting files) leaves for the background and comes back as a local task.
//!
//! A *turn* takes everything that became ready in one poll of the runtime: connections read and
//! stage, then [`Shard::turn`] runs once, since it was woken by the first of them and so stands
//! behind all of them in the runtime's queue. One proposal and one write per partition, then
//! consumers are answered before producers, with one write per socket. No timer is involved.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::record::ListenerAddress;
use klamm_metadata::{MetadataImage, TopicConfig};
use klamm_model::{BrokerId, Instant, LeaderEpoch, Offset, RecordBatch, Timestamp};
use klamm_protocol::ErrorCode;
use klamm_protocol::fetch_session::FetchSessions;
use tokio::sync::{Notify, oneshot};

use crate::background::Background;
use crate::cleaner::Cleaner;
use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::controller::Controller;
use crate::coordinator::Coordinators;
use crate::copies::Copies;
use crate::entropy;
use crate::hosting::{self, Opener};
use crate::journals::Journals;
use crate::log_dirs::LogDirs;
use crate::metrics::counters::Counters;
use crate::metrics::meter::Marks;
use crate::net::connection::NetShared;
use crate::net::quota::ConnectionLimits;
use crate::partition::acks::AckTarget;
use crate::partition::driver::{AppendOrigin, Outcome, StageError, Staged};
use crate::partition::{AckWhen, Leadership, Partition};
use crate::peer::forwarding::Forwarding;
use crate::peer::{Group, Led, Peers, SUCCESSION_TIME};
use crate::producer_ids::ProducerIds;
use crate::purgatory::Purgatory;
use crate::quota::{QuotaManager, Window};
use crate::tasks;
use crate::topics::Topics;
use crate::upkeep::clocks::Clocks;
use klamm_storage::log_dir::DeleteLogTicket;
use klamm_storage::{AppendDone, AppendError, DeleteTicket};

/// See the [module](self).
pub(crate) struct Shard {
    pub(crate) clock: Clock,
    pub(crate) node_id: BrokerId,
    /// How many partitions the system's limits bear: what there may be unless a setting says.
    pub(crate) partitions_affordable: usize,
    pub(crate) net: Rc<NetShared>,
    pub(crate) purgatory: Purgatory,
    pub(crate) topics: RefCell<Topics>,
    pub(crate) controller: Controller,
    pub(crate) coordinators: Coordinators,
    pub(crate) peers: Peers,
    pub(crate) forwarding: Forwarding,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) quotas: QuotaManager,
    pub(crate) log_dirs: LogDirs,
    pub(crate) journals: Journals,
    pub(crate) background: Background,
    pub(crate) cleaner: Cleaner,
    pub(crate) copies: Copies,
    listeners: Vec<ListenerAddress>,
    config: RefCell<Arc<BrokerConfig>>,
    pub(crate) sessions: RefCell<FetchSessions>,
    image: RefCell<Arc<MetadataImage>>,
    touched: RefCell<Vec<Rc<Partition>>>,
    /// A write has come back.
    written: Notify,
    unsynced: RefCell<Vec<Rc<Partition>>>,
    pub(crate) clocks: Clocks,
    /// Some partitions could not be opened.
    unopened: Cell<bool>,
}

/// The parts a shard is made of.
pub(crate) struct ShardParts {
    pub(crate) clock: Clock,
    pub(crate) partitions_affordable: usize,
    pub(crate) config: BrokerConfig,
    /// What clients are told, by index of the listener.
    pub(crate) listeners: Vec<ListenerAddress>,
    pub(crate) net: Rc<NetShared>,
    pub(crate) controller: Controller,
    pub(crate) coordinators: Coordinators,
    pub(crate) peers: Peers,
    pub(crate) log_dirs: LogDirs,
    pub(crate) background: Background,
    pub(crate) cleaner: Cleaner,
}

impl Shard {
    pub(crate) fn new(parts: ShardParts) -> Self {
        Self {
            clock: parts.clock,
            node_id: parts.peers.own().broker,
            partitions_affordable: parts.partitions_affordable,
            net: parts.net,
            purgatory: Purgatory::default(),
            topics: RefCell::default(),
            controller: parts.controller,
            coordinators: parts.coordinators,
            peers: parts.peers,
            forwarding: Forwarding::default(),
            sessions: RefCell::new(FetchSessions::new(
                parts.config.fetch.session_cache_slots,
                parts.config.fetch.session_partitions_max,
                entropy::seed(),
            )),
            producer_ids: ProducerIds::default(),
            quotas: QuotaManager::new(
                Window {
                    samples: parts.config.quotas.window_samples,
                    length: parts.config.quotas.window_length,
                },
                MetadataImage::default().client_quotas(),
            ),
            journals: Journals::of(&parts.log_dirs),
            log_dirs: parts.log_dirs,
            background: parts.background,
            cleaner: parts.cleaner,
            copies: Copies::new(parts.clock),
            listeners: parts.listeners,
            config: RefCell::new(Arc::new(parts.config)),
            image: RefCell::default(),
            touched: RefCell::default(),
            written: Notify::new(),
            unsynced: RefCell::default(),
            clocks: Clocks::default(),
            unopened: Cell::new(false),
        }
    }

    /// The cluster as it is.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        self.image.borrow().clone()
    }

    pub(crate) fn publish(&self, image: Arc<MetadataImage>) {
        self.image.replace(image);
    }

    /// The settings in force.
    pub(crate) fn config(&self) -> Arc<BrokerConfig> {
        self.config.borrow().clone()
    }

    /// Resolves the settings again, after some were changed.
    pub(crate) fn resolve_config(&self) {
        let resolved = self.config().under(&self.image());
        let limits = ConnectionLimits::of(&resolved.network);
        self.net.quota.set_limits(limits);
        self.copies.set_rates(&resolved.throttles);
        self.config.replace(Arc::new(resolved));
    }

    /// What is counted.
    pub(crate) fn counters(&self) -> &Counters {
        self.net.meter.counters()
    }

    /// Where this broker stands (`broker.rack`).
    pub(crate) fn rack(&self) -> Option<String> {
        self.config().identity.rack.clone()
    }

    /// What clients are told to connect to, by index of the listener.
    pub(crate) fn listeners(&self) -> &[ListenerAddress] {
        &self.listeners
    }

    /// What clients of this listener are told to connect to.
    pub(crate) fn advertised(&self, listener: usize) -> &ListenerAddress {
        &self.listeners[listener]
    }

    // ---- Partitions ----

    /// What partitions are opened with.
    pub(crate) fn opener<'a>(&'a self, config: &'a BrokerConfig) -> Opener<'a> {
        Opener {
            dirs: &self.log_dirs,
            background: &self.background,
            clock: self.clock,
            config,
            counters: self.counters(),
        }
    }

    /// Takes a partition into service.
    pub(crate) fn host(self: &Rc<Self>, partition: Rc<Partition>) {
        self.topics.borrow_mut().insert(partition.clone());
        self.coordinators.partition_opened(self, &partition);
        self.notice_leadership(&partition);
        self.attend(&partition);
    }

    /// A partition leaves service.
    pub(crate) fn unhost(self: &Rc<Self>, partition: &Rc<Partition>) {
        self.coordinators.partition_closed(partition);
    }

    /// Tells everybody whom it concerns that a partition is led here now, or not any more.
    pub(crate) fn notice_leadership(self: &Rc<Self>, partition: &Rc<Partition>) {
        match partition.take_leadership() {
            Some(Leadership::Won(epoch)) => {
                self.counters().elections.add(1);
                let led = self.begin_in_sync(partition, epoch);
                self.peers.lead(vec![led]);
                self.coordinators.partition_led(partition);
            }
            Some(Leadership::Lost) => {
                let now = self.clock.now();
                self.peers.note_unsettled(now, SUCCESSION_TIME);
                self.coordinators.partition_lost(partition);
            }
            None => {}
        }
        if partition.take_recovered() {
            self.log_dirs.note_recovered(partition.id());
        }
    }

    /// Those who were in sync with the leader before begin so with this one, if they are reached.
    fn begin_in_sync(&self, partition: &Partition, epoch: LeaderEpoch) -> Led {
        let before = self.peers.in_sync(partition.group());
        let was_in = |broker: &BrokerId| {
            let before = before.as_ref();
            before.is_none_or(|before| before.contains(broker))
        };
        let reached = self.peers.alive().into_iter().filter(was_in);
        partition.begin_in_sync(self.clock.now(), self.node_id, epoch, reached)
    }

    /// Has the leadership of a partition given to another broker; `false` if it is not led here, or
    /// that broker holds no replica.
    pub(crate) fn hand_over(self: &Rc<Self>, group: Group, to: BrokerId) -> bool {
        let Some(partition) = self.hosted(group) else {
            return false;
        };
        let replica = partition.replica_on(to);
        let Some(replica) = replica.filter(|_| partition.driver().is_leader()) else {
            return false;
        };
        let now = self.clock.now();
        self.peers.note_unsettled(now, SUCCESSION_TIME);
        partition.drive(|driver, outcomes| driver.transfer_leadership(now, replica, outcomes));
        self.attend(&partition);
        self.peers.flush();
        true
    }

    /// Some partitions, or none, could not be opened: whether to try again from time to time.
    pub(crate) fn note_unopened(&self, count: usize) {
        self.unopened.set(self.unopened.get() || count > 0);
    }

    /// Whether some could not be opened since the last call.
    pub(crate) fn take_unopened(&self) -> bool {
        self.unopened.take()
    }

    /// Removes the files of a deleted partition in the background, once `file.delete.delay.ms`
    /// has passed. Those that are still there when the process ends go at the next start.
    pub(crate) fn remove_files(self: &Rc<Self>, delay: Duration, ticket: DeleteLogTicket) {
        let shard = self.clone();
        tasks::spawn(async move {
            tokio::time::sleep(delay).await;
            if let Err(error) = shard.background.run(move || ticket.run()).await {
                tracing::error!(%error, "files of a deleted partition cannot be removed");
            }
        });
    }

    /// Makes it durable that segments have left the log. Their files go like those of a deleted
    /// partition.
    pub(crate) async fn drop_segments(
        self: &Rc<Self>,
        partition: &Rc<Partition>,
        ticket: DeleteTicket,
    ) -> Result<(), AppendError> {
        let deleted = ticket.segment_count() as u64;
        self.counters().segments_deleted.add(deleted);
        let work = partition.begin_work();
        let (ticket, durable) = self
            .background
            .run(move || {
                let durable = ticket.make_durable();
                (ticket, durable)
            })
            .await;
        durable?;
        let (shard, partition) = (self.clone(), partition.clone());
        tasks::spawn(async move {
            // Whoever takes the partition out of service may wait for it.
            partition.linger(deletion_delay(&partition)).await;
            if let Err(error) = shard.background.run(move || ticket.run()).await {
                tracing::error!(partition = %partition.id(), %error, "files of old segments cannot be removed");
            }
            drop(work);
        });
        Ok(())
    }

    /// Gives partitions the settings that now hold for their topics.
    pub(crate) fn reconfigure<'a>(&self, partitions: impl Iterator<Item = &'a Rc<Partition>>) {
        let (config, image) = (self.config(), self.image());
        let now = self.clock.now();
        let mut known: Option<(&str, Rc<TopicConfig>)> = None;
        let mut changed = Vec::new();
        for partition in partitions {
            let name = partition.id().topic.as_str();
            let settings = match &known {
                Some((last, settings)) if *last == name => settings.clone(),
                _ => hosting::topic_config(&config, &image, name),
            };
            known = Some((name, settings.clone()));
            let log_config = hosting::log_config(&settings, &config);
            partition.set_config(now, settings, log_config);
            changed.push(partition.clone());
        }
        // Another `flush.messages` may have let records become visible at once.
        self.settle(&changed);
    }

    // ---- Turns ----

    /// Stages a batch; what becomes of it is told to `target`, if there is one, unless an error
    /// is returned.
    pub(crate) fn append(
        &self,
        partition: &Rc<Partition>,
        batch: RecordBatch,
        origin: AppendOrigin,
        when: AckWhen,
        target: Option<(Rc<dyn AckTarget>, usize)>,
    ) -> Result<Staged, StageError> {
        let records = batch
            .next_offset()
            .since(batch.base_offset())
            .unsigned_abs();
        let bytes = batch.size_bytes() as u64;
        let staged = partition
            .stage(batch, origin)
            .inspect_err(|_| self.notice_failure(partition))?;
        if let Staged::Appended { .. } = staged {
            partition.traffic().appended.add(records, bytes);
            self.counters().appended.add(records, bytes);
            self.net.meter.staged(records);
        }
        if let Some((target, part)) = target {
            partition.acknowledge_when(when, &staged, target, part);
        }
        self.touch(partition);
        Ok(staged)
    }

    /// Appends a batch of the broker's own, and waits until it is visible.
    pub(crate) async fn append_and_wait(
        &self,
        partition: &Rc<Partition>,
        batch: RecordBatch,
        origin: AppendOrigin,
    ) -> Result<Offset, ErrorCode> {
        let (sender, receiver) = oneshot::channel();
        let target = Rc::new(Told(Cell::new(Some(sender))));
        let staged = self
            .append(
                partition,
                batch,
                origin,
                AckWhen::Visible,
                Some((target, 0)),
            )
            .map_err(|error| crate::handler::errors::of_stage(&error))?;
        let (Staged::Appended { last_offset, .. } | Staged::Duplicate { last_offset, .. }) = staged;
        receiver
            .await
            .unwrap_or(Err(ErrorCode::UnknownServerError))?;
        Ok(last_offset)
    }

    /// A batch was refused. If that was because the disk has just failed, the partition learns of it in the
    /// next turn: it would go on leading, and refuse everything, where others could take over.
    fn notice_failure(&self, partition: &Rc<Partition>) {
        if partition.wants_turn() {
            self.touch(partition);
        }
    }

    /// The partition takes part in the next turn.
    pub(crate) fn touch(&self, partition: &Rc<Partition>) {
        if partition.touch() {
            self.touched.borrow_mut().push(partition.clone());
            self.net.meter.want_turn();
        }
    }

    /// Runs turns as they are wanted.
    pub(crate) async fn run_turns(self: Rc<Self>) {
        loop {
            self.net.meter.turn_wanted().await;
            self.turn();
            // Who was answered may have appended again.
            if !self.touched.borrow().is_empty() {
                self.net.meter.want_turn();
            }
        }
    }

    fn turn(self: &Rc<Self>) {
        let touched = self.touched.take();
        if touched.is_empty() {
            return self.net.meter.end_idle();
        }
        let (staged, wall) = (self.clock.now(), self.clock.wall());
        let mut written = staged;
        // Followers write while this broker does.
        for partition in &touched {
            partition.turn(written, wall);
            self.send_outgoing(partition);
        }
        self.peers.flush();
        for partition in &touched {
            written = self.write(partition, written, wall);
            self.send_outgoing(partition);
        }
        self.settle(&touched);
        self.peers.flush();
        let now = self.clock.now();
        self.net.meter.end(Marks { staged, written }, now);
        for partition in &touched {
            self.keep_time(partition);
            self.notice_leadership(partition);
            self.sync_journal_when_due(partition);
            self.sync_when_due(partition, now);
            self.prepare_when_due(partition);
        }
    }

    /// Writes what the partition's replica wants written, or has it written; what time it is then.
    fn write(
        self: &Rc<Self>,
        partition: &Rc<Partition>,
        mut now: Instant,
        wall: Timestamp,
    ) -> Instant {
        while let Some(ticket) = partition.begin_write(now, wall) {
            let writer = partition.writer();
            if writer.is_offloading(now) {
                let written = writer.clone().write_there(ticket);
                self.take_back(partition.clone(), written);
                break;
            }
            let done;
            (done, now) = writer.write_here(ticket);
            self.write_finished(partition, now, done);
        }
        now
    }

    fn write_finished(&self, partition: &Partition, now: Instant, done: AppendDone) {
        let rolled = partition.write_finished(now, done);
        self.counters().segments_rolled.add(u64::from(rolled));
    }

    /// Takes a write back that was made elsewhere; who waits for it is told in the next turn.
    fn take_back(
        self: &Rc<Self>,
        partition: Rc<Partition>,
        written: impl Future<Output = AppendDone> + 'static,
    ) {
        let shard = self.clone();
        let work = partition.begin_work();
        tasks::spawn(async move {
            let done = written.await;
            drop(work);
            shard.write_finished(&partition, shard.clock.now(), done);
            shard.touch(&partition);
            shard.written.notify_waiters();
        });
    }

    /// Waits until nothing is being written to any of them.
    pub(crate) async fn finish_writes(&self, partitions: &[Rc<Partition>]) {
        while partitions
            .iter()
            .any(|partition| partition.driver().is_writing())
        {
            self.written.notified().await;
        }
    }

    /// Has the next segment made in the background when the active one is nearly full, so that a
    /// roll on the data plane neither creates, allocates nor maps a file.
    fn prepare_when_due(self: &Rc<Self>, partition: &Rc<Partition>) {
        let Some(ticket) = partition.driver_mut().log_mut().prepare() else {
            return;
        };
        let (shard, partition) = (self.clone(), partition.clone());
        let work = partition.begin_work();
        tasks::spawn(async move {
            let prepared = shard.background.run(move || ticket.run()).await;
            drop(work);
            partition.driver_mut().log_mut().prepared(prepared);
        });
    }

    /// Tells consumers, then producers, what has changed, with one write per socket.
    pub(crate) fn settle(&self, partitions: &[Rc<Partition>]) {
        self.net.batch(|| {
            for partition in partitions {
                partition.wake_waiters();
            }
            for partition in partitions {
                partition.acknowledge();
            }
        });
    }

    // ---- fsync ----

    /// Starts the partition's fsync if it is due, otherwise leaves it to the flusher.
    fn sync_when_due(self: &Rc<Self>, partition: &Rc<Partition>, now: Instant) {
        let Some(due) = partition.driver_mut().sync_deadline(now) else {
            return;
        };
        if due <= now {
            self.start_sync(partition);
        } else if partition.note_unsynced() {
            self.unsynced.borrow_mut().push(partition.clone());
        }
    }

    /// Starts every fsync that has become due: the flusher's tick
    /// (`log.flush.scheduler.interval.ms`).
    pub(crate) fn flush_due(self: &Rc<Self>) {
        for partition in self.unsynced.take() {
            partition.forget_unsynced();
            self.sync_when_due(&partition, self.clock.now());
        }
    }

    fn start_sync(self: &Rc<Self>, partition: &Rc<Partition>) {
        let mut outcomes = Vec::new();
        let ticket = partition.driver_mut().begin_sync(&mut outcomes);
        self.take_in(partition, &mut outcomes);
        let Some(ticket) = ticket else {
            // A full disk has no room for the indexes, or a sync is on its way: the flusher comes
            // back to what is left then.
            if partition.note_unsynced() {
                self.unsynced.borrow_mut().push(partition.clone());
            }
            return;
        };
        let (shard, partition) = (self.clone(), partition.clone());
        let work = partition.begin_work();
        tasks::spawn(async move {
            let clock = shard.clock;
            let sync = move || clock.timed(|| ticket.run());
            let (done, took) = shard.background.run(sync).await;
            drop(work);
            shard.counters().fsync_times.observe_time(took);
            let now = clock.now();
            partition.drive(|driver, outcomes| driver.sync_finished(now, done, outcomes));
            shard.settle(std::slice::from_ref(&partition));
            shard.attend(&partition);
            shard.peers.flush();
            // What was appended meanwhile may be waited for as well.
            shard.sync_when_due(&partition, now);
        });
    }

    /// Passes on what a driver reports outside a turn.
    pub(crate) fn take_in(&self, partition: &Rc<Partition>, outcomes: &mut Vec<Outcome>) {
        if !outcomes.is_empty() {
            partition.take_in(outcomes);
            self.settle(std::slice::from_ref(partition));
        }
    }
}

fn deletion_delay(partition: &Partition) -> Duration {
    Duration::from_millis(partition.config().file_delete_delay_ms)
}

/// Passes the fate of one append on to whoever awaits it.
struct Told(Cell<Option<oneshot::Sender<Result<(), ErrorCode>>>>);

impl AckTarget for Told {
    fn acknowledged(self: Rc<Self>, _part: usize, result: Result<(), ErrorCode>) {
        if let Some(sender) = self.0.take() {
            // Nobody may be waiting any more; the append stands all the same.
            sender.send(result).ok();
        }
    }
}
