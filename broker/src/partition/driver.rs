//! The synchronous core of a partition: its replica, its log, and what lies between them.
//!
//! It performs the replica's effects on the log in the order they are given, and reports back what
//! has been done. It knows no socket, task, thread or clock; the simulation runs this same code.
//!
//! One turn: [`stage`](PartitionDriver::stage) every batch that is ready, then one
//! [`turn`](PartitionDriver::turn): one proposal. Writes and fsyncs leave as tickets, to be run here
//! or on another thread; one write of a partition is out at a time, and what comes meanwhile goes
//! with the next. The journal's fsync is shared by all partitions of a log directory:
//!
//! ```text
//! for driver in touched {
//!     driver.turn(now, wall, outcomes)
//!     while let Some(ticket) = driver.begin_write(now, wall, outcomes) {
//!         driver.write_finished(now, ticket.run(), outcomes)
//!     }
//! }
//! if any driver.awaits_journal() {
//!     let result = journal.sync();
//!     for driver in those { driver.journal_synced(now, &result, outcomes) }
//! }
//! ```
//!
//! Invariants:
//! - A batch is checked, and its room on the disk reserved, before Raft hears of it: a full disk is
//!   a clean refusal. Once Raft has taken it, a write that fails takes the partition offline; one that
//!   a full disk refuses all the same (nothing is reserved for entries of another leader) waits for room.
//! - What the log says of itself (its end, its producers) is what is written: entries on their way
//!   are known to [`Staging`] and [`Writes`] only.
//! - Places given out by `stage` are those the batches get, or the batches are not appended at all.
//! - A panic of the replica stops this partition, nothing else.

mod archive;
mod effects;
mod group;
mod guarded;
mod peers;
mod staging;
mod steps;
mod types;
pub mod unclean;
mod writes;

use std::collections::VecDeque;

use klamm_model::archive::ArchiveState;
use klamm_model::raft::MetaKind;
use klamm_model::{Instant, LeaderEpoch, LogIndex, Offset, RecordBatch, Timestamp};
use klamm_replication::{
    Effect, EntryId, Event, JournalTicket, Members, Position, Replica, ReplicaId, ReplicaSettings,
    Restored, VisibleWhen,
};
use klamm_storage::{
    AppendDone, AppendError, AppendTicket, DeleteTicket, JournalError, Log, LogConfig, SyncDone,
    SyncTicket,
};

use guarded::GuardedReplica;
pub use peers::Outgoing;
use peers::Recent;
use staging::Staging;
use steps::Steps;
pub use types::{AppendOrigin, Holding, OfflineReason, OpenError, Outcome, StageError, Staged};
use writes::Writes;

/// One partition of this broker. See the [module](self).
#[derive(Debug)]
pub struct PartitionDriver {
    log: Log,
    replica: GuardedReplica,
    staging: Staging,
    steps: Steps,
    writes: Writes,
    id: ReplicaId,
    members: Members,
    /// What is archived, and is about to be; `None` if nothing ever was.
    archive: Option<ArchiveState>,
    /// What may be said to other replicas, if there are any.
    recent: Option<Recent>,
    message_bytes: usize,
    begin_by_copy_bytes: u64,
    outgoing: Vec<Outgoing>,
    /// The first entry of the log, as the replica knows.
    first_index: LogIndex,
    /// To whom only entries up to an index were sent, and the replica does not know.
    cuts: Vec<(ReplicaId, LogIndex)>,
    /// Somebody waits for the fsync of entries up to this one.
    flush_wanted: LogIndex,
    /// End offset and bytes of each write above the high watermark.
    invisible: VecDeque<(Offset, usize)>,
    visible: Position,
    commit: Position,
    epoch: LeaderEpoch,
    /// Where the records of the epoch begin that this replica leads, or led last.
    epoch_start: Offset,
    /// The epoch that this replica leads, or led last.
    led: LeaderEpoch,
    /// As of the last turn.
    wall: Timestamp,
    offline: Option<OfflineReason>,
    effects: Vec<Effect>,
}

