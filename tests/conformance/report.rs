//! One line per case as it ends, and the totals.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Counts cases; prints each as it comes.
pub(crate) struct Report {
    passed: usize,
    failed: Vec<String>,
    started: Instant,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            passed: 0,
            failed: Vec::new(),
            started: Instant::now(),
        }
    }

    pub(crate) fn case(&mut self, name: &str, took: Duration, outcome: Result<(), String>) {
        let seconds = took.as_secs_f64();
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("{name} ... ok ({seconds:.1} s)");
            }
            Err(detail) => {
                println!("{name} ... FAILED ({seconds:.1} s)");
                for line in detail.lines() {
                    println!("    {line}");
                }
                self.failed.push(name.to_owned());
            }
        }
        // Seen as it goes, also through a pipe.
        let _ = std::io::stdout().flush();
    }

    pub(crate) fn failures(&self) -> usize {
        self.failed.len()
    }

    /// Repeats the names of what failed; the last line is `N passed, N failed`.
    pub(crate) fn finish(self) -> ExitCode {
        println!("\ntook {:.0} s", self.started.elapsed().as_secs_f64());
        for name in &self.failed {
            println!("failed: {name}");
        }
        println!("{} passed, {} failed", self.passed, self.failed.len());
        // No case at all means that nothing was proved.
        if self.failed.is_empty() && self.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
