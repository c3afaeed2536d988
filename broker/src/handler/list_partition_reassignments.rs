//! ListPartitionReassignments (KIP-455).

use klamm_metadata::controller::{OngoingReassignment, TopicReassignments, list_reassignments};
use klamm_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use klamm_protocol::messages::list_partition_reassignments_response::{
    ListPartitionReassignmentsResponse, OngoingPartitionReassignment, OngoingTopicReassignment,
};
use klamm_protocol::messages::{BrokerId, TopicName, text_of};

use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: &ListPartitionReassignmentsRequest) {
    let only: Option<Vec<_>> = request.topics.as_ref().map(|topics| {
        let named = topics
            .iter()
            .map(|topic| (topic.name.to_string(), topic.partition_indexes.clone()));
        named.collect()
    });
    let ongoing = list_reassignments(&call.shard.image(), only.as_deref());
    let topics = ongoing.iter().map(topic).collect();
    call.reply(ListPartitionReassignmentsResponse::default().with_topics(topics));
}

fn topic(ongoing: &TopicReassignments) -> OngoingTopicReassignment {
    OngoingTopicReassignment::default()
        .with_name(TopicName(text_of(ongoing.topic.as_str())))
        .with_partitions(ongoing.partitions.iter().map(partition).collect())
}

fn partition(ongoing: &OngoingReassignment) -> OngoingPartitionReassignment {
    let ids = |ids: &[klamm_model::BrokerId]| ids.iter().map(|id| BrokerId(id.0)).collect();
    OngoingPartitionReassignment::default()
        .with_partition_index(ongoing.partition.0)
        .with_replicas(ids(&ongoing.replicas))
        .with_adding_replicas(ids(&ongoing.adding))
        .with_removing_replicas(ids(&ongoing.removing))
}
