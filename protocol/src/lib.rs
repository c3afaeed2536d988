//! The Kafka wire: frames, the API table, requests and responses.
//!
//! Start with [`api`], the one table of what is served. A connection feeds a
//! [`frame::FrameDecoder`], decodes each frame with [`Request::decode`](request::Request::decode),
//! and writes the pieces of [`Response::encode`](response::Response::encode).
//!
//! Nothing here performs IO, reads a clock, starts a thread or draws a random number. Bytes from
//! outside never reach an assertion, and no memory is reserved on the word of a length field.
#![forbid(unsafe_code)]

pub mod api;
pub mod api_versions;
mod delete_groups_response;
pub mod error_code;
mod fetch_request;
mod fetch_response;
pub mod fetch_session;
pub mod frame;
pub mod messages;
mod produce_request;
pub mod request;
pub mod response;
pub mod validate;
pub mod wire;

pub use api::{APIS, Api, ApiKey};
pub use error_code::ErrorCode;
pub use frame::{FrameDecoder, FrameError};
pub use request::{DecodeError, Request, RequestHeader};
pub use response::{EncodeError, EncodedResponse, Response};
