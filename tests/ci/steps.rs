//! THE table of steps, in the order in which they run: cheap ones first.

use std::time::Duration;

use crate::command::{Finished, run, words};
use crate::tally::Tally;
use crate::{licences, prerequisites, sizes};

/// One step of `cargo ci`.
pub(crate) struct Step {
    /// What to call it on the command line.
    pub(crate) name: &'static str,
    /// One line for the reader of the log.
    pub(crate) what: &'static str,
    /// The step without which this one makes no sense.
    pub(crate) requires: Option<&'static str>,
    /// Whether it runs when no step is named.
    pub(crate) by_default: bool,
    /// Does it.
    pub(crate) run: fn() -> Outcome,
}

/// What a step did.
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// Something the reader must know although the step may have passed.
    pub(crate) note: Option<String>,
    /// Names of failed tests.
    pub(crate) failures: Vec<String>,
}

impl Outcome {
    /// One check that passed.
    pub(crate) fn passed() -> Self {
        Self {
            tally: Tally::ONE_PASSED,
            note: None,
            failures: Vec::new(),
        }
    }

    /// One check that failed, and why.
    pub(crate) fn failed(note: String) -> Self {
        Self {
            tally: Tally::ONE_FAILED,
            note: Some(note),
            failures: Vec::new(),
        }
    }

    /// A command that counts as one check.
    pub(crate) fn of_check(finished: Finished) -> Self {
        if finished.success {
            return Self::passed();
        }
        Self {
            tally: Tally::ONE_FAILED,
            note: None,
            failures: Vec::new(),
        }
    }

    /// A command that runs tests and counts with each of them. One that ran none has failed.
    fn of_tests(finished: Finished) -> Self {
        let Finished {
            success,
            mut tally,
            failures,
            ..
        } = finished;
        let mut note = None;
        if !success && tally.failed == 0 {
            tally.failed += 1;
            note = Some("ended with an error before or between its tests".to_owned());
        } else if tally.is_empty() {
            tally.failed += 1;
            note = Some("ran no test".to_owned());
        }
        Self {
            tally,
            note,
            failures,
        }
    }
}

/// Limit of a step that compiles on a machine where nothing is compiled yet.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Limit of a step that only looks at files.
const CHECK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Clients that find brokers and leaders each in a way of their own: Java's, librdkafka, those in Go and
/// JavaScript. How the others ask for the rest is seen in the run against one broker.
const CONFORMANCE_OF_THREE: &str = "cargo test --workspace --test conformance -- --brokers 3 \
    java-new kafka-tools confluent-kafka kafkajs franz-go sarama kafka-go";

/// Every step. Tests that need the release binary come after it.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "prerequisites",
        what: "programs that the tests drive; those that are missing are installed",
        requires: None,
        by_default: true,
        run: prerequisites::install,
    },
    Step {
        name: "fmt",
        what: "rustfmt has nothing to change",
        requires: None,
        by_default: true,
        run: || {
            Outcome::of_check(run(
                words("cargo fmt --all -- --check --color never"),
                CHECK_LIMIT,
            ))
        },
    },
    Step {
        name: "clippy",
        what: "no warning, and no banned method outside the edge files",
        requires: None,
        by_default: true,
        run: || check("cargo clippy --workspace --all-targets -- -D warnings"),
    },
    Step {
        name: "docs",
        what: "the documentation builds without a warning",
        requires: None,
        by_default: true,
        run: documentation,
    },
    Step {
        name: "licences",
        what: "licences, bans, sources and advisories of all dependencies (cargo deny)",
        requires: None,
        by_default: true,
        run: licences::check,
    },
    Step {
        name: "tidy",
        what: "dependency directions, vocabulary, links, crate headers",
        requires: None,
        by_default: true,
        run: || tests("cargo test --workspace --test tidy"),
    },
    Step {
        name: "tests",
        what: "unit, property, simulation and fuzz tests",
        requires: None,
        by_default: true,
        run: || tests("cargo test --workspace --no-fail-fast"),
    },
    Step {
        name: "release",
        what: "the binary that users run",
        requires: None,
        by_default: true,
        run: || check("cargo build --release --package klamm-broker"),
    },
    // The tests of the binary are built as all other tests are: what they drive is the release.
    Step {
        name: "binary",
        what: "the release binary from outside: settings, signals, kills, full disks, bad input",
        requires: Some("release"),
        by_default: true,
        run: || tests("cargo test --workspace --test binary"),
    },
    Step {
        name: "wire",
        what: "Kafka's quirks, one test each, over a socket against the release binary",
        requires: Some("release"),
        by_default: true,
        run: || tests("cargo test --workspace --test wire"),
    },
    Step {
        name: "conformance",
        what: "real Kafka clients and Kafka's own tools against the release binary",
        requires: Some("release"),
        by_default: true,
        run: || tests("cargo test --workspace --test conformance"),
    },
    // Behind the conformance tests, whose clients it runs.
    Step {
        name: "cluster",
        what: "three brokers in network namespaces, struck while real clients run; what these saw is checked",
        requires: Some("release"),
        by_default: true,
        run: || tests("cargo test --workspace --test cluster -- --nocapture"),
    },
    Step {
        name: "conformance-3",
        what: "real clients against three brokers, each with a replica of everything",
        requires: Some("release"),
        by_default: true,
        run: || tests(CONFORMANCE_OF_THREE),
    },
    Step {
        name: "sizes",
        what: "the longest files and functions: a report, not a check",
        requires: None,
        by_default: false,
        run: sizes::report,
    },
];

fn check(line: &str) -> Outcome {
    Outcome::of_check(run(words(line), BUILD_LIMIT))
}

fn tests(line: &str) -> Outcome {
    Outcome::of_tests(run(words(line), BUILD_LIMIT))
}

/// Private items too: whoever reads this documentation works on the code, and links into the
/// private parts then lead somewhere and are checked.
fn documentation() -> Outcome {
    let mut command = words("cargo doc --workspace --no-deps --document-private-items");
    command.env(
        "RUSTDOCFLAGS",
        "-D warnings -A rustdoc::private_intra_doc_links",
    );
    Outcome::of_check(run(command, BUILD_LIMIT))
}
