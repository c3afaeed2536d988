//! Damaged bytes from outside: whatever arrives, nothing panics and nothing is allocated on the
//! word of a length field.
//!
//! The damage is drawn from fixed seeds, so that a failure repeats; it is named with its seed.
//! `KLAMM_FUZZ_FRAMES` sets how many inputs each test damages.
#![forbid(unsafe_code)]

mod batches;
mod budget;
mod damage;
mod files;
mod frames;
mod targets;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
