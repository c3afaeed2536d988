//! What is known of one object of an archive.

use klamm_model::{LeaderEpoch, Offset, Timestamp};

use crate::layout::ObjectName;
use crate::segment_index::SegmentIndex;

/// One object: batches with an index beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedObject {
    /// The offsets, and the plan.
    pub name: ObjectName,
    /// Bytes of the batches: the size of the `.log`.
    pub bytes: u64,
    /// What a listing does not say; `None` until it has been looked up in the index.
    pub details: Option<ObjectDetails>,
}

/// What the index of an object says of it as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectDetails {
    /// As the batches say.
    pub records: u64,
    /// The earliest time of a first record of a batch, or [`Timestamp::NONE`].
    pub min_timestamp: Timestamp,
    /// The latest time that a batch claims, or [`Timestamp::NONE`].
    pub max_timestamp: Timestamp,
    /// The epoch of the first batch.
    pub first_epoch: LeaderEpoch,
    /// The epoch of the last batch.
    pub last_epoch: LeaderEpoch,
    /// CRC-64/NVME of the batches as the store writes it down; `None` where nobody knows it.
    pub checksum: Option<String>,
}

impl ArchivedObject {
    /// The first offset.
    pub fn base(&self) -> Offset {
        self.name.base()
    }

    /// The offset after the last.
    pub fn end(&self) -> Offset {
        self.name.end()
    }

    /// The latest time that a batch claims, if the details are known.
    pub fn max_timestamp(&self) -> Option<Timestamp> {
        self.details.as_ref().map(|details| details.max_timestamp)
    }
}

impl ObjectDetails {
    /// What an index says, and the checksum, which it does not know.
    pub fn of(index: &SegmentIndex, checksum: Option<String>) -> Self {
        let facts = index.facts();
        let (first_epoch, last_epoch) = index.first_and_last_epoch();
        Self {
            records: facts.records,
            min_timestamp: facts.min_timestamp,
            max_timestamp: facts.max_timestamp,
            first_epoch,
            last_epoch,
            checksum,
        }
    }
}
