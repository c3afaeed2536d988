//! `klamm consume`: records of a topic, as text or as JSON.

mod template;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use self::template::Template;
use crate::cluster::{self, Cluster, Partition, Watch};
use crate::connection::Connection;
use crate::error::CliError;
use crate::interrupt::Interrupt;
use crate::output::Printer;
use crate::record::{self, Position};

/// `klamm consume`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Consume {
    /// Where records come from
    topic: String,
    /// Where to begin: beginning, end, an offset, or a time such as 2026-11-25T10:00:00Z
    #[arg(long, value_name = "POSITION", default_value = "beginning")]
    from: Position,
    /// Read only these partitions, such as 0,2
    #[arg(short, long, value_delimiter = ',', conflicts_with = "group")]
    partition: Vec<i32>,
    /// Read as a member of this group: from where it is, and committing what was printed
    #[arg(short, long)]
    group: Option<String>,
    /// End after so many records
    #[arg(short = 'n', long)]
    count: Option<u64>,
    /// End where the partitions end, instead of waiting for more
    #[arg(short, long)]
    exit_at_end: bool,
    /// How a record is printed: %s value, %k key, %h headers, %t topic, %p partition, %o offset,
    /// %T timestamp in ms, %D date, %% a percent sign; \n \t \0
    #[arg(short, long, default_value = r"%s\n")]
    format: Template,
    // The last, since its heading holds for what follows.
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = "Examples:\n  \
    klamm consume orders\n  \
    klamm consume orders --from end --format '%D %p:%o %k %s\\n'\n  \
    klamm consume orders --from 2026-11-25T10:00:00Z --count 10 --output json\n  \
    klamm consume orders --group billing --exit-at-end\n\n\
    Without --exit-at-end or --count it goes on until Ctrl-C. With a group, --from holds only\n\
    where the group has committed nothing: beginning or end.";

/// How long nothing may come before the client looks around.
const TURN: Duration = Duration::from_millis(100);

impl Consume {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let cluster = Cluster::connect(&self.connection)?;
        let topic = cluster.topic(&self.topic)?;
        let existing = Cluster::partitions(topic);
        let interrupt = Interrupt::catch()?;
        let consumer = match &self.group {
            Some(group) => self.member(&cluster, group)?,
            None => self.reader(&cluster, &existing)?,
        };
        let mut reading = Reading {
            consumer: &consumer,
            cluster: &cluster,
            group: self.group.is_some(),
            at_end: BTreeSet::new(),
            printed: 0,
        };
        let read = self.read(&mut reading, &interrupt);
        if self.group.is_some() {
            reading.commit(&self)?;
            consumer.unsubscribe();
        }
        read
    }

    /// A consumer of chosen partitions, in no group.
    fn reader(&self, cluster: &Cluster, existing: &[i32]) -> Result<BaseConsumer<Watch>, CliError> {
        let chosen = match self.partition.as_slice() {
            [] => existing,
            chosen => chosen,
        };
        if let Some(unknown) = chosen.iter().find(|id| !existing.contains(id)) {
            return Err(CliError::Refused {
                what: format!("topic {}", self.topic),
                why: format!("it has no partition {unknown}"),
            });
        }
        let chosen: Vec<Partition> = chosen.iter().map(|id| (self.topic.clone(), *id)).collect();
        let mut begin_at = TopicPartitionList::new();
        for ((topic, id), offset) in chosen.iter().zip(self.from.offsets(cluster, &chosen)?) {
            begin_at
                .add_partition_offset(topic, *id, Offset::Offset(offset))
                .map_err(|error| cluster.failed("offsets", &error))?;
        }
        let consumer: BaseConsumer<Watch> = cluster::client(&self.properties(cluster))?;
        consumer
            .assign(&begin_at)
            .map_err(|error| cluster.failed(format!("topic {}", self.topic), &error))?;
        Ok(consumer)
    }

    /// A member of a group.
    fn member(&self, cluster: &Cluster, group: &str) -> Result<BaseConsumer<Watch>, CliError> {
        let otherwise = match self.from {
            Position::Beginning => "earliest",
            Position::End => "latest",
            Position::Offset(_) | Position::Time(_) => {
                return Err(CliError::Usage(format!(
                    "a group begins where it is: move it there with `klamm group reset {group}`"
                )));
            }
        };
        let mut config = self.properties(cluster);
        for (key, value) in [
            ("group.id", group),
            ("auto.offset.reset", otherwise),
            // What was read but not printed must come again.
            ("enable.auto.offset.store", "false"),
            ("enable.auto.commit", "true"),
        ] {
            config.set(key, value);
        }
        let consumer: BaseConsumer<Watch> = cluster::client(&config)?;
        consumer
            .subscribe(&[&self.topic])
            .map_err(|error| cluster.failed(format!("group {group}"), &error))?;
        Ok(consumer)
    }

    fn properties(&self, cluster: &Cluster) -> rdkafka::ClientConfig {
        let mut config = cluster.config();
        config.set("enable.partition.eof", "true");
        config.set("enable.auto.commit", "false");
        config.set("allow.auto.create.topics", "false");
        // librdkafka wants a group's name of every consumer; this one is in no group.
        if config.get("group.id").is_none() {
            config.set("group.id", "klamm-consume");
        }
        config
    }

    fn read(&self, reading: &mut Reading<'_>, interrupt: &Interrupt) -> Result<(), CliError> {
        let mut printer = Printer::new(self.connection.output);
        while !interrupt.asked() && self.count.is_none_or(|count| reading.printed < count) {
            let Some(next) = reading.next(&mut printer)? else {
                continue;
            };
            match next {
                Ok(message) => self.print(&mut printer, reading, &message)?,
                Err(KafkaError::PartitionEOF(partition)) => {
                    reading.at_end.insert(partition);
                    if self.exit_at_end && reading.is_at_end()? {
                        break;
                    }
                }
                Err(error) => reading.pass_over(self, &error)?,
            }
        }
        printer.flush()
    }

    fn print(
        &self,
        printer: &mut Printer,
        reading: &mut Reading<'_>,
        message: &BorrowedMessage<'_>,
    ) -> Result<(), CliError> {
        reading.at_end.remove(&message.partition());
        if printer.is_json() {
            let mut line = record::to_json(message).to_string();
            line.push('\n');
            printer.raw(line.as_bytes())?;
        } else {
            printer.raw(&self.format.fill(message))?;
        }
        reading.printed += 1;
        if reading.group {
            // Refused only if the partition has just gone to another member, who reads it again.
            let _ = reading.consumer.store_offset_from_message(message);
        }
        Ok(())
    }
}

