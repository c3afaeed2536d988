//! Metadata: which brokers there are, which topics, and who leads their partitions.

use std::collections::BTreeSet;

use klamm_metadata::TopicImage;
use klamm_model::TopicName;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use klamm_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use klamm_protocol::messages::{self, BrokerId, text_of, topic_id_of, uuid_of};

use super::cluster::{self, TopicLeaders};
use super::{operations, succession};
use crate::controller::requests::auto_create;
use crate::dispatch::Call;
use crate::shard::Shard;
use crate::tasks;

/// From here on an empty list of topics means none, and null all (before: empty is all).
const NULL_IS_ALL_FROM: i16 = 1;
/// From here on the client says whether unknown topics may be created; before, they may.
const CREATION_FLAG_FROM: i16 = 4;

/// From here on topics may be asked for by id; the versions just before have the field already.
const TOPIC_IDS_FROM: i16 = 12;

pub(crate) fn handle(call: Call, request: MetadataRequest) {
    if names_topics_by_id_too_early(call.version(), &request) {
        return call.reply(refusal(&request));
    }
    let missing = topics_to_create(&call, &request);
    if missing.is_empty() && call.shard.peers.is_alone() {
        let response = answer(&call, &request);
        return call.reply(response);
    }
    tasks::spawn(async move {
        if !missing.is_empty() {
            auto_create(&call.shard, &missing).await;
        }
        // Clients ask as soon as a leader's connection to them ends. That its connection to this broker
        // has ended, too, is heard first: an answer that names it once more costs them a second.
        tokio::task::yield_now().await;
        succession::ended(|| is_succession_open(&call, &request)).await;
        let response = answer(&call, &request);
        call.reply(response);
    });
}

/// Whether a topic has an id, or no name, in a version that cannot ask so.
fn names_topics_by_id_too_early(version: i16, request: &MetadataRequest) -> bool {
    let mut topics = request.topics.iter().flatten();
    version < TOPIC_IDS_FROM && topics.any(|topic| topic.name.is_none() || !topic.topic_id.is_nil())
}

/// Kafka's answer to a request that contradicts itself: the same error for every topic.
fn refusal(request: &MetadataRequest) -> MetadataResponse {
    let topics = request.topics.iter().flatten().map(|topic| {
        MetadataResponseTopic::default()
            .with_error_code(ErrorCode::InvalidRequest.code())
            .with_name(Some(topic.name.clone().unwrap_or_default()))
    });
    MetadataResponse::default().with_topics(topics.collect())
}

/// Unknown topics with legal names, if both the server's setting and the request allow creating
/// them. They are created before the answer, so that it can name a leader: some clients give up on
/// a topic that has none.
fn topics_to_create(call: &Call, request: &MetadataRequest) -> Vec<TopicName> {
    let allowed = call.version() < CREATION_FLAG_FROM || request.allow_auto_topic_creation;
    if !allowed || !call.shard.config().topics.auto_create {
        return Vec::new();
    }
    let image = call.shard.image();
    let topics = request.topics.as_deref().unwrap_or_default();
    once(topics)
        .filter_map(|topic| topic.name.as_ref())
        .filter(|name| image.topic(name).is_none())
        .filter_map(|name| TopicName::new(name).ok())
        .collect()
}

/// Whether a topic that is asked for has just lost a leader, and may have another in a moment.
fn is_succession_open(call: &Call, request: &MetadataRequest) -> bool {
    let shard = &call.shard;
    if !succession::is_open(shard) {
        return false;
    }
    let image = shard.image();
    let is_open = |topic: &TopicImage| succession::is_open_for_topic(shard, topic);
    let Some(asked) = asked_topics(call, request) else {
        return image.topics().any(|topic| is_open(topic));
    };
    let mut topics = asked.iter().filter_map(|topic| match &topic.name {
        Some(name) => image.topic(name),
        None => image.topic_by_id(topic_id_of(topic.topic_id)),
    });
    topics.any(|topic| is_open(topic))
}

