//! The `klamm` binary: the command line, and an exit code.
#![forbid(unsafe_code)]

mod cli;
mod dump;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
