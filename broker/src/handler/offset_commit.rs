//! OffsetCommit: stores how far a group has read.

use klamm_coordinator::request::{CommitPartition, CommitTopic, OffsetCommit};
use klamm_coordinator::{Reply, Request};
use klamm_metadata::MetadataImage;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestTopic,
};
use klamm_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use klamm_protocol::messages::{TopicName, text_of, topic_id_of, uuid_of};

use super::groups;
use crate::dispatch::Call;

/// From here on topics have ids, and no names.
const TOPIC_IDS_FROM: i16 = 10;
/// From here on the client knows GROUP_ID_NOT_FOUND.
const GROUP_ID_NOT_FOUND_FROM: i16 = 9;
/// The versions in which the client may say how long to keep the offsets.
const RETENTION_TIME: std::ops::RangeInclusive<i16> = 2..=4;
/// As long as the broker's setting says.
const DEFAULT_RETENTION: i64 = -1;

pub(crate) fn handle(call: Call, request: OffsetCommitRequest) {
    let version = call.version();
    let image = call.shard.image();
    let mut refused = Vec::new();
    let mut topics = Vec::new();
    for topic in request.topics {
        match find(&image, version, &topic) {
            Ok((name, topic_id)) => {
                let partitions = topic
                    .partitions
                    .into_iter()
                    .map(|partition| CommitPartition {
                        partition: partition.partition_index,
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata: groups::owned(partition.committed_metadata.as_ref()),
                    });
                topics.push(CommitTopic {
                    name,
                    topic_id,
                    partitions: partitions.collect(),
                });
            }
            Err(error) => refused.push(refuse(&topic, error.code())),
        }
    }
    let response = OffsetCommitResponse::default();
    if topics.is_empty() {
        return call.reply(response.with_topics(refused));
    }
    let retention = request.retention_time_ms;
    let commit = OffsetCommit {
        group_id: request.group_id.to_string(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_string(),
        instance_id: groups::owned(request.group_instance_id.as_ref()),
        retention_time_ms: (RETENTION_TIME.contains(&version) && retention != DEFAULT_RETENTION)
            .then_some(retention),
        knows_group_id_not_found: version >= GROUP_ID_NOT_FOUND_FROM,
        topics,
    };
    let asked: Vec<Asked> = commit.topics.iter().map(Asked::of).collect();
    let shard = call.shard.clone();
    shard
        .coordinators
        .request(&shard, Request::OffsetCommit(commit), move |reply| {
            let Reply::OffsetCommit(result) = reply else {
                unreachable!("a commit is answered as one")
            };
            let mut topics: Vec<_> = asked
                .into_iter()
                .enumerate()
                .map(|(at, asked)| {
                    let topic = OffsetCommitResponseTopic::default();
                    let partitions =
                        asked
                            .partitions
                            .into_iter()
                            .enumerate()
                            .map(|(part, index)| {
                                let error = match &result {
                                    Ok(topics) => topics[at].partitions[part].1,
                                    Err(error) => Some(*error),
                                };
                                partition_response(index, groups::code(error))
                            });
                    let topic = topic.with_partitions(partitions.collect());
                    if version >= TOPIC_IDS_FROM {
                        topic.with_topic_id(uuid_of(asked.topic_id))
                    } else {
                        topic.with_name(TopicName(text_of(&asked.name)))
                    }
                })
                .collect();
            topics.extend(refused);
            call.reply(response.with_topics(topics));
        });
}

/// What the reply has to name again.
struct Asked {
    name: String,
    topic_id: klamm_model::TopicId,
    partitions: Vec<i32>,
}

impl Asked {
    fn of(topic: &CommitTopic) -> Self {
        Self {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: topic
                .partitions
                .iter()
                .map(|partition| partition.partition)
                .collect(),
        }
    }
}

/// Name and id of a topic that exists. Kafka does not look at the partition's number.
fn find(
    image: &MetadataImage,
    version: i16,
    topic: &OffsetCommitRequestTopic,
) -> Result<(String, klamm_model::TopicId), ErrorCode> {
    let (found, error) = if version >= TOPIC_IDS_FROM {
        (
            image.topic_by_id(topic_id_of(topic.topic_id)),
            ErrorCode::UnknownTopicId,
        )
    } else {
        (image.topic(&topic.name), ErrorCode::UnknownTopicOrPartition)
    };
    found
        .map(|topic| (topic.name.as_str().to_owned(), topic.id))
        .ok_or(error)
}

fn refuse(topic: &OffsetCommitRequestTopic, code: i16) -> OffsetCommitResponseTopic {
    let partitions = topic.partitions.iter();
    let partitions =
        partitions.map(|partition| partition_response(partition.partition_index, code));
    OffsetCommitResponseTopic::default()
        .with_name(topic.name.clone())
        .with_topic_id(topic.topic_id)
        .with_partitions(partitions.collect())
}

fn partition_response(index: i32, code: i16) -> OffsetCommitResponsePartition {
    OffsetCommitResponsePartition::default()
        .with_partition_index(index)
        .with_error_code(code)
}
