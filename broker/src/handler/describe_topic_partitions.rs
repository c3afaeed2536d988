//! DescribeTopicPartitions: topics in pages, sorted by name (KIP-966).

use klamm_metadata::TopicImage;
use klamm_model::TopicName;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use klamm_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use klamm_protocol::messages::{self, BrokerId, text_of, uuid_of};

use super::cluster::TopicLeaders;
use super::operations;
use crate::dispatch::Call;
use crate::shard::Shard;

pub(crate) fn handle(call: Call, request: DescribeTopicPartitionsRequest) {
    let shard = &call.shard;
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let mut page = Page {
        room: limit.clamp(1, shard.config().topics.described_partitions_max),
        response: DescribeTopicPartitionsResponse::default(),
    };
    let (from_topic, from_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.to_string(), cursor.partition_index),
        None => (String::new(), 0),
    };
    if from_partition < 0 {
        let mut refused = DescribeTopicPartitionsResponse::default();
        refused
            .topics
            .push(missing(&from_topic, ErrorCode::InvalidRequest));
        return call.reply(refused);
    }
    for name in names(shard, &request) {
        if name < from_topic {
            continue;
        }
        let first = if name == from_topic {
            from_partition as usize
        } else {
            0
        };
        if !page.add(shard, &name, first) {
            break;
        }
    }
    call.reply(page.response);
}

/// The topics asked for, or all of them, sorted, each once.
fn names(shard: &Shard, request: &DescribeTopicPartitionsRequest) -> Vec<String> {
    if request.topics.is_empty() {
        let image = shard.image();
        return image.topics().map(|topic| topic.name.to_string()).collect();
    }
    let mut names: Vec<String> = request
        .topics
        .iter()
        .map(|topic| topic.name.to_string())
        .collect();
    names.sort();
    names.dedup();
    names
}

struct Page {
    /// Partitions that still fit.
    room: usize,
    response: DescribeTopicPartitionsResponse,
}

impl Page {
    /// Adds a topic from its partition `first` on; `false` if the page is full before its end.
    fn add(&mut self, shard: &Shard, name: &str, first: usize) -> bool {
        let image = shard.image();
        let Some(topic) = image.topic(name) else {
            let error = match TopicName::new(name) {
                Ok(_) => ErrorCode::UnknownTopicOrPartition,
                Err(_) => ErrorCode::InvalidTopicException,
            };
            self.response.topics.push(missing(name, error));
            return true;
        };
        let end = topic.partitions.len().min(first + self.room);
        if self.room == 0 || end < topic.partitions.len() {
            self.response.next_cursor = Some(
                Cursor::default()
                    .with_topic_name(messages::TopicName(text_of(name)))
                    .with_partition_index(end as i32),
            );
        }
        if self.room > 0 {
            self.room -= end.saturating_sub(first);
            self.response
                .topics
                .push(describe(shard, topic, first, end));
        }
        self.response.next_cursor.is_none()
    }
}

fn missing(name: &str, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(messages::TopicName(text_of(name))))
}

fn describe(
    shard: &Shard,
    topic: &TopicImage,
    first: usize,
    end: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let leaders = TopicLeaders::of(shard, topic);
    let partitions = (first..end).map(|index| {
        let replicas: Vec<_> = topic.partitions[index].broker_ids().collect();
        let state = leaders.partition(index);
        let ids = |ids: &[klamm_model::BrokerId]| ids.iter().map(|id| BrokerId(id.0)).collect();
        DescribeTopicPartitionsResponsePartition::default()
            .with_error_code(state.error.code())
            .with_partition_index(index as i32)
            .with_leader_id(BrokerId(state.leader))
            .with_leader_epoch(state.leader_epoch)
            .with_replica_nodes(ids(&replicas))
            .with_isr_nodes(ids(&leaders.in_sync(index, &replicas)))
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
            .with_offline_replicas(ids(&leaders.offline(index, &replicas)))
    });
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(messages::TopicName(text_of(topic.name.as_str()))))
        .with_topic_id(uuid_of(topic.id))
        .with_is_internal(topic.name.is_internal())
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(operations::TOPIC)
}
