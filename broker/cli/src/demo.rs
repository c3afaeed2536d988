//! `klamm demo`: three brokers on this machine, a load on them, and one that is killed in the middle.
//!
//! It shows what clients see of that: whether anything that was acknowledged is lost, and how long
//! the killed broker's partitions are away. It is the one command that knows how a broker of Klamm
//! is started. [`brokers`] does that, [`script`] says what happens when, [`seen`] is what became of
//! each message, [`report`] tells it; the load is that of `klamm bench`.

mod brokers;
mod live;
mod ports;
mod report;
mod script;
mod seen;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use self::brokers::{BROKERS, Brokers};
use self::live::Live;
use self::report::Told;
use self::script::{Act, Script};
use self::seen::Seen;
use crate::bench::{self, Totals};
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::error::CliError;
use crate::interrupt::Interrupt;
use crate::output::{Output, Printer, note};

/// `klamm demo`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Demo {
    /// Messages per second
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(6..=20_000))]
    rate: u32,
    /// How long the load goes on: after a third of it a broker is killed, after half of it started
    /// again
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(6..=600))]
    seconds: u32,
    /// Leave the brokers' folders, with data and logs, and say where they are
    #[arg(long)]
    keep: bool,
    /// What is started as a broker, instead of this binary
    #[arg(long, hide = true, value_name = "FILE")]
    broker: Option<PathBuf>,
}

const AFTER: &str = "Three brokers are started as processes of their own in a temporary folder, on free ports of\n\
    127.0.0.1. Messages of 200 bytes go to 6 partitions with three replicas each, acks=all, from an\n\
    idempotent producer to a consumer. The leader of partition 0 is killed with kill -9.\n\n\
    Ctrl-C ends the load, and shows what there was until then. However the command ends, so do the\n\
    brokers; their folder stays only if Ctrl-C is pressed twice or the command is killed.\n\n\
    Examples:\n  \
    klamm demo\n  \
    klamm demo --rate 500 --seconds 60\n  \
    klamm demo --keep";

const TOPIC: &str = "demo";
const PARTITIONS: i32 = 6;
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// What has not come by then after the last message was due is given up.
const DRAIN: &str = "20s";

impl Demo {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let interrupt = Interrupt::catch()?;
        let mut brokers = Brokers::start(self.broker.as_deref(), self.keep)?;
        note(&format!(
            "{BROKERS} brokers start in {}",
            brokers.folder().display()
        ));
        brokers.wait_until_ready(&interrupt)?;
        note(&format!("they are ready at {}", brokers.bootstrap()));
        let told = self.play(&mut brokers, &interrupt)?;
        told.print(&mut Printer::new(Output::Table))?;
        if interrupt.asked() {
            return Err(CliError::Interrupted(
                "the table is of the time until then".to_owned(),
            ));
        }
        told.verdict()
    }

    /// Puts the load on the brokers, while one of them is killed and started again.
    fn play(&self, brokers: &mut Brokers, interrupt: &Interrupt) -> Result<Told, CliError> {
        let cluster = Cluster::connect(&connection(&brokers.bootstrap()))?;
        let mut stage = Stage {
            script: Script::of(Duration::from_secs(self.seconds.into())),
            cluster: &cluster,
            others: None,
            brokers,
        };
        let seen = Arc::new(Seen::default());
        let mut live = Live::default();
        let mut sent = 0;
        let witness = Arc::clone(&seen);
        bench::run_witnessed(&self.words(), &cluster, witness, interrupt, |totals| {
            live.show(totals);
            sent = totals.sent;
            if interrupt.asked() {
                return Ok(());
            }
            stage.brokers.check()?;
            if let Some(happened) = stage.act(totals)? {
                live.note(totals, &happened);
            }
            Ok(())
        })?;
        Ok(Told::of(sent, &stage.script, &seen))
    }

    /// What `klamm bench` would be told.
    fn words(&self) -> Vec<String> {
        vec![
            format!("--rate={}", self.rate),
            format!("--seconds={}", self.seconds),
            "--warm-up=0".to_owned(),
            format!("--topic={TOPIC}"),
            format!("--partitions={PARTITIONS}"),
            format!("--replication={BROKERS}"),
            format!("--drain={DRAIN}"),
        ]
    }
}

/// Where it happens.
struct Stage<'a> {
    script: Script,
    cluster: &'a Cluster,
    /// The cluster as those brokers see it that were not killed: the killed one could tell what
    /// was true before.
    others: Option<Cluster>,
    brokers: &'a mut Brokers,
}

impl Stage<'_> {
    /// Does what is due; what has happened, if anything has.
    fn act(&mut self, totals: &Totals) -> Result<Option<String>, CliError> {
        let (script, brokers) = (&mut self.script, &mut *self.brokers);
        let happened = match script.due(totals.at) {
            None => None,
            Some(Act::Kill) => brokers.kill_leader(self.cluster, TOPIC)?.map(|victim| {
                let happened = format!("{} is killed", victim.name);
                script.killed(totals.at, victim);
                happened
            }),
            Some(Act::Start) => {
                self.others = Some(Cluster::connect(&connection(&brokers.bootstrap()))?);
                brokers.start_killed()?;
                script.started(totals.at);
                Some("it is started again".to_owned())
            }
            Some(Act::Look) => {
                let mut others = self.others.iter();
                let in_sync = others.any(|others| brokers.are_in_sync(others, TOPIC));
                in_sync.then(|| {
                    script.caught_up(totals.at);
                    "it has caught up".to_owned()
                })
            }
        };
        Ok(happened)
    }
}

fn connection(bootstrap: &str) -> Connection {
    let properties = [
        ("bootstrap.servers", bootstrap),
        ("client.id", "klamm-demo"),
        // What is sent again is not written again: the default of Java's clients.
        ("enable.idempotence", "true"),
    ];
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    Connection::of(properties.map(owned).to_vec(), PATIENCE)
}
