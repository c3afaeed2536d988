//! The batches of one turn: accepted, given their places, not yet in the log.

use klamm_model::{LeaderEpoch, RecordBatch};
use klamm_replication::Position;
use klamm_storage::{BatchRange, ProducerCheck, ProducerRefusal, ProducerState, StagedProducers};

use super::Staged;

/// See the module. What is staged here is what Raft is about to be asked to append; the places
/// predicted here are asserted when it has answered.
#[derive(Debug)]
pub(super) struct Staging {
    batches: Vec<RecordBatch>,
    bytes: u64,
    producers: StagedProducers,
    /// Where the log ends with everything staged.
    end: Position,
}

impl Staging {
    pub(super) fn new(log_end: Position) -> Self {
        Self {
            batches: Vec::new(),
            bytes: 0,
            producers: StagedProducers::new(),
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
        self.batches.push(batch);
        staged
    }

    /// Hands the batches over, with the position after the last; nothing is staged any more.
    pub(super) fn take(&mut self) -> (Vec<RecordBatch>, Position) {
        self.producers.clear();
        self.bytes = 0;
        (std::mem::take(&mut self.batches), self.end)
    }

    /// Sets where the next batch goes.
    pub(super) fn log_ends_at(&mut self, end: Position) {
        assert!(
            self.is_empty(),
            "the log does not move under staged batches"
        );
        self.end = end;
    }
}
