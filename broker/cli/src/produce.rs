//! `klamm produce`: lines or JSON become records.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use serde_json::json;

use crate::clock::Deadline;
use crate::cluster::{self, Cluster};
use crate::connection::{Connection, pair};
use crate::error::CliError;
use crate::interrupt::Interrupt;
use crate::lines::{Lines, Next};
use crate::output::{Printer, note};
use crate::record::NewRecord;

/// `klamm produce`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Produce {
    /// Where records go
    topic: String,
    /// Read this file instead of the standard input
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// What a line is: a value (line), or an object as `klamm consume --output json` prints it (json)
    #[arg(long, value_enum, default_value = "line")]
    format: Format,
    /// What stands between key and value of a line, such as :
    #[arg(short = 'k', long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// A header of every record; may be given several times
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// Send all records to this partition
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// How batches are compressed
    #[arg(short = 'z', long, value_enum, default_value = "none")]
    compression: Compression,
    /// Who has to have a record before it counts as delivered: all in-sync replicas, the leader (1),
    /// nobody (0)
    #[arg(long, value_enum, default_value = "all")]
    acks: Acks,
    // The last, since its heading holds for what follows.
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = "Examples:\n  \
    echo hello | klamm produce greetings\n  \
    klamm produce orders --key-separator : < orders.txt\n  \
    klamm produce orders --format json --file orders.jsonl --compression zstd\n  \
    klamm consume orders --exit-at-end --output json | klamm produce copy --format json\n\n\
    JSON fields: key, value, headers [{key, value}], partition, timestamp (ms); key_base64 and\n\
    value_base64 for what is no text; a value of null is a tombstone.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Line,
    Json,
}

/// Kafka's codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Who has to have a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acks {
    All,
    #[value(name = "1")]
    Leader,
    #[value(name = "0")]
    Nobody,
}

impl Acks {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Leader => "1",
            Self::Nobody => "0",
        }
    }
}

/// How long the client waits for a line, or for room in its queue, before it looks around.
const TURN: Duration = Duration::from_millis(100);
/// A topic that is made on first use is there by then.
const TOPIC_APPEARS: Duration = Duration::from_secs(5);
/// So many refusals are told one by one.
const REFUSALS_TOLD: u64 = 5;

impl Produce {
    pub(crate) fn run(self) -> Result<(), CliError> {
        if self.format == Format::Json && self.key_separator.is_some() {
            return Err(CliError::Usage(
                "--key-separator is for lines; an object has a field for its key".to_owned(),
            ));
        }
        let cluster = Cluster::connect(&self.connection)?;
        let producer = self.producer(&cluster)?;
        self.look_at_topic(&cluster, &producer)?;
        let interrupt = Interrupt::catch()?;
        let lines = Lines::of(self.file.as_deref())?;
        let sent = self.send(&producer, &lines, &interrupt);
        let deliveries = producer.context();
        // What was sent counts, whatever ended the input.
        let flushed = producer.flush(self.connection.timeout);
        let delivered = deliveries.delivered.load(Ordering::Relaxed);
        let failed = deliveries.failed.load(Ordering::Relaxed);
        let unknown = u64::try_from(producer.in_flight_count()).unwrap_or(0);
        self.tell(delivered, failed + unknown)?;
        sent?;
        if interrupt.asked() {
            return Err(CliError::Interrupted(format!(
                "{delivered} records were delivered"
            )));
        }
        if unknown > 0
            && let Err(error) = flushed
        {
            return Err(cluster.failed(format!("{unknown} records"), &error));
        }
        verdict(delivered, failed)
    }

    fn producer(&self, cluster: &Cluster) -> Result<BaseProducer<Deliveries>, CliError> {
        let mut config = cluster.config();
        for (key, value) in [
            ("acks", self.acks.name()),
            ("compression.type", self.compression.name()),
        ] {
            config.set(key, value);
        }
        let given = ["message.timeout.ms", "delivery.timeout.ms"];
        if given.iter().all(|key| config.get(key).is_none()) {
            let timeout = self.connection.timeout.as_millis().max(1);
            config.set("message.timeout.ms", timeout.to_string());
        }
        cluster::client_with(&config, Deliveries::default())
    }

    /// A topic that does not exist would be waited for until each record times out.
    fn look_at_topic(
        &self,
        cluster: &Cluster,
        producer: &BaseProducer<Deliveries>,
    ) -> Result<(), CliError> {
        let deadline = Deadline::after(TOPIC_APPEARS.min(self.connection.timeout));
        loop {
            let metadata = producer
                .client()
                .fetch_metadata(Some(&self.topic), cluster.timeout())
                .map_err(|error| cluster.failed(format!("topic {}", self.topic), &error))?;
            match partitions(&metadata) {
                Ok(count) => return self.look_at_partition(count),
                Err(error) if deadline.has_passed() => {
                    return Err(CliError::Refused {
                        what: format!("topic {}", self.topic),
                        why: format!("{error}; `klamm topic create {}` makes it", self.topic),
                    });
                }
                // The cluster may just be making it.
                Err(_) => producer.poll(TURN),
            }
        }
    }

