//! CreatePartitions (KIP-195): more partitions for topics that exist.

use klamm_metadata::controller::NewPartitions;
use klamm_model::BrokerId;
use klamm_protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use klamm_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use klamm_protocol::messages::{TopicName, text_of};

use super::refusal;
use crate::controller::change;
use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: CreatePartitionsRequest) {
    let shard = call.shard.clone();
    call.reply_later(async move {
        let topics: Vec<_> = request.topics.iter().map(wanted).collect();
        let decided = change(&shard, |decider| {
            decider.create_partitions(&topics, request.validate_only)
        });
        let result = |name: &str, (code, text)| {
            CreatePartitionsTopicResult::default()
                .with_name(TopicName(text_of(name)))
                .with_error_code(code)
                .with_error_message(text)
        };
        let results = match decided.await {
            Ok(outcomes) => outcomes
                .iter()
                .map(|(name, outcome)| result(name, refusal::of_outcome(outcome)))
                .collect(),
            Err(error) => topics
                .iter()
                .map(|topic| result(&topic.topic, (error.code(), Some(text_of(error.message())))))
                .collect(),
        };
        CreatePartitionsResponse::default().with_results(results)
    });
}

fn wanted(topic: &CreatePartitionsTopic) -> NewPartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        let replicas = assignments.iter().map(|assignment| {
            assignment
                .broker_ids
                .iter()
                .map(|id| BrokerId(id.0))
                .collect()
        });
        replicas.collect()
    });
    NewPartitions {
        topic: topic.name.to_string(),
        count: topic.count,
        assignments,
    }
}
