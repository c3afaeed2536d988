//! One look at the partitions of a fetch.

use bytes::Bytes;
use klamm_model::record_batch::{BatchHeader, Compression};
use klamm_model::{LeaderEpoch, Offset, ProducerId};
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::{AbortedTransaction, EpochEndOffset, FetchablePartition};
use klamm_storage::ReadError;

use super::plan::{Plan, PlannedPartition};
use crate::handler::errors;
use crate::partition::driver::PartitionDriver;

/// The first version in which batches compressed with zstd may be returned (KIP-110).
const ZSTD_FROM: i16 = 10;

/// What the partitions of a plan hold right now.
pub(super) struct Look {
    /// In the order of the plan.
    pub(super) partitions: Vec<FetchablePartition>,
    pub(super) bytes: usize,
    /// Something that the client should be told without waiting.
    pub(super) urgent: bool,
}

/// Reads all partitions of the plan, within its limits. At least one batch is returned however
/// large it is, so that no client gets stuck.
pub(super) fn look(plan: &Plan) -> Look {
    let mut look = Look {
        partitions: Vec::with_capacity(plan.partitions.len()),
        bytes: 0,
        urgent: false,
    };
    let mut budget = plan.bytes_max;
    for planned in &plan.partitions {
        let found = read_partition(plan, planned, budget, look.bytes == 0);
        let bytes: usize = found.records.iter().map(Bytes::len).sum();
        budget = budget.saturating_sub(bytes);
        look.bytes += bytes;
        look.urgent |= found.error_code != 0 || found.diverging_epoch.is_some();
        look.partitions.push(found);
    }
    look
}

fn read_partition(
    plan: &Plan,
    planned: &PlannedPartition,
    budget: usize,
    at_least_one: bool,
) -> FetchablePartition {
    let result = match &planned.partition {
        // Deleted while the consumer waited.
        Ok(partition) if partition.is_deleted() => Err(plan.unknown_topic()),
        Ok(partition) => {
            let mut driver = partition.driver_mut();
            read_from(plan, planned, &mut driver, budget, at_least_one)
        }
        Err(error) => Err(*error),
    };
    result.unwrap_or_else(|error| refused(planned.index, error))
}

/// A partition that is answered with nothing but an error.
fn refused(index: i32, error: ErrorCode) -> FetchablePartition {
    FetchablePartition {
        index,
        error_code: error.code(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        diverging_epoch: None,
        current_leader: None,
        aborted_transactions: None,
        preferred_read_replica: -1,
        records: Vec::new(),
    }
}

fn read_from(
    plan: &Plan,
    planned: &PlannedPartition,
    driver: &mut PartitionDriver,
    budget: usize,
    at_least_one: bool,
) -> Result<FetchablePartition, ErrorCode> {
    if !driver.is_leader() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    errors::check_leader_epoch(planned.current_leader_epoch, driver.leader_epoch())?;
    let from = Offset::checked(planned.fetch_offset).ok_or(ErrorCode::OffsetOutOfRange)?;
    let mut found = FetchablePartition {
        error_code: 0,
        high_watermark: driver.high_watermark().get(),
        last_stable_offset: driver.last_stable_offset().get(),
        log_start_offset: driver.log_start_offset().get(),
        ..refused(planned.index, ErrorCode::None)
    };
    if let Some(diverging) = diverging_epoch(planned, driver, from) {
        found.diverging_epoch = Some(diverging);
        return Ok(found);
    }
    if from < driver.log_start_offset() || from > driver.log_end_offset() {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let upper = if plan.read_committed {
        driver.last_stable_offset()
    } else {
        driver.high_watermark()
    };
    let bytes_max = budget.min(planned.bytes_max);
    let mut next_offset = from;
    if from < upper && (bytes_max > 0 || at_least_one) {
        let read = driver
            .log_mut()
            .read(from, upper, bytes_max, at_least_one)
            .map_err(|error| of_read(planned, &error))?;
        if plan.version < ZSTD_FROM && holds_zstd(&read.records) {
            return Err(ErrorCode::UnsupportedCompressionType);
        }
        next_offset = read.next_offset;
        if !read.records.is_empty() {
            found.records.push(read.records);
        }
    }
    if plan.read_committed {
        found.aborted_transactions = Some(aborted(planned, driver, from, next_offset)?);
    }
    Ok(found)
}

fn holds_zstd(records: &[u8]) -> bool {
    let mut rest = records;
    while let Ok(header) = BatchHeader::peek(rest) {
        if header.compression() == Some(Compression::Zstd) {
            return true;
        }
        rest = rest.get(header.size_bytes()..).unwrap_or_default();
    }
    false
}

fn aborted(
    planned: &PlannedPartition,
    driver: &mut PartitionDriver,
    from: Offset,
    next_offset: Offset,
) -> Result<Vec<AbortedTransaction>, ErrorCode> {
    if next_offset <= from {
        return Ok(Vec::new());
    }
    let aborted = driver
        .log_mut()
        .aborted_transactions(from, next_offset)
        .map_err(|error| of_read(planned, &error))?;
    let told = aborted.iter().map(|transaction| {
        let ProducerId(producer_id) = transaction.producer_id;
        AbortedTransaction {
            producer_id,
            first_offset: transaction.first_offset.get(),
        }
    });
    Ok(told.collect())
}

/// KIP-595: a reader whose last epoch ended earlier here than where it wants to read on has
/// records that were never committed.
fn diverging_epoch(
    planned: &PlannedPartition,
    driver: &PartitionDriver,
    from: Offset,
) -> Option<EpochEndOffset> {
    let last_fetched = LeaderEpoch(planned.last_fetched_epoch);
    last_fetched.term()?;
    let undefined = EpochEndOffset {
        epoch: -1,
        end_offset: -1,
    };
    match driver.log().epoch_end_offset(last_fetched) {
        Some((epoch, end)) if epoch < last_fetched || end < from => Some(EpochEndOffset {
            epoch: epoch.0,
            end_offset: end.get(),
        }),
        Some(_) => None,
        None => Some(undefined),
    }
}

fn of_read(planned: &PlannedPartition, error: &ReadError) -> ErrorCode {
    if let (ReadError::Corrupt(_), Ok(partition)) = (error, &planned.partition) {
        tracing::error!(partition = %partition.id(), %error, "a consumer asked for damaged records");
    }
    errors::of_read(error)
}
