//! CreateTopics (KIP-4): topics with their partitions and settings, and what came of them.

use klamm_metadata::controller::CreatedTopic;
use klamm_metadata::{ConfigEntry, NewTopic, Refusal};
use klamm_model::BrokerId;
use klamm_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use klamm_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use klamm_protocol::messages::{TopicName, text_of, uuid_of};

use super::refusal;
use crate::controller::change;
use crate::controller::requests::await_leaders;
use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: CreateTopicsRequest) {
    let shard = call.shard.clone();
    call.reply_later(async move {
        let topics: Vec<_> = request.topics.iter().map(wanted).collect();
        let decided = change(&shard, |decider| {
            decider.create_topics(&topics, request.validate_only)
        });
        let results = match decided.await {
            Ok(outcomes) => {
                if !request.validate_only {
                    let created = outcomes.iter().filter(|(_, outcome)| outcome.is_ok());
                    let created: Vec<_> = created.map(|(name, _)| name.clone()).collect();
                    await_leaders(&shard, &created).await;
                }
                outcomes
                    .iter()
                    .map(|(name, outcome)| result(name, outcome))
                    .collect()
            }
            Err(error) => {
                let failed = |topic: &NewTopic| {
                    named(&topic.name)
                        .with_error_code(error.code())
                        .with_error_message(Some(text_of(error.message())))
                };
                topics.iter().map(failed).collect()
            }
        };
        CreateTopicsResponse::default().with_topics(results)
    });
}

fn wanted(topic: &CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.iter().map(|assignment| {
        let replicas = assignment
            .broker_ids
            .iter()
            .map(|id| BrokerId(id.0))
            .collect();
        (assignment.partition_index, replicas)
    });
    let configs = topic.configs.iter().map(|config| {
        let value = config.value.as_ref().map(|value| value.to_string());
        (config.name.to_string(), value)
    });
    NewTopic {
        name: topic.name.to_string(),
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
        is_needed: false,
    }
}

fn named(name: &str) -> CreatableTopicResult {
    CreatableTopicResult::default().with_name(TopicName(text_of(name)))
}

fn result(name: &str, outcome: &Result<CreatedTopic, Refusal>) -> CreatableTopicResult {
    match outcome {
        Ok(created) => named(name)
            .with_topic_id(uuid_of(created.id))
            .with_num_partitions(created.num_partitions)
            .with_replication_factor(created.replication_factor)
            .with_configs(Some(created.configs.iter().map(config).collect())),
        Err(refused) => {
            let (code, text) = refusal::told(refused);
            named(name).with_error_code(code).with_error_message(text)
        }
    }
}

fn config(entry: &ConfigEntry) -> CreatableTopicConfigs {
    CreatableTopicConfigs::default()
        .with_name(text_of(&entry.name))
        .with_value(entry.value.as_deref().map(text_of))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source as i8)
        .with_is_sensitive(entry.row.sensitive)
}
