//! A cluster that has answered: its topics, the offsets of partitions, and clients for it.

mod watch;

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub(crate) use self::watch::Watch;
use crate::clock::Deadline;
use crate::connection::Connection;
use crate::error::{CliError, words};

/// How long one attempt to reach the cluster takes before we look what has gone wrong.
const ATTEMPT: Duration = Duration::from_millis(500);
/// A name may have two addresses, of which one is refused: the second is tried within this time.
const SECOND_ADDRESS: Duration = Duration::from_secs(2);

/// A partition of a topic.
pub(crate) type Partition = (String, i32);

/// A cluster that has answered at least once.
pub(crate) struct Cluster {
    config: ClientConfig,
    timeout: Duration,
    consumer: BaseConsumer<Watch>,
    /// What there was when it answered first.
    pub(crate) metadata: Metadata,
}

impl Cluster {
    /// Asks the cluster what there is.
    ///
    /// # Errors
    /// A property that librdkafka does not know, or nobody answers; the text says where and why.
    pub(crate) fn connect(connection: &Connection) -> Result<Self, CliError> {
        let config = connection.properties()?;
        let mut own = config.clone();
        // Looking at a topic must not create it, and an old answer is no answer.
        own.set("allow.auto.create.topics", "false");
        let consumer: BaseConsumer<Watch> = client(&own)?;
        let metadata = first_answer(&consumer, connection, &config)?;
        Ok(Self {
            config,
            timeout: connection.timeout,
            consumer,
            metadata,
        })
    }

    /// Properties for a client of one's own.
    pub(crate) fn config(&self) -> ClientConfig {
        self.config.clone()
    }

    /// What may be asked about topics, configs and groups.
    pub(crate) fn admin(&self) -> Result<AdminClient<Watch>, CliError> {
        client(&self.config)
    }

    /// The time that the user gives to one request.
    pub(crate) fn admin_options(&self) -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(self.timeout))
            .operation_timeout(Some(self.timeout))
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A consumer that belongs to no group.
    pub(crate) fn consumer(&self) -> &BaseConsumer<Watch> {
        &self.consumer
    }

    /// What the cluster said to `what`.
    pub(crate) fn failed(&self, what: impl Into<String>, error: &KafkaError) -> CliError {
        CliError::of_cluster(what, error, self.timeout.as_secs())
    }

    /// What is known of a topic.
    ///
    /// # Errors
    /// There is no such topic.
    pub(crate) fn topic(&self, name: &str) -> Result<&MetadataTopic, CliError> {
        let found = self.topics().find(|topic| topic.name() == name);
        found.ok_or_else(|| CliError::Refused {
            what: format!("topic {name}"),
            why: "there is no such topic; `klamm topic list` names those that exist".to_owned(),
        })
    }

    /// All topics, by name.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &MetadataTopic> {
        let mut topics: Vec<_> = self.metadata.topics().iter().collect();
        topics.sort_by_key(|topic| topic.name());
        topics.into_iter()
    }

    /// Partitions of a topic, in order.
    pub(crate) fn partitions(topic: &MetadataTopic) -> Vec<i32> {
        let mut ids: Vec<_> = topic.partitions().iter().map(|one| one.id()).collect();
        ids.sort_unstable();
        ids
    }

    /// Offsets of partitions at a time in milliseconds, [`BEGIN`] or [`END`]; one request for each
    /// leader. A partition whose leader is away has none.
    pub(crate) fn offsets(
        &self,
        partitions: &[Partition],
        at: i64,
    ) -> Result<Vec<Option<i64>>, CliError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let what = "offsets of partitions";
        let failed = |error| self.failed(what, &error);
        let mut asked = TopicPartitionList::new();
        for (topic, partition) in partitions {
            // The answer's place for an offset is the question's for a time.
            let time = Offset::from_raw(at);
            asked
                .add_partition_offset(topic, *partition, time)
                .map_err(failed)?;
        }
        let answered = self
            .consumer
            .offsets_for_times(asked, self.timeout)
            .map_err(failed)?;
        let found = |(topic, partition): &Partition| {
            let element = answered.find_partition(topic, *partition)?;
            match (element.error(), element.offset()) {
                (Ok(()), Offset::Offset(offset)) => Some(offset),
                _ => None,
            }
        };
        Ok(partitions.iter().map(found).collect())
    }

    /// [`Self::offsets`], with the end of a partition where nothing is as young as `at`.
    pub(crate) fn offsets_or_end(
        &self,
        partitions: &[Partition],
        at: i64,
    ) -> Result<Vec<Option<i64>>, CliError> {
        let found = self.offsets(partitions, at)?;
        if found.iter().all(Option::is_some) {
            return Ok(found);
        }
        let ends = self.offsets(partitions, END)?;
        Ok(found
            .into_iter()
            .zip(ends)
            .map(|(at, end)| at.or(end))
            .collect())
    }
}

/// The first offset that is there, in place of a time.
pub(crate) const BEGIN: i64 = -2;
/// The offset that the next record gets, in place of a time.
pub(crate) const END: i64 = -1;

/// A client that remembers what goes wrong.
///
/// # Errors
/// A property that librdkafka does not know or accept.
pub(crate) fn client<T: FromClientConfigAndContext<Watch>>(
    config: &ClientConfig,
) -> Result<T, CliError> {
    client_with(config, Watch::default())
}

/// [`client`], with a context of one's own.
pub(crate) fn client_with<C, T>(config: &ClientConfig, context: C) -> Result<T, CliError>
where
    C: rdkafka::ClientContext,
    T: FromClientConfigAndContext<C>,
{
    config
        .create_with_context(context)
        .map_err(|error| CliError::Usage(refused_property(&error)))
}

fn refused_property(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, why, key, value) => {
            let why = why.trim_end_matches('.');
            format!(
                "client property {key}={value}: {why}; properties have librdkafka's names, not the Java client's"
            )
        }
        other => format!("the client cannot be made: {other}"),
    }
}

fn first_answer(
    consumer: &BaseConsumer<Watch>,
    connection: &Connection,
    config: &ClientConfig,
) -> Result<Metadata, CliError> {
    let deadline = Deadline::after(connection.timeout);
    let second_address = Deadline::after(SECOND_ADDRESS.min(connection.timeout));
    let watch = consumer.client().context();
    loop {
        let error = match consumer.fetch_metadata(None, ATTEMPT.min(deadline.left())) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        // What the client noticed meanwhile waits in its queue.
        while consumer.poll(Duration::ZERO).is_some() {}
        let hopeless = watch.is_refused() || watch.is_down() && second_address.has_passed();
        if hopeless || deadline.has_passed() {
            let otherwise = || words(&error);
            return Err(CliError::Unreachable {
                bootstrap: config
                    .get("bootstrap.servers")
                    .unwrap_or_default()
                    .to_owned(),
                why: watch.why().unwrap_or_else(otherwise),
            });
        }
    }
}
