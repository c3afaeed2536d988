//! Finds partitions as requests name them, and says in Kafka's words what is missing.

use std::rc::Rc;
use std::sync::Arc;

use klamm_metadata::TopicImage;
use klamm_model::{PartitionIndex, TopicId};
use klamm_protocol::ErrorCode;

use crate::partition::Partition;
use crate::shard::Shard;
use crate::topics::Topic;

/// By the topic's name.
pub(crate) fn by_name(shard: &Shard, name: &str, index: i32) -> Result<Rc<Partition>, ErrorCode> {
    let topics = shard.topics.borrow();
    match topics.by_name(name) {
        Some(topic) => of_topic(shard, topic, index),
        None => match shard.image().topic(name) {
            Some(topic) => Err(absent(shard, Some(topic), index)),
            None => Err(ErrorCode::UnknownTopicOrPartition),
        },
    }
}

/// By the topic's id (KIP-516).
pub(crate) fn by_id(shard: &Shard, id: TopicId, index: i32) -> Result<Rc<Partition>, ErrorCode> {
    let topics = shard.topics.borrow();
    match topics.by_id(id) {
        Some(topic) => of_topic(shard, topic, index),
        None => match shard.image().topic_by_id(id) {
            Some(topic) => Err(absent(shard, Some(topic), index)),
            None => Err(ErrorCode::UnknownTopicId),
        },
    }
}

/// Of a topic that was found, for those who ask for many of its partitions.
pub(crate) fn of_topic(
    shard: &Shard,
    topic: &Topic,
    index: i32,
) -> Result<Rc<Partition>, ErrorCode> {
    if let Some(partition) = topic.partition(index) {
        return Ok(partition.clone());
    }
    let image = shard.image();
    Err(absent(
        shard,
        image.topic_by_id(topic.id).map(Arc::as_ref),
        index,
    ))
}

/// What to say of a partition that is not open here: another broker holds it, or its log could not
/// be opened, or it is not known at all.
fn absent(shard: &Shard, topic: Option<&TopicImage>, index: i32) -> ErrorCode {
    match topic.and_then(|topic| topic.partition(PartitionIndex(index))) {
        Some(partition) if partition.replica_on(shard.node_id).is_some() => {
            ErrorCode::KafkaStorageError
        }
        Some(_) => ErrorCode::NotLeaderOrFollower,
        None => ErrorCode::UnknownTopicOrPartition,
    }
}
