//! `klamm dump`: what is in the files of a log directory, as Kafka's `kafka-dump-log` shows it.
//!
//! Reads only, and needs no broker; one that runs may be writing meanwhile, so what stands at the
//! very end of an active segment may not be whole. A module of the binary, not of the library.

mod files;
mod indexes;
mod line;
mod records;

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use files::Kind;
use line::Line;

/// `klamm dump`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Dump {
    /// Files, or directories: then every file in them that is known.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Shows each record, not only the batches.
    #[arg(long)]
    deep_iteration: bool,
    /// Shows each record with its key, value and headers.
    #[arg(long)]
    print_data_log: bool,
    /// For whom to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

const EXAMPLES: &str = "Examples:\n  \
    klamm dump /var/lib/klamm/orders-0/00000000000000000000.log\n  \
    klamm dump --print-data-log /var/lib/klamm/orders-0 | less\n  \
    klamm dump --output json /var/lib/klamm | jq 'select(.problem)'\n  \
    klamm dump /var/lib/klamm/klamm.journal\n\n\
    Known are .log, .index, .timeindex, .txnindex, .raftindex, .snapshot and klamm.journal. Indexes\n\
    are compared with the .log beside them. Nothing is changed. Exit codes: 0 all is sound,\n\
    1 damage was found or a file cannot be read, 2 wrong usage.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line for each thing: names and values.
    Text,
    /// A JSON object for each.
    Json,
}

/// How much of records is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Batches,
    Records,
    Data,
}

/// Where lines go, and whether one of them told of damage.
struct Printer {
    out: BufWriter<std::io::Stdout>,
    output: Output,
    problems: u64,
}

impl Printer {
    /// The error is the standard output's.
    fn print(&mut self, line: &Line) -> std::io::Result<()> {
        self.problems += u64::from(line.is_problem());
        match self.output {
            Output::Text => writeln!(self.out, "{line}"),
            Output::Json => writeln!(self.out, "{}", line.to_json()),
        }
    }
}

impl Dump {
    pub(crate) fn run(self) -> ExitCode {
        let mut printer = Printer {
            out: BufWriter::new(std::io::stdout()),
            output: self.output,
            problems: 0,
        };
        let printed = self
            .print_all(&mut printer)
            .and_then(|()| printer.out.flush());
        match printed {
            Ok(()) if printer.problems == 0 => ExitCode::SUCCESS,
            // The reader has had enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Ok(()) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("klamm: cannot write to the standard output: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn print_all(&self, printer: &mut Printer) -> std::io::Result<()> {
        let depth = match (self.print_data_log, self.deep_iteration) {
            (true, _) => Depth::Data,
            (false, true) => Depth::Records,
            (false, false) => Depth::Batches,
        };
        for path in &self.paths {
            let found = match files::below(path) {
                Ok(found) => found,
                Err(problem) => {
                    printer.print(&Line::problem(path, problem))?;
                    continue;
                }
            };
            for (path, kind) in found {
                printer.print(&Line::of(&path).field("dumping", kind.name()))?;
                match kind {
                    Kind::Log => records::dump(&path, depth, printer)?,
                    kind => indexes::dump(&path, kind, printer)?,
                }
            }
        }
        Ok(())
    }
}
