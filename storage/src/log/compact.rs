//! What a log knows about its compaction: how much there is to do, what to start from, and what
//! has been done. Kafka's `LogCleanerManager` and `LogToClean`.

use std::collections::BTreeMap;

use klamm_model::{Offset, ProducerId, Timestamp};

use super::{AppendError, Log, Place};
use crate::compaction::{CleanerConfig, Compaction, LastRecord, Plan, Source};
use crate::disk::DiskError;
use crate::segment::Segment;

/// When a topic wants its logs compacted; its settings of the same names, times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionRule {
    /// `delete.retention.ms`: how long tombstones stay after they were compacted once.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: younger records are left alone.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: no record may wait longer.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`, 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
}

/// What of a log can be compacted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanable {
    /// Everything before was compacted.
    pub first_dirty: Offset,
    /// Nothing from here on can be.
    pub end: Offset,
    /// Bytes before `first_dirty`.
    pub clean_bytes: u64,
    /// Bytes from there to `end`.
    pub dirty_bytes: u64,
    /// Whether a record has waited for `max.compaction.lag.ms`.
    pub is_overdue: bool,
}

impl Cleanable {
    /// How much of it is dirty, 0 to 1.
    pub fn dirty_ratio(&self) -> f64 {
        self.dirty_bytes as f64 / (self.clean_bytes + self.dirty_bytes).max(1) as f64
    }

    /// Whether it is time (`LogCleanerManager.grabFilthiestCompactedLog`).
    pub fn is_due(&self, rule: &CompactionRule) -> bool {
        self.dirty_bytes > 0
            && (self.is_overdue || self.dirty_ratio() > rule.min_cleanable_dirty_ratio)
    }
}

impl Place {
    /// A segment in the making, under names that nobody reads.
    pub(crate) fn create_cleaned(
        &self,
        base: Offset,
        now: Timestamp,
    ) -> Result<Segment, DiskError> {
        Segment::create_cleaned(&*self.disk, &self.directory, base, &self.mappings, now)
    }
}

impl Log {
    /// Everything before this offset was compacted; `None` if nothing ever was.
    pub fn cleaned_to(&self) -> Option<Offset> {
        (self.cleaned_to > Offset::ZERO).then_some(self.cleaned_to)
    }

    /// The offset from which on no batch is missing.
    pub fn whole_from(&self) -> Offset {
        self.segments[self.first_whole()].base_offset()
    }

    /// Says that compaction met damage: until the log is opened anew, it is not tried again.
    pub fn set_uncleanable(&mut self) {
        self.uncleanable = true;
    }

    /// Whether compaction met damage.
    pub fn is_uncleanable(&self) -> bool {
        self.uncleanable
    }

    /// What can be compacted: closed segments that are durable, lie before `bound` (what is
    /// committed, and the last stable offset) and are older than `min.compaction.lag.ms`. `None`
    /// while another compaction is putting something in place, or after damage.
    pub fn cleanable(
        &mut self,
        rule: &CompactionRule,
        now: Timestamp,
        bound: Offset,
    ) -> Result<Option<Cleanable>, AppendError> {
        self.online()?;
        if self.uncleanable || self.swapping.is_some() {
            return Ok(None);
        }
        let found = self.find_cleanable(rule, now, bound);
        found.map_err(|error| self.unreadable(error).into())
    }

    fn find_cleanable(
        &mut self,
        rule: &CompactionRule,
        now: Timestamp,
        bound: Offset,
    ) -> Result<Option<Cleanable>, DiskError> {
        let disk = self.disk();
        let first_dirty = match self.cleaned_to <= self.log_end_offset() {
            true => self.cleaned_to.max(self.log_start),
            // A checkpoint of a longer log.
            false => self.log_start,
        };
        let bound = bound.min(self.recovery_point());
        let mut cleanable = Cleanable {
            first_dirty,
            end: self.segments[0].base_offset(),
            clean_bytes: 0,
            dirty_bytes: 0,
            is_overdue: false,
        };
        let closed = self.segments.len() - 1;
        for segment in &mut self.segments[..closed] {
            let is_dirty = segment.end_offset() > first_dirty;
            let stays = segment.end_offset() > bound
                || segment.is_unsynced()
                || !segment.holes().is_empty()
                || is_dirty && is_young(segment, &*disk, rule, now)?;
            if stays {
                break;
            }
            cleanable.end = segment.end_offset();
            if is_dirty {
                cleanable.dirty_bytes += segment.length();
                let age = now.millis() - segment.first_time(&*disk)?.millis();
                cleanable.is_overdue |= age > rule.max_compaction_lag_ms;
            } else {
                cleanable.clean_bytes += segment.length();
            }
        }
        Ok((cleanable.end > first_dirty).then_some(cleanable))
    }

