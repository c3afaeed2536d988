//! DescribeProducers: the idempotent producers a partition remembers (KIP-664).

use klamm_protocol::ErrorCode;
use klamm_protocol::messages::describe_producers_request::DescribeProducersRequest;
use klamm_protocol::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use klamm_protocol::messages::{ProducerId, text_of};

use super::lookup;
use crate::dispatch::Call;
use crate::shard::Shard;

pub(crate) fn handle(call: Call, request: DescribeProducersRequest) {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let response = PartitionResponse::default().with_partition_index(*index);
            match producers(&call.shard, &topic.name, *index) {
                Ok(producers) => response.with_active_producers(producers),
                Err(error) => response
                    .with_error_code(error.code())
                    .with_error_message(Some(text_of(error.message()))),
            }
        });
        TopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    let response = DescribeProducersResponse::default().with_topics(topics.collect());
    call.reply(response);
}

fn producers(shard: &Shard, topic: &str, index: i32) -> Result<Vec<ProducerState>, ErrorCode> {
    let partition = lookup::by_name(shard, topic, index)?;
    let driver = partition.driver();
    if !driver.is_leader() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    let states = driver.log().producers().iter().map(|(id, entry)| {
        ProducerState::default()
            .with_producer_id(ProducerId(id.0))
            .with_producer_epoch(i32::from(entry.epoch().0))
            .with_last_sequence(entry.last_sequence())
            .with_last_timestamp(entry.last_timestamp().millis())
            .with_coordinator_epoch(entry.coordinator_epoch())
            .with_current_txn_start_offset(
                entry
                    .transaction_start()
                    .map_or(-1, klamm_model::Offset::get),
            )
    });
    Ok(states.collect())
}
