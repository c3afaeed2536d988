//! The coordinator from outside: scripts with recorded output, and random schedules.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod properties;
mod script;
mod show;
mod world;