/// What a partition needs to know besides its log.
#[derive(Clone, Debug)]
pub struct DriverParams {
    /// This replica.
    pub replica: ReplicaId,
    /// The group's first members, for a log that knows none of its own: this one alone on a single
    /// broker, nobody for a replica that joins later.
    pub members: Members,
    /// Where its election time-outs come from.
    pub seed: u64,
    /// Tells this life of the replica from others.
    pub life: u64,
    /// Whether entries that were acknowledged may be missing from the log.
    pub recovering: bool,
    /// Whether this replica should lead its group if it can.
    pub preferred: bool,
    /// What one message to another replica carries at most, in bytes, unless its first batch is
    /// larger; [`PartitionDriver::MESSAGE_BYTES`].
    pub message_bytes: usize,
    /// A follower that has nothing begins with a copy, if so many bytes of the log are committed:
    /// entry by entry it would take longer, and the others' messages wait behind it.
    /// [`PartitionDriver::BEGIN_BY_COPY_BYTES`].
    pub begin_by_copy_bytes: u64,
}

impl PartitionDriver {
    /// Large enough that a follower catches up at the speed of its disk, small enough that others'
    /// messages do not wait long behind one.
    pub const MESSAGE_BYTES: usize = 256 << 10;
    /// Copying has its own connection, and takes some steps: below this it is not worth it.
    pub const BEGIN_BY_COPY_BYTES: u64 = 16 << 20;
    /// An fsync is due at once when this many entries wait for one, whatever the settings say:
    /// memory is held for each.
    const UNSYNCED_ENTRIES_WANTED_MAX: usize = Replica::UNCOMMITTED_ENTRIES_MAX / 4;
    /// The same for turns.
    const UNSYNCED_TURNS_WANTED_MAX: usize = 16_384;

    /// Takes a log that has been opened, makes durable what was found in it, and builds the
    /// replica. Nothing happens before [`start`](Self::start).
    pub fn open(params: DriverParams, mut log: Log) -> Result<Self, OpenError> {
        if log.synced_index() < log.last_index() {
            log.sync()?;
        }
        let restored = restored(&mut log, params.members)?;
        let settings = ReplicaSettings {
            id: params.replica,
            seed: params.seed,
            life: params.life,
            recovering: params.recovering,
            preferred: params.preferred,
            visible_when: visible_when(log.config()),
        };
        let replica = Replica::new(settings, &restored)?;
        let is_alone = is_alone(params.replica, replica.members());
        let recent = (!is_alone).then(|| Recent::new(params.message_bytes));
        let visible = replica.visible();
        log.high_watermark_moved(visible.offset);
        Ok(Self {
            staging: Staging::new(replica.last()),
            steps: Steps::default(),
            writes: Writes::default(),
            id: params.replica,
            members: replica.members().clone(),
            archive: replica.archive(),
            recent,
            message_bytes: params.message_bytes,
            begin_by_copy_bytes: params.begin_by_copy_bytes,
            first_index: log.first_index(),
            outgoing: Vec::new(),
            cuts: Vec::new(),
            flush_wanted: LogIndex::ZERO,
            invisible: VecDeque::new(),
            visible,
            commit: replica.commit(),
            epoch: replica.term().leader_epoch(),
            epoch_start: Offset::ZERO,
            led: LeaderEpoch::UNKNOWN,
            wall: Timestamp::NONE,
            offline: None,
            effects: Vec::new(),
            replica: GuardedReplica::new(replica),
            log,
        })
    }

    /// Joins the group; a single replica elects itself and then awaits the journal's fsync.
    pub fn start(&mut self, now: Instant, outcomes: &mut Vec<Outcome>) {
        self.step(now, Event::Start, outcomes);
    }

    // ---- Appending ----

