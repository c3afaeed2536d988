//! `cargo ci`: the one test command.
fn main() {}
