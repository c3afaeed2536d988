//! `__consumer_offsets`, made when it is first needed.

use std::rc::Rc;

use klamm_metadata::controller::Decision;
use klamm_metadata::{ConfigResource, MetadataImage, MetadataRecord, ResourceKind};
use klamm_model::{BrokerId, PartitionIndex, TopicName};
use klamm_protocol::ErrorCode;

use crate::config::OffsetsConfig;
use crate::controller;
use crate::entropy;
use crate::shard::Shard;

/// The topic of committed offsets and groups.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Creates the topic if it is not there, with the settings Kafka gives it.
pub(crate) async fn ensure(shard: &Rc<Shard>) -> Result<(), ErrorCode> {
    if shard.image().topic(OFFSETS_TOPIC).is_some() {
        return Ok(());
    }
    let config = shard.config().offsets.clone();
    controller::change(shard, |decider| Decision {
        records: creation(decider.image, &config),
        reply: (),
    })
    .await
}

fn creation(image: &MetadataImage, config: &OffsetsConfig) -> Vec<MetadataRecord> {
    if image.topic(OFFSETS_TOPIC).is_some() {
        return Vec::new(); // Somebody else was quicker.
    }
    let id = entropy::uuid();
    let name = TopicName::new(OFFSETS_TOPIC).expect("the name is legal");
    let mut records = vec![MetadataRecord::Topic { name, id }];
    let brokers: Vec<BrokerId> = image.brokers().map(|broker| broker.id).collect();
    records.extend(
        (0..config.topic_num_partitions).map(|index| MetadataRecord::Partition {
            topic: id,
            index: PartitionIndex(index),
            replicas: replicas(&brokers, index, config.topic_replication_factor),
        }),
    );
    let settings = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        ("segment.bytes", config.topic_segment_bytes.to_string()),
    ];
    records.extend(settings.map(|(key, value)| MetadataRecord::Config {
        resource: ConfigResource::new(ResourceKind::Topic, OFFSETS_TOPIC),
        key: key.to_owned(),
        value: Some(value),
    }));
    records
}

/// As many brokers as wanted, or as there are; each partition begins with the next one.
fn replicas(brokers: &[BrokerId], index: i32, replication_factor: i16) -> Vec<BrokerId> {
    let wanted = usize::try_from(replication_factor)
        .unwrap_or(1)
        .min(brokers.len());
    let first = usize::try_from(index).unwrap_or(0);
    brokers
        .iter()
        .cycle()
        .skip(first % brokers.len().max(1))
        .take(wanted)
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_spread_and_no_more_than_there_are_brokers() {
        let brokers = [1, 2, 3].map(BrokerId);
        assert_eq!(replicas(&brokers, 0, 2), [1, 2].map(BrokerId));
        assert_eq!(replicas(&brokers, 5, 2), [3, 1].map(BrokerId));
        assert_eq!(replicas(&brokers[..1], 7, 3), [BrokerId(1)]);
    }
}
