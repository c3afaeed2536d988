//! Closed segments to object storage and back. The only crate that knows object storage.
//!
//! Today it is the seam alone: [`ObjectStore`], what an archive asks of the place where it lies.
//! Nothing implements or calls it yet.
#![forbid(unsafe_code)]

mod object_store;

pub use object_store::{
    Completion, InvalidObjectKey, ListedObject, ObjectKey, ObjectStore, ObjectTag, StoreError,
};
