//! One partition on disk: segments in order, and what is known about them.
//!
//! A [`Log`] is plain data for one thread. It holds both halves of a Raft log: entries with records
//! (batches in `.log` files) and entries without (in the [`Journal`]), and keeps for each segment
//! where its offsets and its Raft indexes start. The slow parts leave as tickets: [`AppendTicket`],
//! [`SyncTicket`], [`PrepareTicket`], [`DeleteTicket`], [`PopulateTicket`].
//!
//! Errors: a full disk, or no file descriptor, is [`AppendError::NoSpace`], nothing has changed and a
//! later try may succeed. Any other failed write, and every failed fsync, makes the log offline for
//! good. Damaged bytes are [`ReadError::Corrupt`] for the reader that hits them, nobody else; bytes
//! of records that the disk does not give are [`ReadError::Unreadable`] for that reader.

mod append;
mod close;
mod compact;
mod copy;
mod cursors;
mod cut;
mod export;
mod finish;
mod lookup;
mod open;
mod plan;
mod populate;
mod read;
mod recover;
mod snapshots;
mod spare;
mod swap;
mod sync;
mod tail;
mod types;
mod write;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use klamm_model::raft::{HardState, MetaEntry, MetaKind};
use klamm_model::{
    Instant, LeaderEpoch, LogIndex, Offset, Term, Timestamp, TopicId, TopicPartition,
};

use crate::disk::{self, Disk, DiskError};
use crate::journal::{GroupId, GroupState, Journal};
use crate::segment::mappings::Mappings;
use crate::segment::{Segment, Spare};
use crate::{LeaderEpochs, ProducerState};

pub use compact::{Cleanable, CompactionRule};
pub use copy::{ManifestTicket, PartRead, PartTicket};
pub use cut::DeleteTicket;
pub use export::{Export, ExportError, ExportTicket};
pub(crate) use finish::epochs_of;
pub(crate) use open::{OpenLog, parse_name};
pub use populate::{Attempt, PopulateTicket, Populated};
pub(crate) use read::is_of_its_epoch;
pub use spare::{PrepareTicket, Prepared};
pub use swap::{SwapTicket, Swapped};
pub use sync::{SyncDone, SyncTicket, Synced};
pub(crate) use tail::AppendedBytes;
pub use types::{
    AppendError, AppendRefused, Appended, Damage, EntryInfo, LogConfig, Offline, OpenLogError,
    ReadError, ReadResult, TimestampOffset,
};
pub use write::{AppendDone, AppendTicket};

/// One partition on disk. See the [module](self).
#[derive(Debug)]
pub struct Log {
    place: Place,
    topic_partition: TopicPartition,
    config: LogConfig,
    /// By base offset; the last is the active one.
    segments: Vec<Segment>,
    log_start: Offset,
    /// What the journal knows of this group, as of our last change to it.
    raft: GroupState,
    epochs: LeaderEpochs,
    producers: ProducerState,
    /// Offsets of the `.snapshot` files.
    snapshots: BTreeSet<Offset>,
    /// Bytes appended since the last snapshot was taken.
    bytes_since_snapshot: u64,
    next_index: LogIndex,
    durable: sync::Durable,
    spare: Option<Spare>,
    spare_wanted: bool,
    spares_made: u64,
    /// An append's ticket is out.
    appending: bool,
    /// If entries have a place that are not appended yet.
    placed: Option<plan::Placed>,
    /// Room for the plan of the next append: nearly all have one run.
    spare_runs: Vec<plan::Run>,
    /// Everything before was compacted.
    cleaned_to: Offset,
    /// Compaction met damage: it is not tried again.
    uncleanable: bool,
    /// The offsets of segments that are being replaced.
    swapping: Option<std::ops::Range<Offset>>,
    cursors: cursors::Cursors,
    tail: tail::Tail,
    /// How often the end was cut.
    cuts: u64,
    offline: Option<Offline>,
    closed: bool,
}

/// Where a log lives, and what it shares with its neighbours.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) disk: Arc<dyn Disk>,
    /// Names the log directory, for good.
    pub(crate) directory_id: TopicId,
    pub(crate) directory: Arc<Path>,
    pub(crate) group: GroupId,
    pub(crate) journal: Arc<Journal>,
    pub(crate) mappings: Arc<Mappings>,
    pub(crate) appended: AppendedBytes,
}

/// Kafka's file of leader epochs.
const EPOCHS_FILE: &str = "leader-epoch-checkpoint";

impl Log {
    /// Which partition this is.
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// Its Raft group.
    pub fn group(&self) -> GroupId {
        self.place.group
    }

