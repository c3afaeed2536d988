//! `klamm bench`: the load generator with which one judges a cluster before one moves.
//!
//! The load is open: messages are due at fixed times whatever the cluster does, and latency is
//! counted from when a message was *due*. A cluster that stalls for a second is seen by every
//! message of that second, not by the one that a closed loop would have had under way.
//!
//! [`plan`] is what is asked for. [`schedule`] says when messages are due, [`payload`] what is in them,
//! [`stamp`] how they are known again. [`load`] is threads and clients, [`totals`] what they have done
//! so far. [`latencies`] counts, [`outcome`] is a result, which can be written, read and added up;
//! [`report`] and [`html`] tell it. [`team`] is several processes that make one load together, each
//! its [`share`]. [`witness`] is for other commands that need a load.

mod html;
mod latencies;
mod limits;
mod load;
mod outcome;
mod payload;
mod plan;
mod progress;
mod report;
mod schedule;
mod share;
mod stamp;
mod team;
mod topic;
mod totals;
mod witness;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use self::load::Load;
use self::outcome::Outcome;
use self::plan::Plan;
use self::share::Share;
use self::team::Parts;
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::error::CliError;
use crate::files;
use crate::interrupt::Interrupt;
use crate::output::{Output, Printer, note};

pub(crate) use self::totals::Totals;
pub(crate) use self::witness::{Acknowledged, Witness, run as run_witnessed};

/// `klamm bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(flatten)]
    plan: Plan,
    #[command(flatten)]
    result: Files,
    #[command(flatten)]
    parts: Parts,
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: Option<Action>,
}

const EXAMPLES: &str = "Examples:\n  \
    klamm bench --bootstrap broker1:9092 --rate 73800 --size 200 --partitions 6 --seconds 60\n  \
    klamm bench --rate 10000 --payload messages.jsonl --payload-key device --report report.html\n  \
    klamm bench --bootstrap broker1:9092 --rate 500000 --on load1,load2,load3\n  \
    klamm bench --rate 50000 --result a.json    # and elsewhere --result b.json, then:\n  \
    klamm bench merge a.json b.json --report both.html\n\n\
    Each message has a header of 20 bytes by which it is known again. If \"due to sent\" is late, the\n\
    generator is: take more producers, processes (--processes) or machines (--on).";

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
    /// Does the part of one process in the load of several; told what on its standard input.
    #[command(hide = true)]
    Part,
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
            Some(Action::Part) => team::part(),
            None => {
                let (outcome, interrupted) = match self.parts.members()? {
                    None => alone(&self.plan, &self.connection)?,
                    Some(members) => team::lead(&self.plan, &self.connection, members)?,
                };
                self.result.write(&outcome)?;
                print(&outcome, output)?;
                verdict(&outcome, interrupted)
            }
        }
    }
}

/// Puts the load on the cluster from this process; what was measured, and whether Ctrl-C ended it
/// early.
fn alone(plan: &Plan, connection: &Connection) -> Result<(Outcome, bool), CliError> {
    let cluster = Cluster::connect(connection)?;
    let producers = u64::from(plan.producers.unwrap_or(1));
    let consumers = u64::from(plan.consumers.unwrap_or(1));
    limits::raise_open_files(
        producers + consumers,
        cluster.metadata.brokers().len() as u64,
    )?;
    let payload = plan.messages(plan.source()?.as_ref())?;
    let interrupt = Interrupt::catch()?;
    files::ask_for_precise_timers();
    let topic = topic::Topic::prepare(plan, &cluster)?;
    let share = Share::new(0, 1, producers, topic.consumers(consumers));
    let load = Load::prepare(plan, &cluster, &topic, share, stamp::new_run(), None);
    let measured = load.map(|load| load.run_alone(&payload, &interrupt));
    topic.clean_up(&cluster);
    Ok((measured?, interrupt.asked()))
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
