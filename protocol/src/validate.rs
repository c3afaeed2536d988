//! What a producer sent, checked and made ready for the log, as Kafka's `LogValidator` and the
//! checks around it (`ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`) do.
//!
//! Not here: whether the sequence number follows on (the log's producer state), whether the
//! producer may write at all, and the offsets, which the log stamps.

mod error;

pub use error::{ProduceError, RecordFault, RecordFaultKind};

use bytes::Bytes;
use klamm_model::record_batch::{BatchHeader, Compression, RecordBatch, TimestampType};
use klamm_model::{Offset, Timestamp};

/// How much of a batch is looked at (`klamm.produce.validate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The header and the checksum. Records are walked only where a rule needs them: a compacted
    /// topic, another codec, or timestamps that the header does not show to be in range. A producer
    /// that lies about its maximal timestamp skews no more than the time index.
    Header,
    /// Every record, as Kafka does.
    Records,
}

/// What a topic, and the request's version, ask of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceRules {
    /// The version of the Produce request.
    pub version: i16,
    /// `max.message.bytes`: the largest batch, before and after another codec is applied.
    pub batch_bytes_max: usize,
    /// `max.decompressed.message.bytes`, or another cap on what the records of a batch inflate to.
    pub inflated_bytes_max: usize,
    /// `compression.type` with its level; `None` for `producer`, which keeps what came.
    pub compression: Option<(Compression, i32)>,
    /// Whether `cleanup.policy` has `compact`: records need keys.
    pub compacted: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how much older than the broker's time a record may be.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how much newer.
    pub timestamp_after_max_ms: i64,
    /// How much is looked at.
    pub depth: Depth,
}

/// A batch ready to be stamped and appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// The batch, with `LogAppendTime` in its header if the topic asks for it.
    pub batch: RecordBatch,
    /// What the answer's `log_append_time_ms` says; [`Timestamp::NONE`] for `CreateTime`.
    pub log_append_time: Timestamp,
    /// What was inflated to look at it, in bytes.
    pub inflated_bytes: usize,
}

const ZSTD_FROM: i16 = 7;

/// Checks the records of one partition of a Produce request.
pub fn validate(
    records: Option<Bytes>,
    rules: &ProduceRules,
    now: Timestamp,
) -> Result<Validated, ProduceError> {
    let mut batch = only_batch(records.unwrap_or_default(), rules)?;
    check_header(batch.header(), rules)?;
    let codec = batch
        .header()
        .compression()
        .ok_or(ProduceError::UnknownCodec)?;
    let target = rules.compression.filter(|(target, _)| *target != codec);
    let mut inflated_bytes = 0;
    if target.is_some() || needs_records(batch.header(), rules, now) {
        let inflated = batch
            .inflated_record_bytes(rules.inflated_bytes_max)
            .map_err(ProduceError::Records)?;
        if codec != Compression::None {
            inflated_bytes = inflated.len();
        }
        let max_timestamp = check_records(&batch, &inflated, rules, now)?;
        if let Some((target, level)) = target {
            batch = batch.recompressed(target, level, &inflated);
            check_size(batch.size_bytes(), rules)?;
        }
        if max_timestamp != batch.header().max_timestamp() {
            batch.correct_max_timestamp(max_timestamp);
        }
    }
    if rules.timestamp_type == TimestampType::CreateTime {
        return Ok(Validated {
            batch,
            log_append_time: Timestamp::NONE,
            inflated_bytes,
        });
    }
    batch.stamp_log_append_time(now);
    Ok(Validated {
        batch,
        log_append_time: now,
        inflated_bytes,
    })
}

/// The one whole batch there must be. Bytes behind it that do not make another are dropped, as
/// Kafka does. The size is checked before the checksum is computed.
fn only_batch(mut records: Bytes, rules: &ProduceRules) -> Result<RecordBatch, ProduceError> {
    let no_batch = ProduceError::NoBatch {
        version: rules.version,
    };
    let header = match BatchHeader::peek(&records) {
        Ok(header) => header,
        Err(error) => return Err(ProduceError::of_first_batch(error, no_batch, rules.version)),
    };
    if header.size_bytes() > records.len() {
        return Err(no_batch);
    }
    check_size(header.size_bytes(), rules)?;
    let batch = RecordBatch::parse(&mut records)
        .map_err(|error| ProduceError::of_first_batch(error, no_batch, rules.version))?;
    match BatchHeader::peek(&records) {
        Ok(second) if second.size_bytes() <= records.len() => Err(ProduceError::SeveralBatches {
            version: rules.version,
        }),
        _ => Ok(batch),
    }
}

