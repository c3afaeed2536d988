//! One life of a broker: its log directory, the partitions that it hosts, its image of the metadata, and
//! what it knows of the others. Synchronous: it is told what happened, and says what is to be done.
//!
//! Drivers, replicas, logs, the metadata's decisions and image, the coordinator and the steps of
//! reassignments are the product's. What the product does in its asynchronous shell (applying the metadata,
//! opening partitions, answering) is written again here, as thin as it can be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use klamm_broker::controller::patience::Patience;
use klamm_broker::partition::driver::{AppendOrigin, Outcome, PartitionDriver, StageError, Staged};
use klamm_coordinator::{AppendError, AppendId, Now};
use klamm_metadata::MetadataImage;
use klamm_model::{Instant, LeaderEpoch, Offset, RecordBatch, TopicId, TopicPartition};
use klamm_replication::{ReplicaId, frame};
use klamm_simulation::Random;
use klamm_storage::LogDir;

use super::changes::Changes;
use super::groups::{GroupEffect, Groups};
use super::hosted::{Hosted, Waiting, Who, batches};
use super::messages::{Asker, Group, Message, Refusal, Reply};
use super::rules::{METADATA, Rules, Sabotage};

/// See the module.
pub(super) struct Process {
    /// Its place among the brokers.
    pub(super) own: usize,
    pub(super) incarnation: TopicId,
    pub(super) rules: Arc<Rules>,
    pub(super) random: Random,
    pub(super) image: MetadataImage,
    /// The first record that the image does not hold.
    pub(super) applied: Offset,
    /// Whether the cluster knows that it has started, and it knows all that was decided before.
    pub(super) is_known: bool,
    pub(super) changes: Changes,
    /// When it is looked for partitions that could not be opened.
    pub(super) looks_at: Instant,
    pub(super) patience: Patience,
    /// Who leads what, as far as it has heard.
    pub(super) leaders: BTreeMap<Group, (LeaderEpoch, usize)>,
    /// The brokers that are reached, itself among them.
    pub(super) reached: BTreeSet<usize>,
    // Dropped in this order: logs before their directory.
    pub(super) hosted: BTreeMap<Group, Hosted>,
    pub(super) journal_sync_is_wanted: bool,
    /// The journal has failed, as was found when a partition was to be opened.
    pub(super) journal_is_offline: bool,
    pub(super) dir: LogDir,
}

/// What is to be done for a process.
#[derive(Debug)]
pub(super) enum Effect {
    Send {
        to: usize,
        message: Message,
    },
    Reply {
        asker: Asker,
        reply: Reply,
    },
    /// To be told when the write has been made.
    Write(Group),
    /// The same of an fsync.
    Sync(Group),
    SyncJournal,
    /// For the checks: this broker leads the group from now on.
    Led {
        group: Group,
        epoch: LeaderEpoch,
    },
    /// For the faults: this broker leads the group no more.
    Deposed,
    /// For the faults: what others went on without is cut off its log.
    Corrected(Group),
    /// For the checks: the replica shows these batches.
    Shown {
        group: Group,
        batches: Vec<RecordBatch>,
    },
    /// For the checks: the image as it is below this offset.
    Applied {
        offset: Offset,
        image: MetadataImage,
    },
    /// For the trace.
    Note(String),
}

/// What one event has to work with.
pub(super) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) effects: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    pub(super) fn reply(&mut self, asker: Asker, reply: Reply) {
        self.effects.push(Effect::Reply { asker, reply });
    }

    pub(super) fn refuse(&mut self, asker: Asker, refusal: Refusal) {
        self.reply(asker, Reply::Refused(refusal));
    }
}

impl Process {
    // ---- Work of drivers ----

    /// Lets a driver do something, and does what follows from it.
    pub(super) fn drive(
        &mut self,
        group: Group,
        turn: &mut Turn<'_>,
        work: impl FnOnce(&mut Hosted, &mut Vec<Outcome>),
    ) {
        let Some(hosted) = self.hosted.get_mut(&group) else {
            return;
        };
        let mut outcomes = Vec::new();
        let before = (
            hosted.driver.high_watermark(),
            hosted.driver.committed_offset(),
        );
        work(hosted, &mut outcomes);
        check_order(&hosted.driver, before);
        for outcome in outcomes {
            self.take_in(group, turn, outcome);
        }
        self.settle(group, turn);
    }

