//! One look at the partitions of a fetch.

use bytes::Bytes;
use klamm_model::record_batch::{BatchHeader, Compression};
use klamm_model::{LeaderEpoch, Offset, ProducerId};
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::{AbortedTransaction, EpochEndOffset, FetchablePartition};
use klamm_storage::{Attempt, PopulateTicket, ReadError, ReadResult};

use super::plan::{Plan, PlannedPartition};
use crate::handler::errors;
use crate::partition::driver::PartitionDriver;

/// The first version in which batches compressed with zstd may be returned (KIP-110).
const ZSTD_FROM: i16 = 10;

/// What the partitions of a plan hold right now.
pub(super) struct Look {
    /// Which partition of the plan it is, in their order, and what was found; without what the
    /// client knows already.
    pub(super) partitions: Vec<(usize, Found)>,
    pub(super) bytes: usize,
    /// Something that the client should be told without waiting.
    pub(super) urgent: bool,
    /// Of some partition it is not known yet who leads it next; nothing is said of it until then.
    pub(super) awaits_successor: bool,
    /// What is not in memory, and of which partition of the plan. If there is any, the look has to
    /// be repeated after it was brought there: what was found is not the answer.
    pub(super) cold: Vec<(usize, PopulateTicket)>,
}

/// What one look may return.
#[derive(Clone, Copy)]
struct Limits {
    bytes: usize,
    /// The first batch may be larger.
    at_least_one: bool,
    /// What is not in memory is waited for here.
    waits: bool,
}

/// Why there are no records of a partition.
enum Unread {
    Refused(ErrorCode),
    Cold(PopulateTicket),
}

impl From<ErrorCode> for Unread {
    fn from(error: ErrorCode) -> Self {
        Self::Refused(error)
    }
}

/// What one of them holds.
pub(super) struct Found {
    pub(super) partition: FetchablePartition,
    /// In the batches that were found.
    pub(super) records: u64,
    /// Of those batches.
    pub(super) bytes: usize,
}

/// Reads all partitions of the plan, within its limits. At least one batch is returned however
/// large it is, so that no client gets stuck. `waits` is for the last resort: this thread waits
/// for the disk.
pub(super) fn look(plan: &Plan, waits: bool) -> Look {
    let mut look = Look {
        partitions: Vec::with_capacity(plan.answer_capacity()),
        bytes: 0,
        urgent: false,
        awaits_successor: false,
        cold: Vec::new(),
    };
    let mut budget = plan.bytes_max;
    for (nth, planned) in plan.partitions.iter().enumerate() {
        let limits = Limits {
            bytes: budget.min(planned.bytes_max),
            at_least_one: look.bytes == 0 && look.cold.is_empty(),
            waits,
        };
        let found = match read_partition(plan, planned, limits) {
            Ok(found) => found,
            Err(Unread::Refused(error)) if plan.awaits_successor(planned, error) => {
                look.awaits_successor = true;
                unread(planned).into()
            }
            Err(Unread::Refused(error)) => refused(planned.index, error).into(),
            Err(Unread::Cold(ticket)) => {
                // It will take its share of the answer: for what has no place in it then, nobody
                // has to wait.
                budget = budget.saturating_sub(ticket.size_bytes().min(limits.bytes));
                look.cold.push((nth, ticket));
                refused(planned.index, ErrorCode::None).into()
            }
        };
        budget = budget.saturating_sub(found.bytes);
        look.bytes += found.bytes;
        let partition = &found.partition;
        look.urgent |= partition.error_code != 0
            || partition.diverging_epoch.is_some()
            || partition.preferred_read_replica >= 0;
        if plan.is_news(nth, partition) {
            look.partitions.push((nth, found));
        }
    }
    look
}

