//! From the bytes of one partition to a staged batch.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use klamm_metadata::TopicConfig;
use klamm_model::Timestamp;
use klamm_model::record_batch::Compression;
use klamm_protocol::ErrorCode;
use klamm_protocol::validate::{Depth, ProduceError, ProduceRules, Validated, validate};

use super::Acks;
use super::pending::{PartitionReply, PendingProduce};
use crate::config::ProduceValidation;
use crate::dispatch::Call;
use crate::handler::errors;
use crate::partition::Partition;
use crate::partition::driver::{AppendOrigin, Staged};
use crate::shard::Shard;

/// What the records of a batch may inflate to in any case.
const INFLATED_BYTES_FLOOR: usize = 64 << 20;
/// How many times its own size, if that is more.
const INFLATED_TIMES: usize = 16;

/// What all batches of a request may inflate to, beside [`INFLATED_TIMES`] their size: one thread
/// inflates them, and a hundred thousand bytes can hold gigabytes.
const INFLATED_BYTES_OF_REQUEST: usize = 1 << 30;

/// A bound of the whole batch, which lies in memory at once. `max.decompressed.message.bytes` is
/// Kafka's, of one record; its default is without effect. Logs can compress to a hundredth and
/// less, so a small batch may grow by far more than a large one.
fn inflated_bytes_max(config: &TopicConfig) -> usize {
    let of_batch = (config.max_message_bytes as usize).saturating_mul(INFLATED_TIMES);
    let by_setting = config.max_decompressed_message_bytes as usize;
    by_setting.min(of_batch.max(INFLATED_BYTES_FLOOR))
}

/// A replica takes part if it has been heard from within this time; it is heard every 100 ms.
const RESPONSE_TIME: Duration = Duration::from_secs(2);

/// What Kafka's own admin client calls itself, which alone may write to internal topics.
const ADMIN_CLIENT: &str = "__admin_client";

/// Decides about the batches of one request.
pub(super) struct Admission {
    shard: Rc<Shard>,
    version: i16,
    acks: Acks,
    depth: Depth,
    now: Timestamp,
    internal_topics_allowed: bool,
    /// What the batches that are left may inflate to.
    inflated_bytes_left: Cell<usize>,
}

impl Admission {
    pub(super) fn new(call: &Call, acks: Acks) -> Self {
        let shard = call.shard.clone();
        let depth = match shard.config().producers.validation {
            ProduceValidation::Header => Depth::Header,
            ProduceValidation::Records => Depth::Records,
        };
        Self {
            version: call.version(),
            acks,
            internal_topics_allowed: call.client_id() == ADMIN_CLIENT,
            depth,
            inflated_bytes_left: Cell::new(INFLATED_BYTES_OF_REQUEST),
            now: shard.clock.wall(),
            shard,
        }
    }

    /// Stages the batch; `pending` is told, under the number `part`, when it has got far enough.
    pub(super) fn admit(
        &self,
        partition: &Rc<Partition>,
        records: Option<Bytes>,
        pending: Rc<PendingProduce>,
        part: usize,
    ) -> Result<PartitionReply, PartitionReply> {
        if partition.id().topic.is_internal() && !self.internal_topics_allowed {
            return Err(PartitionReply::error(ErrorCode::InvalidTopicException));
        }
        let config = partition.config();
        self.check_replicas(partition, &config)?;
        let validated = self
            .validate(records, &config)
            .map_err(|error| self.refusal(partition, &error))?;
        let target = Some((pending as Rc<_>, part));
        let when = self.acks.when();
        let staged = self
            .shard
            .append(
                partition,
                validated.batch,
                AppendOrigin::Client,
                when,
                target,
            )
            .map_err(|error| PartitionReply {
                message: Some(error.to_string()),
                ..PartitionReply::error(errors::of_stage(&error))
            })?;
        let (base_offset, log_append_time) = match staged {
            Staged::Appended { base_offset, .. } => (base_offset, validated.log_append_time),
            // As the original was answered.
            Staged::Duplicate {
                base_offset,
                timestamp,
                ..
            } if validated.log_append_time != Timestamp::NONE => (base_offset, timestamp),
            Staged::Duplicate { base_offset, .. } => (base_offset, Timestamp::NONE),
        };
        Ok(PartitionReply {
            base_offset: Some(base_offset),
            log_append_time,
            log_start_offset: Some(partition.driver().log_start_offset()),
            ..PartitionReply::error(ErrorCode::None)
        })
    }

    /// Whether so many replicas take part as the topic wants before it acknowledges anything.
    fn check_replicas(
        &self,
        partition: &Partition,
        config: &TopicConfig,
    ) -> Result<(), PartitionReply> {
        let wanted = usize::try_from(config.min_insync_replicas).unwrap_or(usize::MAX);
        let is_enough = || {
            let now = self.shard.clock.now();
            partition.driver().responsive_voters(now, RESPONSE_TIME) >= wanted
                && partition.has_enough_in_sync()
        };
        // A leader always has itself.
        match self.acks == Acks::All && wanted > 1 && !is_enough() {
            true => Err(PartitionReply::error(ErrorCode::NotEnoughReplicas)),
            false => Ok(()),
        }
    }

    /// Checks the records, and counts what they inflate to.
    fn validate(
        &self,
        records: Option<Bytes>,
        config: &TopicConfig,
    ) -> Result<Validated, ProduceError> {
        let size_bytes = records.as_ref().map_or(0, Bytes::len);
        let left = self.inflated_bytes_left.get() + INFLATED_TIMES * size_bytes;
        let mut rules = self.rules(config);
        rules.inflated_bytes_max = rules.inflated_bytes_max.min(left);
        let validated = validate(records, &rules, self.now);
        let inflated_bytes = match &validated {
            Ok(validated) => validated.inflated_bytes,
            // As far as it went.
            Err(ProduceError::Records(_)) => rules.inflated_bytes_max,
            Err(_) => 0,
        };
        self.inflated_bytes_left
            .set(left - inflated_bytes.min(left));
        validated
    }

    fn rules(&self, config: &TopicConfig) -> ProduceRules {
        let level = |codec| match codec {
            Compression::Gzip => config.compression_gzip_level,
            Compression::Lz4 => config.compression_lz4_level,
            Compression::Zstd => config.compression_zstd_level,
            Compression::None | Compression::Snappy => 0,
        };
        ProduceRules {
            version: self.version,
            batch_bytes_max: config.max_message_bytes as usize,
            inflated_bytes_max: inflated_bytes_max(config),
            compression: config.compression_type.map(|codec| (codec, level(codec))),
            compacted: config.cleanup_policy.compact,
            timestamp_type: config.message_timestamp_type,
            timestamp_before_max_ms: config.message_timestamp_before_max_ms,
            timestamp_after_max_ms: config.message_timestamp_after_max_ms,
            depth: self.depth,
        }
    }

    fn refusal(&self, partition: &Partition, error: &ProduceError) -> PartitionReply {
        tracing::debug!(partition = %partition.id(), %error, "batch refused");
        PartitionReply {
            log_start_offset: Some(partition.driver().log_start_offset()),
            message: Some(error.message(partition.id())),
            record_errors: error
                .record_faults()
                .iter()
                .map(|fault| (fault.index, fault.kind.to_string()))
                .collect(),
            ..PartitionReply::error(error.code())
        }
    }
}
