//! The log on the local disk. Synchronous; all IO through one trait.
#![forbid(unsafe_code)]
