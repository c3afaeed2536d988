//! DescribeLogDirs: what lies on which disk, and how much room there is (KIP-113, KIP-827).

use std::collections::BTreeMap;

use klamm_protocol::ErrorCode;
use klamm_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use klamm_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use klamm_protocol::messages::{TopicName, text_of};
use klamm_storage::LogDir;

use crate::dispatch::Call;
use crate::partition::Partition;
use crate::shard::Shard;

pub(crate) fn handle(call: Call, request: DescribeLogDirsRequest) {
    let shard = &call.shard;
    let results = shard
        .log_dirs
        .iter()
        .map(|dir| describe(shard, dir, &request));
    let response = DescribeLogDirsResponse::default().with_results(results.collect());
    call.reply(response);
}

fn describe(
    shard: &Shard,
    dir: &LogDir,
    request: &DescribeLogDirsRequest,
) -> DescribeLogDirsResult {
    let result =
        DescribeLogDirsResult::default().with_log_dir(text_of(&dir.path().display().to_string()));
    let space = match dir.space() {
        Ok(space) => space,
        Err(error) => {
            tracing::error!(%error, "room on the disk is not known");
            return result.with_error_code(ErrorCode::KafkaStorageError.code());
        }
    };
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in shard.topics.borrow().partitions() {
        let id = partition.id();
        if shard.log_dirs.holds(dir, id) && is_wanted(request, partition) {
            topics
                .entry(id.topic.to_string())
                .or_default()
                .push(describe_partition(partition));
        }
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        DescribeLogDirsTopic::default()
            .with_name(TopicName(text_of(&name)))
            .with_partitions(partitions)
    });
    result
        .with_topics(topics.collect())
        .with_total_bytes(i64::try_from(space.total_bytes).unwrap_or(i64::MAX))
        .with_usable_bytes(i64::try_from(space.available_bytes).unwrap_or(i64::MAX))
}

fn is_wanted(request: &DescribeLogDirsRequest, partition: &Partition) -> bool {
    let id = partition.id();
    let Some(topics) = &request.topics else {
        return true;
    };
    topics.iter().any(|topic| {
        **topic.topic == *id.topic.as_str() && topic.partitions.contains(&id.partition.0)
    })
}

fn describe_partition(partition: &Partition) -> DescribeLogDirsPartition {
    let driver = partition.driver();
    DescribeLogDirsPartition::default()
        .with_partition_index(partition.id().partition.0)
        .with_partition_size(i64::try_from(driver.log().size_bytes()).unwrap_or(i64::MAX))
        .with_offset_lag(
            driver
                .log_end_offset()
                .since(driver.high_watermark())
                .max(0),
        )
}
