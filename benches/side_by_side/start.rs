//! Cold start: from starting the process on an empty data folder to the first acknowledged record.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::contestant::{Broker, Contestant, Prepared, Setting};

/// A broker that takes longer does not count as started.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two questions.
const POLL: Duration = Duration::from_millis(1);
/// For the answer to one.
const PATIENCE: Duration = Duration::from_secs(1);
/// Does not exist yet.
const TOPIC: &str = "first";

/// Starts a broker while a client already waits for it, and stops the clock when that client's
/// record is acknowledged. The topic is created on first use.
pub(crate) fn to_first_produce(
    contestant: Contestant,
    setting: &Setting,
) -> Result<(Broker, Duration), String> {
    from_start_to_produce(contestant, setting.fresh(contestant)?)
}

/// As [`to_first_produce`], of a broker that has data already.
pub(crate) fn from_start_to_produce(
    contestant: Contestant,
    prepared: Prepared,
) -> Result<(Broker, Duration), String> {
    // A client that tries again at once, or its own patience would be measured.
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", prepared.address())
        .set("reconnect.backoff.ms", "1")
        .set("reconnect.backoff.max.ms", "2")
        .set("retry.backoff.ms", "1")
        .set("allow.auto.create.topics", "true")
        .set("linger.ms", "0")
        .set("acks", "all")
        .set("log_level", "0")
        .create()
        .map_err(|error| error.to_string())?;

    let started = Instant::now();
    let mut broker = prepared.start()?;
    let mut watch = || match () {
        () if broker.has_ended() => {
            let log = format!("target/bench/run-{contestant:?}/output.log");
            Err(format!("{} ended, see {log}", contestant.name()))
        }
        () if started.elapsed() > LIMIT => Err(format!(
            "{} acknowledged nothing within {LIMIT:?}",
            contestant.name()
        )),
        () => Ok(()),
    };
    // Asked again and again by us: left to itself, librdkafka asks once a second while a topic
    // comes into being.
    while !has_leader(&producer) {
        watch()?;
        std::thread::sleep(POLL);
    }
    let record = BaseRecord::<(), str>::to(TOPIC)
        .partition(0)
        .payload("hello");
    producer
        .send(record)
        .map_err(|(error, _)| error.to_string())?;
    while producer.in_flight_count() > 0 {
        watch()?;
        producer.poll(POLL);
    }
    Ok((broker, started.elapsed()))
}

/// Whether the broker answers, and the first partition of the topic has a leader.
fn has_leader(producer: &BaseProducer) -> bool {
    let metadata = producer.client().fetch_metadata(Some(TOPIC), PATIENCE);
    let Ok(metadata) = metadata else { return false };
    let mut partitions = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions());
    partitions.any(|partition| partition.id() == 0 && partition.leader() >= 0)
}
