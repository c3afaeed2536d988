//! The command line for people who run a Kafka-compatible cluster: Klamm, Apache Kafka, or any
//! other. Topics, settings, consumer groups, records, and a load generator that judges a cluster.
//!
//! It is a client as any other, built on librdkafka, and knows nothing of how Klamm works inside:
//! what it shows comes over the wire. (`demo` alone knows how brokers are started.) The `klamm`
//! binary shows these [`Command`]s beside its own.
//!
//! Start with [`Command::run`]. Each command has a module; `cluster` is a cluster that has
//! answered, `output` what is printed, `error` which exit code says what. `bench` is a small program
//! of its own: when messages are due (`bench::schedule`), what is in them (`bench::payload`), what
//! was measured (`bench::outcome`) and how it is told (`bench::report`, `bench::html`).
//!
//! Invariants: no command prints but through `output`; time enters in `clock`, files in `files`; a command that
//! librdkafka cannot do properly does not exist.
#![deny(unsafe_code)]

mod bench;
mod clock;
mod cluster;
mod config;
mod connection;
mod consume;
mod demo;
mod error;
mod files;
mod group;
mod interrupt;
mod lines;
mod output;
mod produce;
mod record;
mod topic;

use std::process::ExitCode;

use clap::Subcommand;
use clap_complete::Shell;

use crate::error::CliError;

/// What can be done with a cluster from the command line.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists, describes, creates, grows and deletes topics.
    Topic(topic::Topic),
    /// Writes records to a topic: lines, or JSON, from the standard input or a file.
    Produce(produce::Produce),
    /// Reads records of a topic, as text or as JSON.
    Consume(consume::Consume),
    /// Lists and describes consumer groups, moves their offsets, deletes them.
    Group(group::Group),
    /// Shows and changes settings of topics and brokers.
    Config(config::Config),
    /// Puts load on a cluster and measures its latency, counted from when a message was due.
    Bench(Box<bench::Bench>),
    /// Starts three brokers here, kills one under load, and shows what clients see of it.
    Demo(demo::Demo),
    /// Prints completions for a shell.
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// Whose.
        shell: Shell,
    },
}

/// What every command ends its help with; for the binary, too.
pub const EXIT_CODES: &str = "Exit codes: 0 done · 1 refused or failed · 2 wrong usage · \
    3 the cluster does not answer · 4 done in part · 130 interrupted";

const COMPLETIONS: &str = "Examples:\n  \
    klamm completions bash > /etc/bash_completion.d/klamm\n  \
    klamm completions zsh > ~/.zfunc/_klamm\n  \
    klamm completions fish > ~/.config/fish/completions/klamm.fish";

impl Command {
    /// Does it, and says on the standard error what went wrong. `whole` is the command line that
    /// this command is part of: completions are made from it.
    pub fn run(self, whole: clap::Command) -> ExitCode {
        let done = match self {
            Self::Topic(topic) => topic.run(),
            Self::Produce(produce) => produce.run(),
            Self::Consume(consume) => consume.run(),
            Self::Group(group) => group.run(),
            Self::Config(config) => config.run(),
            Self::Bench(bench) => bench.run(),
            Self::Demo(demo) => demo.run(),
            Self::Completions { shell } => completions(shell, whole),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                if !error.is_closed_pipe() {
                    output::note(&error.to_string());
                }
                error.exit_code()
            }
        }
    }
}

fn completions(shell: Shell, mut whole: clap::Command) -> Result<(), CliError> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut whole, "klamm", &mut text);
    let mut printer = output::Printer::new(output::Output::Table);
    printer.raw(&text)?;
    printer.flush()
}
