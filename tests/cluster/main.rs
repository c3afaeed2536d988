//! Three brokers as real processes in network namespaces, faults against them while real clients
//! run, and a checker that reads what the clients wrote down.
//!
//! `cargo test --package klamm-tests --test cluster` runs it; `KLAMM_BINARY` names another binary
//! than `target/release/klamm`. Where namespaces are not to be had, the runs are skipped and say why.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test from outside: it starts processes, opens sockets and files, and measures time"
)]
#![expect(
    clippy::print_stdout,
    reason = "a run says what it did, and why it was skipped: -- --nocapture shows it"
)]

#[path = "../support/broker.rs"]
#[allow(dead_code, reason = "shared; each target uses its part")]
mod broker;
#[path = "../support/client.rs"]
#[allow(dead_code, reason = "shared; each target uses its part")]
mod client;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "shared; each target uses its part")]
mod process;
#[path = "../support/requests.rs"]
#[allow(dead_code, reason = "shared; each target uses its part")]
mod requests;
#[path = "../support/segments.rs"]
mod segments;
#[path = "../support/support.rs"]
#[allow(dead_code, reason = "shared; each target uses its part")]
mod support;

mod bed;
mod clients;
mod disks;
mod faults;
mod isolation;
mod network;
mod replicas;
mod rolling;
mod run;
mod storms;

use klamm_simulation::history;
