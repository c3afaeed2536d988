//! The bulk connection: by it a broker copies logs of another, while the links between them carry what
//! is urgent.
//!
//! Either end is a thread of its own ([`serving`], [`pulling`]), which runs when no other wants to: nothing
//! but a look at the log is done on the data plane. Whoever copies asks, for one thing at a time; what it gets carries a checksum, and
//! what it has got is checked as a whole before anybody uses it.

mod pulling;
mod serving;
mod throttle;
mod wire;

pub(crate) use self::pulling::{Pull, PullError, discard, pull};
pub(super) use self::serving::serve;
pub(crate) use self::throttle::Throttle;

/// On the threads of the connections only.
#[expect(
    clippy::disallowed_methods,
    reason = "these threads wait where they are"
)]
fn wait(time: std::time::Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}
