//! AlterPartitionReassignments (KIP-455).

use std::rc::Rc;

use klamm_metadata::Refusal;
use klamm_metadata::controller::Reassignment;
use klamm_model::BrokerId;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignableTopic,
};
use klamm_protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use klamm_protocol::messages::text_of;

use super::refusal;
use crate::controller::change;
use crate::dispatch::Call;
use crate::shard::Shard;

pub(crate) fn handle(call: Call, request: AlterPartitionReassignmentsRequest) {
    let shard = call.shard.clone();
    call.reply_later(async move {
        let allow = request.allow_replication_factor_change;
        let response = AlterPartitionReassignmentsResponse::default()
            .with_allow_replication_factor_change(allow);
        match reassign(&shard, &request).await {
            Ok(outcomes) => response.with_responses(results(&request, outcomes)),
            Err(error) => response
                .with_error_code(error.code())
                .with_error_message(Some(text_of(error.message()))),
        }
    });
}

/// What came of each partition, in the order of the request.
async fn reassign(
    shard: &Rc<Shard>,
    request: &AlterPartitionReassignmentsRequest,
) -> Result<Vec<Result<(), Refusal>>, ErrorCode> {
    let wanted: Vec<_> = request.topics.iter().flat_map(wanted).collect();
    let allow = request.allow_replication_factor_change;
    change(shard, |decider| decider.reassign_all(&wanted, allow)).await
}

fn wanted(topic: &ReassignableTopic) -> impl Iterator<Item = Reassignment> {
    topic.partitions.iter().map(|partition| {
        let replicas = partition.replicas.as_ref();
        Reassignment {
            topic: topic.name.to_string(),
            partition: partition.partition_index,
            replicas: replicas.map(|ids| ids.iter().map(|id| BrokerId(id.0)).collect()),
        }
    })
}

fn results(
    request: &AlterPartitionReassignmentsRequest,
    outcomes: Vec<Result<(), Refusal>>,
) -> Vec<ReassignableTopicResponse> {
    let mut outcomes = outcomes.into_iter();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(outcomes.by_ref());
        let partitions = partitions.map(|(partition, outcome)| {
            let (code, text) = refusal::of_outcome(&outcome);
            ReassignablePartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
                .with_error_message(text)
        });
        ReassignableTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    topics.collect()
}