    fn take_in(&mut self, group: Group, turn: &mut Turn<'_>, outcome: Outcome) {
        let own = self.own;
        let hosted = self.hosted.get_mut(&group).expect("it is hosted");
        match &outcome {
            Outcome::HighWatermarkMoved { .. } | Outcome::CommitMoved { .. } => {}
            other => {
                let line = format!("{}: {} {other:?}", own + 1, hosted.id);
                turn.effects.push(Effect::Note(line));
            }
        }
        match outcome {
            Outcome::BecameLeader { epoch, .. } => {
                self.leaders.insert(group, (epoch, own));
                turn.effects.push(Effect::Led { group, epoch });
                self.tell_all(turn, &Message::Leads(vec![(group, epoch)]));
                self.serve_groups(group, turn, epoch);
                if self.rules.sabotages(Sabotage::ProducersAreForgotten)
                    && let Some(hosted) = self.hosted.get_mut(&group)
                {
                    let for_ever = klamm_model::Timestamp(i64::MAX / 2);
                    hosted.driver.log_mut().expire_producers(for_ever);
                }
            }
            Outcome::LostLeadership | Outcome::StagedDropped { .. } | Outcome::Offline { .. } => {
                turn.effects.push(Effect::Deposed);
                self.fail_waiting(group, turn, Refusal::NotLeader);
                self.lose_groups(group, turn);
                if group == METADATA {
                    self.give_up_changes(turn);
                }
            }
            Outcome::Truncated { lost_visible, .. } => {
                assert!(!lost_visible, "what was shown is cut");
                turn.effects.push(Effect::Corrected(group));
            }
            Outcome::CopyWanted { .. } => unreachable!("no log is shortened"),
            Outcome::HighWatermarkMoved { .. }
            | Outcome::CommitMoved { .. }
            | Outcome::Recovered
            | Outcome::ArchiveMoved { .. }
            | Outcome::MembersChanged { .. } => {}
        }
    }

    /// Everything that may follow when something has happened to a partition.
    fn settle(&mut self, group: Group, turn: &mut Turn<'_>) {
        self.send_outgoing(group, turn);
        self.look_at_what_is_shown(group, turn);
        self.acknowledge(group, turn);
        self.follow_groups(group);
        self.begin_work(group, turn);
        if group == METADATA {
            self.follow_metadata(turn);
            self.decide(turn);
        }
    }

    fn send_outgoing(&mut self, group: Group, turn: &mut Turn<'_>) {
        let Some(hosted) = self.hosted.get_mut(&group) else {
            return;
        };
        for outgoing in hosted.driver.take_outgoing() {
            let Some(to) = hosted.broker_of(outgoing.envelope.to) else {
                continue;
            };
            let bytes = frame::encode(&outgoing.envelope, &outgoing.entries, frame::Format::Two);
            let bytes = bytes.concat().into();
            let message = Message::Replica { group, bytes };
            turn.effects.push(Effect::Send { to, message });
        }
    }

    fn look_at_what_is_shown(&mut self, group: Group, turn: &mut Turn<'_>) {
        let Some(hosted) = self.hosted.get_mut(&group) else {
            return;
        };
        let shown = hosted.driver.high_watermark();
        if hosted.looked_to >= shown {
            return;
        }
        if let Ok(batches) = batches(hosted.driver.log_mut(), hosted.looked_to, shown) {
            hosted.looked_to = shown;
            turn.effects.push(Effect::Shown { group, batches });
        }
    }

