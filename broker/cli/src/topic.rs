//! `klamm topic`: what topics there are, and changes to them.

use clap::{Args, Subcommand};
use rdkafka::admin::{NewPartitions, NewTopic, TopicReplication};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaErrorCode;
use serde_json::{Value, json};

use crate::cluster::{BEGIN, Cluster, END, Partition};
use crate::config::{self, Resource};
use crate::connection::{Connection, pair};
use crate::error::{CliError, reason};
use crate::output::{Column, Printer, note};

/// `klamm topic`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Topic {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "Examples:\n  \
    klamm topic list\n  \
    klamm topic describe orders --output json\n  \
    klamm topic create orders --partitions 6 --replication 3 -c retention.ms=86400000\n  \
    klamm topic partitions orders 12\n  \
    klamm topic delete orders\n\n\
    Sizes on disk are not shown: librdkafka cannot ask for them.";

#[derive(Debug, Subcommand)]
enum Action {
    /// Names all topics.
    List {
        /// Also those that the cluster keeps for itself
        #[arg(long)]
        internal: bool,
    },
    /// Shows leaders, replicas, offsets, and settings that are no defaults.
    Describe {
        #[arg(required = true)]
        topics: Vec<String>,
    },
    /// Creates topics.
    Create(Create),
    /// Deletes topics and all their records.
    Delete {
        #[arg(required = true)]
        topics: Vec<String>,
        /// A topic that does not exist is no failure
        #[arg(long)]
        if_exists: bool,
    },
    /// Gives a topic more partitions; keys then go to other partitions than before.
    Partitions {
        topic: String,
        /// How many it shall have in all
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
        total: u32,
    },
}

#[derive(Debug, Args)]
struct Create {
    #[arg(required = true)]
    topics: Vec<String>,
    /// Partitions of each; without it the cluster decides
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=100_000))]
    partitions: Option<i32>,
    /// Replicas of each partition; without it the cluster decides
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    replication: Option<i32>,
    /// A setting of the topic; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    config: Vec<(String, String)>,
    /// A topic that exists already is no failure
    #[arg(long)]
    if_not_exists: bool,
}

const LIST: &[Column] = &[
    ("TOPIC", "topic"),
    ("PARTITIONS", "partitions"),
    ("REPLICATION", "replication"),
    ("UNDER-REPLICATED", "under_replicated"),
    ("WITHOUT LEADER", "without_leader"),
];
const PARTITIONS: &[Column] = &[
    ("PARTITION", "partition"),
    ("LEADER", "leader"),
    ("REPLICAS", "replicas"),
    ("ISR", "isr"),
    ("BEGIN", "begin"),
    ("END", "end"),
];
const CONFIGS: &[Column] = &[("SETTING", "name"), ("VALUE", "value"), ("FROM", "source")];

impl Topic {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let cluster = Cluster::connect(&self.connection)?;
        let mut printer = Printer::new(self.connection.output);
        match self.action {
            Action::List { internal } => list(&cluster, internal, &mut printer),
            Action::Describe { topics } => describe(&cluster, &topics, &mut printer),
            Action::Create(create) => create.run(&cluster, &mut printer),
            Action::Delete { topics, if_exists } => {
                delete(&cluster, &topics, if_exists, &mut printer)
            }
            Action::Partitions { topic, total } => grow(&cluster, &topic, total, &mut printer),
        }
    }
}

/// Kafka's own topics have such names; the protocol's mark is not passed on by librdkafka.
fn is_internal(name: &str) -> bool {
    name.starts_with("__")
}

fn list(cluster: &Cluster, internal: bool, printer: &mut Printer) -> Result<(), CliError> {
    let shown = cluster
        .topics()
        .filter(|topic| internal || !is_internal(topic.name()));
    let rows: Vec<_> = shown.map(summary).collect();
    printer.rows(LIST, &rows, "there are no topics")
}

fn summary(topic: &MetadataTopic) -> Value {
    let partitions = topic.partitions();
    let behind = partitions
        .iter()
        .filter(|one| one.isr().len() < one.replicas().len());
    json!({
        "topic": topic.name(),
        "partitions": partitions.len(),
        "replication": partitions.iter().map(|one| one.replicas().len()).max(),
        "under_replicated": behind.count(),
        "without_leader": partitions.iter().filter(|one| one.leader() < 0).count(),
        "internal": is_internal(topic.name()),
    })
}

fn describe(cluster: &Cluster, topics: &[String], printer: &mut Printer) -> Result<(), CliError> {
    for name in topics {
        let topic = cluster.topic(name)?;
        let partitions = partitions(cluster, topic)?;
        let settings = config::entries(cluster, &Resource::Topic(name.clone()))?;
        let settings: Vec<_> = settings
            .iter()
            .filter(|entry| !config::is_default(entry))
            .map(config::row)
            .collect();
        if printer.is_json() {
            let mut object = summary(topic);
            object["partitions"] = Value::Array(partitions);
            object["configs"] = Value::Array(settings);
            printer.say(&object, "")?;
            continue;
        }
        printer.title(&format!("Topic {name}"))?;
        printer.table(PARTITIONS, &partitions)?;
        match settings.is_empty() {
            true => printer.say(&Value::Null, "All settings are defaults.\n")?,
            false => {
                printer.table(CONFIGS, &settings)?;
                printer.say(&Value::Null, "")?;
            }
        }
    }
    printer.flush()
}

