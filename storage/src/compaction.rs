//! Log compaction: of each key the newest record stays.
//!
//! Kafka's `Cleaner`, for one log at a time and away from the data plane. A [`Compaction`] first
//! walks what is new since the last time and learns where each key was written last
//! ([`OffsetMap`]); then it copies all closed segments up to there, in groups that make segments of
//! full size again, without the records that the map says are superseded, without tombstones past
//! their time, without what aborted transactions left. The log puts each copy in place of its
//! originals ([`Log::begin_swap`](crate::Log::begin_swap)).
//!
//! What stays does not move: offsets, sequence numbers, timestamps and bytes of whole batches are
//! as they were. The last batch of each segment stays even without records, so that a segment ends
//! where it should, and damage at its end can be told from compaction; so does the last batch of
//! each live producer, which tells its sequence number.

mod filter;
mod offset_map;
mod output;
mod source;
mod transactions;

use std::collections::{BTreeMap, VecDeque};

use klamm_model::{Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::DiskError;
use crate::log::{Damage, Place};
use crate::producer_state::AbortedTransaction;
use crate::segment::FoundFiles;
use filter::{Filter, Kept};
use offset_map::OffsetMap;
use output::Output;
pub(crate) use source::Source;
use transactions::CleanedTransactions;

/// Largest batch that is inflated to look at its records; a larger one stays as it is.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// How a broker compacts (`log.cleaner.*`).
#[derive(Clone, Copy, Debug)]
pub struct CleanerConfig {
    /// `log.cleaner.dedupe.buffer.size`: bytes for the keys of one compaction. While they grow,
    /// half as much again.
    pub dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`, 0 to 1.
    pub load_factor: f64,
    /// `log.cleaner.io.buffer.size`: bytes that are written at once.
    pub io_buffer_bytes: usize,
    /// What keys are hashed with; secret, so that nobody can make two keys look alike.
    pub hash_seed: u128,
}

/// How fast a compaction may go, and whether it is to go on.
pub trait Pace {
    /// So many bytes have been read or written; may wait. `false` ends the compaction.
    fn moved(&mut self, bytes: u64) -> bool;
}

/// Why a compaction ended early. Nothing is lost: what was not put in place is not there.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CompactionError {
    /// It was told to ([`Pace`]).
    #[error("compaction was stopped")]
    Stopped,
    /// A segment has left the log.
    #[error("the log has changed under compaction")]
    Gone,
    /// A segment is damaged: there is nothing that could be put in its place.
    #[error("records are damaged file={} position={} first_offset={}", .0.file.display(), .0.position, .0.first_offset)]
    Damaged(Damage),
    /// Records cannot be read.
    #[error("records cannot be read from the disk: {0}")]
    Unreadable(DiskError),
    /// The copy cannot be written.
    #[error("compacted records cannot be written: {0}")]
    Unwritable(DiskError),
}

/// What a compaction has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionStats {
    /// Bytes of the segments that were copied.
    pub bytes_before: u64,
    /// Bytes of the copies.
    pub bytes_after: u64,
    /// Records in the segments that were copied, as far as their batches were opened.
    pub records_before: u64,
    /// Records in the copies.
    pub records_after: u64,
}

/// What a partition knows of a producer that is alive: the batch that tells it has to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// `None` if there are only markers.
    pub(crate) data_offset: Option<Offset>,
    pub(crate) epoch: ProducerEpoch,
}

/// What a log tells a compaction when it begins.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) place: Place,
    /// All segments up to where it ends, in order.
    pub(crate) sources: Vec<Source>,
    pub(crate) first_dirty: Offset,
    pub(crate) now: Timestamp,
    pub(crate) delete_retention_ms: i64,
    pub(crate) segment_bytes: u64,
    pub(crate) segment_index_bytes: u64,
    pub(crate) index_interval_bytes: u32,
    pub(crate) producers: BTreeMap<ProducerId, LastRecord>,
    pub(crate) aborted: Vec<AbortedTransaction>,
}

/// One compaction of one log; runs on any thread. See the [module](self).
#[derive(Debug)]
pub struct Compaction {
    plan: Plan,
    io_buffer_bytes: usize,
    map: OffsetMap,
    /// Once the keys are known.
    groups: Option<VecDeque<Vec<Source>>>,
    transactions: CleanedTransactions,
    stats: CompactionStats,
}

/// A copy that is durable, under names that nobody reads yet.
#[derive(Debug)]
#[must_use = "the copy takes room until the log has taken or discarded it"]
pub struct CleanedGroup {
    pub(crate) sources: Vec<Source>,
    pub(crate) files: FoundFiles,
}

impl CleanedGroup {
    pub(crate) fn base_offset(&self) -> Offset {
        self.sources[0].base_offset
    }

    pub(crate) fn end_offset(&self) -> Offset {
        self.sources[self.sources.len() - 1].end_offset
    }
}

impl Compaction {
    pub(crate) fn new(plan: Plan, config: &CleanerConfig) -> Self {
        let transactions = CleanedTransactions::new(plan.aborted.clone());
        Self {
            plan,
            io_buffer_bytes: config.io_buffer_bytes,
            map: OffsetMap::new(
                config.dedupe_buffer_bytes,
                config.load_factor,
                config.hash_seed,
            ),
            groups: None,
            transactions,
            stats: CompactionStats::default(),
        }
    }

    /// Makes the next copy; `None` when all is done. A group in which nothing would change is
    /// passed over.
    pub fn next_group(
        &mut self,
        pace: &mut dyn Pace,
    ) -> Result<Option<CleanedGroup>, CompactionError> {
        if self.groups.is_none() {
            self.map_keys(pace)?;
            self.groups = Some(self.group_sources());
        }
        while let Some(group) = self.groups.as_mut().and_then(VecDeque::pop_front) {
            let copied = self.copy(&group, pace);
            match copied {
                Ok(Some(files)) => {
                    return Ok(Some(CleanedGroup {
                        sources: group,
                        files,
                    }));
                }
                Ok(None) => self.plan.place.remove_cleaned(group[0].base_offset),
                Err(error) => {
                    self.plan.place.remove_cleaned(group[0].base_offset);
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// Everything before this offset has been compacted, once
    /// [`next_group`](Self::next_group) has said `None`.
    pub fn cleaned_to(&self) -> Offset {
        self.map.end_offset().max(self.plan.first_dirty)
    }

    /// What it has done so far.
    pub fn stats(&self) -> CompactionStats {
        self.stats
    }

    /// Learns the keys of what is new. If they are too many, as far as they go.
    fn map_keys(&mut self, pace: &mut dyn Pace) -> Result<(), CompactionError> {
        let first_dirty = self.plan.first_dirty;
        let mut transactions = CleanedTransactions::new(self.plan.aborted.clone());
        for source in &self.plan.sources {
            if source.end_offset <= first_dirty || self.map.is_full() {
                continue;
            }
            let map = &mut self.map;
            source.walk(&self.plan.place, |batch| {
                go_on(pace, batch.size_bytes() as u64)?;
                let discarded = transactions.observe(batch);
                let header = batch.header();
                match header.is_control() || discarded {
                    true => map.skip_to(header.last_offset()),
                    false => map.add_keys(batch, first_dirty, INFLATED_BYTES_MAX),
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Kafka's `Cleaner.groupSegmentsBySize`: neighbours that together are no larger than one
    /// segment may be.
    fn group_sources(&self) -> VecDeque<Vec<Source>> {
        let end = self.map.end_offset();
        let mut groups: VecDeque<Vec<Source>> = VecDeque::new();
        for source in &self.plan.sources {
            if source.base_offset >= end {
                break;
            }
            match groups.back_mut() {
                Some(group) if self.fits(group, source) => group.push(source.clone()),
                _ => groups.push_back(vec![source.clone()]),
            }
        }
        groups
    }

    fn fits(&self, group: &[Source], next: &Source) -> bool {
        let total = |of: fn(&Source) -> u64| group.iter().map(of).sum::<u64>() + of(next);
        total(|source| source.length) <= self.plan.segment_bytes
            && total(|source| source.index_bytes) <= self.plan.segment_index_bytes
            && next.end_offset.since(group[0].base_offset) <= i64::from(i32::MAX)
    }

    /// Copies what stays of a group; `None` if all of it does, as it is.
    fn copy(
        &mut self,
        group: &[Source],
        pace: &mut dyn Pace,
    ) -> Result<Option<FoundFiles>, CompactionError> {
        let plan = &self.plan;
        let mut output = Output::create(plan, group, self.io_buffer_bytes)?;
        let end = group[group.len() - 1].end_offset;
        let filter = Filter {
            map: &self.map,
            producers: &plan.producers,
            now: plan.now,
            delete_retention_ms: plan.delete_retention_ms,
        };
        let mut changed = group.len() > 1;
        let mut stats = self.stats;
        for source in group {
            let transactions = &mut self.transactions;
            source.walk(&plan.place, |batch| {
                go_on(pace, batch.size_bytes() as u64)?;
                let can_discard = transactions.observe(batch);
                let is_last = batch.next_offset() == end;
                stats.records_before += batch.header().record_count().max(0).unsigned_abs() as u64;
                match filter.filter(batch, can_discard, is_last) {
                    Kept::Nothing => changed = true,
                    Kept::Whole => output.append(batch)?,
                    Kept::Changed(less) => {
                        changed = true;
                        output.append(&less)?;
                    }
                }
                output.note_aborted(transactions.take_kept())
            })?;
            stats.bytes_before += source.length;
        }
        stats.bytes_after += output.length();
        stats.records_after += output.records();
        self.stats = stats;
        if !changed {
            return Ok(None);
        }
        go_on(pace, output.length())?;
        output.finish().map(Some)
    }
}

fn go_on(pace: &mut dyn Pace, bytes: u64) -> Result<(), CompactionError> {
    match pace.moved(bytes) {
        true => Ok(()),
        false => Err(CompactionError::Stopped),
    }
}

#[cfg(test)]
mod tests;
