//! A child process whose standard error is read line by line; it does not outlive its test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::LIMIT;

/// A running child; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: Arc<Log>,
}

/// What the child has written so far.
#[derive(Default)]
struct Log {
    state: Mutex<Lines>,
    grown: Condvar,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

/// The broker under test.
pub(crate) fn binary() -> PathBuf {
    if let Some(binary) = std::env::var_os("KLAMM_BINARY") {
        return PathBuf::from(binary);
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tests.join("../target"), PathBuf::from);
    let binary = target.join("release/klamm");
    assert!(binary.is_file(), "run `cargo build --release` first");
    binary
}

/// Runs words under `setpriv`, so that the child ends with the thread that started it.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KLAMM_") {
            command.env_remove(name);
        }
    }
    command
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let stderr = child.stderr.take().expect("it is piped");
        let log = Arc::new(Log::default());
        let ours = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                ours.push(String::from_utf8_lossy(&line).into_owned());
            }
            ours.end();
        });
        Self { child, log }
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.lock().lines.clone()
    }

    /// The first line that holds `text`, waiting for it; `Err` has all lines if it cannot come.
    pub(crate) fn line_with(&self, text: &str) -> Result<String, String> {
        let deadline = Instant::now() + LIMIT;
        let mut state = self.log.lock();
        loop {
            if let Some(line) = state.lines.iter().find(|line| line.contains(text)) {
                return Ok(line.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return Err(format!(
                    "no line with {text:?}:\n{}",
                    state.lines.join("\n")
                ));
            }
            state = (self.log.grown.wait_timeout(state, left))
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
    }

    /// Waits for the line that says so, or fails the test.
    pub(crate) fn says(&self, text: &str) -> String {
        self.line_with(text).unwrap_or_else(|all| panic!("{all}"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        let mut state = self.log.lock();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "still running after {limit:?}:\n{}",
                state.lines.join("\n")
            );
            state = (self.log.grown.wait_timeout(state, left))
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
        drop(state);
        self.child.wait().expect("it is our child")
    }

    /// SIGKILL, and the end of it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the process said\n{}", self.lines().join("\n"));
        }
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: String) {
        self.lock().lines.push(line);
        self.grown.notify_all();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.grown.notify_all();
    }
}
