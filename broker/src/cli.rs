//! The command line.
//!
//! `klamm` alone serves with defaults; `klamm serve` takes settings; `klamm settings` prints the
//! table of all of them; `klamm dump` looks into files. What is done *with* a cluster is the crate
//! `klamm-cli`'s.
//!
//! A module of the binary, not of the library: the library does not know librdkafka.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use klamm_broker::config::{
    BrokerConfig, SettingsError, Sources, process_environment, settings_page,
};
use klamm_broker::logging;
use klamm_broker::server::{self, ServeError};
use klamm_cli::EXIT_CODES;
use rustix::process::Signal;

use crate::dump::Dump;

/// What the process was asked to do.
#[derive(Debug, Parser)]
#[command(
    name = "klamm",
    version,
    about = "A self-hosted replacement for a Kafka cluster.",
    long_about = "A self-hosted replacement for a Kafka cluster.\n\n\
        Without a command, Klamm serves: on 127.0.0.1:9092, with its data in ./klamm-data, \
        creating topics when they are first used. The other commands are for any \
        Kafka-compatible cluster.",
    after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"),
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the broker until SIGTERM or Ctrl-C.
    #[command(after_help = EXAMPLES)]
    Serve(Serve),
    /// Shows what is in the files of a log directory, and whether it is sound.
    Dump(Dump),
    /// Prints every setting with its default, its range and what it does, in Markdown.
    Settings,
    #[command(flatten)]
    Client(Box<klamm_cli::Command>),
}

#[derive(Debug, Args)]
struct Serve {
    /// A file of settings, in the form of Kafka's server.properties.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting; may be given several times, and wins over the file and the environment.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// End as soon as this process does, which has started this one.
    #[arg(long, hide = true, value_name = "PID")]
    with_parent: Option<u32>,
}

const EXAMPLES: &str = "Examples:\n  \
    klamm\n  \
    klamm serve --config server.properties\n  \
    klamm serve --set listeners=PLAINTEXT://:9092 --set log.dirs=/var/lib/klamm\n  \
    KLAMM_LOG_DIRS=/var/lib/klamm klamm\n  \
    klamm topic list --bootstrap broker1:9092\n\n\
    Settings are given in a file, in variables that begin with KLAMM_ (KLAMM_LOG_DIRS is\n\
    log.dirs), or with --set; the later win. `klamm settings` lists them all.";

/// Why the process ends with 1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A setting is wrong.
    #[error("a setting is wrong: {0}")]
    Settings(#[from] SettingsError),
    /// The broker could not start, or not stop in good order.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// What was asked for cannot be printed.
    #[error("cannot write to the standard output: {0}")]
    Output(std::io::Error),
    /// The process that the broker is to end with cannot be watched.
    #[error("cannot end with the process {parent}: {error}")]
    Parent {
        /// Its id.
        parent: u32,
        /// Why not.
        error: std::io::Error,
    },
}

impl Cli {
    /// Does what was asked; for `serve`, until the broker is told to stop. What went wrong is said
    /// on the standard error, and is in the exit code.
    pub(crate) fn run(self) -> ExitCode {
        let done = match self.command {
            None => serve(self.serve),
            Some(Command::Serve(arguments)) => serve(arguments),
            Some(Command::Settings) => settings(),
            Some(Command::Dump(dump)) => return dump.run(),
            Some(Command::Client(command)) => return command.run(Self::command()),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("klamm: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

fn settings() -> Result<(), CliError> {
    let written = std::io::stdout()
        .lock()
        .write_all(settings_page().as_bytes());
    written.map_err(CliError::Output)
}

fn serve(arguments: Serve) -> Result<(), CliError> {
    let Serve {
        config: file,
        set,
        with_parent,
    } = arguments;
    if let Some(parent) = with_parent {
        end_with(parent).map_err(|error| CliError::Parent { parent, error })?;
    }
    let config = BrokerConfig::load(&Sources {
        file,
        environment: process_environment(),
        set,
    })?;
    let log = logging::start(&config.diagnostics);
    for (name, value, source) in config.effective() {
        if config.settings.given().contains_key(name) {
            tracing::info!("setting {name}={value}");
        } else {
            tracing::debug!("setting {name}={value} ({source:?})");
        }
    }
    Ok(server::run(config, log)?)
}

/// Has the kernel end this process when the one that has started it ends, however it does.
fn end_with(parent: u32) -> std::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // If it has ended before that, somebody else is the parent by now.
    let now = rustix::process::getppid().map(|pid| pid.as_raw_pid());
    match now == i32::try_from(parent).ok() {
        true => Ok(()),
        false => Err(std::io::Error::other(
            "the process that has started this one is gone",
        )),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give it as NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_are_given_with_or_without_the_word_serve() {
        for words in [
            vec!["klamm", "--set", "a=b=c"],
            vec!["klamm", "serve", "--set", "a=b=c"],
        ] {
            let cli = Cli::try_parse_from(&words).expect("valid");
            let serve = match cli.command {
                Some(Command::Serve(serve)) => serve,
                _ => cli.serve,
            };
            assert_eq!(serve.set, [("a".to_owned(), "b=c".to_owned())], "{words:?}");
        }
    }

    #[test]
    fn a_setting_without_a_value_is_refused() {
        assert!(Cli::try_parse_from(["klamm", "--set", "a"]).is_err());
    }
}
