//! A child process that cannot outlive the runner.
//!
//! Children run under `setpriv --pdeathsig KILL`, so that the kernel ends them even when the runner
//! itself is killed, and each is the leader of a process group that is killed as a whole. The
//! parent-death signal follows the *thread* that started the child: start children on the main
//! thread only.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How often a condition of another process is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// A running child; killed with its whole process group when dropped.
pub(crate) struct Process {
    child: Child,
}

/// What becomes of the child's standard output.
pub(crate) enum Output {
    /// Read by the runner, as are replies on standard input.
    Piped,
    /// Appended to the log beside standard error.
    Log,
}

impl Process {
    /// Starts `program`; standard error is appended to `log`.
    pub(crate) fn start(
        program: &mut Invocation,
        log: &Path,
        output: Output,
    ) -> std::io::Result<Self> {
        let stderr = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&program.program)
            .args(&program.args);
        // What the runner is told is no setting of a broker.
        command.env_remove("KLAMM_BINARY");
        command.envs(program.env.iter().map(|(key, value)| (key, value)));
        if let Some(dir) = &program.dir {
            command.current_dir(dir);
        }
        match output {
            Output::Piped => command.stdin(Stdio::piped()).stdout(Stdio::piped()),
            Output::Log => command.stdin(Stdio::null()).stdout(stderr.try_clone()?),
        };
        command.stderr(stderr).process_group(0);
        Ok(Self {
            child: command.spawn()?,
        })
    }

    pub(crate) fn take_pipes(&mut self) -> (ChildStdin, ChildStdout) {
        let stdin = self.child.stdin.take().expect("started with Output::Piped");
        let stdout = self
            .child
            .stdout
            .take()
            .expect("started with Output::Piped");
        (stdin, stdout)
    }

    /// Sends a signal to the process itself.
    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended by itself in the meantime; the wait that follows tells.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The exit status, or `None` when it still runs after `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Children of the child may be alive after it: the group goes in any case.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A program with its arguments, environment and working directory.
#[derive(Clone, Default)]
pub(crate) struct Invocation {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    dir: Option<std::path::PathBuf>,
}

impl Invocation {
    pub(crate) fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            ..Self::default()
        }
    }

    /// A Java program: small heap, quick start.
    pub(crate) fn java(class_path: &str, heap_mib: u32, main: &str) -> Self {
        let heap = format!("-Xmx{heap_mib}m");
        Self::new("java")
            .args([
                &heap,
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Xshare:auto",
            ])
            .args(["-cp", class_path, main])
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.args.push(arg.as_ref().to_string_lossy().into_owned());
        self
    }

    pub(crate) fn args<A: AsRef<str>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Runs it to its end with output into `log`.
    pub(crate) fn run(mut self, log: &Path, limit: Duration) -> Result<(), String> {
        let name = self.program.clone();
        let mut process = Process::start(&mut self, log, Output::Log)
            .map_err(|error| format!("{name} does not start error={error}"))?;
        match process.wait(limit) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("{name} failed {status} log={}", log.display())),
            None => Err(format!(
                "{name} took longer than {limit:?} log={}",
                log.display()
            )),
        }
    }
}
