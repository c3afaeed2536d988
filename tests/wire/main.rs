//! Kafka's quirks, one test for each, named after it: raw frames over a socket against the real
//! binary.
//!
//! The numbers are those of the list of quirks that a compatible broker must get right. Not here,
//! because nothing that is served touches them: 29 (Raft's own entries; the log's tests), 34, 35,
//! 37–40, 73 (transactions), 47 (archived records), 61–66 (consumer, share and streams groups), 70
//! (access control), 71 (SASL).
//!
//! Each test starts its own broker on a free port. `KLAMM_BINARY` names another binary than
//! `target/release/klamm`.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test from outside: it starts processes, opens sockets and files, and measures time"
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
#[path = "../support/support.rs"]
#[allow(dead_code, reason = "shared; each target uses its part")]
mod support;

mod admin;
mod ask;
mod clients;
mod epochs;
mod every_api;
mod every_version;
mod fetch;
mod fetch_sessions;
mod framing;
mod group_admin;
mod group_offsets;
mod groups;
mod idempotence;
mod member;
mod metadata;
mod offsets;
mod produce;
mod quotas;
mod raw;
mod settings;
mod topic_ids;
mod topics;
mod world;
