//! `__consumer_offsets`, made when it is first needed.

use std::rc::Rc;

use klamm_metadata::NewTopic;
use klamm_model::TopicName;

use crate::config::OffsetsConfig;
use crate::controller;
use crate::shard::Shard;

/// The topic of committed offsets and groups.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Creates the topic if it is not there. If that fails, it is still not there afterwards.
pub(crate) async fn ensure(shard: &Rc<Shard>) {
    let name = TopicName::new(OFFSETS_TOPIC).expect("the name is legal");
    controller::requests::auto_create(shard, &[name]).await;
}

/// The topic with the settings that Kafka gives it, however it comes to be created on first use.
/// In a cluster that is coming into being, `broker_count` is how many brokers it will have: the topic
/// is not created with fewer replicas than it can have soon.
pub(crate) fn new_topic(config: &OffsetsConfig, broker_count: usize) -> NewTopic {
    let brokers = i16::try_from(broker_count).unwrap_or(i16::MAX);
    let settings = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        ("segment.bytes", config.topic_segment_bytes.to_string()),
    ];
    NewTopic {
        name: OFFSETS_TOPIC.to_owned(),
        num_partitions: config.topic_num_partitions,
        replication_factor: config.topic_replication_factor.min(brokers),
        assignments: Vec::new(),
        configs: settings
            .map(|(key, value)| (key.to_owned(), Some(value)))
            .into(),
        is_needed: true,
    }
}
