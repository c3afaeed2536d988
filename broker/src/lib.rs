//! Klamm: the process. The only crate with sockets, tasks, timers, the wall clock and settings.
//!
//! Start with [`server`]: the one place where all parts meet. A request flows from
//! `net::connection` through `dispatch` to its module in `handler`; appends and reads go to
//! `partition`, whose synchronous core is [`partition::driver`]; `shard` holds everything that
//! belongs to the data plane's one thread. `peer` is the way to the other brokers.
//!
//! Invariants: nothing on the data plane takes a lock, spawns or waits for a disk's fsync; time
//! enters in `clock`, randomness in `entropy`, the environment in [`config`].
#![forbid(unsafe_code)]

pub mod config;
pub mod controller;
pub mod logging;
pub mod metrics;
pub mod partition;
pub mod server;

mod admin;
mod background;
mod cleaner;
mod clock;
mod closer;
mod coordinator;
mod copies;
mod dispatch;
mod entropy;
mod handler;
mod hosting;
mod journals;
mod log_dirs;
mod net;
mod peer;
mod producer_ids;
mod purgatory;
mod quota;
mod shard;
mod tasks;
mod topics;
mod upkeep;
mod writer;
