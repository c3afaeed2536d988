//! One partition of `__consumer_offsets` and the coordinator on top of it.
//!
//! Performs the coordinator's effects: appends become batches of the partition, replies go to
//! whoever asked, deadlines to the shard's purgatory. An append whose fate is not known (the
//! partition went offline, or is led elsewhere) ends the coordinator; if the partition is led
//! here again, another one is loaded.
//!
//! Where the partition is not led, its log is read all the same, as far as it is shown: who leads next
//! serves at once.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use klamm_coordinator::{
    AppendError, AppendId, Config, Effect, Event, GroupCoordinator, GroupError, GroupState, Loader,
    LogRecord, Now, Reply, Request, Token,
};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{LeaderEpoch, TopicPartition};
use klamm_protocol::ErrorCode;
use klamm_storage::ReadError;
use tokio::sync::Notify;

use super::load::Progress;
use crate::config::BrokerConfig;
use crate::entropy;
use crate::partition::acks::AckTarget;
use crate::partition::driver::{AppendOrigin, StageError};
use crate::partition::{AckWhen, Partition, Waiter};
use crate::purgatory::{Delayed, Ticket};
use crate::shard::Shard;
use crate::tasks;

/// Where a reply goes.
pub(super) type Respond = Box<dyn FnOnce(Reply)>;

/// See the [module](self).
pub(super) struct GroupPartition {
    us: Weak<Self>,
    shard: Weak<Shard>,
    partition: Rc<Partition>,
    state: RefCell<State>,
    /// How far the log has been read; `None` while it is being read, and once it is served.
    progress: RefCell<Option<Progress>>,
    /// How often it was begun anew.
    readings: Cell<u64>,
    /// There may be more to read.
    more: Rc<More>,
    waiting: RefCell<BTreeMap<Token, Waiting>>,
    next_token: Cell<u64>,
    /// Events that came while one was handled.
    events: RefCell<VecDeque<Event>>,
    handling: Cell<bool>,
    timer: Cell<Option<Ticket>>,
    /// The topic was deleted.
    closed: Cell<bool>,
}

/// Who is to be told the reply, and the time at which it is told that there is none.
struct Waiting {
    respond: Respond,
    late: Option<Ticket>,
}

enum State {
    /// The partition is led elsewhere, or by nobody: its log is read as far as it is shown, so that
    /// little is left to be read when it is led here.
    Following,
    /// It is led here since this epoch, and the rest of its log is being read.
    Loading(LeaderEpoch),
    Serving(Box<Serving>),
    /// Its log cannot be read.
    Broken,
}

struct Serving {
    coordinator: GroupCoordinator,
    /// The leadership it was loaded in.
    epoch: LeaderEpoch,
    acks: Rc<Acks>,
}

/// Wakes whoever reads the log.
#[derive(Default)]
struct More(Notify);

impl Waiter for More {
    fn woken(self: Rc<Self>, _bytes: usize) {
        self.0.notify_one();
    }
}

impl GroupPartition {
    /// Loads the coordinator: at once if there is nothing to read, else in the background.
    pub(super) fn open(shard: &Rc<Shard>, partition: Rc<Partition>) -> Rc<Self> {
        let more = Rc::new(More::default());
        partition.add_waiter(more.clone());
        let group_partition = Rc::new_cyclic(|us| Self {
            us: us.clone(),
            shard: Rc::downgrade(shard),
            progress: RefCell::new(Some(Progress::start(&partition))),
            readings: Cell::new(0),
            more,
            partition,
            state: RefCell::new(State::Following),
            waiting: RefCell::default(),
            next_token: Cell::new(0),
            events: RefCell::default(),
            handling: Cell::new(false),
            timer: Cell::new(None),
            closed: Cell::new(false),
        });
        tasks::spawn(group_partition.clone().read_log());
        group_partition.load();
        group_partition
    }

