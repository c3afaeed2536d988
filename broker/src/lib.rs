//! Klamm: the process.
