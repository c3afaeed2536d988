//! The topic of the load: one of its own, that goes at the end, or one of the user's, that stays.

use rdkafka::TopicPartitionList;
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::Offset;

use super::plan::Plan;
use crate::clock::{self, Deadline};
use crate::cluster::{Cluster, END, Partition};
use crate::error::CliError;
use crate::output::note;

/// A topic that exists, has leaders, and is at known offsets.
pub(super) struct Topic {
    pub(super) name: String,
    /// Each partition, and where it ended before the load began.
    pub(super) ends: Vec<(i32, i64)>,
    ours: bool,
}

impl Topic {
    /// Makes the topic, or looks at it.
    ///
    /// # Errors
    /// The cluster refuses, or has no leaders in time.
    pub(super) fn prepare(plan: &Plan, cluster: &Cluster) -> Result<Self, CliError> {
        let ours = plan.topic.is_none();
        let name = plan.topic.clone().unwrap_or_else(|| {
            let process = std::process::id();
            format!("klamm-bench-{}-{process}", clock::unix_ms())
        });
        let exists = cluster.topics().any(|topic| topic.name() == name);
        if !exists {
            create(plan, cluster, &name)?;
        }
        match await_leaders(cluster, &name) {
            Ok(ends) => Ok(Self { name, ends, ours }),
            Err(error) => {
                let ends = Vec::new();
                Self { name, ends, ours }.clean_up(cluster);
                Err(error)
            }
        }
    }

    /// A topic that another process has made or looked at, and looks after.
    pub(super) fn known(name: String, ends: Vec<(i32, i64)>) -> Self {
        let ours = false;
        Self { name, ends, ours }
    }

    /// How many consumers can have a partition of it, of so many.
    pub(super) fn consumers(&self, wanted: u64) -> u64 {
        wanted.min(self.ends.len() as u64)
    }

    /// The partitions of one of several consumers, and where it begins.
    pub(super) fn share(&self, one: u64, of: u64) -> Result<TopicPartitionList, CliError> {
        let mut share = TopicPartitionList::new();
        for (partition, end) in (self.ends.iter().zip(0..))
            .filter(|(_, nth)| nth % of == one)
            .map(|(end, _)| end)
        {
            share
                .add_partition_offset(&self.name, *partition, Offset::Offset(*end))
                .map_err(|error| CliError::of_cluster("offsets", &error, 0))?;
        }
        Ok(share)
    }

    /// Deletes the topic if it was made for the load.
    pub(super) fn clean_up(&self, cluster: &Cluster) {
        if !self.ours {
            return;
        }
        let deleted = cluster.admin().and_then(|admin| {
            let options = cluster.admin_options();
            pollster::block_on(admin.delete_topics(&[&self.name], &options))
                .map_err(|error| cluster.failed("topic", &error))
        });
        if !matches!(deleted.as_deref(), Ok([Ok(_)])) {
            note(&format!("topic {} could not be deleted", self.name));
        }
    }
}

fn create(plan: &Plan, cluster: &Cluster, name: &str) -> Result<(), CliError> {
    let replication = TopicReplication::Fixed(plan.replication.unwrap_or(-1));
    let topic = NewTopic::new(name, plan.partitions, replication);
    let admin = cluster.admin()?;
    let what = || format!("topic {name}");
    let answers = pollster::block_on(admin.create_topics(&[topic], &cluster.admin_options()))
        .map_err(|error| cluster.failed(what(), &error))?;
    for answer in answers {
        answer.map_err(|(_, code)| CliError::of_code(what(), code))?;
    }
    Ok(())
}

/// Waits until each partition says where it ends.
fn await_leaders(cluster: &Cluster, name: &str) -> Result<Vec<(i32, i64)>, CliError> {
    let deadline = Deadline::after(cluster.timeout());
    loop {
        let metadata = cluster
            .consumer()
            .fetch_metadata(Some(name), cluster.timeout())
            .map_err(|error| cluster.failed(format!("topic {name}"), &error))?;
        let topic = metadata.topics().first();
        let ids = topic.map(Cluster::partitions).unwrap_or_default();
        let all: Vec<Partition> = ids.iter().map(|id| (name.to_owned(), *id)).collect();
        let led = topic.is_some_and(|topic| topic.partitions().iter().all(|one| one.leader() >= 0));
        if led && !all.is_empty() {
            let ends = cluster.offsets(&all, END)?;
            let ends: Option<Vec<_>> = ids
                .into_iter()
                .zip(ends)
                .map(|(id, end)| Some((id, end?)))
                .collect();
            if let Some(ends) = ends {
                return Ok(ends);
            }
        }
        if deadline.has_passed() {
            return Err(CliError::TimedOut {
                what: format!("leaders of topic {name}"),
                seconds: cluster.timeout().as_secs(),
            });
        }
        clock::sleep(std::time::Duration::from_millis(50));
    }
}
