//! `klamm group`: consumer groups, how far they are, and moving them.

mod assignment;
mod reset;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::groups::{GroupInfo, GroupList, GroupMemberInfo};
use rdkafka::topic_partition_list::Offset;
use serde_json::{Value, json};

use self::reset::Reset;
use crate::cluster::{self, Cluster, END, Partition, Watch};
use crate::connection::Connection;
use crate::error::CliError;
use crate::output::{Column, Printer};
use crate::topic::tell;

/// `klamm group`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Group {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "Examples:\n  \
    klamm group list\n  \
    klamm group describe billing\n  \
    klamm group describe billing --output json | jq '.lag'\n  \
    klamm group reset billing --topic orders --to beginning\n  \
    klamm group reset billing --topic orders --to 2026-11-25T10:00:00Z --execute\n  \
    klamm group delete billing\n\n\
    Groups of the new protocol (KIP-848) are listed; their members are not shown, since\n\
    librdkafka cannot ask for them.";

#[derive(Debug, Subcommand)]
enum Action {
    /// Names all groups.
    List,
    /// Shows the state, the members, and how far each partition is behind.
    Describe {
        #[arg(required = true)]
        groups: Vec<String>,
    },
    /// Moves the committed offsets of a group without members.
    Reset(Reset),
    /// Deletes groups without members, and their committed offsets.
    Delete {
        #[arg(required = true)]
        groups: Vec<String>,
    },
}

const LIST: &[Column] = &[
    ("GROUP", "group"),
    ("STATE", "state"),
    ("KIND", "kind"),
    ("ASSIGNOR", "assignor"),
    ("MEMBERS", "members"),
];
const LAGS: &[Column] = &[
    ("TOPIC", "topic"),
    ("PARTITION", "partition"),
    ("COMMITTED", "committed"),
    ("END", "end"),
    ("LAG", "lag"),
    ("MEMBER", "member"),
];
const MEMBERS: &[Column] = &[
    ("MEMBER", "member"),
    ("CLIENT", "client_id"),
    ("HOST", "host"),
    ("PARTITIONS", "partitions"),
];

impl Group {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let cluster = Cluster::connect(&self.connection)?;
        let mut printer = Printer::new(self.connection.output);
        match self.action {
            Action::List => list(&cluster, &mut printer),
            Action::Describe { groups } => {
                let described = groups
                    .iter()
                    .map(|group| describe(&cluster, group, &mut printer));
                described.collect()
            }
            Action::Reset(reset) => reset.run(&cluster, &mut printer),
            Action::Delete { groups } => delete(&cluster, &groups, &mut printer),
        }
    }
}

fn list(cluster: &Cluster, printer: &mut Printer) -> Result<(), CliError> {
    let list = fetch(cluster, None)?;
    let mut groups: Vec<_> = list.groups().iter().collect();
    groups.sort_by_key(|group| group.name());
    let rows: Vec<_> = groups.into_iter().map(summary).collect();
    printer.rows(LIST, &rows, "there are no groups")
}

fn fetch(cluster: &Cluster, group: Option<&str>) -> Result<GroupList, CliError> {
    cluster
        .consumer()
        .fetch_group_list(group, cluster.timeout())
        .map_err(|error| cluster.failed("consumer groups", &error))
}

fn summary(group: &GroupInfo) -> Value {
    json!({
        "group": group.name(),
        "state": group.state(),
        "kind": group.protocol_type(),
        "assignor": group.protocol(),
        "members": group.members().len(),
    })
}

/// The group, if it exists: a group that nobody knows is described as dead.
fn find<'a>(list: &'a GroupList, name: &str) -> Result<&'a GroupInfo, CliError> {
    let found = list.groups().iter().find(|group| group.name() == name);
    found
        .filter(|group| group.state() != "Dead")
        .ok_or_else(|| CliError::Refused {
            what: format!("group {name}"),
            why: "there is no such group; `klamm group list` names those that exist".to_owned(),
        })
}

