//! The `klamm` binary: the command line, and an exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use klamm_broker::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("klamm: {error}");
            ExitCode::FAILURE
        }
    }
}