    /// The journal it shares with the other logs of its directory.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.place.journal
    }

    /// The settings.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Changes the settings; they hold from the next append on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// First offset clients may read.
    pub fn log_start_offset(&self) -> Offset {
        self.log_start
    }

    /// The offset the next record gets.
    pub fn log_end_offset(&self) -> Offset {
        self.active().end_offset()
    }

    /// First Raft entry that is still there.
    pub fn first_index(&self) -> LogIndex {
        self.raft.first_index()
    }

    /// Term of the entry before [`first_index`](Self::first_index); zero if there was none.
    pub fn prev_term(&self) -> Term {
        let anchor = self.raft.anchor.as_ref();
        anchor.map_or(Term::ZERO, |anchor| anchor.prev_term)
    }

    /// Last Raft entry, with or without records; `first_index - 1` if there is none.
    pub fn last_index(&self) -> LogIndex {
        LogIndex(self.next_index.0 - 1)
    }

    /// Term of the last entry; [`prev_term`](Self::prev_term) if there is none.
    pub fn last_term(&self) -> Term {
        self.term_at(self.last_index())
    }

    /// Term of an entry that is there, or of the one before the first.
    pub fn term_at(&self, index: LogIndex) -> Term {
        // An entry is of the term of the no-op before it: terms begin with one.
        let noops = self.raft.metas.iter().rev().filter(|meta| is_noop(meta));
        let mut begun = noops.skip_while(|meta| meta.index > index);
        begun.next().map_or(self.prev_term(), |noop| noop.term)
    }

    /// Everything before this offset is durable.
    pub fn recovery_point(&self) -> Offset {
        self.durable.synced().offset
    }

    /// Everything up to this entry is durable (entries without records once the journal is synced).
    pub fn synced_index(&self) -> LogIndex {
        self.durable.synced().index
    }

    /// Bytes of all segments, indexes not counted.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(Segment::length).sum()
    }

    /// Bytes of the segments that end at or before `bound`, indexes not counted.
    pub fn size_bytes_before(&self, bound: Offset) -> u64 {
        let segments = self.segments.iter();
        let before = segments.take_while(|segment| segment.end_offset() <= bound);
        before.map(Segment::length).sum()
    }

    /// How many segments there are; at least one.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Damage found so far, in order.
    pub fn damages(&self) -> Vec<Damage> {
        let of = |segment: &Segment| -> Vec<Damage> {
            let holes = segment.holes().iter();
            holes.map(|hole| read::damage(segment, hole)).collect()
        };
        self.segments.iter().flat_map(of).collect()
    }

    /// Why the log is offline, if it is.
    pub fn offline(&self) -> Option<&Offline> {
        self.offline.as_ref()
    }

    /// Gives the log up, for a failure that was seen elsewhere on its disk.
    pub fn set_offline(&mut self, cause: DiskError) {
        self.offline.get_or_insert(Offline { cause });
    }

    /// Its directory is about to be another log's: whoever still holds this one finds it offline.
    pub fn retire(&mut self) {
        let path = self.place.directory.to_path_buf();
        self.set_offline(DiskError::NotFound { path });
    }

    /// The members before any change that is in [`metas`](Self::metas), as the consensus core encoded
    /// them; empty if it never said. Changes stay there for good, also those from before
    /// [`first_index`](Self::first_index).
    pub fn anchored_members(&self) -> Bytes {
        let anchor = self.raft.anchor.as_ref();
        anchor.map_or_else(Bytes::new, |anchor| anchor.members.clone())
    }

    // ---- Raft state in the journal ----

    /// Term, vote and the commit hint.
    pub fn hard_state(&self) -> HardState {
        self.raft.hard_state
    }

    /// Remembers them. Durable after the journal is synced.
    pub fn save_hard_state(&mut self, hard_state: HardState) -> Result<(), AppendError> {
        self.online()?;
        let saved = self
            .place
            .journal
            .save_hard_state(self.place.group, hard_state);
        self.journaled(saved)?;
        self.raft.hard_state = hard_state;
        Ok(())
    }

    /// The entries without records, by index. Changes of members are kept even from before
    /// [`first_index`](Self::first_index).
    pub fn metas(&self) -> &[MetaEntry] {
        &self.raft.metas
    }

    /// Makes durable what the journal has been told, of this log and of all others. Waits for the disk.
    pub fn sync_journal(&mut self) -> Result<(), AppendError> {
        self.online()?;
        let synced = self.place.journal.sync();
        self.journaled(synced)
    }

    /// Appends an entry without records at the end. The journal has to be synced before a batch of
    /// its term is appended. Panics if it does not follow the last entry.
    pub fn append_meta(&mut self, entry: &MetaEntry) -> Result<(), AppendError> {
        self.online()?;
        assert!(!self.appending, "entries are appended in their order");
        assert_eq!(entry.index, self.next_index, "entries follow each other");
        assert_eq!(
            entry.at_offset,
            self.log_end_offset(),
            "an entry without records stands at the end"
        );
        assert!(
            entry.term > self.last_term() || (entry.term == self.last_term() && !is_noop(entry)),
            "a term begins with one no-op term={} last={}",
            entry.term.get(),
            self.last_term().get()
        );
        let appended = self.place.journal.append_meta(self.place.group, entry);
        self.journaled(appended)?;
        self.raft.metas.push(entry.clone());
        self.next_index = entry.index.next();
        if is_noop(entry)
            && self
                .epochs
                .assign(entry.term.leader_epoch(), entry.at_offset)
        {
            self.write_epochs()?;
        }
        Ok(())
    }

    // ---- What was said about the records ----

    /// The last offset that a reader of committed records may read up to (exclusive).
    pub fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        let unstable = self.producers.first_unstable_offset(high_watermark);
        unstable.map_or(high_watermark, |unstable| unstable.min(high_watermark))
    }

    /// Tells the log how far consumers may read: ended transactions below it become stable.
    pub fn high_watermark_moved(&mut self, high_watermark: Offset) {
        self.producers.high_watermark_moved(high_watermark);
    }

    /// What is known of idempotent producers.
    pub fn producers(&self) -> &ProducerState {
        &self.producers
    }

    /// Forgets producers that have been silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now: Timestamp) -> usize {
        self.producers
            .expire(now, self.config.producer_id_expiration_ms)
    }

    /// Where each leader epoch starts.
    pub fn leader_epochs(&self) -> &LeaderEpochs {
        &self.epochs
    }

    /// Answers OffsetForLeaderEpoch; `None` where Kafka answers "undefined".
    pub fn epoch_end_offset(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_offset_of(epoch, self.log_end_offset())
    }

    /// Records appended but not covered by a sync that was begun.
    pub fn unsynced_records(&self) -> u64 {
        self.durable.unsynced_records()
    }

    /// When the next sync should begin by `flush.ms` and `flush.messages`; `None` if there is
    /// nothing to sync. Call after each turn in which something was appended: the first call finds
    /// the log dirty and starts its clock.
    pub fn sync_deadline(&mut self, now: Instant) -> Option<Instant> {
        self.durable.deadline(now, &self.config)
    }

    // ---- Helpers of the other modules ----

    fn active(&self) -> &Segment {
        self.segments.last().expect("a log has a segment")
    }

    fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has a segment")
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.place.disk)
    }

    fn online(&self) -> Result<(), Offline> {
        assert!(!self.closed, "a closed log takes nothing");
        match &self.offline {
            Some(offline) => Err(offline.clone()),
            None => Ok(()),
        }
    }

    /// Passes a result on; anything but a full disk makes the log offline.
    fn journaled(&mut self, result: Result<(), crate::JournalError>) -> Result<(), AppendError> {
        result.map_err(|error| self.gave(error.into()))
    }

    fn gave(&mut self, error: AppendError) -> AppendError {
        if let AppendError::Offline(offline) = &error {
            self.offline.get_or_insert(offline.clone());
        }
        error
    }

    fn failed(&mut self, cause: DiskError) -> Offline {
        self.offline.get_or_insert(Offline { cause }).clone()
    }

    /// As [`failed`](Self::failed), of a read: what could not be opened for want of a file descriptor
    /// can be read later.
    fn unreadable(&mut self, cause: DiskError) -> Offline {
        match cause.is_no_files() {
            true => Offline { cause },
            false => self.failed(cause),
        }
    }

    /// The index of the entry with records that follows `index`: entries without are stepped over.
    fn next_data_index(&self, index: LogIndex) -> LogIndex {
        next_data_index(&self.raft.metas, index)
    }

    /// Writes Kafka's copy of what the journal says. Not synced: the journal is the truth, and a
    /// full disk is no reason to refuse a leader.
    fn write_epochs(&mut self) -> Result<(), AppendError> {
        match write_epochs(&self.place, &self.epochs) {
            Ok(()) => Ok(()),
            Err(error) if error.is_refusal() => Ok(()),
            Err(error) => Err(self.failed(error).into()),
        }
    }
}

pub(crate) fn is_noop(meta: &MetaEntry) -> bool {
    meta.kind == MetaKind::Noop
}

fn next_data_index(metas: &[MetaEntry], index: LogIndex) -> LogIndex {
    let mut next = index.next();
    let at = metas.partition_point(|meta| meta.index < next);
    for meta in &metas[at..] {
        if meta.index != next {
            break;
        }
        next = next.next();
    }
    next
}

fn write_epochs(place: &Place, epochs: &LeaderEpochs) -> Result<(), DiskError> {
    let path = place.directory.join(EPOCHS_FILE);
    let beside = disk::temporary_name(&path);
    let text = epochs.encode();
    let file = place.disk.open(&beside, disk::Open::Truncate)?;
    file.write_at(&mut [std::io::IoSlice::new(text.as_bytes())], 0)?;
    place.disk.rename(&beside, &path)
}

#[cfg(test)]
mod tests;
