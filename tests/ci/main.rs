//! `cargo ci`: every check of the house, in one command that also runs on a fresh machine.
//!
//! It installs what the tests need, runs all steps of [`steps::STEPS`] in order, lets a failing
//! step hide no later one, and closes with one line `N passed, N failed`. A check such as rustfmt
//! counts as one; a test runner counts with the tests it ran.
//!
//! It is not a build system: each step is a command that a person could type, and is printed.
//!
//! Start with [`steps`], the table. [`command`] runs a child process, [`tally`] reads what test
//! runners say about themselves.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a command for people: it prints, measures time, starts processes and reads the environment"
)]

mod arguments;
mod command;
mod licences;
mod prerequisites;
mod sizes;
mod steps;
mod tally;

use std::process::ExitCode;
use std::time::Instant;

use arguments::Wanted;
use steps::{Outcome, STEPS, Step};
use tally::Tally;

fn main() -> ExitCode {
    match arguments::parse(std::env::args().skip(1)) {
        Ok(Wanted::List) => {
            for step in STEPS {
                println!("{:<14} {}", step.name, step.what);
            }
            ExitCode::SUCCESS
        }
        Ok(Wanted::Steps(chosen)) => run(&chosen),
        Err(problem) => {
            println!("{problem}");
            ExitCode::from(2)
        }
    }
}

/// Runs the chosen steps, prints what each did, and closes with the tally.
fn run(chosen: &[&'static Step]) -> ExitCode {
    let started = Instant::now();
    let mut total = Tally::default();
    let mut finished: Vec<(&Step, Outcome, u64)> = Vec::new();

    for (position, step) in chosen.iter().enumerate() {
        println!(
            "\n[{}/{}] {}: {}",
            position + 1,
            chosen.len(),
            step.name,
            step.what
        );
        let step_started = Instant::now();
        let outcome = match missing_requirement(step, &finished) {
            Some(required) => Outcome::failed(format!("not run, because {required} failed")),
            None => (step.run)(),
        };
        let seconds = step_started.elapsed().as_secs();
        println!("  {} in {seconds} s", outcome.tally);
        if let Some(note) = &outcome.note {
            println!("  {note}");
        }
        total += outcome.tally;
        finished.push((step, outcome, seconds));
    }

    print_summary(&finished, started.elapsed().as_secs());
    println!("{total}");
    if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The step that `step` needs and that ran and failed, if any.
fn missing_requirement(step: &Step, finished: &[(&Step, Outcome, u64)]) -> Option<&'static str> {
    let required = step.requires?;
    finished
        .iter()
        .any(|(done, outcome, _)| done.name == required && outcome.tally.failed > 0)
        .then_some(required)
}

fn print_summary(finished: &[(&Step, Outcome, u64)], seconds: u64) {
    println!("\nsummary, {seconds} s in all:");
    for (step, outcome, step_seconds) in finished {
        let verdict = if outcome.tally.failed == 0 {
            "ok    "
        } else {
            "FAILED"
        };
        println!(
            "  {verdict} {:<14} {} ({step_seconds} s)",
            step.name, outcome.tally
        );
        if let Some(note) = &outcome.note {
            println!("         {note}");
        }
        for line in &outcome.failures {
            println!("         {line}");
        }
    }
    println!();
}