    /// The partition is deleted: whoever waits is told to look for the coordinator anew.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.more.0.notify_one();
        self.handle(Event::Resigned);
    }

    /// Whether the partition is led here.
    pub(super) fn leads(&self) -> bool {
        let driver = self.partition.driver();
        driver.is_leader() && driver.offline().is_none()
    }

    pub(super) fn request(&self, request: Request, respond: Respond) {
        self.load_if_away();
        if let Err(error) = self.availability() {
            return respond(request.refused(error));
        }
        let token = Token(self.next_token.get());
        self.next_token.set(token.0 + 1);
        let late = self.limit_wait(token, &request);
        let waiting = Waiting { respond, late };
        self.waiting.borrow_mut().insert(token, waiting);
        self.handle(Event::Request { token, request });
    }

    /// What waits for nothing but the log is answered after `offsets.commit.timeout.ms` at the
    /// latest. The append stands all the same, and counts if it comes through.
    fn limit_wait(&self, token: Token, request: &Request) -> Option<Ticket> {
        match request {
            Request::OffsetCommit(_) | Request::OffsetDelete(_) | Request::DeleteGroup { .. } => {}
            Request::Join(_) | Request::Sync(_) | Request::Heartbeat(_) | Request::Leave(_) => {
                return None;
            }
        }
        let shard = self.shard.upgrade()?;
        let deadline = shard.clock.now() + shard.config().offsets.commit_timeout;
        let late = Late {
            owner: self.us.clone(),
            token,
            reply: Cell::new(Some(request.refused(GroupError::CoordinatorNotAvailable))),
        };
        Some(shard.purgatory.insert(deadline, Rc::new(late)))
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&GroupCoordinator) -> T,
    ) -> Result<T, GroupError> {
        self.load_if_away();
        self.availability()?;
        match &*self.state.borrow() {
            State::Serving(serving) => Ok(read(&serving.coordinator)),
            _ => Err(GroupError::NotCoordinator),
        }
    }

    /// Groups by state; `None` if it does not serve. Unlike a request it loads nothing.
    pub(super) fn count_groups(&self) -> Option<BTreeMap<GroupState, usize>> {
        match &*self.state.borrow() {
            State::Serving(serving) => Some(serving.coordinator.count_groups()),
            _ => None,
        }
    }

    /// Partitions of another topic are gone.
    pub(super) fn partitions_deleted(&self, ids: Vec<TopicPartition>) {
        self.handle(Event::PartitionsDeleted(ids));
    }

    /// The partition is led here now, in an epoch that is new.
    pub(super) fn led(&self) {
        self.lost();
        self.load();
    }

    /// The partition is not led here any more: whoever waits looks for the coordinator elsewhere.
    pub(super) fn lost(&self) {
        let is_serving = matches!(*self.state.borrow(), State::Serving(_));
        if is_serving {
            self.handle(Event::Resigned);
        } else if matches!(*self.state.borrow(), State::Loading(_)) {
            // It may have read what no majority has.
            self.follow();
        }
    }

    fn availability(&self) -> Result<(), GroupError> {
        match &*self.state.borrow() {
            State::Serving(_) => Ok(()),
            State::Loading(_) => Err(GroupError::CoordinatorLoadInProgress),
            State::Following | State::Broken => Err(GroupError::NotCoordinator),
        }
    }

    // ---- Loading ----

    /// Who was refused what it wanted to append, or could not read, tries again when it is asked.
    fn load_if_away(&self) {
        if matches!(*self.state.borrow(), State::Following | State::Broken) {
            self.load();
        }
    }

    /// Serves, if the partition is led here, as soon as all of its log has been read.
    fn load(&self) {
        if !self.leads() || self.closed.get() {
            return;
        }
        let was_broken = matches!(*self.state.borrow(), State::Broken);
        let epoch = self.partition.driver().leader_epoch();
        self.state.replace(State::Loading(epoch));
        if was_broken {
            self.progress
                .replace(Some(Progress::start(&self.partition)));
        }
        if !self.serve_if_read() {
            self.more.0.notify_one();
        }
    }

    /// Reads the log, on its own task, whoever leads.
    async fn read_log(self: Rc<Self>) {
        while !self.closed.get() {
            let Some(mut progress) = self.next_to_read() else {
                self.more.0.notified().await;
                continue;
            };
            let reading = self.readings.get();
            let read = self.read_piece(&mut progress).await;
            if self.readings.get() != reading {
                continue;
            }
            match read {
                Ok(()) => {
                    self.progress.replace(Some(progress));
                    self.serve_if_read();
                }
                Err(error) => {
                    tracing::error!(partition = %self.partition.id(), %error, "groups cannot be loaded");
                    self.state.replace(State::Broken);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes the progress, if there is more to be read.
    fn next_to_read(&self) -> Option<Progress> {
        let end = {
            let driver = self.partition.driver();
            match *self.state.borrow() {
                State::Following => driver.high_watermark(),
                State::Loading(_) => driver.log_end_offset(),
                State::Serving(_) | State::Broken => return None,
            }
        };
        let mut progress = self.progress.take()?;
        progress.extend_to(end);
        if progress.is_done() {
            self.progress.replace(Some(progress));
            return None;
        }
        Some(progress)
    }

    /// Serves, if the partition is led here and nothing is left to be read; whether it does.
    fn serve_if_read(&self) -> bool {
        let State::Loading(epoch) = *self.state.borrow() else {
            return false;
        };
        if !self.leads() || self.partition.driver().leader_epoch() != epoch {
            return false;
        }
        let end = self.partition.driver().log_end_offset();
        let is_read = |progress: &mut Progress| {
            progress.extend_to(end);
            progress.is_done()
        };
        let read = self.progress.borrow_mut().take_if(is_read);
        match (self.shard.upgrade(), read) {
            (Some(shard), Some(progress)) => {
                self.serve(&shard, progress.into_loader(), epoch);
                true
            }
            _ => false,
        }
    }

    async fn read_piece(&self, progress: &mut Progress) -> Result<(), ReadError> {
        let ticket = progress.advance(&self.partition)?;
        let (Some(ticket), Some(shard)) = (ticket, self.shard.upgrade()) else {
            return Ok(());
        };
        let populated = shard.background.populate(ticket).await;
        self.partition.driver_mut().log_mut().populated(populated)
    }

    fn serve(&self, shard: &Shard, loader: Loader, epoch: LeaderEpoch) {
        let mut effects = Vec::new();
        let config = config_of(&shard.config());
        let coordinator = loader.finish(config, entropy::random_bytes(), now(shard), &mut effects);
        let acks = Rc::new(Acks {
            owner: self.us.clone(),
        });
        let serving = Serving {
            coordinator,
            epoch,
            acks,
        };
        self.state.replace(State::Serving(Box::new(serving)));
        self.perform(shard, effects);
        self.handle_all(shard);
    }

    // ---- Events and effects ----

    fn handle(&self, event: Event) {
        self.events.borrow_mut().push_back(event);
        if let Some(shard) = self.shard.upgrade() {
            self.handle_all(&shard);
        }
    }

    /// Handles events until there are none. A reply or an append may cause another one.
    fn handle_all(&self, shard: &Shard) {
        if self.handling.replace(true) {
            return;
        }
        // Replies to many members leave together.
        shard.net.batch(|| {
            while let Some(event) = self.next_event() {
                let resigned = matches!(event, Event::Resigned);
                let mut effects = Vec::new();
                if let State::Serving(serving) = &mut *self.state.borrow_mut() {
                    serving.coordinator.handle(now(shard), event, &mut effects);
                }
                if resigned {
                    self.follow();
                }
                self.perform(shard, effects);
            }
        });
        self.handling.set(false);
        self.set_timer(shard);
    }

    /// Begins anew to read the log: what was in memory may never have been appended.
    fn follow(&self) {
        self.state.replace(State::Following);
        self.readings.set(self.readings.get() + 1);
        self.progress
            .replace(Some(Progress::start(&self.partition)));
        self.more.0.notify_one();
    }

    fn next_event(&self) -> Option<Event> {
        self.events.borrow_mut().pop_front()
    }

    fn perform(&self, shard: &Shard, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply { token, reply } => {
                    // It may have been answered because it took too long.
                    let waiting = self.waiting.borrow_mut().remove(&token);
                    if let Some(Waiting { respond, late }) = waiting {
                        late.into_iter()
                            .for_each(|ticket| shard.purgatory.remove(ticket));
                        respond(reply);
                    }
                }
                Effect::Append { append_id, records } => self.append(shard, append_id, &records),
            }
        }
    }

    fn append(&self, shard: &Shard, append_id: AppendId, records: &[LogRecord]) {
        let (epoch, acks) = match &*self.state.borrow() {
            State::Serving(serving) => (serving.epoch, serving.acks.clone()),
            // It has resigned in the same breath, and so has whoever asked.
            _ => return,
        };
        let mut batch = BatchBuilder::new();
        let timestamp = shard.clock.wall();
        for LogRecord { key, value } in records {
            batch.append(timestamp, Some(key), value.as_deref(), &[]);
        }
        let origin = AppendOrigin::Coordinator {
            leader_epoch: epoch,
        };
        let part = usize::try_from(append_id.0).expect("usize has 64 bits");
        let target: (Rc<dyn AckTarget>, usize) = (acks, part);
        let appended = shard.append(
            &self.partition,
            batch.build(),
            origin,
            AckWhen::Visible,
            Some(target),
        );
        if let Err(error) = appended {
            let result = Err(refusal(&error));
            self.events
                .borrow_mut()
                .push_back(Event::Appended { append_id, result });
            if matches!(error, StageError::NotLeader | StageError::Offline) {
                self.events.borrow_mut().push_back(Event::Resigned);
            }
        }
    }

    fn acknowledged(&self, acks: &Rc<Acks>, append_id: AppendId, result: Result<(), ErrorCode>) {
        let is_current = match &*self.state.borrow() {
            State::Serving(serving) => Rc::ptr_eq(&serving.acks, acks),
            _ => false,
        };
        if !is_current {
            return;
        }
        match result {
            Ok(()) => self.handle(Event::Appended {
                append_id,
                result: Ok(()),
            }),
            Err(error) => {
                tracing::warn!(partition = %self.partition.id(), error = error.name(),
                    "groups are given up: an append came to nothing");
                self.handle(Event::Resigned);
            }
        }
    }

    // ---- Time ----

    fn set_timer(&self, shard: &Shard) {
        let deadline = match &*self.state.borrow() {
            State::Serving(serving) => serving.coordinator.next_deadline(),
            _ => None,
        };
        if self.timer.get().map(|(at, _)| at) == deadline {
            return;
        }
        if let Some(ticket) = self.timer.take() {
            shard.purgatory.remove(ticket);
        }
        if let (Some(deadline), Some(us)) = (deadline, self.us.upgrade()) {
            self.timer.set(Some(shard.purgatory.insert(deadline, us)));
        }
    }
}

impl Delayed for GroupPartition {
    /// Requests that have arrived come first: a heartbeat that is here is not too late.
    fn expire(self: Rc<Self>) {
        self.timer.set(None);
        tasks::spawn(async move {
            tokio::task::yield_now().await;
            self.handle(Event::DeadlineReached);
        });
    }
}

/// A request whose time is up, and the reply that says so.
struct Late {
    owner: Weak<GroupPartition>,
    token: Token,
    reply: Cell<Option<Reply>>,
}

impl Delayed for Late {
    fn expire(self: Rc<Self>) {
        let Some(owner) = self.owner.upgrade() else {
            return;
        };
        let waiting = owner.waiting.borrow_mut().remove(&self.token);
        if let (Some(waiting), Some(reply)) = (waiting, self.reply.take()) {
            (waiting.respond)(reply);
        }
    }
}

/// Tells the coordinator of one loading what has become of its appends.
struct Acks {
    owner: Weak<GroupPartition>,
}

impl AckTarget for Acks {
    fn acknowledged(self: Rc<Self>, part: usize, result: Result<(), ErrorCode>) {
        if let Some(owner) = self.owner.upgrade() {
            owner.acknowledged(&self, AppendId(part as u64), result);
        }
    }
}

fn refusal(error: &StageError) -> AppendError {
    match error {
        StageError::NotLeader => AppendError::NotLeader,
        StageError::NoSpace | StageError::Offline => AppendError::Storage,
        StageError::BatchTooLarge { .. } => AppendError::TooLarge,
        StageError::Overloaded => AppendError::NotAvailable,
        StageError::Producer(_) => unreachable!("our batches have no producer"),
    }
}

fn now(shard: &Shard) -> Now {
    Now {
        instant: shard.clock.now(),
        wall: shard.clock.wall(),
    }
}

fn config_of(config: &BrokerConfig) -> Config {
    let millis = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
    Config {
        session_timeout_min_ms: millis(config.groups.min_session_timeout),
        session_timeout_max_ms: millis(config.groups.max_session_timeout),
        initial_rebalance_delay: config.groups.initial_rebalance_delay,
        group_max_size: config.groups.max_size,
        offset_metadata_max: config.offsets.metadata_max_bytes,
        offsets_retention: config.offsets.retention,
        offsets_retention_check_interval: config.offsets.retention_check_interval,
    }
}
