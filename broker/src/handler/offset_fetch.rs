//! OffsetFetch: how far groups have read.
//!
//! One answer, in three forms: before version 8 for one group with the topics at the top, since
//! then for many groups, since version 10 with topics by id.

use klamm_coordinator::GroupError;
use klamm_coordinator::reply::{FetchedOffset, FetchedTopic};
use klamm_coordinator::request::{FetchTopic, OffsetFetch};
use klamm_model::TopicId;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use klamm_protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use klamm_protocol::messages::{StrBytes, TopicName, text_of, topic_id_of, uuid_of};

use crate::dispatch::Call;
use crate::shard::Shard;

/// From here on a request is about many groups.
const BATCH_FROM: i16 = 8;
/// From here on an error of the group stands at the top, not with each partition.
const GROUP_ERROR_FROM: i16 = 2;
/// From here on topics have ids, and no names.
const TOPIC_IDS_FROM: i16 = 10;
/// Nothing is stored.
const NO_OFFSET: i64 = -1;

pub(crate) fn handle(call: Call, request: OffsetFetchRequest) {
    let (shard, version) = (&call.shard, call.version());
    let response = OffsetFetchResponse::default();
    let response = if version >= BATCH_FROM {
        let groups = request
            .groups
            .iter()
            .map(|group| fetch_group(shard, version, group));
        response.with_groups(groups.collect())
    } else {
        fetch_one(shard, version, &request, response)
    };
    call.reply(response);
}

// ---- One group, before version 8 ----

fn fetch_one(
    shard: &Shard,
    version: i16,
    request: &OffsetFetchRequest,
    response: OffsetFetchResponse,
) -> OffsetFetchResponse {
    let topics = request.topics.as_ref().map(|topics| {
        let topics = topics.iter().map(|topic| FetchTopic {
            name: topic.name.to_string(),
            topic_id: TopicId::ZERO,
            partitions: topic.partition_indexes.clone(),
        });
        topics.collect()
    });
    match fetch(shard, &request.group_id, topics) {
        Ok(fetched) => response.with_topics(fetched.into_iter().map(old_topic).collect()),
        Err(error) if version >= GROUP_ERROR_FROM => response.with_error_code(error.code()),
        Err(error) => {
            let topics = request.topics.iter().flatten();
            response.with_topics(
                topics
                    .map(|topic| refused_old_topic(topic, error))
                    .collect(),
            )
        }
    }
}

fn old_topic(topic: FetchedTopic) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|(index, offset)| {
        let Answered {
            offset,
            leader_epoch,
            metadata,
        } = offset.into();
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(leader_epoch)
            .with_metadata(Some(metadata))
    });
    OffsetFetchResponseTopic::default()
        .with_name(TopicName(text_of(&topic.name)))
        .with_partitions(partitions.collect())
}

fn refused_old_topic(
    topic: &OffsetFetchRequestTopic,
    error: GroupError,
) -> OffsetFetchResponseTopic {
    let partitions = topic.partition_indexes.iter().map(|index| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(*index)
            .with_committed_offset(NO_OFFSET)
            .with_metadata(Some(StrBytes::default()))
            .with_error_code(error.code())
    });
    OffsetFetchResponseTopic::default()
        .with_name(topic.name.clone())
        .with_partitions(partitions.collect())
}

// ---- Many groups ----

fn fetch_group(
    shard: &Shard,
    version: i16,
    group: &OffsetFetchRequestGroup,
) -> OffsetFetchResponseGroup {
    let response = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
    let mut unknown = Vec::new();
    let topics = group.topics.as_ref().map(|topics| {
        let mut known = Vec::with_capacity(topics.len());
        for topic in topics {
            match known_topic(shard, version, topic) {
                Some(topic) => known.push(topic),
                None => unknown.push(unknown_topic(topic)),
            }
        }
        known
    });
    match fetch(shard, &group.group_id, topics) {
        Ok(fetched) => {
            let topics = fetched
                .into_iter()
                .filter_map(|topic| new_topic(shard, version, topic));
            response.with_topics(topics.chain(unknown).collect())
        }
        Err(error) => response.with_error_code(error.code()),
    }
}

/// A topic by name need not exist; one by id must, or its name is not known.
fn known_topic(
    shard: &Shard,
    version: i16,
    topic: &OffsetFetchRequestTopics,
) -> Option<FetchTopic> {
    let partitions = topic.partition_indexes.clone();
    if version < TOPIC_IDS_FROM {
        let name = topic.name.to_string();
        return Some(FetchTopic {
            name,
            topic_id: TopicId::ZERO,
            partitions,
        });
    }
    let topic_id = topic_id_of(topic.topic_id);
    let image = shard.image();
    let name = image.topic_by_id(topic_id)?.name.as_str().to_owned();
    Some(FetchTopic {
        name,
        topic_id,
        partitions,
    })
}

fn unknown_topic(topic: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|index| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(*index)
            .with_committed_offset(NO_OFFSET)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default()))
            .with_error_code(ErrorCode::UnknownTopicId.code())
    });
    OffsetFetchResponseTopics::default()
        .with_topic_id(topic.topic_id)
        .with_partitions(partitions.collect())
}

/// `None` where the topic has to have an id and has none: it exists no more.
fn new_topic(
    shard: &Shard,
    version: i16,
    topic: FetchedTopic,
) -> Option<OffsetFetchResponseTopics> {
    let response = OffsetFetchResponseTopics::default();
    let response = if version >= TOPIC_IDS_FROM {
        let image = shard.image();
        let topic_id = image.topic(&topic.name)?.id;
        response.with_topic_id(uuid_of(topic_id))
    } else {
        response.with_name(TopicName(text_of(&topic.name)))
    };
    let partitions = topic.partitions.into_iter().map(|(index, offset)| {
        let Answered {
            offset,
            leader_epoch,
            metadata,
        } = offset.into();
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(leader_epoch)
            .with_metadata(Some(metadata))
    });
    Some(response.with_partitions(partitions.collect()))
}

// ---- Both ----

fn fetch(
    shard: &Shard,
    group_id: &str,
    topics: Option<Vec<FetchTopic>>,
) -> Result<Vec<FetchedTopic>, GroupError> {
    let fetch = OffsetFetch {
        group_id: group_id.to_owned(),
        topics,
    };
    shard.coordinators.read(shard, group_id, |coordinator| {
        coordinator.fetch_offsets(&fetch)
    })
}

/// What clients are told of a partition.
struct Answered {
    offset: i64,
    leader_epoch: i32,
    metadata: StrBytes,
}

impl From<Option<FetchedOffset>> for Answered {
    fn from(stored: Option<FetchedOffset>) -> Self {
        match stored {
            Some(FetchedOffset {
                offset,
                leader_epoch,
                metadata,
            }) => Self {
                offset,
                leader_epoch,
                metadata: metadata.into(),
            },
            None => Self {
                offset: NO_OFFSET,
                leader_epoch: -1,
                metadata: StrBytes::default(),
            },
        }
    }
}
