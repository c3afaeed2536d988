//! Archives of partitions over stores that work and stores that do not.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod caching;
mod damage;
mod loading;
mod memory_store;
mod publishing;
mod readers;
mod reading;
mod retention;
mod trouble;
mod world;
