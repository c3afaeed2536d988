//! One partition on disk: segments in order, and what is known about them.
//!
//! A [`Log`] is plain data for one thread. It holds both halves of a Raft log: entries with records
//! (batches in `.log` files) and entries without (in the [`Journal`]), and keeps for each segment
//! where its offsets and its Raft indexes start. The slow parts leave as tickets: [`SyncTicket`],
//! [`PrepareTicket`], [`DeleteTicket`].
//!
//! Errors: a full disk is [`AppendError::NoSpace`], nothing has changed and a later try may
//! succeed. Any other failed write, and every failed fsync, makes the log offline for good.
//! Damaged bytes are [`ReadError::Corrupt`] for the reader that hits them, nobody else.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use klamm_model::raft::{DataEntry, HardState, MetaEntry};
use klamm_model::{Instant, LeaderEpoch, LogIndex, Offset, Term, Timestamp, TopicPartition};

use crate::disk::{Disk, DiskError, DiskFile, Mapping};
use crate::journal::{GroupId, Journal, JournalError};
use crate::{AbortedTransaction, LeaderEpochs, ProducerState};

/// The settings of a log. Kafka's topic settings of the same names; times in milliseconds, -1 for
/// "no limit".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `retention.ms`; -1 keeps for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; -1 keeps all.
    pub retention_bytes: i64,
    /// Whether `cleanup.policy` contains `delete`: without it retention deletes nothing.
    pub delete_old_segments: bool,
    /// `flush.messages`: records that may be unsynced.
    pub flush_messages: i64,
    /// `flush.ms`: how long a record may be unsynced.
    pub flush_ms: i64,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * 24 * 3_600_000,
            retention_bytes: -1,
            delete_old_segments: true,
            flush_messages: i64::MAX,
            flush_ms: 1000,
            producer_id_expiration_ms: 24 * 3_600_000,
        }
    }
}

/// One partition on disk. See the [module](self).
#[derive(Debug)]
pub struct Log {
    topic_partition: TopicPartition,
}

/// Why the log takes nothing and gives nothing any more: a write or an fsync failed, so memory and
/// disk may differ. It has to be opened anew (or repaired from elsewhere).
#[derive(Clone, Debug, thiserror::Error)]
#[error("the log is offline: {cause}")]
pub struct Offline {
    /// The first failure.
    pub cause: DiskError,
}

/// Why nothing was appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk is full. Nothing has changed; try again later.
    #[error("no space left for the log: {0}")]
    NoSpace(DiskError),
    /// The log has to be given up.
    #[error(transparent)]
    Offline(#[from] Offline),
}

/// Why nothing was read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// Outside of what the log holds.
    #[error("offset is out of range offset={offset} log_start={log_start} log_end={log_end}")]
    OffsetOutOfRange {
        /// Asked for.
        offset: Offset,
        /// First that is there.
        log_start: Offset,
        /// After the last that is there.
        log_end: Offset,
    },
    /// The batch that holds the offset is damaged.
    #[error("records are damaged file={} position={} first_offset={} next_offset={}", .0.file.display(), .0.position, .0.first_offset, .0.next_offset)]
    Corrupt(Damage),
    /// The log has to be given up.
    #[error(transparent)]
    Offline(#[from] Offline),
}

/// Bytes of a segment that are not the batches that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file.
    pub file: PathBuf,
    /// Its first byte in the file.
    pub position: u64,
    /// First offset that is lost.
    pub first_offset: Offset,
    /// First offset after it that can be read again.
    pub next_offset: Offset,
}

/// Why a log cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenLogError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another topic's files stand in its place.
    #[error("the partition directory belongs to another topic path={} found={found} expected={expected}", path.display())]
    ForeignTopic {
        /// The directory.
        path: PathBuf,
        /// Topic id it names.
        found: String,
        /// Topic id asked for.
        expected: String,
    },
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The log end offset now.
    pub log_end_offset: Offset,
    /// The index of the last entry now.
    pub last_index: LogIndex,
    /// Whether a segment was begun.
    pub rolled: bool,
}

/// Whole batches, as they lie in one segment.
#[derive(Clone, Debug)]
pub struct ReadResult {
    /// The batches, one after the other; shares the segment's mapping. May be empty.
    pub records: Bytes,
    /// First offset of the first batch: at or before the offset asked for.
    pub base_offset: Offset,
    /// Where to read on.
    pub next_offset: Offset,
}

/// What is known of one Raft entry without reading its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryInfo {
    /// Its place in the Raft log.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
    /// Its first offset; for an entry without records, the next record's.
    pub base_offset: Offset,
    /// The offset after it.
    pub next_offset: Offset,
    /// Bytes of its batch; 0 for an entry without records.
    pub size_bytes: u32,
}

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its offset.
    pub offset: Offset,
    /// The epoch of its batch.
    pub leader_epoch: LeaderEpoch,
}