fn check_size(size_bytes: usize, rules: &ProduceRules) -> Result<(), ProduceError> {
    if size_bytes > rules.batch_bytes_max {
        return Err(ProduceError::TooLarge {
            size_bytes,
            max_bytes: rules.batch_bytes_max,
        });
    }
    Ok(())
}

fn check_header(header: &BatchHeader, rules: &ProduceRules) -> Result<(), ProduceError> {
    let count = header.record_count();
    let last_offset_delta = header.last_offset_delta();
    if header.base_offset() != Offset::ZERO {
        return Err(ProduceError::BaseOffset(header.base_offset()));
    }
    if count <= 0 {
        return Err(ProduceError::Count(count));
    }
    if i64::from(last_offset_delta) + 1 != i64::from(count) {
        return Err(ProduceError::CountMismatch {
            last_offset_delta,
            count,
        });
    }
    if header.is_control() {
        return Err(ProduceError::Control);
    }
    if header.producer_id().0 > -1 && header.base_sequence() < 0 {
        return Err(ProduceError::Sequence {
            producer_id: header.producer_id().0,
            sequence: header.base_sequence(),
        });
    }
    if header.compression() == Some(Compression::Zstd) && rules.version < ZSTD_FROM {
        return Err(ProduceError::ZstdTooEarly {
            version: rules.version,
        });
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(ProduceError::TimestampType);
    }
    Ok(())
}

/// Whether the header alone cannot show that the batch is right.
fn needs_records(header: &BatchHeader, rules: &ProduceRules, now: Timestamp) -> bool {
    let in_range = |timestamp| {
        rules.timestamp_type == TimestampType::LogAppendTime
            || fault_of_timestamp(timestamp, rules, now).is_none()
    };
    rules.depth == Depth::Records
        || rules.compacted
        || !in_range(header.base_timestamp())
        || !in_range(header.max_timestamp())
}

/// Walks the records; their latest timestamp.
fn check_records(
    batch: &RecordBatch,
    inflated: &[u8],
    rules: &ProduceRules,
    now: Timestamp,
) -> Result<Timestamp, ProduceError> {
    let mut faults = Vec::new();
    let mut max_timestamp = Timestamp::NONE;
    for (index, facts) in (0..).zip(batch.facts(inflated)) {
        let facts = facts.map_err(ProduceError::Records)?;
        if facts.offset_delta != index {
            return Err(ProduceError::OffsetDelta {
                index,
                offset_delta: facts.offset_delta,
            });
        }
        max_timestamp = max_timestamp.max(facts.timestamp);
        let kind = if rules.compacted && facts.key.is_none() {
            Some(RecordFaultKind::NoKey)
        } else if rules.timestamp_type == TimestampType::CreateTime {
            fault_of_timestamp(facts.timestamp, rules, now)
        } else {
            None
        };
        if let Some(kind) = kind {
            faults.push(RecordFault { index, kind });
        }
    }
    if faults.is_empty() {
        Ok(max_timestamp)
    } else {
        Err(ProduceError::Faulty(faults))
    }
}

fn fault_of_timestamp(
    timestamp: Timestamp,
    rules: &ProduceRules,
    now: Timestamp,
) -> Option<RecordFaultKind> {
    let earliest = now.plus_millis(rules.timestamp_before_max_ms.saturating_neg());
    let latest = now.plus_millis(rules.timestamp_after_max_ms);
    let in_range = earliest <= timestamp && timestamp <= latest;
    if timestamp == Timestamp::NONE || in_range {
        return None;
    }
    Some(RecordFaultKind::Timestamp {
        timestamp,
        earliest,
        latest,
    })
}

#[cfg(test)]
mod tests;
