//! What a cluster tells its clients about itself: brokers, leaders, replicas in sync.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

/// For one answer. A broker that was killed just now gives none.
const PATIENCE: Duration = Duration::from_secs(1);

/// A client that asks for metadata only.
pub(crate) struct Watcher(BaseConsumer);

/// A partition, as clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) id: i32,
    /// The id of a broker; negative if there is none.
    pub(crate) leader: i32,
    /// How many replicas are in sync.
    pub(crate) in_sync: usize,
}

impl Watcher {
    pub(crate) fn new(addresses: &str) -> Result<Self, String> {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", addresses)
            .set("allow.auto.create.topics", "false")
            .set("reconnect.backoff.ms", "10")
            .set("reconnect.backoff.max.ms", "100")
            .set("log_level", "0")
            .create()
            .map_err(|error| error.to_string())?;
        Ok(Self(client))
    }

    /// The port of each broker, by its id; nothing while nobody answers.
    pub(crate) fn brokers(&self) -> BTreeMap<i32, u16> {
        let Ok(metadata) = self.0.fetch_metadata(None, PATIENCE) else {
            return BTreeMap::new();
        };
        let brokers = metadata.brokers().iter();
        brokers
            .filter_map(|broker| Some((broker.id(), u16::try_from(broker.port()).ok()?)))
            .collect()
    }

    /// The partitions of all topics whose names begin with `prefix`; none while nobody answers.
    pub(crate) fn partitions(&self, prefix: &str) -> Vec<Partition> {
        let Ok(metadata) = self.0.fetch_metadata(None, PATIENCE) else {
            return Vec::new();
        };
        let topics = metadata.topics().iter();
        topics
            .filter(|topic| topic.name().starts_with(prefix))
            .flat_map(|topic| topic.partitions())
            .map(|partition| Partition {
                id: partition.id(),
                leader: partition.leader(),
                in_sync: partition.isr().len(),
            })
            .collect()
    }

    /// Asks again and again until `all` of so many partitions are as they should be; how long that
    /// took.
    pub(crate) fn wait_for_all(
        &self,
        prefix: &str,
        count: usize,
        limit: Duration,
        what: &str,
        all: impl Fn(&Partition) -> bool,
    ) -> Result<Duration, String> {
        const POLL: Duration = Duration::from_millis(10);
        let started = Instant::now();
        loop {
            let partitions = self.partitions(prefix);
            let so = partitions.iter().filter(|partition| all(partition)).count();
            if so == count {
                return Ok(started.elapsed());
            }
            if started.elapsed() > limit {
                return Err(format!(
                    "after {limit:?}: {so} of {count} partitions {what}"
                ));
            }
            std::thread::sleep(POLL);
        }
    }
}
