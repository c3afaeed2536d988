//! ListOffsets: offsets by time, and the ends of a partition.

use std::collections::BTreeSet;
use std::rc::Rc;

use klamm_model::{LeaderEpoch, Offset, Timestamp};
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use klamm_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use klamm_storage::{Attempt, Log, PopulateTicket, ReadError, TimestampOffset};

use super::{errors, lookup};
use crate::background::POPULATE_ROUNDS_MAX;
use crate::dispatch::Call;
use crate::partition::Partition;
use crate::partition::driver::PartitionDriver;
use crate::shard::Shard;
use crate::tasks;

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
/// The first version whose clients know OFFSET_NOT_AVAILABLE (`ListOffsetsRequest`).
const OFFSET_NOT_AVAILABLE_FROM: i16 = 5;

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
    let asked = Asked::new(call, request);
    let (response, cold) = asked.look();
    if cold.is_empty() {
        asked.call.reply(response);
    } else {
        tasks::spawn(asked.answer_later(cold));
    }
}

/// A request, and what was found out about it.
struct Asked {
    call: Call,
    request: ListOffsetsRequest,
    duplicates: Duplicates,
    /// Whose records the disk does not give.
    unreadable: BTreeSet<Place>,
    /// How often something was brought into memory.
    rounds: usize,
}

/// The number of a topic in a request, and of a partition in the topic.
type Place = (usize, usize);

/// What is not in memory, and of which partition.
type Cold = (Place, Rc<Partition>, PopulateTicket);

impl Asked {
    fn new(call: Call, request: ListOffsetsRequest) -> Self {
        Self {
            call,
            duplicates: Duplicates::of(&request),
            request,
            unreadable: BTreeSet::new(),
            rounds: 0,
        }
    }

    /// Looks into every partition. If anything was cold, the response is not the answer.
    fn look(&self) -> (ListOffsetsResponse, Vec<Cold>) {
        let mut cold = Vec::new();
        let topics = self.request.topics.iter().enumerate();
        let topics = topics.map(|(nth, topic)| {
            let partitions = topic.partitions.iter().enumerate();
            let partitions = partitions.map(|(number, partition)| {
                let result = match self.find_in((nth, number), topic, partition) {
                    Ok(found) => Ok(found),
                    Err(Missing::Refused(error)) => Err(error),
                    Err(Missing::Cold(partition, ticket)) => {
                        cold.push(((nth, number), partition, ticket));
                        Ok(Found::NOTHING)
                    }
                };
                answer(self.call.version(), partition.partition_index, result)
            });
            ListOffsetsTopicResponse::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        let response = ListOffsetsResponse::default().with_topics(topics.collect());
        (response, cold)
    }

    fn find_in(
        &self,
        place: Place,
        topic: &ListOffsetsTopic,
        partition: &ListOffsetsPartition,
    ) -> Result<Found, Missing> {
        if self.duplicates.contains(topic, partition) {
            return Err(ErrorCode::InvalidRequest.into());
        }
        check_timestamp(partition.timestamp, self.call.version())?;
        if self.unreadable.contains(&place) {
            return Err(ErrorCode::KafkaStorageError.into());
        }
        let read_committed = self.request.isolation_level == READ_COMMITTED;
        let waits = self.rounds >= POPULATE_ROUNDS_MAX;
        find(&self.call.shard, topic, partition, read_committed, waits)
    }

    /// Brings into memory what was missing, and looks again, until nothing is.
    async fn answer_later(mut self, mut cold: Vec<Cold>) {
        loop {
            self.populate(cold).await;
            let response;
            (response, cold) = self.look();
            if cold.is_empty() {
                return self.call.reply(response);
            }
        }
    }

    async fn populate(&mut self, cold: Vec<Cold>) {
        self.rounds += 1;
        let (places, tickets): (Vec<_>, Vec<_>) = cold
            .into_iter()
            .map(|(place, partition, ticket)| ((place, partition), ticket))
            .unzip();
        let populated = self.call.shard.background.populate_all(tickets).await;
        for ((place, partition), populated) in places.into_iter().zip(populated) {
            let told = partition.driver_mut().log_mut().populated(populated);
            if let Err(error) = told {
                tracing::error!(partition = %partition.id(), %error, "offsets cannot be looked up");
                self.unreadable.insert(place);
            }
        }
    }
}

/// Why nothing is said about a partition.
enum Missing {
    Refused(ErrorCode),
    Cold(Rc<Partition>, PopulateTicket),
}

impl From<ErrorCode> for Missing {
    fn from(error: ErrorCode) -> Self {
        Self::Refused(error)
    }
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
            .with_error_code(as_told(version, error).code())
            .with_offset(-1)
            .with_timestamp(-1),
    }
}

/// Older clients do not know that an offset may be told later (KIP-207).
fn as_told(version: i16, error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::OffsetNotAvailable if version < OFFSET_NOT_AVAILABLE_FROM => {
            ErrorCode::LeaderNotAvailable
        }
        error => error,
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
        let mut seen = BTreeSet::new();
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
    waits: bool,
) -> Result<Found, Missing> {
    let partition = lookup::by_name(shard, &topic.name, wanted.partition_index)?;
    let mut driver = partition.driver_mut();
    if !driver.is_leader() {
        return Err(ErrorCode::NotLeaderOrFollower.into());
    }
    errors::check_leader_epoch(wanted.current_leader_epoch, driver.leader_epoch())?;
    let upper = if read_committed {
        driver.last_stable_offset()
    } else {
        driver.high_watermark()
    };
    match wanted.timestamp {
        LATEST if driver.is_high_watermark_behind() => Err(ErrorCode::OffsetNotAvailable.into()),
        LATEST => Ok(at(upper, driver.leader_epoch())),
        EARLIEST | EARLIEST_LOCAL => Ok(earliest(&driver)),
        // Nothing is in an archive, and nothing waits to be.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(Found::NOTHING),
        timestamp => {
            let found = look_up(driver.log_mut(), timestamp, upper, waits);
            record(&partition, found)
        }
    }
}

/// `waits` is for the last resort: this thread waits for the disk.
fn look_up(
    log: &mut Log,
    timestamp: i64,
    upper: Offset,
    waits: bool,
) -> Result<Attempt<Option<TimestampOffset>>, ReadError> {
    match (timestamp, waits) {
        (MAX_TIMESTAMP, false) => log.try_max_timestamp(),
        (MAX_TIMESTAMP, true) => log.max_timestamp().map(Attempt::Done),
        (_, false) => log.try_offset_for_timestamp(Timestamp(timestamp), upper),
        (_, true) => log
            .offset_for_timestamp(Timestamp(timestamp), upper)
            .map(Attempt::Done),
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
    found: Result<Attempt<Option<TimestampOffset>>, ReadError>,
) -> Result<Found, Missing> {
    match found {
        Ok(Attempt::Done(Some(found))) => Ok(Found {
            offset: found.offset.get(),
            timestamp: found.timestamp.millis(),
            leader_epoch: found.leader_epoch.0,
        }),
        Ok(Attempt::Done(None)) => Ok(Found::NOTHING),
        Ok(Attempt::Cold(ticket)) => Err(Missing::Cold(partition.clone(), ticket)),
        Err(error) => {
            tracing::error!(partition = %partition.id(), %error, "offsets cannot be looked up");
            Err(errors::of_read(&error).into())
        }
    }
}
