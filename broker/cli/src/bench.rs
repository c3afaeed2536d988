//! `klamm bench`: the load generator with which one judges a cluster before one moves.
//!
//! The load is open: messages are due at fixed times whatever the cluster does, and latency is
//! counted from when a message was *due*. A cluster that stalls for a second is seen by every
//! message of that second, not by the one that a closed loop would have had under way.
//!
//! [`schedule`] says when messages are due, [`payload`] what is in them, [`stamp`] how they are known
//! again. [`load`] is threads and clients. [`latencies`] counts, [`outcome`] is a result, which can
//! be written, read and added up; [`report`] and [`html`] tell it.

mod html;
mod latencies;
mod limits;
mod load;
mod outcome;
mod payload;
mod progress;
mod report;
mod schedule;
mod stamp;
mod topic;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use self::outcome::Outcome;
use self::payload::Payload;
use self::schedule::Schedule;
use crate::cluster::Cluster;
use crate::connection::{Connection, duration};
use crate::error::CliError;
use crate::files;
use crate::interrupt::Interrupt;
use crate::output::{Output, Printer, note};
use crate::produce::{Acks, Compression};

/// `klamm bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(flatten)]
    plan: Plan,
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: Option<Action>,
}

const EXAMPLES: &str = "Examples:\n  \
    klamm bench --bootstrap broker1:9092 --rate 73800 --size 200 --partitions 6 --seconds 60\n  \
    klamm bench --rate 10000 --payload messages.jsonl --payload-key device --report report.html\n  \
    klamm bench --rate 50000 --result a.json    # and elsewhere --result b.json, then:\n  \
    klamm bench merge a.json b.json --report both.html\n\n\
    Each message has a header of 20 bytes by which it is known again. Producers and consumers are in\n\
    this process, so one clock measures. If \"due to sent\" is late, the generator is: take more\n\
    producers, or more machines. Each process of several has a topic of its own.";

/// What load, and what becomes of the result.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The load")]
struct Plan {
    /// Messages per second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: u64,
    /// Bytes of each value
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    size: u32,
    /// Partitions of the topic that is made for it
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,
    /// Replicas of each partition; without it the cluster decides
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=100))]
    replication: Option<i32>,
    /// Clients that send
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    producers: u32,
    /// Clients that receive, each its share of the partitions
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    consumers: u32,
    /// How long to measure
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How many seconds of load come before that, unmeasured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    warm_up: u32,
    /// How many milliseconds a producer waits to fill a batch
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=900_000))]
    linger: u32,
    /// Who has to have a message before it counts as acknowledged
    #[arg(long, value_enum, default_value = "all")]
    acks: Acks,
    /// How batches are compressed
    #[arg(short = 'z', long, value_enum, default_value = "none")]
    compression: Compression,
    /// From what generated messages are made; the same seed gives the same messages
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Send the messages of this file instead, in turn: JSON lines, or rows of a .csv
    #[arg(long, value_name = "FILE", conflicts_with = "size")]
    payload: Option<PathBuf>,
    /// Field or column of the file whose value is the key
    #[arg(long, value_name = "NAME", requires = "payload")]
    payload_key: Option<String>,
    /// Use this topic, and keep it; made if it does not exist. Without it a new one is made, and
    /// deleted at the end
    #[arg(long)]
    topic: Option<String>,
    /// How long late messages are waited for at the end
    #[arg(long, default_value = "15s", value_name = "TIME", value_parser = duration)]
    drain: Duration,
    #[command(flatten)]
    result: Files,
}

/// Where a result goes, beside the standard output.
#[derive(Clone, Debug, Args)]
struct Files {
    /// Write the result as JSON, for `klamm bench merge`
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// Write a page with tables and the curve of percentiles
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Adds up results that several processes have written with --result.
    Merge {
        #[arg(required = true, value_name = "FILE")]
        results: Vec<PathBuf>,
        #[command(flatten)]
        files: Files,
    },
}

impl Bench {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let output = self.connection.output;
        match self.action {
            Some(Action::Merge { results, files }) => {
                let outcome = merge(&results)?;
                files.write(&outcome)?;
                print(&outcome, output)
            }
            None => {
                let (outcome, interrupted) = self.plan.run(&self.connection)?;
                self.plan.result.write(&outcome)?;
                print(&outcome, output)?;
                verdict(&outcome, interrupted)
            }
        }
    }
}

impl Plan {
    /// Puts the load on the cluster; what was measured, and whether Ctrl-C ended it early.
    fn run(&self, connection: &Connection) -> Result<(Outcome, bool), CliError> {
        let cluster = Cluster::connect(connection)?;
        let clients = u64::from(self.producers) + u64::from(self.consumers);
        limits::raise_open_files(clients, cluster.metadata.brokers().len() as u64)?;
        let payload = match &self.payload {
            Some(file) => Payload::of_file(file, self.payload_key.as_deref())?,
            None => Payload::generated(self.seed, self.size as usize),
        };
        let schedule = Schedule {
            rate: self.rate,
            warm_up: self.warm_up.into(),
            seconds: self.seconds.into(),
        };
        let interrupt = Interrupt::catch()?;
        files::ask_for_precise_timers();
        let topic = topic::Topic::prepare(self, &cluster)?;
        let measured = load::run(self, &cluster, &topic, &payload, schedule, &interrupt);
        topic.clean_up(&cluster);
        Ok((measured?, interrupt.asked()))
    }
}

impl Files {
    fn write(&self, outcome: &Outcome) -> Result<(), CliError> {
        if let Some(path) = &self.result {
            files::write(path, &format!("{}\n", outcome.to_json()))?;
        }
        if let Some(path) = &self.report {
            files::write(path, &html::page(outcome))?;
        }
        Ok(())
    }
}

fn print(outcome: &Outcome, output: Output) -> Result<(), CliError> {
    let mut printer = Printer::new(output);
    match output {
        Output::Json => printer.say(&outcome.to_json(), ""),
        Output::Table => report::print(outcome, &mut printer),
    }
}

fn merge(paths: &[PathBuf]) -> Result<Outcome, CliError> {
    let mut all = paths.iter().map(|path| {
        let text = files::read_text(path)?;
        let wrong = |why: String| CliError::Refused {
            what: path.display().to_string(),
            why,
        };
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("it is no JSON document: {error}")))?;
        Outcome::from_json(&value).map_err(wrong)
    });
    let Some(first) = all.next() else {
        return Err(CliError::Usage("there is nothing to merge".to_owned()));
    };
    let mut merged = first?;
    for one in all {
        if !merged.add(&one?) {
            note("the results are of different loads: read the sum with care");
        }
    }
    Ok(merged)
}

fn verdict(outcome: &Outcome, interrupted: bool) -> Result<(), CliError> {
    if interrupted {
        return Err(CliError::Interrupted(
            "the result is of the time until then".to_owned(),
        ));
    }
    match outcome.unfinished() {
        0 => Ok(()),
        failed => Err(CliError::Partly {
            failed,
            total: outcome.counts.due,
            what: "messages were not acknowledged or not received",
        }),
    }
}
