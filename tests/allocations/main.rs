//! How often the hot path allocates: a turn of a partition that appends, and a read at its end.
//!
//! The bounds are what was measured, so that a change which allocates more says so. What a proposal
//! costs in raft-rs alone is in `klamm-replication`, and what a metered request costs in the
//! broker's `quota`.
#![forbid(unsafe_code)]

mod append;
mod count;
mod partition;
mod read;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
