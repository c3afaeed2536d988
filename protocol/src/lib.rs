//! The Kafka wire: frames, the API table, requests and responses. Pure.
#![forbid(unsafe_code)]
