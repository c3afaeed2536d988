//! The processes of the parts, and the lines that go to and fro.
//!
//! Each part has a thread for each of its three streams. A part that does not read holds up its own
//! thread only; what all of them say comes in by one channel.
#![expect(
    clippy::disallowed_methods,
    reason = "pipes of child processes are read and written by threads, as lines of a terminal are"
)]

use std::io::{BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::launch::Member;
use super::words::{Order, Report};
use crate::clock::Deadline;
use crate::error::{CliError, FAILED, UNREACHABLE};
use crate::lines::line;
use crate::output::note;

/// Lines that wait to be taken, of all parts.
const WAITING_MAX: usize = 1_024;
/// Orders that wait to be written to a part.
const ORDERS_MAX: usize = 64;
/// How long parts are given to end: they wait for acknowledgements, and may delete a topic.
const GRACE: Duration = Duration::from_secs(20);
/// How long a process that has closed its streams may go on.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// All parts. When it is dropped, they end.
pub(super) struct Links {
    links: Vec<Link>,
    said: Receiver<(usize, Said)>,
}

struct Link {
    name: String,
    child: Child,
    /// `None` when it is to end.
    orders: Option<SyncSender<String>>,
    /// It has said its first word.
    has_begun: bool,
    has_ended: bool,
    /// The last line of its standard error.
    last_note: Option<String>,
}

enum Said {
    Line(Vec<u8>),
    /// On the standard error: of the part, or of what it was reached by.
    Note(Vec<u8>),
    /// It says nothing more.
    End,
}

impl Links {
    /// Starts the parts.
    ///
    /// # Errors
    /// One of them cannot be started.
    pub(super) fn start(members: Vec<Member>) -> Result<Self, CliError> {
        let (sender, said) = sync_channel(WAITING_MAX);
        let links = Vec::new();
        let mut all = Self { links, said };
        for (index, member) in members.into_iter().enumerate() {
            all.links.push(Link::start(index, member, &sender)?);
        }
        Ok(all)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.links.iter().map(|link| link.name.clone()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// Tells a part something. One that is not there any more says so itself.
    pub(super) fn tell(&self, part: usize, order: &Order) {
        if let Some(orders) = &self.links[part].orders {
            // A full queue is that of a part that hangs: it is missed soon.
            let _ = orders.try_send(format!("{}\n", order.to_json()));
        }
    }

    /// Tells every part the same.
    pub(super) fn tell_all(&self, order: &Order) {
        (0..self.links.len()).for_each(|part| self.tell(part, order));
    }

    /// What a part says next; `None` if none does for that long.
    ///
    /// # Errors
    /// A part has failed, or is not there any more.
    pub(super) fn next(&mut self, patience: Duration) -> Result<Option<(usize, Report)>, CliError> {
        let deadline = Deadline::after(patience);
        loop {
            let (part, said) = match self.said.recv_timeout(deadline.left()) {
                Ok(said) => said,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(None),
            };
            match said {
                Said::Note(text) => self.links[part].take_note(&text),
                Said::End => return Err(self.why_ended(part)),
                Said::Line(text) => {
                    if let Some(report) = self.links[part].take_line(&text)? {
                        return Ok(Some((part, report)));
                    }
                }
            }
        }
    }

    /// What is wrong with a part, in words.
    pub(super) fn failed(&self, part: usize, why: impl Into<String>) -> CliError {
        self.links[part].failed(why.into())
    }

    /// The error of a part that has closed its standard output.
    fn why_ended(&mut self, part: usize) -> CliError {
        self.links[part].has_ended = true;
        // Its reason may still be on the way, by another stream.
        let deadline = Deadline::after(LAST_WORDS);
        let mut status = None;
        while !deadline.has_passed() && (status.is_none() || self.links[part].last_note.is_none()) {
            status = self.links[part].child.try_wait().ok().flatten();
            match self.said.recv_timeout(Duration::from_millis(20)) {
                Ok((from, Said::Note(text))) => self.links[from].take_note(&text),
                Ok((from, Said::End)) => self.links[from].has_ended = true,
                Ok((_, Said::Line(_))) | Err(_) => {}
            }
        }
        let link = &self.links[part];
        let how = match status {
            Some(status) => format!("ended ({status})"),
            None => "says nothing more".to_owned(),
        };
        let when = if link.has_begun {
            ""
        } else {
            " before it began"
        };
        let said = link.last_note.as_ref();
        let said = said.map_or_else(String::new, |text| format!(": {text}"));
        link.failed(format!("{how}{when}{said}"))
    }

    fn await_ends(&mut self) {
        let deadline = Deadline::after(GRACE);
        while self.links.iter().any(|link| !link.has_ended) {
            match self.said.recv_timeout(deadline.left()) {
                Ok((part, Said::End)) => self.links[part].has_ended = true,
                Ok((part, Said::Note(text))) => self.links[part].take_note(&text),
                Ok((_, Said::Line(_))) => {}
                Err(_) => return,
            }
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for link in &mut self.links {
            link.orders = None;
            // It has done nothing that would have to be cleaned up, and may be waiting for a host.
            if !link.has_begun {
                link.kill();
            }
        }
        self.await_ends();
        for link in &mut self.links {
            if !link.has_ended {
                note(&format!("{} does not end and is killed", link.name));
            }
            link.kill();
            let _ = link.child.wait();
        }
    }
}

impl Link {
    fn start(
        index: usize,
        member: Member,
        sender: &SyncSender<(usize, Said)>,
    ) -> Result<Self, CliError> {
        let Member { name, command } = member;
        let (program, words) = command.split_first().expect("there is a program");
        let mut command = Command::new(program);
        command.args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        // Ctrl-C on the terminal is for this process, which ends the others in good order.
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| CliError::Part {
            part: name.clone(),
            why: format!("{program} cannot be started: {error}"),
            code: UNREACHABLE,
        })?;
        let (orders, written) = sync_channel(ORDERS_MAX);
        if let Some(stdin) = child.stdin.take() {
            std::thread::spawn(move || write(stdin, &written));
        }
        if let Some(stdout) = child.stdout.take() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                read(stdout, |text| {
                    sender.send((index, Said::Line(text))).is_ok()
                });
                let _ = sender.send((index, Said::End));
            });
        }
        if let Some(stderr) = child.stderr.take() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                read(stderr, |text| {
                    sender.send((index, Said::Note(text))).is_ok()
                });
            });
        }
        Ok(Self {
            name,
            child,
            orders: Some(orders),
            has_begun: false,
            has_ended: false,
            last_note: None,
        })
    }

    /// Kills the process, and what it has started to reach its host.
    fn kill(&mut self) {
        // Of one that has ended the number may be another's by now.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
    }

    fn take_note(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text).trim().to_owned();
        if !text.is_empty() {
            note(&format!("{}: {text}", self.name));
            self.last_note = Some(text);
        }
    }

    /// What a line says. Before the first word of the part there may be a greeting of its host.
    fn take_line(&mut self, text: &[u8]) -> Result<Option<Report>, CliError> {
        let value: Result<Value, _> = serde_json::from_slice(text);
        let report = value.map_err(|error| error.to_string());
        match report.and_then(|value| Report::from_json(&value)) {
            Ok(Report::Failed { why, code }) => Err(CliError::Part {
                part: self.name.clone(),
                why,
                code,
            }),
            Ok(report) => {
                self.has_begun = true;
                Ok(Some(report))
            }
            Err(_) if !self.has_begun => {
                self.take_note(text);
                Ok(None)
            }
            Err(why) => Err(self.failed(format!("what it says is not understood: {why}"))),
        }
    }

    fn failed(&self, why: String) -> CliError {
        CliError::Part {
            part: self.name.clone(),
            why,
            code: if self.has_begun { FAILED } else { UNREACHABLE },
        }
    }
}

fn write(mut stdin: impl std::io::Write, orders: &Receiver<String>) {
    for order in orders {
        let written = stdin.write_all(order.as_bytes());
        if written.and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

fn read(stream: impl Read, take: impl Fn(Vec<u8>) -> bool) {
    let mut stream = BufReader::new(stream);
    while let Ok(Some(text)) = line(&mut stream) {
        if !take(text) {
            return;
        }
    }
}
