//! Consumer groups and committed offsets. Pure.
#![forbid(unsafe_code)]
