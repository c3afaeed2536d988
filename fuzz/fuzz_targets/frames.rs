//! Requests, as they come from the network.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzz/targets.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod targets;

fuzz_target!(|bytes: &[u8]| {
    targets::request(bytes::Bytes::copy_from_slice(bytes));
});
