//! One partition's Raft replica. Pure.
#![forbid(unsafe_code)]
