//! A bucket of S3, or of what speaks like it, as an object store. The only crate that names the AWS SDK.
//!
//! [`S3Store`] performs the verbs of [`ObjectStore`](klamm_tiering::ObjectStore), [`S3Settings`] say where
//! and how. It is a crate of its own so that everything else is built without the SDK, which is larger than
//! the broker.
//!
//! What it relies on: writes with `If-None-Match` and `If-Match`, on the completion of a multipart upload
//! too. Not every store that speaks S3 honours them; [`klamm_tiering::probe()`] finds out.
#![forbid(unsafe_code)]

mod settings;
mod store;

mod client;
mod refusal;
mod requests;
mod stale;
mod upload;

pub use settings::{InvalidS3Settings, S3Checksum, S3Encryption, S3Keys, S3Settings};
pub use store::S3Store;