    /// Checks a batch and gives it its place; [`turn`](Self::turn) proposes it. The batch has been
    /// validated and, with `LogAppendTime`, carries its time.
    pub fn stage(
        &mut self,
        batch: RecordBatch,
        origin: AppendOrigin,
    ) -> Result<Staged, StageError> {
        self.check_leadership(origin)?;
        let original = self.staging.duplicate_of(&batch, self.log.producers())?;
        if let Some(original) = original {
            return Ok(Staged::Duplicate {
                base_offset: original.base_offset(),
                last_offset: original.last_offset,
                timestamp: original.timestamp,
            });
        }
        self.reserve(&batch)?;
        Ok(self.staging.push(batch, self.epoch, self.log.producers()))
    }

    fn check_leadership(&self, origin: AppendOrigin) -> Result<(), StageError> {
        if self.offline.is_some() {
            return Err(StageError::Offline);
        }
        let replica = self.replica.get().ok_or(StageError::Offline)?;
        if !replica.is_leading() {
            return Err(StageError::NotLeader);
        }
        match origin {
            AppendOrigin::Coordinator { leader_epoch } if leader_epoch != self.epoch => {
                return Err(StageError::NotLeader);
            }
            AppendOrigin::Client | AppendOrigin::Coordinator { .. } => {}
        }
        if !self.staging.is_certain() {
            return Err(StageError::NotLeader);
        }
        let (uncommitted, _) = replica.uncommitted();
        if uncommitted + self.staging.len() >= Replica::UNCOMMITTED_ENTRIES_MAX {
            return Err(StageError::Overloaded);
        }
        Ok(())
    }

    fn reserve(&mut self, batch: &RecordBatch) -> Result<(), StageError> {
        let size_bytes = batch.size_bytes() as u64;
        let segment_bytes = u64::from(self.log.config().segment_bytes);
        if size_bytes > segment_bytes {
            return Err(StageError::BatchTooLarge {
                size_bytes,
                segment_bytes,
            });
        }
        let bytes = self.writes.bytes() + self.staging.bytes() + size_bytes;
        self.log.reserve(bytes).map_err(|error| match error {
            AppendError::NoSpace(_) => StageError::NoSpace,
            AppendError::Offline(_) => StageError::Offline,
        })
    }

    /// Proposes everything staged, for [`begin_write`](Self::begin_write) to append, and decides which of
    /// it begins a segment; `wall` is for the age of segments. To be called also after the log was used
    /// otherwise (a read, retention), which may have found its disk failing.
    pub fn turn(&mut self, now: Instant, wall: Timestamp, outcomes: &mut Vec<Outcome>) {
        self.wall = wall;
        self.notice_log(now, outcomes);
        if self.staging.is_empty() {
            return;
        }
        let (batches, end) = self.staging.take();
        self.step(now, Event::Propose(batches), outcomes);
        if let Some(replica) = self.replica.get() {
            let last = replica.last();
            // A change of members may have come behind them.
            let stand = last.offset == end.offset && last.index >= end.index;
            let dropped = last.offset < end.offset;
            assert!(dropped || stand, "batches stand where it was said");
            self.staging.log_ends_at(last);
        }
    }

    // ---- Writing ----

    /// Whether [`begin_write`](Self::begin_write) has something to give.
    pub fn wants_write(&self) -> bool {
        self.offline.is_none() && self.writes.are_ready()
    }

    /// Whether entries are on their way to the log; it must not be closed before they are there. What
    /// waits for room on a full disk is not.
    pub fn is_writing(&self) -> bool {
        self.log.is_appending() || self.offline.is_none() && self.writes.are_going_on()
    }

    /// What has to be written, to be run on any thread; `None` if there is nothing, or a ticket is
    /// out.
    pub fn begin_write(
        &mut self,
        now: Instant,
        wall: Timestamp,
        outcomes: &mut Vec<Outcome>,
    ) -> Option<AppendTicket> {
        if self.offline.is_some() {
            return None;
        }
        match self.writes.begin(&mut self.log, now, wall) {
            Ok(ticket) => ticket,
            Err(offline) => {
                self.go_offline(AppendError::from(offline).into(), outcomes);
                None
            }
        }
    }