fn describe(cluster: &Cluster, name: &str, printer: &mut Printer) -> Result<(), CliError> {
    let list = fetch(cluster, Some(name))?;
    let group = find(&list, name)?;
    let owners = owners(group);
    let lags = lags(cluster, name, &owners)?;
    let members: Vec<_> = group.members().iter().map(member).collect();
    let total: i64 = lags.iter().filter_map(|row| row["lag"].as_i64()).sum();
    let mut object = summary(group);
    object["lag"] = json!(total);
    if printer.is_json() {
        object["members"] = Value::Array(members);
        object["partitions"] = Value::Array(lags);
        return printer.say(&object, "");
    }
    let state = group.state();
    printer.title(&format!("Group {name}: {state}, {total} records behind"))?;
    printer.rows(LAGS, &lags, "It has committed no offsets.")?;
    printer.rows(MEMBERS, &members, "It has no members.")?;
    printer.raw(b"\n")?;
    printer.flush()
}

fn member(member: &GroupMemberInfo) -> Value {
    let partitions = assigned(member);
    let partitions = partitions.map(|all| {
        let named = all
            .into_iter()
            .map(|(topic, partition)| format!("{topic}-{partition}"));
        named.collect::<Vec<_>>()
    });
    json!({
        "member": member.id(),
        "client_id": member.client_id(),
        "host": member.client_host().trim_start_matches('/'),
        "partitions": partitions,
    })
}

/// What a member reads; `None` if it did not say so in the way of consumers.
fn assigned(member: &GroupMemberInfo) -> Option<Vec<Partition>> {
    assignment::parse(member.assignment().unwrap_or_default())
}

fn owners(group: &GroupInfo) -> BTreeMap<Partition, String> {
    let members = group.members().iter();
    members
        .flat_map(|member| {
            let partitions = assigned(member).unwrap_or_default();
            partitions
                .into_iter()
                .map(|partition| (partition, member.id().to_owned()))
        })
        .collect()
}

/// Each partition that the group has committed an offset of, or reads.
fn lags(
    cluster: &Cluster,
    group: &str,
    owners: &BTreeMap<Partition, String>,
) -> Result<Vec<Value>, CliError> {
    let all: Vec<Partition> = cluster
        .topics()
        .flat_map(|topic| {
            let ids = Cluster::partitions(topic).into_iter();
            ids.map(|id| (topic.name().to_owned(), id))
        })
        .collect();
    let consumer = consumer_of(cluster, group)?;
    let committed = committed(cluster, &consumer, &all)?;
    let shown = all
        .into_iter()
        .filter(|one| committed.contains_key(one) || owners.contains_key(one));
    let shown: Vec<Partition> = shown.collect();
    let ends = cluster.offsets(&shown, END)?;
    let rows = shown.iter().zip(ends).map(|(partition, end)| {
        let committed = committed.get(partition).copied();
        let lag = committed
            .zip(end)
            .map(|(committed, end)| (end - committed).max(0));
        json!({
            "topic": partition.0,
            "partition": partition.1,
            "committed": committed,
            "end": end,
            "lag": lag,
            "member": owners.get(partition),
        })
    });
    Ok(rows.collect())
}

/// A consumer with the group's name that does not join it.
fn consumer_of(cluster: &Cluster, group: &str) -> Result<BaseConsumer<Watch>, CliError> {
    let mut config = cluster.config();
    config.set("group.id", group);
    config.set("enable.auto.commit", "false");
    cluster::client(&config)
}

fn committed(
    cluster: &Cluster,
    consumer: &BaseConsumer<Watch>,
    partitions: &[Partition],
) -> Result<BTreeMap<Partition, i64>, CliError> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        asked.add_partition(topic, *partition);
    }
    let answered = consumer
        .committed_offsets(asked, cluster.timeout())
        .map_err(|error| cluster.failed("committed offsets", &error))?;
    let known = answered.elements().into_iter().filter_map(|element| {
        let partition = (element.topic().to_owned(), element.partition());
        match element.offset() {
            Offset::Offset(offset) => Some((partition, offset)),
            _ => None,
        }
    });
    Ok(known.collect())
}

fn delete(cluster: &Cluster, groups: &[String], printer: &mut Printer) -> Result<(), CliError> {
    let names: Vec<_> = groups.iter().map(String::as_str).collect();
    let admin = cluster.admin()?;
    let answers = pollster::block_on(admin.delete_groups(&names, &cluster.admin_options()))
        .map_err(|error| cluster.failed("the groups are not deleted", &error))?;
    tell(printer, "group", answers, "deleted", None)
}
