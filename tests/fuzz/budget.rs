//! How many inputs a test damages, and what handling one of them allocates.

use std::sync::{Mutex, MutexGuard, PoisonError};

use stats_alloc::Region;

use crate::ALLOCATOR;

/// Only one test counts at a time: the allocator is everyone's.
static COUNTING: Mutex<()> = Mutex::new(());

/// Holds off the other tests while this one counts.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many inputs to damage: `KLAMM_FUZZ_FRAMES`, or `default`.
#[expect(clippy::disallowed_methods, reason = "a switch of the test itself")]
pub(crate) fn rounds(default: u64) -> u64 {
    match std::env::var("KLAMM_FUZZ_FRAMES") {
        Ok(text) => text.parse().expect("KLAMM_FUZZ_FRAMES is a number"),
        Err(_) => default,
    }
}

/// Runs `work`; its result, and the bytes it allocated in all, freed ones included.
pub(crate) fn allocated<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let region = Region::new(ALLOCATOR);
    let result = work();
    (result, region.change().bytes_allocated)
}
