//! What load is asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};

use super::payload::{Payload, Source};
use super::schedule::Schedule;
use crate::connection::duration;
use crate::error::CliError;
use crate::produce::{Acks, Compression};

/// What load.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "The load")]
pub(super) struct Plan {
    /// Messages per second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(super) rate: u64,
    /// Bytes of each value
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) size: u32,
    /// Partitions of the topic that is made for it
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub(super) partitions: i32,
    /// Replicas of each partition; without it the cluster decides
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=100))]
    pub(super) replication: Option<i32>,
    /// Clients that send, of all processes together; without it one for each process
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) producers: Option<u32>,
    /// Clients that receive, each its share of the partitions; without it one for each process
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) consumers: Option<u32>,
    /// How long to measure
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(super) seconds: u32,
    /// How many seconds of load come before that, unmeasured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub(super) warm_up: u32,
    /// How many milliseconds a producer waits to fill a batch
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=900_000))]
    pub(super) linger: u32,
    /// Who has to have a message before it counts as acknowledged
    #[arg(long, value_enum, default_value = "all")]
    pub(super) acks: Acks,
    /// How batches are compressed
    #[arg(short = 'z', long, value_enum, default_value = "none")]
    pub(super) compression: Compression,
    /// From what generated messages are made; the same seed gives the same messages
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Send the messages of this file instead, in turn: JSON lines, or rows of a .csv
    #[arg(long, value_name = "FILE", conflicts_with = "size")]
    pub(super) payload: Option<PathBuf>,
    /// Field or column of the file whose value is the key
    #[arg(long, value_name = "NAME", requires = "payload")]
    pub(super) payload_key: Option<String>,
    /// Use this topic, and keep it; made if it does not exist. Without it a new one is made, and
    /// deleted at the end
    #[arg(long)]
    pub(super) topic: Option<String>,
    /// How long late messages are waited for at the end
    #[arg(long, default_value = "15s", value_name = "TIME", value_parser = duration)]
    pub(super) drain: Duration,
}

/// A plan alone, as [`Plan::words`] writes it.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Alone {
    #[command(flatten)]
    plan: Plan,
}

impl Plan {
    pub(super) fn schedule(&self) -> Schedule {
        Schedule {
            rate: self.rate,
            warm_up: self.warm_up.into(),
            seconds: self.seconds.into(),
        }
    }

    /// The file of messages, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn source(&self) -> Result<Option<Source>, CliError> {
        self.payload.as_deref().map(Source::read).transpose()
    }

    /// What is in the messages, those of `source` if it is given.
    ///
    /// # Errors
    /// The file holds none, or not the key.
    pub(super) fn messages(&self, source: Option<&Source>) -> Result<Payload, CliError> {
        match source {
            Some(source) => Payload::of_file(source, self.payload_key.as_deref()),
            None => Ok(Payload::generated(self.seed, self.size as usize)),
        }
    }

    /// The plan as words of a command line, for another process: it reads and checks them as it
    /// does a user's.
    pub(super) fn words(&self) -> Vec<String> {
        fn number(value: impl ToString) -> Option<String> {
            Some(value.to_string())
        }
        let given = [
            ("rate", number(self.rate)),
            // It contradicts a file.
            ("size", number(self.size).filter(|_| self.payload.is_none())),
            ("partitions", number(self.partitions)),
            ("replication", self.replication.and_then(number)),
            ("producers", self.producers.and_then(number)),
            ("consumers", self.consumers.and_then(number)),
            ("seconds", number(self.seconds)),
            ("warm-up", number(self.warm_up)),
            ("linger", number(self.linger)),
            ("acks", number(self.acks.name())),
            ("compression", number(self.compression.name())),
            ("seed", number(self.seed)),
            (
                "payload",
                self.payload.as_ref().map(|path| path.display().to_string()),
            ),
            ("payload-key", self.payload_key.clone()),
            ("topic", self.topic.clone()),
            ("drain", number(humantime::format_duration(self.drain))),
        ];
        let given = given.into_iter();
        given
            .filter_map(|(name, value)| Some(format!("--{name}={}", value?)))
            .collect()
    }

    /// What [`Self::words`] has written.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn of_words(words: &[String]) -> Result<Self, CliError> {
        let alone = Alone::try_parse_from(words);
        alone
            .map(|alone| alone.plan)
            .map_err(|error| CliError::Usage(error.to_string()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::bench) fn plan(words: &[&str]) -> Plan {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        Plan::of_words(&words).expect("valid")
    }

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let check = |words: &[&str]| {
            let plan = plan(words);
            assert_eq!(Plan::of_words(&plan.words()).expect("valid"), plan);
        };
        check(&[]);
        check(&["--size=7", "--acks=0", "-z", "zstd", "--replication=3"]);
        check(&["--payload=a b.csv", "--payload-key=--x", "--producers=9"]);
        check(&[
            "--topic=$(reboot); 'a' \"b\"",
            "--drain=1m 5ms",
            "--warm-up=0",
        ]);
        assert!(Plan::of_words(&["--rate=0".to_owned()]).is_err());
    }
}
