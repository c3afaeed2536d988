//! `cargo mutations`: whether the tests notice that a guard is missing.
//!
//! A simulation that finds nothing wrong in a product without its guards proves nothing about the
//! product with them. For each guard of [`guards::GUARDS`] this leaves it out of a copy of the sources,
//! and lets the simulation that should notice live up to 500 worlds, or runs the tests of the one case
//! that a guard is for where worlds hardly ever come to it. It takes about a minute for each, so it is not
//! part of `cargo ci`, which only checks that the table still fits the sources.
//!
//! `cargo mutations NAME…` tries those alone, `cargo mutations --list` prints the table.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a command for people: it prints, copies files and starts processes"
)]

mod guards;
mod simulation;
mod tree;

use std::process::ExitCode;

use guards::{GUARDS, Guard};
use simulation::Verdict;
use tree::Tree;

/// Worlds in which a missing guard must be noticed.
const WORLDS: u64 = 500;
/// Worlds that are lived with all of them: `cargo ci` lives more.
const WHOLE_WORLDS: u64 = 50;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if names == ["--list"] {
        for guard in GUARDS {
            println!("{:<34} {}", guard.name, guard.loses);
        }
        return ExitCode::SUCCESS;
    }
    match chosen(&names) {
        Ok(guards) => run(&guards),
        Err(unknown) => {
            println!("no guard is called {unknown}; cargo mutations --list names them");
            ExitCode::from(2)
        }
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Guard>, &str> {
    if names.is_empty() {
        return Ok(GUARDS.iter().collect());
    }
    let find = |name: &String| GUARDS.iter().find(|guard| guard.name == name);
    names
        .iter()
        .map(|name| find(name).ok_or(name.as_str()))
        .collect()
}

fn run(guards: &[&Guard]) -> ExitCode {
    let tree = Tree::copy();
    if !simulations_pass(&tree, guards) {
        return ExitCode::FAILURE;
    }
    let mut unnoticed = 0;
    for guard in guards {
        let verdict = tree.without(guard, |tree| {
            simulation::live(tree, guard.noticed_by, WORLDS)
        });
        println!("{:<34} {verdict}", guard.name);
        unnoticed += u32::from(!verdict.is_noticed());
    }
    println!(
        "{} noticed, {unnoticed} not",
        guards.len() as u32 - unnoticed
    );
    match unnoticed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// With all guards in place nothing may be noticed.
fn simulations_pass(tree: &Tree, guards: &[&Guard]) -> bool {
    let mut used: Vec<_> = guards.iter().map(|guard| guard.noticed_by).collect();
    used.sort_unstable();
    used.dedup();
    used.into_iter().all(|simulation| {
        let verdict = simulation::live(tree, simulation, WHOLE_WORLDS);
        println!("with every guard, {simulation:?}: {verdict}");
        matches!(verdict, Verdict::Unnoticed)
    })
}
