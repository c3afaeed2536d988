//! Conformance: real clients and Kafka's own tools against a running broker.
//!
//! Each group starts a fresh broker, runs one client program that prints one JSON line per check,
//! and ends with Kafka's own `DumpLogSegments` over every file that the broker left. The same
//! groups run against Apache Kafka with `--target kafka`, which is how it is known that an
//! expectation is Kafka's and not ours.
//!
//! It is a program with its own small runner, not a set of `#[test]` functions: a case is known
//! only once the client reports it, and cases of a group share the broker.

#![expect(
    clippy::disallowed_methods,
    reason = "the runner is at the edge: it has the clock, files, sockets, threads and processes"
)]
#![expect(clippy::print_stdout, reason = "the runner reports on standard output")]

mod args;
mod broker;
mod client;
mod dump;
mod install;
mod places;
mod process;
mod protocol;
mod report;
mod secured;
mod suite;

use std::process::ExitCode;

use args::{Args, Command};
use places::Places;
use report::Report;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(message) => {
            println!("{message}");
            return ExitCode::from(2);
        }
    };
    match args.command {
        Command::Help => println!("{}", args::USAGE),
        Command::List => suite::list(&args),
        Command::Install => return install_all(&args),
        Command::Run => return run(&args),
    }
    ExitCode::SUCCESS
}

fn install_all(args: &Args) -> ExitCode {
    let places = Places::find(args);
    let groups = suite::selected(args);
    match install::install(&places, &suite::parts(&groups, args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("install: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> ExitCode {
    let places = Places::find(args);
    let groups = suite::selected(args);
    if groups.is_empty() && args.check_filter(secured::NAME).is_none() {
        println!("no group matches; --list names them");
        return ExitCode::from(2);
    }
    if let Err(message) = places.check(args.target) {
        println!("{message}");
        return ExitCode::FAILURE;
    }
    if let Err(message) = install::install(&places, &suite::parts(&groups, args)) {
        println!("install: {message}");
        return ExitCode::FAILURE;
    }
    let mut report = Report::new();
    for group in groups {
        suite::run_group(group, args, &places, &mut report);
    }
    secured::run(args, &places, &mut report);
    report.finish()
}
