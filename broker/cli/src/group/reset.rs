//! `klamm group reset`: commits other offsets for a group, as one of its consumers would.
//!
//! Only a group without members takes them: the broker refuses everyone else's, so that a consumer
//! that joins meanwhile is safe.

use clap::Args;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use super::{committed, consumer_of, fetch};
use crate::cluster::{Cluster, Partition};
use crate::error::CliError;
use crate::output::{Column, Printer};
use crate::record::Position;

/// `klamm group reset`.
#[derive(Debug, Args)]
pub(super) struct Reset {
    /// The group; one that does not exist is made
    group: String,
    /// A topic, or some of its partitions as TOPIC:0,1,2; may be given several times
    #[arg(long = "topic", required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// beginning, end, an offset, or a time such as 2026-11-25T10:00:00Z
    #[arg(long, value_name = "POSITION")]
    to: Position,
    /// Do it; without this the new offsets are only shown
    #[arg(long)]
    execute: bool,
}

const COLUMNS: &[Column] = &[
    ("TOPIC", "topic"),
    ("PARTITION", "partition"),
    ("COMMITTED", "committed"),
    ("NEW", "new"),
];

impl Reset {
    pub(super) fn run(&self, cluster: &Cluster, printer: &mut Printer) -> Result<(), CliError> {
        self.refuse_if_it_has_members(cluster)?;
        let partitions = self.partitions(cluster)?;
        let consumer = consumer_of(cluster, &self.group)?;
        let before = committed(cluster, &consumer, &partitions)?;
        let targets = self.to.offsets(cluster, &partitions)?;
        if self.execute {
            let mut offsets = TopicPartitionList::new();
            for ((topic, partition), offset) in partitions.iter().zip(&targets) {
                offsets
                    .add_partition_offset(topic, *partition, Offset::Offset(*offset))
                    .map_err(|error| cluster.failed("offsets", &error))?;
            }
            consumer
                .commit(&offsets, CommitMode::Sync)
                .map_err(|error| cluster.failed(self.what(), &error))?;
        }
        let rows = partitions.iter().zip(targets).map(|(partition, new)| {
            json!({
                "group": self.group,
                "topic": partition.0,
                "partition": partition.1,
                "committed": before.get(partition),
                "new": new,
                "executed": self.execute,
            })
        });
        printer.rows(
            COLUMNS,
            &rows.collect::<Vec<_>>(),
            "the topics have no partitions",
        )?;
        if !self.execute {
            crate::output::note("nothing was changed yet: add --execute to do it");
        }
        Ok(())
    }

    fn what(&self) -> String {
        format!("offsets of group {}", self.group)
    }

    fn refuse_if_it_has_members(&self, cluster: &Cluster) -> Result<(), CliError> {
        let list = fetch(cluster, Some(&self.group))?;
        let members: usize = list
            .groups()
            .iter()
            .filter(|group| group.name() == self.group)
            .map(|group| group.members().len())
            .sum();
        match members {
            0 => Ok(()),
            members => Err(CliError::Refused {
                what: self.what(),
                why: format!("it has {members} members; stop its consumers first"),
            }),
        }
    }

    fn partitions(&self, cluster: &Cluster) -> Result<Vec<Partition>, CliError> {
        let mut chosen = Vec::new();
        for text in &self.topics {
            let (topic, ids) = choice(text)?;
            let existing = Cluster::partitions(cluster.topic(topic)?);
            let ids = ids.unwrap_or_else(|| existing.clone());
            if let Some(unknown) = ids.iter().find(|id| !existing.contains(id)) {
                return Err(CliError::Refused {
                    what: format!("topic {topic}"),
                    why: format!("it has no partition {unknown}"),
                });
            }
            chosen.extend(ids.into_iter().map(|id| (topic.to_owned(), id)));
        }
        chosen.sort();
        chosen.dedup();
        Ok(chosen)
    }
}

/// `TOPIC`, or `TOPIC:0,1`; names of topics hold no colon.
fn choice(text: &str) -> Result<(&str, Option<Vec<i32>>), CliError> {
    let Some((topic, ids)) = text.split_once(':') else {
        return Ok((text, None));
    };
    let ids: Result<Vec<i32>, _> = ids.split(',').map(str::parse).collect();
    match ids {
        Ok(ids) => Ok((topic, Some(ids))),
        Err(_) => Err(CliError::Usage(format!(
            "--topic {text}: give partitions as {topic}:0,1,2"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_may_be_chosen() {
        assert_eq!(choice("t").expect("valid"), ("t", None));
        assert_eq!(choice("t:1,0").expect("valid"), ("t", Some(vec![1, 0])));
        assert!(choice("t:x").is_err());
    }
}
