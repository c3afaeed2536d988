//! DeleteRecords: raises the first offset of partitions (KIP-107).

use std::rc::Rc;

use klamm_model::Offset;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest,
};
use klamm_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use klamm_storage::AppendError;

use super::lookup;
use crate::dispatch::Call;
use crate::shard::Shard;
use crate::upkeep::log_starts;

/// Stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

pub(crate) fn handle(call: Call, request: DeleteRecordsRequest) {
    let shard = call.shard.clone();
    call.reply_later(async move {
        let mut response = DeleteRecordsResponse::default();
        for topic in &request.topics {
            let mut result = DeleteRecordsTopicResult::default().with_name(topic.name.clone());
            for wanted in &topic.partitions {
                let deleted = delete(&shard, &topic.name, wanted).await;
                let partition = DeleteRecordsPartitionResult::default()
                    .with_partition_index(wanted.partition_index);
                result.partitions.push(match deleted {
                    Ok(start) => partition.with_low_watermark(start.get()),
                    Err(error) => partition
                        .with_low_watermark(-1)
                        .with_error_code(error.code()),
                });
            }
            response.topics.push(result);
        }
        response
    });
}

/// The new first offset. Durable before the answer, also with the followers that are reached, so that
/// nothing that was said to be gone comes back.
async fn delete(
    shard: &Rc<Shard>,
    topic: &str,
    wanted: &DeleteRecordsPartition,
) -> Result<Offset, ErrorCode> {
    let partition = lookup::by_name(shard, topic, wanted.partition_index)?;
    if partition.id().topic.is_internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    if partition.config().cleanup_policy.is_compact_only() {
        return Err(ErrorCode::PolicyViolation);
    }
    let ticket = {
        let mut driver = partition.driver_mut();
        if !driver.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let high_watermark = driver.high_watermark();
        let before = match wanted.offset {
            HIGH_WATERMARK => high_watermark,
            offset => Offset::checked(offset).ok_or(ErrorCode::OffsetOutOfRange)?,
        };
        if before > high_watermark {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let wall = shard.clock.wall();
        driver.delete_records(before, wall).map_err(of_log)?
    };
    if let Some(ticket) = ticket {
        shard
            .drop_segments(&partition, ticket)
            .await
            .map_err(of_log)?;
    }
    log_starts::tell_followers(shard, &partition).await;
    Ok(partition.driver().log_start_offset())
}

fn of_log(error: AppendError) -> ErrorCode {
    tracing::error!(%error, "records cannot be deleted");
    ErrorCode::KafkaStorageError
}
