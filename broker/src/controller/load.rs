//! Rebuilds the metadata image from its log.

use klamm_metadata::{CorruptRecord, MetadataImage, MetadataRecord};
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

/// Applies every record of the log, in order.
pub(crate) fn load(partition: &Partition) -> Result<MetadataImage, LoadError> {
    let mut image = MetadataImage::default();
    let mut driver = partition.driver_mut();
    let (mut next, end) = (driver.log_start_offset(), driver.log_end_offset());
    while next < end {
        let read = driver.log_mut().read(next, end, READ_BYTES, true)?;
        let mut bytes = read.records;
        while !bytes.is_empty() {
            apply_batch(&mut image, &RecordBatch::parse(&mut bytes)?)?;
        }
        next = read.next_offset;
    }
    Ok(image)
}

fn apply_batch(image: &mut MetadataImage, batch: &RecordBatch) -> Result<(), LoadError> {
    for record in batch.records(INFLATED_BYTES_MAX)? {
        let record = record?;
        let offset = record.offset;
        let value = record.value.unwrap_or_default();
        let change =
            MetadataRecord::decode(&value).map_err(|error| LoadError::Record { offset, error })?;
        image
            .apply(&change)
            .map_err(|error| LoadError::OutOfPlace { offset, error })?;
    }
    Ok(())
}
