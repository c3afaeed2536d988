//! ListOffsets: offsets by time, and the ends of a partition.

use std::rc::Rc;

use klamm_model::{LeaderEpoch, Offset, Timestamp};
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use klamm_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use klamm_storage::ReadError;

use super::{errors, lookup};
use crate::dispatch::Call;
use crate::partition::Partition;
use crate::partition::driver::PartitionDriver;
use crate::shard::Shard;

/// Timestamps that stand for something else.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

const READ_COMMITTED: i8 = 1;
/// The first version whose answers carry leader epochs.
const LEADER_EPOCH_FROM: i16 = 4;

/// What is found; -1 stands for "nothing" (without being an error).
struct Found {
    offset: i64,
    timestamp: i64,
    leader_epoch: i32,
}

impl Found {
    const NOTHING: Self = Self {
        offset: -1,
        timestamp: -1,
        leader_epoch: -1,
    };
}

pub(crate) fn handle(call: Call, request: ListOffsetsRequest) {
    let read_committed = request.isolation_level == READ_COMMITTED;
    let duplicates = Duplicates::of(&request);
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let result = if duplicates.contains(topic, partition) {
                Err(ErrorCode::InvalidRequest)
            } else {
                check_timestamp(partition.timestamp, call.version())
                    .and_then(|()| find(&call.shard, topic, partition, read_committed))
            };
            answer(call.version(), partition.partition_index, result)
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    let response = ListOffsetsResponse::default().with_topics(topics.collect());
    call.reply(response);
}

fn answer(
    version: i16,
    index: i32,
    result: Result<Found, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
    match result {
        Ok(found) => {
            let response = response
                .with_offset(found.offset)
                .with_timestamp(found.timestamp);
            if version < LEADER_EPOCH_FROM {
                return response;
            }
            response.with_leader_epoch(found.leader_epoch)
        }
        Err(error) => response
            .with_error_code(error.code())
            .with_offset(-1)
            .with_timestamp(-1),
    }
}

/// A timestamp that stands for something else is only for versions that know it.
fn check_timestamp(timestamp: i64, version: i16) -> Result<(), ErrorCode> {
    let since = match timestamp {
        0.. => return Ok(()),
        LATEST | EARLIEST => 1,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    if version < since {
        return Err(ErrorCode::UnsupportedVersion);
    }
    Ok(())
}

/// Partitions that a request names more than once: Kafka refuses those.
struct Duplicates(Vec<(String, i32)>);

impl Duplicates {
    fn of(request: &ListOffsetsRequest) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        let mut twice = Vec::new();
        for topic in &request.topics {
            for partition in &topic.partitions {
                let key = (topic.name.to_string(), partition.partition_index);
                if !seen.insert(key.clone()) {
                    twice.push(key);
                }
            }
        }
        Self(twice)
    }

    fn contains(&self, topic: &ListOffsetsTopic, partition: &ListOffsetsPartition) -> bool {
        let index = partition.partition_index;
        self.0
            .iter()
            .any(|(name, number)| *number == index && **name == **topic.name)
    }
}

fn find(
    shard: &Shard,
    topic: &ListOffsetsTopic,
    wanted: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<Found, ErrorCode> {
    let partition = lookup::by_name(shard, &topic.name, wanted.partition_index)?;
    let mut driver = partition.driver_mut();
    if !driver.is_leader() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    errors::check_leader_epoch(wanted.current_leader_epoch, driver.leader_epoch())?;
    let upper = if read_committed {
        driver.last_stable_offset()
    } else {
        driver.high_watermark()
    };
    match wanted.timestamp {
        LATEST => Ok(at(upper, driver.leader_epoch())),
        EARLIEST | EARLIEST_LOCAL => Ok(earliest(&driver)),
        MAX_TIMESTAMP => {
            let found = driver.log_mut().max_timestamp();
            record(&partition, found)
        }
        // Nothing is in an archive, and nothing waits to be.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(Found::NOTHING),
        timestamp => {
            let found = driver
                .log_mut()
                .offset_for_timestamp(Timestamp(timestamp), upper);
            record(&partition, found)
        }
    }
}

fn at(offset: Offset, epoch: LeaderEpoch) -> Found {
    Found {
        offset: offset.get(),
        timestamp: -1,
        leader_epoch: epoch.0,
    }
}

fn earliest(driver: &PartitionDriver) -> Found {
    let start = driver.log_start_offset();
    let epoch = driver.log().leader_epochs().epoch_at(start);
    at(start, epoch.unwrap_or(LeaderEpoch::UNKNOWN))
}

fn record(
    partition: &Rc<Partition>,
    found: Result<Option<klamm_storage::TimestampOffset>, ReadError>,
) -> Result<Found, ErrorCode> {
    match found {
        Ok(Some(found)) => Ok(Found {
            offset: found.offset.get(),
            timestamp: found.timestamp.millis(),
            leader_epoch: found.leader_epoch.0,
        }),
        Ok(None) => Ok(Found::NOTHING),
        Err(error) => {
            tracing::error!(partition = %partition.id(), %error, "offsets cannot be looked up");
            Err(errors::of_read(&error))
        }
    }
}
