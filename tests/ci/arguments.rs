//! The command line of `cargo ci`: names of steps, or nothing for all of them.

use crate::steps::{STEPS, Step};

const USAGE: &str = "usage: cargo ci [--list] [STEP…]   without a step: all of them, in order";

/// What the caller asked for.
pub(crate) enum Wanted {
    /// Print the table of steps.
    List,
    /// Run these, in the order of the table.
    Steps(Vec<&'static Step>),
}

/// Reads the arguments; the error is the text to print.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut names = Vec::new();
    for argument in arguments {
        match argument.as_str() {
            "--list" => return Ok(Wanted::List),
            "--help" | "-h" => return Err(USAGE.to_owned()),
            name if STEPS.iter().any(|step| step.name == name) => names.push(argument),
            unknown => {
                return Err(format!(
                    "no such step: {unknown} (see `cargo ci --list`)\n{USAGE}"
                ));
            }
        }
    }
    let chosen = |step: &&Step| match names.is_empty() {
        true => step.by_default,
        false => names.iter().any(|name| name == step.name),
    };
    Ok(Wanted::Steps(STEPS.iter().filter(chosen).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Vec<&'static str> {
        match parse(arguments.iter().map(|&argument| argument.to_owned())) {
            Ok(Wanted::Steps(steps)) => steps.iter().map(|step| step.name).collect(),
            Ok(Wanted::List) => vec!["--list"],
            Err(problem) => panic!("{problem}"),
        }
    }

    #[test]
    fn named_steps_run_in_the_order_of_the_table() {
        assert_eq!(names(&["clippy", "fmt"]), ["fmt", "clippy"]);
    }

    #[test]
    fn no_name_means_every_default_step() {
        let all = names(&[]);
        assert!(all.contains(&"fmt") && all.contains(&"conformance") && !all.contains(&"sizes"));
    }

    #[test]
    fn an_unknown_step_is_refused() {
        assert!(parse(["fnt".to_owned()].into_iter()).is_err());
    }
}
