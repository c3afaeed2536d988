//! Records as fast as they go, for logs that are to be large.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::contestant::Brokers;

/// For the last of them.
const PATIENCE: Duration = Duration::from_secs(60);

/// Appends so many records of so many bytes, with so many keys in turn, or none.
pub(crate) fn fill(
    brokers: &dyn Brokers,
    topic: &str,
    records: u64,
    record_bytes: usize,
    keys: Option<u64>,
) -> Result<(), String> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers.addresses())
        .set("linger.ms", "5")
        .set("batch.size", "65536")
        .create()
        .map_err(|error| error.to_string())?;
    let payload = vec![b'k'; record_bytes];
    for sequence in 0..records {
        let key = keys.map(|keys| (sequence % keys).to_be_bytes());
        loop {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(&payload);
            if let Some(key) = &key {
                record = record.key(key);
            }
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(format!("{topic}: {error}")),
            }
        }
    }
    producer
        .flush(PATIENCE)
        .map_err(|error| format!("{topic}: {error}"))
}