    /// A ticket has been run; whether the write has begun a segment.
    pub fn write_finished(
        &mut self,
        now: Instant,
        done: AppendDone,
        outcomes: &mut Vec<Outcome>,
    ) -> bool {
        match self.writes.finish(&mut self.log, now, done) {
            // What follows is for a replica that has been stopped.
            _ if self.offline.is_some() => false,
            Ok(None) => false,
            Ok(Some((appended, bytes))) => {
                let end = appended.log_end_offset;
                self.invisible.push_back((end, bytes as usize));
                if self.writes.are_done() {
                    self.staging.log_caught_up();
                }
                let through = EntryId {
                    index: appended.last_index,
                    term: self.log.last_term(),
                };
                self.step(now, Event::Written { through }, outcomes);
                appended.rolled
            }
            Err(offline) => {
                self.go_offline(AppendError::from(offline).into(), outcomes);
                false
            }
        }
    }

    // ---- Durability ----

    /// Whether the journal has to be synced for this partition to go on.
    pub fn awaits_journal(&self) -> bool {
        self.steps.is_unsynced()
    }

    /// The journal has been synced, or has failed. The sync must have begun after the last call
    /// that wrote: it is taken to cover everything.
    pub fn journal_synced(
        &mut self,
        now: Instant,
        result: &Result<(), JournalError>,
        outcomes: &mut Vec<Outcome>,
    ) {
        let covered = self.journal_sync_begins();
        self.journal_sync_ended(now, covered, result, outcomes);
    }

    /// A sync of the journal begins: what it covers, to be given back when it has ended. What is
    /// written meanwhile [waits](Self::awaits_journal) for the next.
    pub fn journal_sync_begins(&mut self) -> Option<JournalTicket> {
        self.steps.take_unsynced()
    }

    /// A sync of the journal has ended, or has failed.
    pub fn journal_sync_ended(
        &mut self,
        now: Instant,
        covered: Option<JournalTicket>,
        result: &Result<(), JournalError>,
        outcomes: &mut Vec<Outcome>,
    ) {
        match (result, covered) {
            (Ok(()), Some(ticket)) => {
                self.step(now, Event::JournalSynced(ticket), outcomes);
            }
            (Ok(()), None) => {}
            (Err(error), _) => self.go_offline(error.clone().into(), outcomes),
        }
    }

    /// Whether somebody waits for an fsync of the log that has not begun.
    pub fn wants_sync(&self) -> bool {
        self.offline.is_none() && self.flush_wanted > self.log.synced_index()
    }

    /// When the next fsync should begin, by `flush.ms`, `flush.messages` and what memory allows.
    /// To be asked after each turn: the first call that finds the log dirty starts its clock.
    pub fn sync_deadline(&mut self, now: Instant) -> Option<Instant> {
        if self.offline.is_some() {
            return None;
        }
        let (entries, turns) = self.replica.get()?.uncommitted();
        let Some(due) = self.log.sync_deadline(now) else {
            if !self.log.is_appending() && self.writes.are_done() {
                // Entries without records were meant, and the journal has its own fsync.
                self.flush_wanted = self.log.synced_index();
            }
            return None;
        };
        let full = self.flush_wanted > self.log.synced_index()
            || entries >= Self::UNSYNCED_ENTRIES_WANTED_MAX
            || turns >= Self::UNSYNCED_TURNS_WANTED_MAX;
        Some(if full { now } else { due })
    }

    /// What has to be synced, to be run on any thread; `None` if all is durable or a ticket is out.
    pub fn begin_sync(&mut self, outcomes: &mut Vec<Outcome>) -> Option<SyncTicket> {
        if self.offline.is_some() {
            return None;
        }
        match self.log.begin_sync() {
            Ok(ticket) => ticket,
            Err(error) => {
                self.go_offline(AppendError::from(error).into(), outcomes);
                None
            }
        }
    }

    /// A ticket has been run.
    pub fn sync_finished(&mut self, now: Instant, done: SyncDone, outcomes: &mut Vec<Outcome>) {
        match self.log.sync_done(done) {
            Ok(synced) => {
                let through = EntryId {
                    index: synced.index,
                    term: self.log.term_at(synced.index),
                };
                self.step(now, Event::Synced { through }, outcomes);
            }
            Err(error) => self.go_offline(AppendError::from(error).into(), outcomes),
        }
    }

