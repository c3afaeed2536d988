//! OffsetForLeaderEpoch: where an epoch ends, so that readers find out what was cut off (KIP-320).

use klamm_model::LeaderEpoch;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
};
use klamm_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use super::{errors, lookup};
use crate::dispatch::Call;
use crate::shard::Shard;

pub(crate) fn handle(call: Call, request: OffsetForLeaderEpochRequest) {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let response = EpochEndOffset::default().with_partition(wanted.partition);
            match find(&call.shard, &topic.topic, wanted) {
                Ok(Some((epoch, end_offset))) => response
                    .with_leader_epoch(epoch)
                    .with_end_offset(end_offset),
                Ok(None) => response,
                Err(error) => response.with_error_code(error.code()),
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    let response = OffsetForLeaderEpochResponse::default().with_topics(topics.collect());
    call.reply(response);
}

fn find(
    shard: &Shard,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<Option<(i32, i64)>, ErrorCode> {
    let partition = lookup::by_name(shard, topic, wanted.partition)?;
    let driver = partition.driver();
    if !driver.is_leader() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    errors::check_leader_epoch(wanted.current_leader_epoch, driver.leader_epoch())?;
    let asked = LeaderEpoch(wanted.leader_epoch);
    Ok(driver
        .log()
        .epoch_end_offset(asked)
        .map(|(epoch, end)| (epoch.0, end.get())))
}
