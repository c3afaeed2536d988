//! A broker under test: how it is started, and what becomes of it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::Client;
use crate::process::{Process, binary, command};
use crate::support::TempDir;

/// An orderly stop takes no longer.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(5);
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);

/// A broker that has said that it is ready.
pub(crate) struct Broker {
    pub(crate) process: Process,
    port: u16,
}

/// `klamm serve` on a free port, with its data in `data` of the directory.
pub(crate) fn serve(dir: &TempDir, settings: &[(&str, &str)]) -> Command {
    let mut command = command(binary());
    command.current_dir(dir.path()).arg("serve");
    add_settings(&mut command, dir, settings);
    command
}

/// The settings of [`serve`]; those given come later, and win.
pub(crate) fn add_settings(command: &mut Command, dir: &TempDir, settings: &[(&str, &str)]) {
    let data = dir.data();
    let data = data.to_str().expect("the path is text");
    let usual = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("log.dirs", data),
        ("klamm.admin.listener", ""),
        ("group.initial.rebalance.delay.ms", "0"),
        ("offsets.topic.num.partitions", "2"),
    ];
    for (name, value) in usual.iter().chain(settings) {
        command.arg("--set").arg(format!("{name}={value}"));
    }
}

impl Broker {
    /// Starts a broker with [`serve`].
    pub(crate) fn start(dir: &TempDir, settings: &[(&str, &str)]) -> Self {
        Self::run(serve(dir, settings))
    }

    /// Starts a broker and waits until it says that it is ready.
    pub(crate) fn run(command: Command) -> Self {
        let process = Process::start(command);
        let listening = process.says("listening: ");
        process.says("is ready");
        let bound = listening.trim().split(',').next();
        let port = bound
            .and_then(|bound| bound.rsplit_once(':'))
            .and_then(|(_, port)| port.parse().ok());
        let port = port.expect("the address that is bound ends with the port");
        Self { process, port }
    }

    /// A broker that has said that it is ready, on this port.
    pub(crate) fn that_runs(process: Process, port: u16) -> Self {
        Self { process, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The first line with this in it, which comes soon.
    pub(crate) fn says(&self, text: &str) -> String {
        self.process.says(text)
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// SIGTERM; it has to end in good order, and soon.
    pub(crate) fn stop(self) -> Vec<String> {
        self.stop_with(Signal::TERM)
    }

    pub(crate) fn stop_with(mut self, signal: Signal) -> Vec<String> {
        let started = Instant::now();
        self.process.signal(signal);
        let status = self.process.wait(2 * STOP_LIMIT);
        assert_eq!(status.code(), Some(0), "{:?}", self.process.lines());
        let took = started.elapsed();
        assert!(took < STOP_LIMIT, "stopping took {took:?}");
        self.process.lines()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// Fails if the broker has written a line at this level that no test asked for.
    pub(crate) fn assert_no_errors(&self) {
        let lines = self.process.lines();
        let errors: Vec<_> = lines.iter().filter(|line| line.contains("ERROR")).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

/// What a broker that cannot go on says; it ends by itself with an error.
pub(crate) fn refusal(command: Command) -> String {
    let mut process = Process::start(command);
    let status = process.wait(REFUSAL_LIMIT);
    let said = process.lines().join("\n");
    assert_eq!(status.code(), Some(1), "{said}");
    said
}

/// Starts a broker that cannot go on, and looks for each text in what it says.
pub(crate) fn refuses(command: Command, texts: &[&str]) {
    let said = refusal(command);
    for text in texts {
        assert!(said.contains(text), "not said: {text}\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// The whole content of a file.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{} {error}", path.display()))
}