fn answer(call: &Call, request: &MetadataRequest) -> MetadataResponse {
    let shard = &call.shard;
    let image = shard.image();
    let brokers = cluster::brokers(shard, &image, call.listener())
        .into_iter()
        .map(|broker| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(broker.id.0))
                .with_host(text_of(&broker.host))
                .with_port(i32::from(broker.port))
                .with_rack(broker.rack.as_deref().map(text_of))
        });
    let mut response = MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(image.cluster_id().map(text_of))
        .with_controller_id(BrokerId(shard.peers.controller().map_or(-1, |id| id.0)))
        .with_topics(topics(call, request));
    if (8..=10).contains(&call.version()) && request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = operations::CLUSTER;
    }
    response
}

fn topics(call: &Call, request: &MetadataRequest) -> Vec<MetadataResponseTopic> {
    let shard = &call.shard;
    let image = shard.image();
    let Some(asked) = asked_topics(call, request) else {
        let all = image.topics().map(|topic| describe(shard, topic));
        return all.map(|topic| with_operations(topic, request)).collect();
    };
    once(asked)
        .map(|topic| with_operations(find(shard, topic), request))
        .collect()
}

/// The topics that are asked for; `None` if that is all.
fn asked_topics<'a>(
    call: &Call,
    request: &'a MetadataRequest,
) -> Option<&'a [MetadataRequestTopic]> {
    let asked = request.topics.as_deref()?;
    (call.version() >= NULL_IS_ALL_FROM || !asked.is_empty()).then_some(asked)
}

/// The topics that are asked for, each as often as Kafka answers it: once.
fn once(asked: &[MetadataRequestTopic]) -> impl Iterator<Item = &MetadataRequestTopic> {
    let mut seen = BTreeSet::new();
    asked.iter().filter(move |topic| {
        let id = topic.name.is_none().then_some(topic.topic_id);
        seen.insert((topic.name.as_ref(), id))
    })
}

fn find(shard: &Shard, asked: &MetadataRequestTopic) -> MetadataResponseTopic {
    let image = shard.image();
    if let Some(name) = &asked.name {
        if let Some(topic) = image.topic(name) {
            return describe(shard, topic);
        }
        let error = match TopicName::new(name) {
            Ok(_) => ErrorCode::UnknownTopicOrPartition,
            Err(_) => ErrorCode::InvalidTopicException,
        };
        return MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(Some(messages::TopicName(name.0.clone())));
    }
    match image.topic_by_id(topic_id_of(asked.topic_id)) {
        Some(topic) => describe(shard, topic),
        None => MetadataResponseTopic::default()
            .with_error_code(ErrorCode::UnknownTopicId.code())
            .with_name(None)
            .with_topic_id(asked.topic_id),
    }
}

fn describe(shard: &Shard, topic: &TopicImage) -> MetadataResponseTopic {
    let leaders = TopicLeaders::of(shard, topic);
    let partitions = topic
        .partitions
        .iter()
        .enumerate()
        .map(|(index, partition)| {
            let state = leaders.partition(index);
            let replicas: Vec<_> = partition.broker_ids().collect();
            let ids = |ids: &[klamm_model::BrokerId]| ids.iter().map(|id| BrokerId(id.0)).collect();
            MetadataResponsePartition::default()
                .with_error_code(state.error.code())
                .with_partition_index(index as i32)
                .with_leader_id(BrokerId(state.leader))
                .with_leader_epoch(state.leader_epoch)
                .with_replica_nodes(ids(&replicas))
                .with_isr_nodes(ids(&leaders.in_sync(index, &replicas)))
                .with_offline_replicas(ids(&leaders.offline(index, &replicas)))
        });
    MetadataResponseTopic::default()
        .with_name(Some(messages::TopicName(text_of(topic.name.as_str()))))
        .with_topic_id(uuid_of(topic.id))
        .with_is_internal(topic.name.is_internal())
        .with_partitions(partitions.collect())
}

fn with_operations(
    topic: MetadataResponseTopic,
    request: &MetadataRequest,
) -> MetadataResponseTopic {
    if request.include_topic_authorized_operations && topic.error_code == 0 {
        topic.with_topic_authorized_operations(operations::TOPIC)
    } else {
        topic
    }
}
