//! Counts allocations.

use std::sync::{Mutex, PoisonError};

use stats_alloc::Region;

use crate::ALLOCATOR;

/// Turns that are counted together, so that what grows from time to time is in the figure.
const WINDOW: usize = 64;
/// Windows; the leanest counts, since the harness allocates at the same time.
const WINDOWS: usize = 100;

/// Only one test counts at a time: the allocator is everyone's.
static COUNTING: Mutex<()> = Mutex::new(());

/// Allocations of one turn, rounded up. Inputs are made before a window, and `after` comes behind
/// it; neither counts.
pub(crate) fn per_turn<S, T>(
    state: &mut S,
    input: impl Fn() -> T,
    turn: impl Fn(&mut S, T),
    after: impl Fn(&mut S),
) -> usize {
    let _alone = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let windows = (0..WINDOWS).map(|_| {
        let inputs: Vec<T> = (0..WINDOW).map(|_| input()).collect();
        let region = Region::new(ALLOCATOR);
        for input in inputs {
            turn(state, input);
        }
        let change = region.change();
        after(state);
        change.allocations + change.reallocations
    });
    windows.min().expect("there are windows").div_ceil(WINDOW)
}
