//! Three brokers as real processes in network namespaces, faults against them while real clients
//! run, and a checker that reads what the clients wrote down.
//!
//! `cargo test --package klamm-tests --test cluster` runs it.
#![forbid(unsafe_code)]

#[path = "../history/history.rs"]
mod history;
