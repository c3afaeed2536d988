//! OffsetDelete: forgets offsets of topics that a group does not read (KIP-496).

use klamm_coordinator::request::OffsetDelete;
use klamm_coordinator::{Reply, Request};
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic,
};
use klamm_protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use klamm_protocol::messages::{TopicName, text_of};

use super::groups;
use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: OffsetDeleteRequest) {
    let image = call.shard.image();
    let (known, unknown): (Vec<_>, Vec<_>) = request
        .topics
        .into_iter()
        .partition(|topic| image.topic(&topic.name).is_some());
    let refused: Vec<_> = unknown.iter().map(refuse).collect();
    let topics = known.iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| partition.partition_index);
        (topic.name.to_string(), partitions.collect())
    });
    let delete = OffsetDelete {
        group_id: request.group_id.to_string(),
        topics: topics.collect(),
    };
    let shard = call.shard.clone();
    shard
        .coordinators
        .request(&shard, Request::OffsetDelete(delete), move |reply| {
            let Reply::OffsetDelete(result) = reply else {
                unreachable!("a deletion is answered as one")
            };
            let response = OffsetDeleteResponse::default();
            call.reply(match result {
                Err(error) => response.with_error_code(error.code()),
                Ok(topics) => {
                    let topics = topics.into_iter().map(|topic| {
                        let partitions = topic.partitions.into_iter();
                        topic_response(&topic.name, partitions.map(|(p, e)| (p, groups::code(e))))
                    });
                    response.with_topics(topics.chain(refused).collect())
                }
            });
        });
}

fn refuse(topic: &OffsetDeleteRequestTopic) -> OffsetDeleteResponseTopic {
    let code = ErrorCode::UnknownTopicOrPartition.code();
    let partitions = topic
        .partitions
        .iter()
        .map(|partition| (partition.partition_index, code));
    topic_response(&topic.name, partitions)
}

fn topic_response(
    name: &str,
    partitions: impl Iterator<Item = (i32, i16)>,
) -> OffsetDeleteResponseTopic {
    let partitions = partitions.map(|(index, code)| {
        OffsetDeleteResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(code)
    });
    OffsetDeleteResponseTopic::default()
        .with_name(TopicName(text_of(name)))
        .with_partitions(partitions.collect())
}