fn partitions(cluster: &Cluster, topic: &MetadataTopic) -> Result<Vec<Value>, CliError> {
    let ids = Cluster::partitions(topic);
    let asked: Vec<Partition> = ids
        .iter()
        .map(|id| (topic.name().to_owned(), *id))
        .collect();
    let begins = cluster.offsets(&asked, BEGIN)?;
    let ends = cluster.offsets(&asked, END)?;
    let mut rows = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        let Some(known) = topic.partitions().iter().find(|one| one.id() == *id) else {
            continue;
        };
        rows.push(json!({
            "partition": id,
            "leader": (known.leader() >= 0).then(|| known.leader()),
            "replicas": known.replicas(),
            "isr": known.isr(),
            "begin": begins[index],
            "end": ends[index],
        }));
    }
    Ok(rows)
}

impl Create {
    fn run(&self, cluster: &Cluster, printer: &mut Printer) -> Result<(), CliError> {
        let unknown = -1;
        let new = self.topics.iter().map(|name| {
            let replication = TopicReplication::Fixed(self.replication.unwrap_or(unknown));
            let topic = NewTopic::new(name, self.partitions.unwrap_or(unknown), replication);
            let settings = self.config.iter();
            settings.fold(topic, |topic, (key, value)| topic.set(key, value))
        });
        let new: Vec<_> = new.collect();
        let asked = cluster.admin()?;
        let answers = pollster::block_on(asked.create_topics(&new, &cluster.admin_options()))
            .map_err(|error| cluster.failed("the topics are not created", &error))?;
        let forgive = self
            .if_not_exists
            .then_some((RDKafkaErrorCode::TopicAlreadyExists, "existed already"));
        tell(printer, "topic", answers, "created", forgive)
    }
}

fn delete(
    cluster: &Cluster,
    topics: &[String],
    if_exists: bool,
    printer: &mut Printer,
) -> Result<(), CliError> {
    let names: Vec<_> = topics.iter().map(String::as_str).collect();
    let admin = cluster.admin()?;
    let answers = pollster::block_on(admin.delete_topics(&names, &cluster.admin_options()))
        .map_err(|error| cluster.failed("the topics are not deleted", &error))?;
    let forgive = if_exists.then_some((RDKafkaErrorCode::UnknownTopicOrPartition, "did not exist"));
    tell(printer, "topic", answers, "deleted", forgive)
}

fn grow(cluster: &Cluster, topic: &str, total: u32, printer: &mut Printer) -> Result<(), CliError> {
    let before = cluster.topic(topic)?.partitions().len();
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    if total <= before {
        return Err(CliError::Refused {
            what: format!("topic {topic}"),
            why: format!("it has {before} partitions already, and can lose none: ask for more"),
        });
    }
    let wanted = [NewPartitions::new(topic, total)];
    let admin = cluster.admin()?;
    let answers = pollster::block_on(admin.create_partitions(&wanted, &cluster.admin_options()))
        .map_err(|error| cluster.failed(format!("topic {topic}"), &error))?;
    tell(
        printer,
        "topic",
        answers,
        &format!("has {total} partitions"),
        None,
    )
}

/// What the cluster did with each of `answers`: an object each, and a refusal also on the standard
/// error. An answer with the code to `forgive` is none.
pub(crate) fn tell(
    printer: &mut Printer,
    noun: &str,
    answers: Vec<Result<String, (String, RDKafkaErrorCode)>>,
    done: &str,
    forgive: Option<(RDKafkaErrorCode, &str)>,
) -> Result<(), CliError> {
    let total = answers.len();
    let mut refusals = Vec::new();
    for answer in answers {
        let (name, result) = match answer {
            Ok(name) => (name, Ok(done)),
            Err((name, code)) => match forgive {
                Some((forgiven, what)) if forgiven == code => (name, Ok(what)),
                _ => (name, Err(code)),
            },
        };
        match result {
            Ok(result) => printer.say(
                &json!({ noun: name, "result": result }),
                &format!("{noun} {name} {result}"),
            )?,
            Err(code) => {
                if printer.is_json() {
                    printer.say(&json!({ noun: name, "error": reason(code) }), "")?;
                }
                refusals.push((name, code));
            }
        }
    }
    verdict(noun, total, refusals)
}

/// One refusal of one is told as it is; of several, each is named and then counted.
fn verdict(
    noun: &str,
    total: usize,
    refusals: Vec<(String, RDKafkaErrorCode)>,
) -> Result<(), CliError> {
    let failed = refusals.len();
    let mut errors: Vec<_> = refusals
        .into_iter()
        .map(|(name, code)| CliError::of_code(format!("{noun} {name}"), code))
        .collect();
    if failed < total {
        errors.iter().for_each(|error| note(&error.to_string()));
        return match failed {
            0 => Ok(()),
            _ => Err(CliError::Partly {
                failed: failed as u64,
                total: total as u64,
                what: "were refused",
            }),
        };
    }
    let Some(last) = errors.pop() else {
        return Ok(());
    };
    errors.iter().for_each(|error| note(&error.to_string()));
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_tells_done_refused_and_done_in_part_apart() {
        let refusal = || ("a".to_owned(), RDKafkaErrorCode::InvalidTopic);
        assert!(verdict("topic", 2, vec![]).is_ok());
        let partly = verdict("topic", 2, vec![refusal()]);
        assert!(matches!(partly, Err(CliError::Partly { failed: 1, .. })));
        let refused = verdict("topic", 1, vec![refusal()]).expect_err("refused");
        assert!(refused.to_string().starts_with("topic a: "), "{refused}");
        assert!(matches!(refused, CliError::Refused { .. }));
    }
}
