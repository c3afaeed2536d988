//! Cold start: from starting the process on an empty data folder to the first acknowledged record.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::contestant::{Broker, Contestant, Setting};

/// A broker that takes longer does not count as started.
const LIMIT: Duration = Duration::from_secs(120);
/// How often the producer is let to work.
const POLL: Duration = Duration::from_millis(1);

/// Starts a broker while a client already waits for it, and stops the clock when that client's
/// record is acknowledged. The topic is created on first use.
pub(crate) fn to_first_produce(
    contestant: Contestant,
    setting: &Setting,
) -> Result<(Broker, Duration), String> {
    let prepared = setting.fresh(contestant)?;
    // A client that tries again at once, or its own patience would be measured.
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", prepared.address())
        .set("reconnect.backoff.ms", "1")
        .set("reconnect.backoff.max.ms", "2")
        .set("retry.backoff.ms", "1")
        .set("topic.metadata.refresh.fast.interval.ms", "2")
        .set("topic.metadata.propagation.max.ms", "120000")
        .set("allow.auto.create.topics", "true")
        .set("linger.ms", "0")
        .set("acks", "all")
        .set("log_level", "0")
        .create()
        .map_err(|error| error.to_string())?;
    let record = BaseRecord::<(), str>::to("first").payload("hello");
    producer
        .send(record)
        .map_err(|(error, _)| error.to_string())?;

    let started = Instant::now();
    let mut broker = prepared.start()?;
    while producer.in_flight_count() > 0 {
        producer.poll(POLL);
        if broker.has_ended() {
            return Err(format!(
                "{} ended, see target/bench/run-{contestant:?}/output.log",
                contestant.name()
            ));
        }
        if started.elapsed() > LIMIT {
            return Err(format!(
                "{} acknowledged nothing within {LIMIT:?}",
                contestant.name()
            ));
        }
    }
    Ok((broker, started.elapsed()))
}
