//! Reads the records of the metadata log.

use klamm_metadata::{CorruptRecord, MetadataRecord};
use klamm_model::record_batch::{BatchError, RecordError};
use klamm_model::{Offset, RecordBatch};
use klamm_storage::ReadError;

use crate::partition::Partition;

/// Why the cluster's metadata cannot be read. The broker does not start: it would not know which
/// topics there are.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Bytes of the log are damaged, or the disk fails.
    #[error("the metadata log cannot be read: {0}")]
    Read(#[from] ReadError),
    /// A batch is damaged.
    #[error("the metadata log is damaged: {0}")]
    Batch(#[from] BatchError),
    /// The records of a batch cannot be told apart.
    #[error("the metadata log is damaged: {0}")]
    Records(#[from] RecordError),
    /// A record was written by a newer Klamm, or is damaged.
    #[error("a metadata record cannot be understood: {error} offset={offset}")]
    Record {
        /// Where it stands.
        offset: Offset,
        /// What is wrong with it.
        error: CorruptRecord,
    },
    /// A record does not fit those before it.
    #[error("a metadata record does not fit those before it: {error} offset={offset}")]
    OutOfPlace {
        /// Where it stands.
        offset: Offset,
        /// What is wrong with it.
        error: klamm_metadata::image::OutOfPlace,
    },
}

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// More than any batch of metadata inflates to; they are not compressed.
const INFLATED_BYTES_MAX: usize = 64 << 20;

/// Some of the log's records, in order.
pub(super) struct Changes {
    /// With the offset of each.
    pub(super) records: Vec<(Offset, MetadataRecord)>,
    /// Of the first record behind them.
    pub(super) next_offset: Offset,
}

/// Reads records from `from` on, below `end`: as many as are read at once.
pub(super) fn read_changes(
    partition: &Partition,
    from: Offset,
    end: Offset,
) -> Result<Changes, LoadError> {
    let mut driver = partition.driver_mut();
    let read = driver.log_mut().read(from, end, READ_BYTES, true)?;
    let mut bytes = read.records;
    let mut records = Vec::new();
    while !bytes.is_empty() {
        decode_batch(&RecordBatch::parse(&mut bytes)?, &mut records)?;
    }
    Ok(Changes {
        records,
        next_offset: read.next_offset,
    })
}

/// All records that are in the log, whether they are committed or not: what may be, where nothing
/// better is known.
pub(crate) fn read_all(partition: &Partition) -> Result<Vec<MetadataRecord>, LoadError> {
    let (mut next, end) = {
        let driver = partition.driver();
        (driver.log_start_offset(), driver.log_end_offset())
    };
    let mut all = Vec::new();
    while next < end {
        let changes = read_changes(partition, next, end)?;
        next = changes.next_offset;
        all.extend(changes.records.into_iter().map(|(_, record)| record));
    }
    Ok(all)
}

fn decode_batch(
    batch: &RecordBatch,
    records: &mut Vec<(Offset, MetadataRecord)>,
) -> Result<(), LoadError> {
    for record in batch.records(INFLATED_BYTES_MAX)? {
        let record = record?;
        let offset = record.offset;
        let value = record.value.unwrap_or_default();
        let change = MetadataRecord::decode(&value);
        let change = change.map_err(|error| LoadError::Record { offset, error })?;
        records.push((offset, change));
    }
    Ok(())
}
