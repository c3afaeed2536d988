//! Runs one client program against a broker and turns its lines into cases.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::process::{Invocation, Output, Process};
use crate::protocol::Line;
use crate::report::Report;

/// A check that takes longer hangs.
const CHECK_LIMIT: Duration = Duration::from_secs(150);
/// After its last line a program has this long to end.
const EXIT_LIMIT: Duration = Duration::from_secs(15);
/// Lines in flight between the reader and the runner.
const LINES: usize = 1024;

/// Runs the program of a group to its end. Standard error and noise go to `log`.
pub(crate) fn run(
    group: &str,
    mut program: Invocation,
    broker: &mut Broker,
    log: &Path,
    report: &mut Report,
) {
    let started = Instant::now();
    let mut process = match Process::start(&mut program, log, Output::Piped) {
        Ok(process) => process,
        Err(error) => {
            let message = Err(format!("the client does not start error={error}"));
            report.case(&format!("{group}/completes"), started.elapsed(), message);
            return;
        }
    };
    let (stdin, stdout) = process.take_pipes();
    let lines = read_lines(stdout, log);
    let mut session = Session {
        group,
        broker,
        stdin,
        lines,
        current: None,
        last: started,
    };
    let outcome = session.follow(report).and_then(|()| ended(&mut process));
    if session.current.is_some() {
        let name = session.case_name();
        report.case(
            &name,
            session.last.elapsed(),
            Err("the check did not end".to_owned()),
        );
    }
    let outcome = outcome.map_err(|message| format!("{message}\n{}", tail(log)));
    report.case(&format!("{group}/completes"), started.elapsed(), outcome);
}

/// The conversation with one program.
struct Session<'a> {
    group: &'a str,
    broker: &'a mut Broker,
    stdin: ChildStdin,
    lines: Receiver<String>,
    current: Option<String>,
    last: Instant,
}

impl Session<'_> {
    /// Reads to `done`; an error says why it did not come.
    fn follow(&mut self, report: &mut Report) -> Result<(), String> {
        loop {
            match self.lines.recv_timeout(CHECK_LIMIT) {
                Ok(text) => {
                    if self.line(Line::parse(&text), report)? {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("the client said nothing for {CHECK_LIMIT:?}"));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err("the client ended before it said done".to_owned());
                }
            }
            if self.current.is_some() && self.last.elapsed() > CHECK_LIMIT {
                return Err(format!("the check runs longer than {CHECK_LIMIT:?}"));
            }
        }
    }

    /// Whether it was the last line.
    fn line(&mut self, line: Line, report: &mut Report) -> Result<bool, String> {
        match line {
            Line::Begin(name) => {
                self.current = Some(name);
                self.last = Instant::now();
            }
            Line::Check { name, ok, detail } => {
                self.current = None;
                let outcome = if ok { Ok(()) } else { Err(detail) };
                report.case(
                    &format!("{}/{name}", self.group),
                    self.last.elapsed(),
                    outcome,
                );
                self.last = Instant::now();
            }
            Line::Kill => self.restarted(|broker| broker.kill_and_restart())?,
            Line::Stop => self.restarted(|broker| broker.stop_and_restart())?,
            Line::Done => return Ok(true),
            Line::Noise => {}
        }
        Ok(false)
    }

    fn restarted(
        &mut self,
        restart: impl FnOnce(&mut Broker) -> Result<(), String>,
    ) -> Result<(), String> {
        restart(self.broker)?;
        writeln!(self.stdin, "ready")
            .and_then(|()| self.stdin.flush())
            .map_err(|error| format!("the client is gone error={error}"))
    }

    fn case_name(&self) -> String {
        format!("{}/{}", self.group, self.current.as_deref().unwrap_or("?"))
    }
}

fn ended(process: &mut Process) -> Result<(), String> {
    match process.wait(EXIT_LIMIT) {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("the client failed {status}")),
        None => Err(format!(
            "the client still runs {EXIT_LIMIT:?} after its last check"
        )),
    }
}

/// Reads on a thread, so that a silent client runs into the time limit.
fn read_lines(stdout: ChildStdout, log: &Path) -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES);
    let mut log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(log)
        .ok();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Some(log) = &mut log {
                let _ = writeln!(log, "stdout: {line}");
            }
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The last lines of a log, for a report of what failed.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 15;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
