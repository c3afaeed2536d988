//! Reads a partition of `__consumer_offsets` into a coordinator.

use bytes::Bytes;
use klamm_coordinator::Loader;
use klamm_model::record_batch::{BatchError, RecordError};
use klamm_model::{Offset, RecordBatch};
use klamm_storage::{Attempt, PopulateTicket, ReadError, ReadResult};

use crate::background::POPULATE_ROUNDS_MAX;
use crate::partition::Partition;

/// Bytes read at once; other work goes on in between.
const READ_BYTES: usize = 1 << 20;
/// More than any batch of offsets inflates to; this broker does not compress them.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// How far the reading has got.
pub(super) struct Progress {
    loader: Loader,
    next: Offset,
    end: Offset,
    /// Tickets since something was read.
    rounds: usize,
}

impl Progress {
    /// From the log's start; how far is said later.
    pub(super) fn start(partition: &Partition) -> Self {
        let start = partition.driver().log_start_offset();
        Self {
            loader: Loader::new(),
            next: start,
            end: start,
            rounds: 0,
        }
    }

    /// Everything below this offset is to be read; less than before changes nothing.
    pub(super) fn extend_to(&mut self, end: Offset) {
        self.end = self.end.max(end);
    }

    /// What was read.
    pub(super) fn into_loader(self) -> Loader {
        self.loader
    }

    pub(super) fn is_done(&self) -> bool {
        self.next >= self.end
    }

    /// Reads the next piece. What is damaged is said and left out: a group that goes on from an
    /// older offset reads some records twice, one that cannot be served reads none. A ticket is to
    /// be run before the next call: nothing was read.
    ///
    /// # Errors
    /// The log is offline, or the disk does not give its records.
    pub(super) fn advance(
        &mut self,
        partition: &Partition,
    ) -> Result<Option<PopulateTicket>, ReadError> {
        match self.read(partition) {
            Ok(Attempt::Cold(ticket)) => {
                self.rounds += 1;
                return Ok(Some(ticket));
            }
            Ok(Attempt::Done(read)) => {
                self.replay(partition, read.records);
                self.next = read.next_offset;
            }
            Err(ReadError::Corrupt(damage)) => {
                tracing::error!(partition = %partition.id(), first_offset = %damage.first_offset,
                    next_offset = %damage.next_offset,
                    "damaged records are left out of the groups");
                self.next = damage.next_offset;
            }
            // The start of the log was raised meanwhile.
            Err(ReadError::OffsetOutOfRange { log_start, .. }) if log_start > self.next => {
                self.next = log_start;
            }
            Err(error) => return Err(error),
        }
        self.rounds = 0;
        Ok(None)
    }

    fn read(&self, partition: &Partition) -> Result<Attempt<ReadResult>, ReadError> {
        let mut driver = partition.driver_mut();
        let log = driver.log_mut();
        if self.rounds < POPULATE_ROUNDS_MAX {
            log.try_read(self.next, self.end, READ_BYTES, true)
        } else {
            let read = log.read(self.next, self.end, READ_BYTES, true);
            read.map(Attempt::Done)
        }
    }

    fn replay(&mut self, partition: &Partition, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let replayed = RecordBatch::parse(&mut bytes)
                .map_err(LoadError::Batch)
                .and_then(|batch| self.replay_batch(&batch));
            if let Err(error) = replayed {
                tracing::error!(partition = %partition.id(), %error,
                    "records are left out of the groups");
                if matches!(error, LoadError::Batch(_)) {
                    return; // Where the next one begins is not known.
                }
            }
        }
    }

    fn replay_batch(&mut self, batch: &RecordBatch) -> Result<(), LoadError> {
        // Transactions are not served, so their offsets were never committed by this broker.
        if batch.header().is_control() || batch.header().is_transactional() {
            return Ok(());
        }
        for record in batch.records(INFLATED_BYTES_MAX)? {
            let record = record?;
            self.loader
                .replay(record.key.as_deref(), record.value.as_deref())?;
        }
        Ok(())
    }
}

/// Why a batch is left out.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Batch(BatchError),
    #[error(transparent)]
    Records(#[from] RecordError),
    #[error(transparent)]
    Record(#[from] klamm_coordinator::record::RecordError),
}
