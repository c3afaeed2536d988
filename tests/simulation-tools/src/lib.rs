//! What simulations are made of, in whatever crate they live: [chance](random) that comes from a seed,
//! the [seeds] that are asked for, a [trace] of what happened, a [tally] of what went wrong, a [network] that loses and delays, a
//! [pace](mod@pace) at which things happen, and plans for the [members] of a group; and the [history] that
//! clients write, simulated or real ones, with the checker that reads it.
//!
//! Nothing here knows what a simulation checks; it depends on `klamm-replication` for the nouns alone, and
//! nothing but tests depends on it.
#![forbid(unsafe_code)]

pub mod history;
pub mod members;
pub mod network;
pub mod pace;
pub mod random;
pub mod seeds;
pub mod tally;
pub mod trace;

pub use network::{Network, Packet};
pub use pace::{Pace, Step};
pub use random::Random;
pub use seeds::{Seeds, any_fails, lived_twice};
pub use tally::Tally;
pub use trace::Trace;
