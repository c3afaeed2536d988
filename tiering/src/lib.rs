//! Closed segments to object storage and back.
//!
//! [`ObjectStore`] is what an archive asks of the place where it lies, [`DirStore`] a directory that does
//! it; a bucket is the crate `klamm-s3`, so that this one is built without the SDK. [`probe()`] asks a store
//! whether it can be relied on. Nothing calls them yet.
#![forbid(unsafe_code)]

mod object_store;

mod body;
mod checksum;
mod dir;
mod probe;

pub use body::{ObjectBody, PIECE_BYTES, pieces, read_piece};
pub use checksum::{Crc64Nvme, Crc64NvmeDigest, holds};
pub use dir::DirStore;
pub use object_store::{
    Completion, InvalidObjectKey, ListedObject, ObjectHead, ObjectKey, ObjectStore, ObjectTag,
    StoreError,
};
pub use probe::{Conditions, probe};
