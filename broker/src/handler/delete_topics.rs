//! DeleteTopics, by name or by id (KIP-516).

use klamm_metadata::Refusal;
use klamm_metadata::controller::{DeletedTopic, TopicRef};
use klamm_model::TopicId;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use klamm_protocol::messages::delete_topics_response::{
    DeletableTopicResult, DeleteTopicsResponse,
};
use klamm_protocol::messages::{TopicName, text_of, topic_id_of, uuid_of};

use super::refusal;
use crate::controller::change;
use crate::dispatch::Call;

/// From here on topics may be named by id.
const IDS_FROM: i16 = 6;
/// From here on there is a code for "deletion is disabled".
const DELETION_DISABLED_FROM: i16 = 3;

pub(crate) fn handle(call: Call, request: DeleteTopicsRequest) {
    let (shard, version) = (call.shard.clone(), call.version());
    call.reply_later(async move {
        let topics = wanted(&request, version);
        let results = match change(&shard, |decider| decider.delete_topics(&topics)).await {
            Ok(deleted) => deleted.iter().map(|topic| result(topic, version)).collect(),
            Err(error) => topics.iter().map(|topic| failed(topic, error)).collect(),
        };
        DeleteTopicsResponse::default().with_responses(results)
    });
}

fn wanted(request: &DeleteTopicsRequest, version: i16) -> Vec<TopicRef> {
    if version < IDS_FROM {
        let named = |name: &TopicName| TopicRef {
            name: Some(name.to_string()),
            id: TopicId::ZERO,
        };
        return request.topic_names.iter().map(named).collect();
    }
    let topics = request.topics.iter().map(|topic| TopicRef {
        name: topic.name.as_ref().map(|name| name.to_string()),
        id: topic_id_of(topic.topic_id),
    });
    topics.collect()
}

fn result(topic: &DeletedTopic, version: i16) -> DeletableTopicResult {
    let (code, text) = match &topic.outcome {
        Err(refused @ Refusal::DeletionDisabled) if version < DELETION_DISABLED_FROM => {
            (ErrorCode::InvalidRequest.code(), refusal::told(refused).1)
        }
        outcome => refusal::of_outcome(outcome),
    };
    of(topic.name.as_deref(), topic.id)
        .with_error_code(code)
        .with_error_message(text)
}

fn failed(topic: &TopicRef, error: ErrorCode) -> DeletableTopicResult {
    of(topic.name.as_deref(), topic.id)
        .with_error_code(error.code())
        .with_error_message(Some(text_of(error.message())))
}

fn of(name: Option<&str>, id: TopicId) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(name.map(|name| TopicName(text_of(name))))
        .with_topic_id(uuid_of(id))
}
