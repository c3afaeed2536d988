//! Which seeds are lived, and what is shown of one that fails.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::trace::Trace;

/// The seeds that are asked for: `one` alone, so `many`, or the `ordinary` number.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    /// The variable that names a single seed.
    pub one: &'static str,
    /// The variable that says how many.
    pub many: &'static str,
    /// How many, if nobody says.
    pub ordinary: u64,
}

/// Lines that are shown of one life that fails among many.
const LINES_SHOWN: usize = 80;

impl Seeds {
    /// Whether a single one is asked for.
    pub fn is_one(&self) -> bool {
        number_from(self.one).is_some()
    }

    fn asked(&self) -> Range<u64> {
        match number_from(self.one) {
            Some(seed) => seed..seed + 1,
            None => 0..number_from(self.many).unwrap_or(self.ordinary),
        }
    }

    /// Lives all of them; what came of each. Of one that fails its last moments are shown, or all of it
    /// if it is lived alone.
    pub fn live<T>(&self, live: impl Fn(u64, &Trace) -> T) -> Vec<T> {
        let shown = match self.is_one() {
            true => usize::MAX,
            false => LINES_SHOWN,
        };
        let live_one = |seed| {
            let trace = Trace::default();
            attempt(|| live(seed, &trace)).unwrap_or_else(|panic| {
                eprintln!("{}", trace.tail(shown));
                eprintln!("seed {seed} failed: {}={seed} lives it alone", self.one);
                std::panic::resume_unwind(panic)
            })
        };
        self.asked().map(live_one).collect()
    }
}

/// What happens in a life, which must be the same when it is lived again.
///
/// Panics if it is not.
pub fn lived_twice<T>(seed: u64, live: impl Fn(u64, &Trace) -> T) -> Vec<String> {
    let [first, second] = [(); 2].map(|()| {
        let trace = Trace::default();
        // Whether the world is in order is for another test to say.
        let _ = attempt(|| live(seed, &trace));
        trace.lines()
    });
    assert!(first.len() > 100, "something happens");
    assert_eq!(first, second, "seed {seed}");
    first
}

/// Whether one of so many lives fails.
pub fn any_fails<T>(seeds: u64, live: impl Fn(u64, &Trace) -> T) -> bool {
    (0..seeds).any(|seed| attempt(|| live(seed, &Trace::default())).is_err())
}

fn attempt<T>(life: impl FnOnce() -> T) -> std::thread::Result<T> {
    catch_unwind(AssertUnwindSafe(life))
}

#[expect(clippy::disallowed_methods, reason = "a test is told what to do")]
fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}
