//! The client commands of the binary, against a broker of Klamm: what they print, in both forms,
//! and with which code they end.

mod bench;
mod bench_team;
mod dump;
mod groups;
mod manners;
mod records;
mod topics;

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::broker::Broker;
use crate::process::{binary, command};
use crate::support::TempDir;

/// A command that takes longer hangs; it then ends with 124.
const LIMIT_SECONDS: &str = "60";

/// A broker, and the commands that are sent to it.
struct World {
    broker: Broker,
    dir: TempDir,
}

/// What a command did.
struct Did {
    code: i32,
    out: String,
    err: String,
}

impl World {
    fn start() -> Self {
        let dir = TempDir::new();
        let settings = [("auto.create.topics.enable", "false")];
        let broker = Broker::start(&dir, &settings);
        Self { broker, dir }
    }

    fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.broker.port())
    }

    /// `klamm` with these words, on its way to the broker.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = limited();
        command.args(words).env("KLAMM_BOOTSTRAP", self.bootstrap());
        command.current_dir(self.dir.path());
        command
    }

    fn run(&self, words: &[&str]) -> Did {
        did(self.command(words).stdin(Stdio::null()))
    }

    /// What a command prints that has to succeed.
    fn out(&self, words: &[&str]) -> String {
        let did = self.run(words);
        assert_eq!(did.code, 0, "{words:?} {}{}", did.out, did.err);
        did.out
    }

    /// The objects that a command prints with `--output json`.
    fn json(&self, words: &[&str]) -> Vec<Value> {
        let words = [words, &["--output", "json"]].concat();
        lines_of_json(&self.out(&words))
    }

    /// A command that gets `input` on its standard input.
    fn feed(&self, words: &[&str], input: &[u8]) -> Did {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input).expect("it reads");
        drop(stdin);
        ended(child)
    }
}

impl Did {
    /// Fails unless it ended with this code and said all of this on the standard error.
    fn refused(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        for text in texts {
            assert!(self.err.contains(text), "not said: {text}\n{}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }
}

/// `klamm`, which does not hang.
fn limited() -> Command {
    let mut command = command("timeout");
    command
        .args(["--kill-after=5", LIMIT_SECONDS])
        .arg(binary());
    command
}

fn did(command: &mut Command) -> Did {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    ended(command.spawn().expect("it starts"))
}

fn ended(child: Child) -> Did {
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Did {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn lines_of_json(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}
