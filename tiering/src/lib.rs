//! Closed segments to object storage and back.
//!
//! [`ObjectStore`] is what an archive asks of the place where it lies, [`DirStore`] a directory that does
//! it; a bucket is the crate `klamm-s3`, so that this one is built without the SDK. [`probe()`] asks a store
//! whether it can be relied on.
//!
//! [`PartitionArchive`] is what one broker knows of the archive of one partition, [`ArchiveReader`] gives its
//! records back; [`layout`], [`manifest`] and [`SegmentIndex`] are what lies in the store.
#![forbid(unsafe_code)]

mod archive_mark;
mod archive_view;
mod archived_object;
mod body;
mod chain;
mod checksum;
mod chunk_cache;
mod dir;
pub mod layout;
mod lru;
pub mod manifest;
mod object_store;
mod partition_archive;
mod probe;
mod read_ahead;
mod reader;
mod segment_index;
mod single_flight;

pub use archive_mark::{ArchiveMarkError, claim_archive};
pub use archived_object::{ArchivedObject, ObjectDetails};
pub use body::{ObjectBody, PIECE_BYTES, pieces, read_piece};
pub use checksum::{Crc64Nvme, Crc64NvmeDigest, holds};
pub use chunk_cache::{ChunkCacheConfig, ChunkCacheStats};
pub use dir::DirStore;
pub use layout::ObjectName;
pub use manifest::{ArchiveOwner, ManifestError, ManifestHead, SealedList, SealedRange};
pub use object_store::{
    Completion, InvalidObjectKey, ListedObject, ObjectHead, ObjectKey, ObjectStore, ObjectTag,
    StoreError,
};
pub use partition_archive::{
    ArchiveError, Expired, NotTheNext, PartitionArchive, PublishError, Removed, RetentionLimits,
};
pub use probe::{Conditions, probe};
pub use read_ahead::ReadAheadLimits;
pub use reader::{ArchiveReadError, ArchiveReader, ArchiveReaderConfig, ArchivedRecords};
pub use segment_index::{
    AbortedSearch, INTERVAL_BYTES, OpenTransaction, OutOfOrder, PositionEntry, SegmentFacts,
    SegmentIndex, SegmentIndexBuilder, SegmentIndexError, TimeEntry,
};