    // ---- The beginning of the log ----

    /// Drops the oldest segments that retention does not keep ([`Log::apply_retention`]), as far as they are
    /// committed and, if they are to be, archived. The active one only a leader drops: where it ends, a
    /// segment begins on all replicas.
    pub fn apply_retention(
        &mut self,
        wall: Timestamp,
    ) -> Result<Option<DeleteTicket>, AppendError> {
        let rolls = self.is_leader() && self.is_at_rest();
        let bound = self.removable_before();
        self.log.apply_retention(wall, bound, rolls)
    }

    /// Raises the log start offset ([`Log::delete_records`]). If nothing is left, a segment ends, so that
    /// its file can go: there every replica's does. Panics beyond the log end.
    pub fn delete_records(
        &mut self,
        before: Offset,
        wall: Timestamp,
    ) -> Result<Option<DeleteTicket>, AppendError> {
        if before == self.log.log_end_offset() && self.is_at_rest() {
            self.log.roll(wall)?;
        }
        self.log.delete_records(before, self.commit.offset)
    }

    /// Whether the log ends where the replica says.
    fn is_at_rest(&self) -> bool {
        let end = self.replica.get().map(|replica| replica.last().offset);
        end == Some(self.log.log_end_offset()) && self.steps.are_done()
    }

    // ---- The end ----

    /// Another log is about to take the place of this one, of which no ticket is out: nothing happens to it
    /// any more.
    pub fn retire(&mut self) {
        self.replica.stop();
        self.log.retire();
        self.offline = Some(OfflineReason::Replaced);
    }

    /// Closes the log, of which no ticket is out, to be opened as another replica's, or with other members:
    /// nothing happens to it any more.
    ///
    /// # Errors
    /// If what is in memory cannot be made durable. It is recovered then as after a crash.
    pub fn close(&mut self) -> Result<(), AppendError> {
        self.replica.stop();
        self.offline.get_or_insert(OfflineReason::Replaced);
        let closed = self.log.close();
        self.log.retire();
        closed
    }

    // ---- Time and settings ----

    /// Whether the replica waits for nothing; its deadline is minutes away then.
    pub fn is_asleep(&self) -> bool {
        self.replica.get().is_some_and(Replica::is_asleep)
    }

    /// When [`tick`](Self::tick) is due; `None` for a single replica that leads.
    pub fn next_deadline(&self) -> Option<Instant> {
        let replica = self.replica.get()?;
        let retries = [self.steps.retry_at(), self.writes.retry_at()];
        let deadlines = [replica.next_deadline()].into_iter().chain(retries);
        deadlines.flatten().min()
    }

    /// [`next_deadline`](Self::next_deadline) has come.
    pub fn tick(&mut self, now: Instant, outcomes: &mut Vec<Outcome>) {
        self.writes.retry(now);
        self.step(now, Event::Tick, outcomes);
    }

    /// Changes the topic's settings while running.
    pub fn set_config(&mut self, now: Instant, config: LogConfig, outcomes: &mut Vec<Outcome>) {
        let rule = visible_when(&config);
        self.log.set_config(config);
        self.step(now, Event::VisibleWhen(rule), outcomes);
    }

    // ---- What is known ----

    /// Whether batches may be staged.
    pub fn is_leader(&self) -> bool {
        self.replica.get().is_some_and(Replica::is_leading)
    }

    /// See [`Replica::is_giving_way`].
    pub fn is_giving_way(&self) -> bool {
        self.replica.get().is_some_and(Replica::is_giving_way)
    }

    /// Whether it leads, or knows who does.
    pub fn knows_leader(&self) -> bool {
        self.replica.get().is_some_and(Replica::knows_leader)
    }

    /// Whether it takes no part in elections, since it may lack what was acknowledged.
    pub fn is_recovering(&self) -> bool {
        self.replica.get().is_some_and(Replica::is_recovering)
    }