    fn acknowledge(&mut self, group: Group, turn: &mut Turn<'_>) {
        let Some(hosted) = self.hosted.get_mut(&group) else {
            return;
        };
        let end = match self.rules.sabotages(Sabotage::AckByLeaderAlone) {
            true => hosted.driver.log_end_offset(),
            false => hosted.driver.high_watermark(),
        };
        let done: Vec<_> = hosted
            .waiting
            .extract_if(.., |waiting| waiting.end <= end)
            .collect();
        for waiting in done {
            let epoch = self.hosted[&group].driver.leader_epoch();
            assert_eq!(waiting.epoch, epoch, "who waits is told of a new epoch");
            match waiting.who {
                Who::Producer { asker, base_offset } => {
                    turn.reply(asker, Reply::Produced { base_offset });
                }
                Who::Coordinator(append_id) => self.appended(group, turn, append_id, Ok(())),
            }
        }
    }

    fn begin_work(&mut self, group: Group, turn: &mut Turn<'_>) {
        let Some(hosted) = self.hosted.get_mut(&group) else {
            return;
        };
        let mut outcomes = Vec::new();
        let driver = &mut hosted.driver;
        if hosted.write.is_none() && driver.wants_write() {
            hosted.write = driver.begin_write(turn.now.instant, turn.now.wall, &mut outcomes);
            turn.effects
                .extend(hosted.write.is_some().then_some(Effect::Write(group)));
        }
        let is_due = driver.sync_deadline(turn.now.instant);
        if hosted.sync.is_none() && is_due.is_some_and(|due| due <= turn.now.instant) {
            hosted.sync = driver.begin_sync(&mut outcomes);
            turn.effects
                .extend(hosted.sync.is_some().then_some(Effect::Sync(group)));
        }
        if driver.awaits_journal() && !self.journal_sync_is_wanted {
            self.journal_sync_is_wanted = true;
            turn.effects.push(Effect::SyncJournal);
        }
        for outcome in outcomes {
            self.take_in(group, turn, outcome);
        }
    }

    /// A write of this partition has been made.
    pub(super) fn written(&mut self, group: Group, turn: &mut Turn<'_>) {
        let instant = turn.now.instant;
        self.drive(group, turn, |hosted, outcomes| {
            if let Some(ticket) = hosted.write.take() {
                hosted
                    .driver
                    .write_finished(instant, ticket.run(), outcomes);
            }
        });
    }

    /// An fsync of this partition has been made.
    pub(super) fn synced(&mut self, group: Group, turn: &mut Turn<'_>) {
        let instant = turn.now.instant;
        self.drive(group, turn, |hosted, outcomes| {
            if let Some(ticket) = hosted.sync.take() {
                hosted.driver.sync_finished(instant, ticket.run(), outcomes);
            }
        });
    }