    /// Begins to compact what [`cleanable`](Self::cleanable) found a moment ago. The log goes on
    /// meanwhile.
    pub fn begin_compaction(
        &mut self,
        cleanable: &Cleanable,
        rule: &CompactionRule,
        config: &CleanerConfig,
        now: Timestamp,
    ) -> Result<Compaction, AppendError> {
        self.online()?;
        let plan = self.plan_compaction(cleanable, rule, now);
        match plan {
            Ok(plan) => Ok(Compaction::new(plan, config)),
            Err(error) => Err(self.unreadable(error).into()),
        }
    }

    fn plan_compaction(
        &mut self,
        cleanable: &Cleanable,
        rule: &CompactionRule,
        now: Timestamp,
    ) -> Result<Plan, DiskError> {
        let disk = self.disk();
        let mut aborted = Vec::new();
        for segment in &mut self.segments {
            // The marker of a transaction may lie far behind its records.
            let rows = segment.transactions().entries(&*disk)?;
            aborted.extend(rows.iter().filter(|row| row.first_offset < cleanable.end));
        }
        let count = self
            .segments
            .partition_point(|segment| segment.end_offset() <= cleanable.end);
        Ok(Plan {
            place: self.place.clone(),
            sources: self.segments[..count].iter().map(Segment::source).collect(),
            first_dirty: cleanable.first_dirty,
            now,
            delete_retention_ms: rule.delete_retention_ms,
            segment_bytes: u64::from(self.config.segment_bytes),
            segment_index_bytes: u64::from(self.config.segment_index_bytes),
            index_interval_bytes: self.config.index_interval_bytes,
            producers: self.last_records(),
            aborted,
        })
    }

    /// Kafka's `UnifiedLog.lastRecordsOfActiveProducers`.
    fn last_records(&self) -> BTreeMap<ProducerId, LastRecord> {
        let of = |entry: &crate::ProducerEntry| LastRecord {
            data_offset: entry.last_batch().map(|batch| batch.last_offset),
            epoch: entry.epoch(),
        };
        let producers = self.producers.iter();
        producers.map(|(id, entry)| (id, of(entry))).collect()
    }

    /// Takes note that a compaction is through: everything before `cleaned_to` was compacted.
    pub fn compacted(&mut self, cleaned_to: Offset) {
        self.cleaned_to = self.cleaned_to.max(cleaned_to);
        if self.cleaned_to > self.log_end_offset() {
            self.cleaned_to = cleaned_to;
        }
    }

    /// The index of the first segment that is being replaced, or of none.
    pub(super) fn before_swap(&self) -> usize {
        match &self.swapping {
            Some(range) => self.segment_of(range.start),
            None => self.segments.len(),
        }
    }

    /// Finds the segments that a copy was made of; `None` if they are not what they were.
    pub(super) fn sources_at(&self, sources: &[Source]) -> Option<usize> {
        let first = sources[0].base_offset;
        let at = self
            .segments
            .binary_search_by_key(&first, Segment::base_offset)
            .ok()?;
        // The active segment has not been copied.
        let found = self.segments.get(at..at + sources.len())?;
        let same = found
            .iter()
            .map(Segment::source)
            .eq(sources.iter().cloned());
        (same && at + sources.len() < self.segments.len()).then_some(at)
    }
}

/// Whether `min.compaction.lag.ms` protects a segment.
fn is_young(
    segment: &mut Segment,
    disk: &dyn crate::Disk,
    rule: &CompactionRule,
    now: Timestamp,
) -> Result<bool, DiskError> {
    if rule.min_compaction_lag_ms <= 0 {
        return Ok(false);
    }
    let newest = segment.max_time(disk)?.timestamp.millis();
    let newest = match newest {
        ..0 => segment.created().millis(),
        _ => newest,
    };
    Ok(newest > now.millis().saturating_sub(rule.min_compaction_lag_ms))
}