    /// The latest leader epoch known here.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Whether the high watermark may lie below one that another leader has shown: until what this leader
    /// began with is known to be held by a majority.
    pub fn is_high_watermark_behind(&self) -> bool {
        self.visible.offset < self.epoch_start
    }

    /// Consumers read below this offset.
    pub fn high_watermark(&self) -> Offset {
        self.visible.offset
    }

    /// The last entry with everything that is staged.
    pub fn staged_index(&self) -> LogIndex {
        self.staging.end_index()
    }

    /// The last entry that may be shown.
    pub fn visible_index(&self) -> LogIndex {
        self.visible.index
    }

    /// Below this offset records are fsynced by a majority: what retention, archiving and
    /// compaction may touch.
    pub fn committed_offset(&self) -> Offset {
        self.commit.offset
    }

    /// The last entry that is fsynced by a majority.
    pub fn committed_index(&self) -> LogIndex {
        self.commit.index
    }

    /// The offset after the last record up to an entry; `None` if that is not in the log any more, or
    /// cannot be read.
    pub fn offset_behind(&mut self, index: LogIndex) -> Option<Offset> {
        if index >= self.log.last_index() {
            return Some(self.log.log_end_offset());
        }
        let entries = self.log.entries(index, 1).ok()?;
        let entry = entries.first().filter(|entry| entry.index == index)?;
        Some(entry.next_offset)
    }

    /// The offset after the last record that is written.
    pub fn log_end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    /// First offset consumers may read.
    pub fn log_start_offset(&self) -> Offset {
        self.log.log_start_offset()
    }

    /// Readers of committed records read below this offset.
    pub fn last_stable_offset(&self) -> Offset {
        self.log.last_stable_offset(self.high_watermark())
    }

    /// Whether the log has failed where nobody could be told, as when room was to be reserved in it: the next
    /// [`turn`](Self::turn) tells. Until then the replica leads, and takes nothing.
    pub fn is_failing(&self) -> bool {
        self.offline.is_none() && self.log.offline().is_some()
    }

    /// Why the partition is offline, if it is.
    pub fn offline(&self) -> Option<&OfflineReason> {
        self.offline.as_ref()
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The log, for reads and upkeep (compaction, checkpoints). Not for appending.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }
}

fn visible_when(config: &LogConfig) -> VisibleWhen {
    if config.flush_messages == 1 {
        VisibleWhen::Synced
    } else {
        VisibleWhen::Written
    }
}

/// Whether nobody else belongs to the group.
fn is_alone(id: ReplicaId, members: &Members) -> bool {
    members.all().eq([id])
}

/// What the log tells of the replica's past. One that knows no members is told the first ones, so that
/// it never depends on what its host believes later.
fn restored(log: &mut Log, first: Members) -> Result<Restored, OpenError> {
    let known = log.anchored_members();
    let members = match known.is_empty() {
        true => first,
        false => Members::decode(&known)?,
    };
    if known.is_empty() && !members.voters.is_empty() {
        match log.set_first_members(members.encode()) {
            // A full disk keeps no partition from being read; it is told another time.
            Ok(()) | Err(AppendError::NoSpace(_)) => {}
            Err(AppendError::Offline(error)) => return Err(error.into()),
        }
    }
    let (mut terms, mut memberships, mut archives) = (Vec::new(), Vec::new(), Vec::new());
    for meta in log.metas() {
        match &meta.kind {
            MetaKind::Noop => terms.push((meta.term, meta.index)),
            MetaKind::Membership(bytes) => memberships.push((meta.index, Members::decode(bytes)?)),
            MetaKind::Archive(state) => archives.push((meta.index, *state)),
        }
    }
    Ok(Restored {
        hard_state: log.hard_state(),
        first_index: log.first_index(),
        previous_term: log.prev_term(),
        terms,
        last: Position {
            index: log.last_index(),
            offset: log.log_end_offset(),
        },
        members,
        memberships,
        archives,
    })
}

#[cfg(test)]
mod tests;
