//! The binary from outside: what it says, what it refuses, and that nothing a disk, a client or a
//! signal does to it loses what was acknowledged.
//!
//! Each test starts its own broker on a free port with its data in its own directory. Nothing here
//! looks inside the process. `KLAMM_BINARY` names another binary than `target/release/klamm`.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test from outside: it starts processes, opens sockets and files, and measures time"
)]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/client.rs"]
mod client;
#[path = "../support/http.rs"]
mod http;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/requests.rs"]
mod requests;
#[path = "../support/segments.rs"]
mod segments;
#[path = "../support/support.rs"]
mod support;

mod admin_port;
mod cluster;
mod cold;
mod commands;
mod compaction;
mod damage;
mod demo;
mod directories;
mod dynamic;
mod frames;
mod full_disk;
mod kill;
mod limits;
mod log_dirs;
mod retention;
mod settings;
mod start;