/// What has been read so far.
struct Reading<'a> {
    consumer: &'a BaseConsumer<Watch>,
    cluster: &'a Cluster,
    group: bool,
    /// Partitions of which nothing more is there.
    at_end: BTreeSet<i32>,
    printed: u64,
}

impl<'a> Reading<'a> {
    /// What the client has; what was printed is shown as soon as it has nothing.
    fn next(
        &self,
        printer: &mut Printer,
    ) -> Result<Option<Result<BorrowedMessage<'a>, KafkaError>>, CliError> {
        if let Some(next) = self.consumer.poll(Duration::ZERO) {
            return Ok(Some(next));
        }
        printer.flush()?;
        Ok(self.consumer.poll(TURN))
    }

    fn is_at_end(&self) -> Result<bool, CliError> {
        let assigned = self
            .consumer
            .assignment()
            .map_err(|error| self.cluster.failed("partitions", &error))?;
        let assigned = assigned.elements();
        let at_end = |partition| self.at_end.contains(&partition);
        Ok(!assigned.is_empty() && assigned.iter().all(|one| at_end(one.partition())))
    }

    /// What goes on by itself, such as a broker that is away, is waited for; the rest ends it.
    fn pass_over(&self, consume: &Consume, error: &KafkaError) -> Result<(), CliError> {
        let watch = self.consumer.client().context();
        match error {
            KafkaError::MessageConsumption(_) if !watch.is_refused() => {
                if is_lasting(error) {
                    let what = format!("topic {}", consume.topic);
                    return Err(self.cluster.failed(what, error));
                }
                Ok(())
            }
            error => Err(CliError::Refused {
                what: format!("topic {}", consume.topic),
                why: watch.why().unwrap_or_else(|| error.to_string()),
            }),
        }
    }

    /// Commits what was printed; nothing printed is nothing to commit.
    fn commit(&self, consume: &Consume) -> Result<(), CliError> {
        if self.printed == 0 {
            return Ok(());
        }
        let what = || format!("group {}", consume.group.as_deref().unwrap_or_default());
        self.consumer
            .commit_consumer_state(CommitMode::Sync)
            .or_else(|error| match error.rdkafka_error_code() {
                // The automatic commit was quicker.
                Some(rdkafka::error::RDKafkaErrorCode::NoOffset) => Ok(()),
                _ => Err(self.cluster.failed(what(), &error)),
            })
    }
}

/// Whether waiting does not help.
fn is_lasting(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::InvalidGroupId
        )
    )
}