fn read_partition(
    plan: &Plan,
    planned: &PlannedPartition,
    limits: Limits,
) -> Result<Found, Unread> {
    let partition = planned.partition.as_ref().map_err(|error| *error)?;
    // Deleted, or gone to another broker, while the consumer waited.
    if partition.has_left() {
        return Err(ErrorCode::NotLeaderOrFollower.into());
    }
    if partition.is_deleted() {
        return Err(plan.unknown_topic().into());
    }
    if planned.unreadable.get() {
        return Err(ErrorCode::KafkaStorageError.into());
    }
    read_from(plan, planned, &mut partition.driver_mut(), limits)
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

/// A partition that is answered without records, and without an error.
fn unread(planned: &PlannedPartition) -> FetchablePartition {
    match &planned.partition {
        Ok(partition) => with_watermarks(planned, &partition.driver()),
        Err(_) => refused(planned.index, ErrorCode::None),
    }
}

/// An answer without records.
fn with_watermarks(planned: &PlannedPartition, driver: &PartitionDriver) -> FetchablePartition {
    let is_behind = driver.is_leader() && driver.is_high_watermark_behind();
    let high_watermark = driver.high_watermark();
    let is_known = is_told(high_watermark, planned.fetch_offset, is_behind);
    let told = |offset: Offset| if is_known { offset.get() } else { -1 };
    FetchablePartition {
        high_watermark: told(high_watermark),
        last_stable_offset: told(driver.last_stable_offset()),
        log_start_offset: driver.log_start_offset().get(),
        ..refused(planned.index, ErrorCode::None)
    }
}

/// After a crash a replica knows of no high watermark, and a new leader perhaps of a lower one than
/// the leader before it. None is told before the leader has caught up, nor one below where the
/// consumer stands, who has been told more elsewhere: clients compute their lag from it.
fn is_told(high_watermark: Offset, fetch_offset: i64, is_behind: bool) -> bool {
    !is_behind && high_watermark.get() >= fetch_offset
}

fn read_from(
    plan: &Plan,
    planned: &PlannedPartition,
    driver: &mut PartitionDriver,
    limits: Limits,
) -> Result<Found, Unread> {
    // A replica that is cut off has no news for anybody: whoever believes that it leads must not
    // wait here.
    let may_serve = driver.is_leader() || plan.may_follow && driver.knows_leader();
    if driver.offline().is_some() || !may_serve {
        return Err(ErrorCode::NotLeaderOrFollower.into());
    }
    errors::check_leader_epoch(planned.current_leader_epoch, driver.leader_epoch())?;
    let mut found = with_watermarks(planned, driver);
    if let Some(nearby) = planned.nearby {
        found.preferred_read_replica = nearby.0;
        return Ok(found.into());
    }
    let from = Offset::checked(planned.fetch_offset).ok_or(ErrorCode::OffsetOutOfRange)?;
    if let Some(diverging) = diverging_epoch(planned, driver, from) {
        found.diverging_epoch = Some(diverging);
        return Ok(found.into());
    }
    if from < driver.log_start_offset() || from > driver.log_end_offset() {
        return Err(ErrorCode::OffsetOutOfRange.into());
    }
    let upper = if plan.read_committed {
        driver.last_stable_offset()
    } else {
        driver.high_watermark()
    };
    let mut next_offset = from;
    let mut records = 0;
    if from < upper && (limits.bytes > 0 || limits.at_least_one) {
        let read = read_records(planned, driver, (from, upper), limits)?;
        if plan.version < ZSTD_FROM && holds_zstd(&read.records) {
            return Err(ErrorCode::UnsupportedCompressionType.into());
        }
        next_offset = read.next_offset;
        if !read.records.is_empty() {
            records = u64::try_from(next_offset.since(read.base_offset)).unwrap_or(0);
            found.records.push(read.records);
        }
    }
    if plan.read_committed {
        found.aborted_transactions = Some(aborted(planned, driver, from, next_offset)?);
    }
    Ok(Found {
        records,
        ..found.into()
    })
}

impl From<FetchablePartition> for Found {
    fn from(partition: FetchablePartition) -> Self {
        Self {
            records: 0,
            bytes: partition.records.iter().map(Bytes::len).sum(),
            partition,
        }
    }
}

fn read_records(
    planned: &PlannedPartition,
    driver: &mut PartitionDriver,
    (from, upper): (Offset, Offset),
    limits: Limits,
) -> Result<ReadResult, Unread> {
    let log = driver.log_mut();
    let attempt = match limits.waits {
        true => log
            .read(from, upper, limits.bytes, limits.at_least_one)
            .map(Attempt::Done),
        false => log.try_read(from, upper, limits.bytes, limits.at_least_one),
    };
    match attempt {
        Ok(Attempt::Done(read)) => Ok(read),
        Ok(Attempt::Cold(ticket)) => Err(Unread::Cold(ticket)),
        Err(error) => Err(of_read(planned, &error).into()),
    }
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
    if let (ReadError::Corrupt(_) | ReadError::Unreadable(_), Ok(partition)) =
        (error, &planned.partition)
    {
        tracing::error!(partition = %partition.id(), %error,
            "a consumer asked for records that cannot be read");
    }
    errors::of_read(error)
}

#[test]
fn a_high_watermark_below_what_a_consumer_has_seen_is_not_told() {
    let known = Offset::checked(7).expect("not negative");
    assert!(is_told(known, 7, false));
    assert!(!is_told(known, 8, false), "the consumer knows better");
    assert!(
        !is_told(known, 5, true),
        "another leader may have told more"
    );
}
