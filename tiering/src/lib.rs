//! Closed segments to object storage and back. The only crate that knows object storage.
//!
//! [`ObjectStore`] is what an archive asks of the place where it lies, [`DirStore`] a directory that does
//! it. Nothing calls them yet.
#![forbid(unsafe_code)]

mod dir;
mod listing;
mod object_store;

pub use dir::DirStore;
pub use object_store::{
    Completion, InvalidObjectKey, ListedObject, ObjectKey, ObjectStore, ObjectTag, StoreError,
};
