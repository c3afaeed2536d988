//! The batches of one turn: accepted, given their places, not yet in the log.

use klamm_model::{LeaderEpoch, LogIndex, Offset, RecordBatch};
use klamm_replication::Position;
use klamm_storage::{BatchRange, ProducerCheck, ProducerRefusal, ProducerState, StagedProducers};

use super::Staged;

/// See the module. What is staged here is what Raft is about to be asked to append; the places
/// predicted here are asserted when it has answered.
#[derive(Debug)]
pub(super) struct Staging {
    batches: Vec<RecordBatch>,
    /// How many the last turn took: the next one is likely to take as many.
    usual: usize,
    bytes: u64,
    /// What the log does not know of its producers yet: of batches staged, and of those that are
    /// being written.
    producers: StagedProducers,
    /// Whether `producers` is right: not after batches were dropped, until the rest is written.
    certain: bool,
    /// Where the Raft log ends.
    start: Position,
    /// Where it ends with everything staged.
    end: Position,
}

/// Room that is made before a turn is known to need it.
const USUAL_MAX: usize = 64;

impl Staging {
    pub(super) fn new(log_end: Position) -> Self {
        Self {
            batches: Vec::new(),
            usual: 0,
            bytes: 0,
            producers: StagedProducers::new(),
            certain: true,
            start: log_end,
            end: log_end,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Bytes of all batches staged.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last entry with everything staged.
    pub(super) fn end_index(&self) -> LogIndex {
        self.end.index
    }

    /// `Some` for a batch that is, or is staged to be, in the log already.
    pub(super) fn duplicate_of(
        &self,
        batch: &RecordBatch,
        producers: &ProducerState,
    ) -> Result<Option<BatchRange>, ProducerRefusal> {
        match self.producers.check(producers, batch.header())? {
            ProducerCheck::Accept => Ok(None),
            ProducerCheck::Duplicate(original) => Ok(Some(original)),
        }
    }

    /// Takes a batch and says where it will stand.
    pub(super) fn push(
        &mut self,
        mut batch: RecordBatch,
        epoch: LeaderEpoch,
        producers: &ProducerState,
    ) -> Staged {
        batch.stamp(self.end.offset, epoch);
        self.producers.stage(producers, batch.header());
        self.bytes += batch.size_bytes() as u64;
        self.end = Position {
            index: self.end.index.next(),
            offset: batch.next_offset(),
        };
        let staged = Staged::Appended {
            index: self.end.index,
            base_offset: batch.base_offset(),
            last_offset: batch.last_offset(),
        };
        if self.batches.is_empty() {
            self.batches.reserve(self.usual);
        }
        self.batches.push(batch);
        staged
    }

    /// Hands the batches over, with the position after the last; nothing is staged any more.
    pub(super) fn take(&mut self) -> (Vec<RecordBatch>, Position) {
        self.bytes = 0;
        self.usual = self.batches.len().min(USUAL_MAX);
        (std::mem::take(&mut self.batches), self.end)
    }

    /// Forgets what was staged, or has just been taken and was refused; the offset where it would
    /// have begun. `log_is_caught_up` if nothing is being written.
    pub(super) fn drop_all(&mut self, log_is_caught_up: bool) -> Offset {
        self.take();
        self.end = self.start;
        self.certain = false;
        if log_is_caught_up {
            self.log_caught_up();
        }
        self.start.offset
    }

    /// Everything that was taken before is in the log, which knows its producers now.
    pub(super) fn log_caught_up(&mut self) {
        if self.is_empty() {
            self.producers.clear();
            self.certain = true;
        }
    }

    /// Whether it can be said of a batch if it fits its producer's last.
    pub(super) fn is_certain(&self) -> bool {
        self.certain
    }

    /// The Raft log goes on with entries without records, which take no offset: what is staged goes
    /// behind them.
    pub(super) fn entries_stand_before(&mut self, count: usize) {
        for position in [&mut self.start, &mut self.end] {
            position.index.0 += count as u64;
        }
    }

    /// Sets where the next batch goes.
    pub(super) fn log_ends_at(&mut self, end: Position) {
        assert!(
            self.is_empty(),
            "the log does not move under staged batches"
        );
        self.start = end;
        self.end = end;
    }
}

#[cfg(test)]
mod tests {
    use klamm_model::record_batch::BatchBuilder;
    use klamm_model::{ProducerEpoch, ProducerId, Timestamp};

    use super::*;

    fn batch(sequence: i32) -> RecordBatch {
        let mut builder = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), sequence);
        builder.append(Timestamp(1), None, None, &[]);
        builder.build()
    }

    #[test]
    fn dropped_batches_leave_producers_uncertain_until_the_rest_is_written() {
        let end = |offset: u64| Position {
            index: LogIndex(1 + offset),
            offset: Offset::new(offset as i64),
        };
        let known = ProducerState::default();
        let mut staging = Staging::new(end(0));
        staging.push(batch(0), LeaderEpoch(1), &known);
        staging.take();
        staging.log_ends_at(end(1));
        staging.push(batch(1), LeaderEpoch(1), &known);
        assert_eq!(staging.drop_all(false), Offset::new(1));
        assert!(!staging.is_certain(), "batch 0 is being written");
        staging.log_caught_up();
        assert!(staging.is_certain());
        let staged = staging.push(batch(1), LeaderEpoch(1), &known);
        let Staged::Appended { base_offset, .. } = staged else {
            panic!("{staged:?}");
        };
        assert_eq!(base_offset, Offset::new(1), "where the first was dropped");
    }
}