impl Log {
    /// Which partition this is.
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// Its Raft group.
    pub fn group(&self) -> GroupId {
        todo!()
    }

    /// The journal it shares with the other logs of its directory.
    pub fn journal(&self) -> &Arc<Journal> {
        todo!()
    }

    /// The settings.
    pub fn config(&self) -> &LogConfig {
        todo!()
    }

    /// Changes the settings; they hold from the next append on.
    pub fn set_config(&mut self, config: LogConfig) {
        todo!()
    }

    /// First offset clients may read.
    pub fn log_start_offset(&self) -> Offset {
        todo!()
    }

    /// The offset the next record gets.
    pub fn log_end_offset(&self) -> Offset {
        todo!()
    }

    /// First Raft entry that is still there.
    pub fn first_index(&self) -> LogIndex {
        todo!()
    }

    /// Term of the entry before [`first_index`](Self::first_index); zero if there was none.
    pub fn prev_term(&self) -> Term {
        todo!()
    }

    /// Last Raft entry, with or without records; `first_index - 1` if there is none.
    pub fn last_index(&self) -> LogIndex {
        todo!()
    }

    /// Term of the last entry; [`prev_term`](Self::prev_term) if there is none.
    pub fn last_term(&self) -> Term {
        todo!()
    }

    /// Everything before this offset is durable.
    pub fn recovery_point(&self) -> Offset {
        todo!()
    }

    /// Everything up to this entry is durable (entries without records once the journal is synced).
    pub fn synced_index(&self) -> LogIndex {
        todo!()
    }

    /// Bytes of all segments, indexes not counted.
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }

    /// How many segments there are; at least one.
    pub fn segment_count(&self) -> usize {
        todo!()
    }

    /// Damage found so far, in order.
    pub fn damages(&self) -> Vec<Damage> {
        todo!()
    }

    /// Why the log is offline, if it is.
    pub fn offline(&self) -> Option<&Offline> {
        todo!()
    }

    /// Gives the log up, for a failure that was seen elsewhere on its disk.
    pub fn set_offline(&mut self, cause: DiskError) {
        todo!()
    }

    /// The members as of [`first_index`](Self::first_index), as the consensus core encoded them;
    /// empty if it never said.
    pub fn anchored_members(&self) -> Bytes {
        todo!()
    }

    // ---- Raft state in the journal ----

    /// Term, vote and the commit hint.
    pub fn hard_state(&self) -> HardState {
        todo!()
    }

    /// Remembers them. Durable after the journal is synced.
    pub fn save_hard_state(&mut self, hard_state: HardState) -> Result<(), AppendError> {
        todo!()
    }

    /// The entries without records, by index.
    pub fn metas(&self) -> &[MetaEntry] {
        todo!()
    }

    /// Appends an entry without records at the end. The journal has to be synced before a batch of
    /// its term is appended. Panics if it does not follow the last entry.
    pub fn append_meta(&mut self, entry: &MetaEntry) -> Result<(), AppendError> {
        todo!()
    }

    // ---- Appending ----

    /// Makes sure that `bytes` more bytes can be appended, in the active segment and, if they may
    /// not fit, in a next one. Call before Raft is touched: a full disk is a clean refusal here.
    pub fn reserve(&mut self, bytes: u64) -> Result<(), AppendError> {
        todo!()
    }

    /// Appends entries with records in one write (one per segment, if a segment fills up). All of
    /// them or, after an error, none. `now` is for the age of segments. Panics if offsets, indexes
    /// or terms do not follow on.
    pub fn append(
        &mut self,
        entries: &[DataEntry],
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        todo!()
    }

    /// Ends the active segment and begins another, unless it is empty.
    pub fn roll(&mut self, now: Timestamp) -> Result<(), AppendError> {
        todo!()
    }

    /// Asks for the next segment's file to be made ahead, when the active one is nearly full.
    pub fn prepare(&mut self) -> Option<PrepareTicket> {
        todo!()
    }

    /// Takes what a [`PrepareTicket`] made.
    pub fn prepared(&mut self, prepared: Prepared) {
        todo!()
    }

    // ---- Durability ----

    /// What has to be synced; `None` if all is durable or a ticket is still out.
    pub fn begin_sync(&mut self) -> Result<Option<SyncTicket>, Offline> {
        todo!()
    }

    /// Takes note of a ticket that has run. After a failure the log is offline.
    pub fn sync_done(&mut self, done: SyncDone) -> Result<Synced, Offline> {
        todo!()
    }

    /// Begins and runs a sync on this thread.
    pub fn sync(&mut self) -> Result<Synced, Offline> {
        todo!()
    }

    /// Records appended but not covered by a sync that was begun.
    pub fn unsynced_records(&self) -> u64 {
        todo!()
    }

    /// When the next sync should begin by `flush.ms` and `flush.messages`; `None` if there is
    /// nothing to sync. Call after each turn in which something was appended: the first call finds
    /// the log dirty and starts its clock.
    pub fn sync_deadline(&mut self, now: Instant) -> Option<Instant> {
        todo!()
    }

    // ---- Reading ----

    /// Reads whole batches from the one that holds `from`, ending at or before `upper`, of at most
    /// `max_bytes` together; with `at_least_one`, the first batch even if it is larger. Stays
    /// within one segment. `from` at the end (or at `upper` or beyond) reads nothing.
    pub fn read(
        &mut self,
        from: Offset,
        upper: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<ReadResult, ReadError> {
        todo!()
    }

    /// The aborted transactions that a reader of committed records must know for
    /// `from..upper`, by first offset (Kafka's `collectAbortedTxns`).
    pub fn aborted_transactions(
        &mut self,
        from: Offset,
        upper: Offset,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        todo!()
    }

    /// The first record below `upper` whose timestamp is `timestamp` or later (ListOffsets).
    pub fn offset_for_timestamp(
        &mut self,
        timestamp: Timestamp,
        upper: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }

    /// The first record with the largest timestamp (ListOffsets -3).
    pub fn max_timestamp(&mut self) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }

    /// Raft entries from `from` on, with and without records, at most `count_max`. Damaged batches
    /// are left out.
    pub fn entries(
        &mut self,
        from: LogIndex,
        count_max: usize,
    ) -> Result<Vec<EntryInfo>, ReadError> {
        todo!()
    }

    /// The last offset that a reader of committed records may read up to (exclusive).
    pub fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        todo!()
    }

    /// Tells the log how far consumers may read: ended transactions below it become stable.
    pub fn high_watermark_moved(&mut self, high_watermark: Offset) {
        todo!()
    }

    /// What is known of idempotent producers.
    pub fn producers(&self) -> &ProducerState {
        todo!()
    }

    /// Forgets producers that have been silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now: Timestamp) -> usize {
        todo!()
    }

    /// Where each leader epoch starts.
    pub fn leader_epochs(&self) -> &LeaderEpochs {
        todo!()
    }

    /// Answers OffsetForLeaderEpoch; `None` where Kafka answers "undefined".
    pub fn epoch_end_offset(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        todo!()
    }

    // ---- Cutting ----

    /// Drops every entry from `index` on, with and without records (Raft conflict). Durable after
    /// the next sync. The caller has made sure that nobody reads there any more.
    pub fn truncate_from(&mut self, index: LogIndex) -> Result<(), AppendError> {
        todo!()
    }

    /// Drops the oldest segments that `retention.ms` and `retention.bytes` no longer keep; only
    /// segments that end at or before `bound` (what is committed). They are gone from the log at
    /// once, and from the disk when the ticket has run.
    pub fn apply_retention(
        &mut self,
        now: Timestamp,
        bound: Offset,
    ) -> Result<Option<DeleteTicket>, AppendError> {
        todo!()
    }

    /// Raises the log start offset (DeleteRecords); segments wholly below it go. Nothing happens
    /// if it is not above. Panics beyond the log end.
    pub fn delete_records(&mut self, before: Offset) -> Result<Option<DeleteTicket>, AppendError> {
        todo!()
    }

    /// Writes and syncs everything, so that the next start has nothing to do. The log takes
    /// nothing more.
    pub fn close(&mut self) -> Result<(), AppendError> {
        todo!()
    }
}

