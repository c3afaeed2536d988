//! x
#![forbid(unsafe_code)]
use rdkafka as _;
use rustix as _;
fn main() {}
