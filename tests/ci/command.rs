//! Runs a child process of a step: shows what matters of its output as it comes, counts its
//! tests, and ends it when it outlives its limit.
//!
//! Lines that only say that something went well (a test that passed, a crate that compiled) are
//! held back, and printed after all when the command fails.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::tally::Tally;

/// A quiet command says every this often that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// How long output is still awaited from processes that a finished command left behind.
const DRAIN: Duration = Duration::from_secs(2);
/// Lines held back for the case of failure.
const HELD_BACK_LINES_MAX: usize = 200;
/// Lines on their way from the child to us.
const QUEUED_LINES_MAX: usize = 1024;

/// How a command ended.
pub(crate) struct Finished {
    /// Whether it exited with zero within its limit.
    pub(crate) success: bool,
    /// The tests that its runners reported.
    pub(crate) tally: Tally,
    /// Names of the failed tests, as libtest prints them.
    pub(crate) failures: Vec<String>,
    /// The last lines of its output.
    pub(crate) tail: VecDeque<String>,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir
        .parent()
        .expect("tests/ lies inside the workspace")
        .to_owned()
}

/// A command line `program argument…`, split at spaces, run at the root of the workspace.
pub(crate) fn words(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a command line has a first word"));
    command.args(words).current_dir(root());
    command
}

/// Runs `command`, printing it first, for at most `limit`.
pub(crate) fn run(mut command: Command, limit: Duration) -> Finished {
    println!("  $ {}", typed(&command));
    let (output, writer) = std::io::pipe().expect("a pipe is always to be had");
    let stdout = writer
        .try_clone()
        .expect("a descriptor is always to be had");
    command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(writer)
        .process_group(0);
    command
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "never");
    if std::env::var_os("CI").is_some() {
        // Nothing is compiled twice there.
        command.env("CARGO_INCREMENTAL", "0");
    }
    let spawned = command.spawn();
    // The command holds the write ends of the pipe: the last one must close with the child.
    drop(command);
    match spawned {
        Ok(child) => {
            let (sender, lines) = sync_channel(QUEUED_LINES_MAX);
            std::thread::spawn(move || send_lines(output, &sender));
            follow(child, &lines, limit)
        }
        Err(error) => {
            println!("  | cannot be started: {error}");
            Finished {
                success: false,
                tally: Tally::default(),
                failures: Vec::new(),
                tail: VecDeque::new(),
            }
        }
    }
}

/// Reads lines from the child until it and all that inherited its output are gone.
fn send_lines(output: PipeReader, lines: &SyncSender<String>) {
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if lines.send(line).is_err() {
            return;
        }
    }
}

/// Prints and counts lines until the child has ended, or its time is up.
fn follow(mut child: Child, lines: &Receiver<String>, limit: Duration) -> Finished {
    let started = Instant::now();
    let mut last_sign = started;
    let mut exited: Option<(bool, Instant)> = None;
    let mut report = Report::default();
    loop {
        match lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => {
                if report.take(line) {
                    last_sign = Instant::now();
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if exited.is_none() {
            let status = child.try_wait().expect("our own child can be waited for");
            exited = status.map(|status| (status.success(), Instant::now()));
        }
        if exited.is_some_and(|(_, since)| since.elapsed() > DRAIN) {
            break;
        }
        if exited.is_none() && started.elapsed() > limit {
            println!("  | ended after its limit of {} s", limit.as_secs());
            end_group(&child);
        }
        if last_sign.elapsed() > HEARTBEAT {
            last_sign = Instant::now();
            let last = report.held_back.back().map_or("", String::as_str);
            println!("  | … {} s: {last}", started.elapsed().as_secs());
        }
    }
    let success = match exited {
        Some((success, _)) => success,
        None => child
            .wait()
            .expect("our own child can be waited for")
            .success(),
    };
    report.finish(success)
}

/// What was seen of the output so far.
#[derive(Default)]
struct Report {
    tally: Tally,
    failures: Vec<String>,
    tail: VecDeque<String>,
    held_back: VecDeque<String>,
}

impl Report {
    /// Counts one line, and prints it unless it is only good news. Says whether it was printed.
    fn take(&mut self, line: String) -> bool {
        if let Some(tally) = Tally::from_line(&line) {
            self.tally += tally;
        }
        if let Some((name, _)) = line.split_once(" ... FAILED") {
            self.failures
                .push(name.trim_start_matches("test ").to_owned());
        }
        remember(&mut self.tail, line.clone());
        if is_good_news(&line) {
            remember(&mut self.held_back, line);
            return false;
        }
        println!("  | {line}");
        true
    }

    fn finish(self, success: bool) -> Finished {
        if !success && self.tally.is_empty() {
            // It broke before any test could speak: what was held back may say where.
            for line in self.held_back.iter().rev().take(5).rev() {
                println!("  | {line}");
            }
        }
        let Report {
            tally,
            failures,
            tail,
            ..
        } = self;
        Finished {
            success,
            tally,
            failures,
            tail,
        }
    }
}

fn remember(lines: &mut VecDeque<String>, line: String) {
    if lines.len() == HELD_BACK_LINES_MAX {
        lines.pop_front();
    }
    lines.push_back(line);
}

/// A line that tells a reader of a long log nothing.
fn is_good_news(line: &str) -> bool {
    const VERBS: [&str; 15] = [
        "Compiling ",
        "Checking ",
        "Documenting ",
        "Downloading ",
        "Downloaded ",
        "Updating ",
        "Locking ",
        "Blocking ",
        "Finished ",
        "Running ",
        "Doc-tests ",
        "Generated ",
        "Fresh ",
        "Adding ",
        "Executable ",
    ];
    let line = line.trim();
    line.is_empty()
        || (line.starts_with("test ") && line.ends_with("ok"))
        || line.contains(" ... ok (")
        || (line.starts_with("running ") && line.contains(" test"))
        || (line.starts_with("test result: ok.") && line.contains(" 0 failed"))
        || VERBS.iter().any(|verb| line.starts_with(verb))
}

/// Ends the command and everything it started and kept in its process group.
fn end_group(child: &Child) {
    let group = format!("-{}", child.id());
    // A failure means that it has just ended by itself.
    let _ = Command::new("kill")
        .args(["-KILL", "--", &group])
        .stderr(Stdio::null())
        .status();
}

/// The command as a person would type it.
fn typed(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(key, value)| Some(format!("{}={:?} ", key.to_str()?, value?.to_str()?)));
    let arguments = command
        .get_args()
        .map(|argument| format!(" {}", argument.to_string_lossy()));
    let program = command.get_program().to_string_lossy();
    format!(
        "{}{program}{}",
        variables.collect::<String>(),
        arguments.collect::<String>()
    )
}
