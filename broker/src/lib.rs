//! Klamm: the process.
#![forbid(unsafe_code)]

pub mod config;