/// Files to be synced, on any thread.
#[derive(Debug)]
pub struct SyncTicket {
    files: Vec<Arc<dyn DiskFile>>,
    directory: Option<(Arc<dyn Disk>, PathBuf)>,
    through: Synced,
}

/// A sync that has run; to be handed to [`Log::sync_done`].
#[derive(Debug)]
#[must_use = "the log has to learn of it"]
pub struct SyncDone {
    result: Result<(), DiskError>,
    through: Synced,
}

/// How far a log is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Everything before is durable.
    pub offset: Offset,
    /// Everything up to it is durable.
    pub index: LogIndex,
}

impl SyncTicket {
    /// Syncs. Blocks for as long as the disk takes.
    pub fn run(self) -> SyncDone {
        todo!()
    }
}

/// A next segment to be made, on any thread.
#[derive(Debug)]
pub struct PrepareTicket {
    disk: Arc<dyn Disk>,
}

/// A next segment that was made (or not: a full disk is no harm yet).
#[derive(Debug)]
pub struct Prepared {
    file: Option<(Arc<dyn DiskFile>, Mapping)>,
}

impl PrepareTicket {
    /// Creates, allocates and maps the file.
    pub fn run(self) -> Prepared {
        todo!()
    }
}

/// Files to be deleted, on any thread.
#[derive(Debug)]
#[must_use = "the files stay until it is run"]
pub struct DeleteTicket {
    journal: Arc<Journal>,
}

impl DeleteTicket {
    /// Syncs the journal, so that the log's new beginning is durable, then deletes.
    pub fn run(self) -> Result<(), AppendError> {
        todo!()
    }
}
