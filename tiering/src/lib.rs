//! Closed segments to object storage and back. The only crate that knows object storage.
//!
//! [`ObjectStore`] is what an archive asks of the place where it lies, [`DirStore`] a directory that does
//! it.
#![forbid(unsafe_code)]

mod archive_mark;
mod archive_view;
mod archived_object;
mod chain;
mod chunk_cache;
mod dir;
pub mod layout;
mod listing;
mod lru;
pub mod manifest;
mod object_store;
mod partition_archive;
mod read_ahead;
mod reader;
mod segment_index;
mod single_flight;

pub use archive_mark::{ArchiveMarkError, claim_archive};
pub use archived_object::{ArchivedObject, ObjectDetails};
pub use chunk_cache::{ChunkCacheConfig, ChunkCacheStats};
pub use dir::DirStore;
pub use layout::ObjectName;
pub use manifest::{ArchiveOwner, ManifestError, ManifestHead, SealedList, SealedRange};
pub use object_store::{
    Completion, InvalidObjectKey, ListedObject, ObjectKey, ObjectStore, ObjectTag, StoreError,
};
pub use partition_archive::{
    ArchiveError, Expired, NotTheNext, PartitionArchive, PublishError, Removed, RetentionLimits,
};
pub use read_ahead::ReadAheadLimits;
pub use reader::{ArchiveReadError, ArchiveReader, ArchiveReaderConfig, ArchivedRecords};
pub use segment_index::{
    AbortedSearch, INTERVAL_BYTES, OpenTransaction, OutOfOrder, PositionEntry, SegmentFacts,
    SegmentIndex, SegmentIndexBuilder, SegmentIndexError, TimeEntry,
};