    fn look_at_partition(&self, count: usize) -> Result<(), CliError> {
        match self.partition.map(usize::try_from) {
            Some(Ok(partition)) if partition >= count => Err(CliError::Refused {
                what: format!("topic {}", self.topic),
                why: format!("it has no partition {partition}, only {count} of them"),
            }),
            _ => Ok(()),
        }
    }

    fn send(
        &self,
        producer: &BaseProducer<Deliveries>,
        lines: &Lines,
        interrupt: &Interrupt,
    ) -> Result<(), CliError> {
        let mut number = 0_u64;
        while !interrupt.asked() {
            producer.poll(Duration::ZERO);
            let line = match lines.next(TURN)? {
                Next::Line(line) => line,
                Next::Nothing => continue,
                Next::End => break,
            };
            number += 1;
            let record = self.record(&line).map_err(|problem| CliError::Refused {
                what: format!("line {number}"),
                why: problem,
            })?;
            if let Some(record) = record {
                self.enqueue(producer, &record, interrupt)?;
            }
        }
        Ok(())
    }

    /// The record of a line; an empty line between JSON objects is none.
    fn record(&self, line: &[u8]) -> Result<Option<NewRecord>, String> {
        let mut record = match self.format {
            Format::Line => NewRecord::of_line(line, self.key_separator.as_deref())?,
            Format::Json if line.trim_ascii().is_empty() => return Ok(None),
            Format::Json => NewRecord::of_json(line)?,
        };
        record.partition = self.partition.or(record.partition);
        let ours = self.headers.iter();
        record
            .headers
            .extend(ours.map(|(key, value)| (key.clone(), Some(value.clone().into_bytes()))));
        Ok(Some(record))
    }

    /// Hands a record to the client, waiting while its queue is full.
    fn enqueue(
        &self,
        producer: &BaseProducer<Deliveries>,
        record: &NewRecord,
        interrupt: &Interrupt,
    ) -> Result<(), CliError> {
        let mut waiting = base_record(&self.topic, record);
        loop {
            match producer.send(waiting) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => {
                    producer.poll(TURN);
                    if interrupt.asked() {
                        return Ok(());
                    }
                    waiting = record;
                }
                Err((error, _)) => {
                    producer.context().refused(&error);
                    return Ok(());
                }
            }
        }
    }

    fn tell(&self, delivered: u64, failed: u64) -> Result<(), CliError> {
        let topic = &self.topic;
        let object = json!({"topic": topic, "delivered": delivered, "failed": failed});
        let mut sentence = format!("{delivered} records delivered to {topic}");
        if failed > 0 {
            sentence.push_str(&format!(", {failed} not"));
        }
        Printer::new(self.connection.output).say(&object, &sentence)
    }
}

fn verdict(delivered: u64, failed: u64) -> Result<(), CliError> {
    match (delivered, failed) {
        (_, 0) => Ok(()),
        (0, failed) => Err(CliError::Refused {
            what: format!("{failed} records"),
            why: "none was delivered".to_owned(),
        }),
        (delivered, failed) => Err(CliError::Partly {
            failed,
            total: delivered + failed,
            what: "records were not delivered",
        }),
    }
}

/// How many partitions the one topic has that was asked about.
fn partitions(metadata: &Metadata) -> Result<usize, String> {
    let topic = metadata.topics().first().ok_or("nothing is known of it")?;
    match topic.error() {
        Some(error) => Err(crate::error::reason(error.into())),
        None if topic.partitions().is_empty() => Err("it has no partitions".to_owned()),
        None => Ok(topic.partitions().len()),
    }
}

fn base_record<'a>(topic: &'a str, record: &'a NewRecord) -> BaseRecord<'a, [u8], [u8]> {
    let mut base = BaseRecord::to(topic);
    base.key = record.key.as_deref();
    base.payload = record.value.as_deref();
    base.partition = record.partition;
    base.timestamp = record.timestamp;
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        base.headers = Some(
            record
                .headers
                .iter()
                .fold(headers, |headers, (key, value)| {
                    headers.insert(Header {
                        key,
                        value: value.as_deref(),
                    })
                }),
        );
    }
    base
}

/// Counts what became of records.
#[derive(Debug, Default)]
struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl Deliveries {
    fn refused(&self, error: &KafkaError) {
        let before = self.failed.fetch_add(1, Ordering::Relaxed);
        if before < REFUSALS_TOLD {
            let why = crate::error::words(error);
            note(&format!("a record was not delivered: {why}"));
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => self.refused(error),
        }
    }
}