    /// The journal is synced, for all partitions that wait for it.
    pub(super) fn journal_synced(&mut self, turn: &mut Turn<'_>) {
        self.journal_sync_is_wanted = false;
        let waits =
            |(group, hosted): (&Group, &Hosted)| hosted.driver.awaits_journal().then_some(*group);
        let waiting: Vec<_> = self.hosted.iter().filter_map(waits).collect();
        let result = self.dir.journal().sync();
        let instant = turn.now.instant;
        for group in waiting {
            self.drive(group, turn, |hosted, outcomes| {
                hosted.driver.journal_synced(instant, &result, outcomes);
            });
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        let groups: Vec<_> = self.hosted.keys().copied().collect();
        let instant = turn.now.instant;
        self.look_for_missing(turn);
        for group in groups {
            let Some(hosted) = self.hosted.get_mut(&group) else {
                continue;
            };
            let is_due = hosted
                .driver
                .next_deadline()
                .is_some_and(|due| due <= instant);
            let sync = hosted.driver.sync_deadline(instant);
            if is_due {
                self.drive(group, turn, |hosted, outcomes| {
                    hosted.driver.tick(instant, outcomes);
                });
            } else if sync.is_some_and(|due| due <= instant) {
                self.begin_work(group, turn);
            }
            self.tick_groups(group, turn);
        }
    }

    // ---- Other brokers ----

    pub(super) fn tell_all(&self, turn: &mut Turn<'_>, message: &Message) {
        let others = (0..self.rules.brokers).filter(|other| *other != self.own);
        turn.effects.extend(others.map(|to| Effect::Send {
            to,
            message: message.clone(),
        }));
    }

    /// A message of another replica has come.
    pub(super) fn received(
        &mut self,
        from: usize,
        group: Group,
        bytes: bytes::Bytes,
        turn: &mut Turn<'_>,
    ) {
        let (envelope, entries) = frame::decode(bytes).expect("a whole message");
        let Some(hosted) = self.hosted.get(&group) else {
            return;
        };
        let is_known = hosted.broker_of(envelope.from) == Some(from)
            && hosted.replica_on(self.own) == Some(envelope.to);
        if is_known {
            let instant = turn.now.instant;
            self.drive(group, turn, |hosted, outcomes| {
                hosted.driver.received(instant, envelope, entries, outcomes);
            });
        }
    }

    /// Another broker leads these groups.
    pub(super) fn hear_of_leaders(&mut self, from: usize, leads: &[(Group, LeaderEpoch)]) {
        for (group, epoch) in leads {
            let known = self.leaders.entry(*group).or_insert((*epoch, from));
            if known.0 < *epoch {
                *known = (*epoch, from);
            }
        }
    }

    fn led(&self) -> Vec<(Group, LeaderEpoch)> {
        let led = self.hosted.iter().filter(|(_, hosted)| hosted.leads());
        led.map(|(group, hosted)| (*group, hosted.driver.leader_epoch()))
            .collect()
    }

    /// Says again what is led here: what is lost on the way is sent again, in a real network.
    pub(super) fn tell_leads(&self, turn: &mut Turn<'_>) {
        let led = self.led();
        if !led.is_empty() {
            self.tell_all(turn, &Message::Leads(led));
        }
    }

    /// The connection to a broker begins anew: its replicas are asked how far they have come.
    pub(super) fn greet(&mut self, other: usize, turn: &mut Turn<'_>) {
        self.reached.insert(other);
        let message = Message::Leads(self.led());
        turn.effects.push(Effect::Send { to: other, message });
        let instant = turn.now.instant;
        for (group, replica) in self.shared_with(other) {
            self.drive(group, turn, |hosted, outcomes| {
                hosted.driver.peer_restarted(instant, replica, outcomes);
            });
        }
    }

    /// A broker gives no sign of life.
    pub(super) fn miss(&mut self, other: usize, turn: &mut Turn<'_>) {
        self.reached.remove(&other);
        let instant = turn.now.instant;
        for (group, replica) in self.shared_with(other) {
            self.drive(group, turn, |hosted, outcomes| {
                let newcomers = Vec::new();
                hosted
                    .driver
                    .peer_unreachable(instant, replica, newcomers, outcomes);
            });
        }
    }

    fn shared_with(&self, other: usize) -> Vec<(Group, ReplicaId)> {
        let hosted = self.hosted.iter();
        hosted
            .filter_map(|(group, hosted)| Some((*group, hosted.replica_on(other)?)))
            .collect()
    }

    // ---- Appending ----

    /// Appends what a client has sent.
    pub(super) fn produce(
        &mut self,
        asker: Asker,
        group: Group,
        batch: RecordBatch,
        turn: &mut Turn<'_>,
    ) {
        let staged = match self.hosted.get_mut(&group) {
            Some(hosted) => hosted.driver.stage(batch, AppendOrigin::Client),
            None => Err(StageError::NotLeader),
        };
        match staged {
            Ok(
                Staged::Appended {
                    base_offset,
                    last_offset,
                    ..
                }
                | Staged::Duplicate {
                    base_offset,
                    last_offset,
                    ..
                },
            ) => {
                let who = Who::Producer { asker, base_offset };
                self.wait(group, last_offset.plus(1), who);
                self.turn(group, turn);
            }
            Err(error) => {
                turn.refuse(asker, refusal(&error));
                self.notice_failure(group, turn);
            }
        }
    }

    /// A batch was refused. If that was because the disk has just failed, the partition learns of it.
    pub(super) fn notice_failure(&mut self, group: Group, turn: &mut Turn<'_>) {
        let hosted = self.hosted.get(&group);
        if hosted.is_some_and(|hosted| hosted.driver.is_failing()) {
            self.turn(group, turn);
        }
    }

    /// Whether whoever runs the broker sees that it has to be started again.
    pub(super) fn has_failed(&self) -> bool {
        let is_offline = |hosted: &Hosted| hosted.driver.offline().is_some();
        self.journal_is_offline || self.hosted.values().any(is_offline)
    }

    fn wait(&mut self, group: Group, end: Offset, who: Who) {
        let hosted = self.hosted.get_mut(&group).expect("it leads");
        let epoch = hosted.driver.leader_epoch();
        hosted.waiting.push(Waiting { end, epoch, who });
    }

    /// Appends what the controller has decided; where it ends.
    pub(super) fn stage_decided(
        &mut self,
        batch: RecordBatch,
        leader_epoch: LeaderEpoch,
    ) -> Result<Offset, StageError> {
        let hosted = self.hosted.get_mut(&METADATA).expect("always hosted");
        let origin = AppendOrigin::Coordinator { leader_epoch };
        match hosted.driver.stage(batch, origin)? {
            Staged::Appended { last_offset, .. } => Ok(last_offset.plus(1)),
            Staged::Duplicate { .. } => unreachable!("it has no producer"),
        }
    }

    /// Proposes what is staged.
    pub(super) fn turn(&mut self, group: Group, turn: &mut Turn<'_>) {
        let (instant, wall) = (turn.now.instant, turn.now.wall);
        self.drive(group, turn, |hosted, outcomes| {
            hosted.driver.turn(instant, wall, outcomes);
        });
    }

    fn fail_waiting(&mut self, group: Group, turn: &mut Turn<'_>, refusal: Refusal) {
        let hosted = self.hosted.get_mut(&group).expect("it is hosted");
        for waiting in std::mem::take(&mut hosted.waiting) {
            // A coordinator resigns in the same breath.
            if let Who::Producer { asker, .. } = waiting.who {
                turn.refuse(asker, refusal);
            }
        }
    }

    // ---- Consumer groups ----

    /// Who had to give up its groups, and leads all the same, serves them again when it is asked.
    pub(super) fn serve_groups_again(&mut self, group: Group, turn: &mut Turn<'_>) {
        let hosted = self.hosted.get(&group).filter(|hosted| hosted.leads());
        let coordinator = hosted.and_then(|hosted| hosted.coordinator.as_ref());
        if coordinator.is_some_and(|groups| groups.serving().is_none()) {
            let epoch = self.hosted[&group].driver.leader_epoch();
            self.serve_groups(group, turn, epoch);
        }
    }

    fn serve_groups(&mut self, group: Group, turn: &mut Turn<'_>, epoch: LeaderEpoch) {
        let seed = self.random.number();
        let now = turn.now;
        self.with_groups(group, turn, |groups, log| {
            groups.lost(now);
            // Who cannot read its log does not serve.
            groups.serve(log, epoch, seed, now).unwrap_or_default()
        });
    }

    fn lose_groups(&mut self, group: Group, turn: &mut Turn<'_>) {
        let now = turn.now;
        self.with_groups(group, turn, |groups, _| groups.lost(now));
    }

    fn follow_groups(&mut self, group: Group) {
        if let Some(hosted) = self.hosted.get_mut(&group)
            && let Some(groups) = &mut hosted.coordinator
        {
            let high_watermark = hosted.driver.high_watermark();
            // What cannot be read now is read another time.
            let _ = groups.follow(hosted.driver.log_mut(), high_watermark);
        }
    }

    fn tick_groups(&mut self, group: Group, turn: &mut Turn<'_>) {
        let now = turn.now;
        self.with_groups(group, turn, |groups, _| groups.tick(now));
    }

    /// Hands a request to the coordinator of a partition.
    pub(super) fn ask_groups(
        &mut self,
        group: Group,
        turn: &mut Turn<'_>,
        asker: Asker,
        request: klamm_coordinator::Request,
    ) {
        let now = turn.now;
        self.with_groups(group, turn, |groups, _| groups.request(now, asker, request));
    }

    fn appended(
        &mut self,
        group: Group,
        turn: &mut Turn<'_>,
        append_id: AppendId,
        result: Result<(), AppendError>,
    ) {
        let now = turn.now;
        self.with_groups(group, turn, |groups, _| {
            groups.appended(now, append_id, result)
        });
    }

    fn with_groups(
        &mut self,
        group: Group,
        turn: &mut Turn<'_>,
        work: impl FnOnce(&mut Groups, &mut klamm_storage::Log) -> Vec<GroupEffect>,
    ) {
        let Some(hosted) = self.hosted.get_mut(&group) else {
            return;
        };
        let Some(groups) = &mut hosted.coordinator else {
            return;
        };
        let effects = work(groups, hosted.driver.log_mut());
        for effect in effects {
            match effect {
                GroupEffect::Reply(asker, reply) => turn.reply(asker, Reply::Group(reply)),
                GroupEffect::Append {
                    append_id,
                    batch,
                    epoch,
                } => {
                    self.append_of_groups(group, turn, append_id, (batch, epoch));
                }
            }
        }
    }

    fn append_of_groups(
        &mut self,
        group: Group,
        turn: &mut Turn<'_>,
        append_id: AppendId,
        (batch, leader_epoch): (RecordBatch, LeaderEpoch),
    ) {
        let hosted = self.hosted.get_mut(&group).expect("it is hosted");
        let origin = AppendOrigin::Coordinator { leader_epoch };
        match hosted.driver.stage(batch, origin) {
            Ok(Staged::Appended { last_offset, .. }) => {
                if self.rules.sabotages(Sabotage::OffsetsBeforeCommit) {
                    self.turn(group, turn);
                    return self.appended(group, turn, append_id, Ok(()));
                }
                self.wait(group, last_offset.plus(1), Who::Coordinator(append_id));
                self.turn(group, turn);
            }
            Ok(Staged::Duplicate { .. }) => unreachable!("it has no producer"),
            Err(error) => {
                let refused = match error {
                    StageError::NotLeader => AppendError::NotLeader,
                    StageError::BatchTooLarge { .. } => AppendError::TooLarge,
                    StageError::Overloaded => AppendError::NotAvailable,
                    StageError::NoSpace | StageError::Offline => AppendError::Storage,
                    StageError::Producer(_) => unreachable!("it has no producer"),
                };
                self.appended(group, turn, append_id, Err(refused));
                self.notice_failure(group, turn);
                if matches!(error, StageError::NotLeader | StageError::Offline) {
                    self.lose_groups(group, turn);
                }
            }
        }
    }
}

/// What a partition is called.
pub(super) fn partition_id(topic: klamm_model::TopicName, group: Group) -> TopicPartition {
    TopicPartition::new(topic, group.index)
}

fn refusal(error: &StageError) -> Refusal {
    match error {
        StageError::NotLeader | StageError::Offline => Refusal::NotLeader,
        StageError::Producer(_) => Refusal::Sequence,
        StageError::Overloaded | StageError::NoSpace => Refusal::Busy,
        StageError::BatchTooLarge { .. } => unreachable!("batches here are small"),
    }
}

/// A replica's watermarks are in order, and rise as long as it lives.
fn check_order(driver: &PartitionDriver, (shown, committed): (Offset, Offset)) {
    let (start, end) = (driver.log_start_offset(), driver.log_end_offset());
    let (now_shown, now_committed) = (driver.high_watermark(), driver.committed_offset());
    assert!(
        now_shown >= shown,
        "the high watermark falls: {now_shown} after {shown}"
    );
    assert!(now_committed >= committed, "what was committed is not");
    assert!(
        start <= now_committed,
        "the log begins behind what is committed"
    );
    assert!(now_committed <= now_shown, "committed and not shown");
    assert!(now_shown <= end, "shown and not written");
}
