//! Whether the log holds what was acknowledged, once, and in order.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::sender::{Acknowledged, Sent};
use crate::contestant::{Brokers, PARTITIONS};

/// For all of it.
const PATIENCE: Duration = Duration::from_secs(300);

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Acknowledged, and not there.
    pub(super) lost: u64,
    /// There once more than once.
    pub(super) duplicated: u64,
    /// Behind a message of the same partition that was sent later.
    pub(super) out_of_order: u64,
}

/// Reads the whole topic.
pub(super) fn audit(brokers: &dyn Brokers, topic: &str, sent: &Sent) -> Result<Findings, String> {
    let consumer = consumer(brokers, topic)?;
    let deadline = Instant::now() + PATIENCE;
    let mut read = Vec::new();
    let mut ended = 0;
    while ended < PARTITIONS {
        if Instant::now() > deadline {
            return Err(format!("{topic} could not be read within {PATIENCE:?}"));
        }
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(format!("{topic}: {error}")),
            Some(Ok(message)) => {
                let stamp = message.payload().unwrap_or_default().first_chunk();
                let sequence = stamp.map(|bytes| u64::from_be_bytes(*bytes));
                read.extend(sequence.map(|sequence| (message.partition(), sequence)));
            }
        }
    }
    Ok(compare(sent.messages, &sent.acknowledged, &read))
}

/// `read` are partitions and sequences in the order in which they were read.
fn compare(messages: u64, acknowledged: &[Acknowledged], read: &[(i32, u64)]) -> Findings {
    let mut times = vec![0_u64; usize::try_from(messages).expect("it fits into memory")];
    let mut last = [None; PARTITIONS as usize];
    let mut findings = Findings::default();
    for &(partition, sequence) in read {
        let times = &mut times[usize::try_from(sequence).expect("it was sent")];
        *times += 1;
        findings.duplicated += u64::from(*times > 1);
        let last = &mut last[usize::try_from(partition).expect("there are a few")];
        findings.out_of_order += u64::from(last.is_some_and(|last| last > sequence));
        *last = Some(sequence);
    }
    let is_lost = |one: &&Acknowledged| {
        let index = usize::try_from(one.sequence).expect("it was sent");
        times[index] == 0
    };
    findings.lost = acknowledged.iter().filter(is_lost).count() as u64;
    findings
}

fn consumer(brokers: &dyn Brokers, topic: &str) -> Result<BaseConsumer, String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers.addresses())
        .set("group.id", "audit")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .map_err(|error| error.to_string())?;
    let mut begin_at = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        begin_at
            .add_partition_offset(topic, partition, Offset::Beginning)
            .map_err(|error| error.to_string())?;
    }
    consumer
        .assign(&begin_at)
        .map_err(|error| error.to_string())?;
    Ok(consumer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_twice_or_late_is_found() {
        let acknowledged = |sequence| Acknowledged {
            partition: 0,
            sequence,
            at: Duration::ZERO,
        };
        // 4 was sent, and never acknowledged: it may be there or not.
        let all = [0, 1, 2, 3].map(acknowledged);
        let check = |read: &[u64], lost, duplicated, out_of_order| {
            let read: Vec<_> = read.iter().map(|sequence| (0, *sequence)).collect();
            let expected = Findings {
                lost,
                duplicated,
                out_of_order,
            };
            assert_eq!(compare(5, &all, &read), expected, "{read:?}");
        };
        check(&[0, 1, 2, 3], 0, 0, 0);
        check(&[0, 1, 2, 3, 4], 0, 0, 0);
        check(&[0, 3], 2, 0, 0);
        check(&[0, 1, 2, 2, 3], 0, 1, 0);
        check(&[0, 2, 1, 3], 0, 0, 1);
    }
}
