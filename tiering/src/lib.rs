//! Closed segments to object storage and back.
#![forbid(unsafe_code)]
