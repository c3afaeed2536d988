//! The settings of a topic: the table, and the typed values that the log and the produce path use.
//!
//! Not here: how a value is found among the layers of configuration (see [`crate::layers`]).

use std::collections::BTreeMap;

use klamm_model::record_batch::{Compression, TimestampType};

use crate::layers::BrokerLayers;
use crate::setting::{ConfigError, Value};

mod remote;
mod table;
mod throttled;

pub use remote::{RemoteConfig, RemoteRefusal};
pub use table::TOPIC_SETTINGS;
pub use throttled::ThrottledReplicas;

/// Names and values as given, sorted by name.
pub type Configs = BTreeMap<String, String>;

/// The settings in force for one topic, resolved: what is "no limit" in Kafka's numbers is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `retention.ms`; `None` is for ever.
    pub retention_ms: Option<u64>,
    /// `retention.bytes`; `None` is without limit.
    pub retention_bytes: Option<u64>,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: u64,
    /// `flush.messages`; `None` is never, `Some(1)` is strict: acknowledged means synced.
    pub flush_messages: Option<u64>,
    /// `flush.ms`; `None` is never.
    pub flush_ms: Option<u64>,
    /// `segment.bytes`, or `internal.segment.bytes` where that is set.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: u64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: u64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `max.message.bytes`.
    pub max_message_bytes: u32,
    /// `max.decompressed.message.bytes`.
    pub max_decompressed_message_bytes: u32,
    /// `compression.type`; `None` is `producer`: batches stay as they come.
    pub compression_type: Option<Compression>,
    /// `compression.gzip.level`; -1 is the codec's default.
    pub compression_gzip_level: i32,
    /// `compression.lz4.level`.
    pub compression_lz4_level: i32,
    /// `compression.zstd.level`.
    pub compression_zstd_level: i32,
    /// `message.timestamp.type`.
    pub message_timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; the largest `i64` is without limit.
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`; the largest `i64` is without limit.
    pub message_timestamp_after_max_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: u64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: u64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: u64,
    /// `min.cleanable.dirty.ratio`, 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: u32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election_enable: bool,
    /// Settings of remote storage, as far as they say what becomes of the records.
    pub remote: RemoteConfig,
    /// `leader.replication.throttled.replicas`.
    pub leader_throttled: ThrottledReplicas,
    /// `follower.replication.throttled.replicas`.
    pub follower_throttled: ThrottledReplicas,
}

/// What becomes of old records; neither is "keep all".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Segments past the limits of retention are removed.
    pub delete: bool,
    /// The newest record of each key is kept; such a topic demands keys.
    pub compact: bool,
}

impl CleanupPolicy {
    /// Whether old records only go by compaction: then `DeleteRecords` is refused.
    pub const fn is_compact_only(self) -> bool {
        self.compact && !self.delete
    }
}

impl TopicConfig {
    /// What a topic without settings of its own has on this broker.
    pub fn defaults(layers: &BrokerLayers<'_>) -> Self {
        let mut config = Self::of_kafka();
        for row in TOPIC_SETTINGS.rows() {
            if let Some(value) = layers.topic_default(row) {
                config.set(row.name, &value);
            }
        }
        config
    }

    /// What a topic with `overrides` has, where `self` is [`TopicConfig::defaults`]. A value that
    /// does not parse (written by another version of Klamm) is passed over: the default holds.
    #[must_use]
    pub fn with(&self, overrides: &Configs) -> Self {
        let mut config = self.clone();
        // `internal.segment.bytes` sorts before `segment.bytes`, and must win.
        for (name, text) in overrides.iter().rev() {
            let row = TOPIC_SETTINGS.get(name);
            if let Some((row, Ok(value))) = row.map(|row| (row, row.parse(text))) {
                config.set(row.name, &value);
            }
        }
        config
    }

    /// Checks the settings of a topic, each alone and against one another, as Kafka's
    /// `LogConfig.validate` does; `self` is [`TopicConfig::defaults`].
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, overrides: &Configs) -> Result<(), ConfigError> {
        for (name, text) in overrides {
            TOPIC_SETTINGS.check("topic", name, text)?;
        }
        let config = self.with(overrides);
        if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
            return Err(ConfigError::CompactionLag {
                least: config.min_compaction_lag_ms,
                most: config.max_compaction_lag_ms,
            });
        }
        Ok(config.check_remote()?)
    }

    /// The defaults of the table, with no broker behind it.
    fn of_kafka() -> Self {
        let mut config = Self::BLANK;
        for row in TOPIC_SETTINGS.rows() {
            if let Some(value) = row.default_value() {
                config.set(row.name, &value);
            }
        }
        config
    }

    /// Overwritten row by row: a test compares it with the table.
    const BLANK: Self = Self {
        cleanup_policy: CleanupPolicy {
            delete: false,
            compact: false,
        },
        retention_ms: None,
        retention_bytes: None,
        file_delete_delay_ms: 0,
        flush_messages: None,
        flush_ms: None,
        segment_bytes: 0,
        segment_ms: 0,
        segment_jitter_ms: 0,
        segment_index_bytes: 0,
        index_interval_bytes: 0,
        preallocate: false,
        max_message_bytes: 0,
        max_decompressed_message_bytes: 0,
        compression_type: None,
        compression_gzip_level: 0,
        compression_lz4_level: 0,
        compression_zstd_level: 0,
        message_timestamp_type: TimestampType::CreateTime,
        message_timestamp_before_max_ms: 0,
        message_timestamp_after_max_ms: 0,
        delete_retention_ms: 0,
        min_compaction_lag_ms: 0,
        max_compaction_lag_ms: 0,
        min_cleanable_dirty_ratio: 0.0,
        min_insync_replicas: 0,
        unclean_leader_election_enable: false,
        remote: RemoteConfig::NONE,
        leader_throttled: ThrottledReplicas::NONE,
        follower_throttled: ThrottledReplicas::NONE,
    };

    fn set(&mut self, name: &str, value: &Value) {
        match name {
            "cleanup.policy" => self.cleanup_policy = cleanup_policy(value),
            "retention.ms" => self.retention_ms = limit(value),
            "retention.bytes" => self.retention_bytes = limit(value),
            "file.delete.delay.ms" => self.file_delete_delay_ms = unsigned(value),
            "flush.messages" => self.flush_messages = limit(value),
            "flush.ms" => self.flush_ms = limit(value),
            "segment.bytes" | "internal.segment.bytes" => self.segment_bytes = small(value),
            "segment.ms" => self.segment_ms = unsigned(value),
            "segment.jitter.ms" => self.segment_jitter_ms = unsigned(value),
            "segment.index.bytes" => self.segment_index_bytes = small(value),
            "index.interval.bytes" => self.index_interval_bytes = small(value),
            "preallocate" => self.preallocate = *value == Value::Boolean(true),
            "max.message.bytes" => self.max_message_bytes = small(value),
            "max.decompressed.message.bytes" => self.max_decompressed_message_bytes = small(value),
            "compression.type" => self.compression_type = compression(value),
            "compression.gzip.level" => self.compression_gzip_level = signed(value),
            "compression.lz4.level" => self.compression_lz4_level = signed(value),
            "compression.zstd.level" => self.compression_zstd_level = signed(value),
            "message.timestamp.type" => self.message_timestamp_type = timestamp_type(value),
            "message.timestamp.before.max.ms" => {
                self.message_timestamp_before_max_ms = number(value)
            }
            "message.timestamp.after.max.ms" => self.message_timestamp_after_max_ms = number(value),
            "delete.retention.ms" => self.delete_retention_ms = unsigned(value),
            "min.compaction.lag.ms" => self.min_compaction_lag_ms = unsigned(value),
            "max.compaction.lag.ms" => self.max_compaction_lag_ms = unsigned(value),
            "min.cleanable.dirty.ratio" => self.min_cleanable_dirty_ratio = real(value),
            "min.insync.replicas" => self.min_insync_replicas = small(value),
            "unclean.leader.election.enable" => {
                self.unclean_leader_election_enable = *value == Value::Boolean(true);
            }
            "leader.replication.throttled.replicas" => {
                self.leader_throttled = ThrottledReplicas::of(value);
            }
            "follower.replication.throttled.replicas" => {
                self.follower_throttled = ThrottledReplicas::of(value);
            }
            "remote.storage.enable" => self.remote.is_enabled = *value == Value::Boolean(true),
            "local.retention.ms" => self.remote.local_retention_ms = number(value),
            "local.retention.bytes" => self.remote.local_retention_bytes = number(value),
            "remote.log.copy.disable" => {
                self.remote.copies_nothing_more = *value == Value::Boolean(true);
            }
            // Accepted, and without effect here: the table says why.
            _ => {}
        }
    }
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Number(number) => *number,
        _ => unreachable_kind(value),
    }
}

fn real(value: &Value) -> f64 {
    match value {
        Value::Real(number) => *number,
        _ => unreachable_kind(value),
    }
}

fn unsigned(value: &Value) -> u64 {
    u64::try_from(number(value)).unwrap_or(0)
}

fn small(value: &Value) -> u32 {
    u32::try_from(number(value)).unwrap_or(0)
}

fn signed(value: &Value) -> i32 {
    i32::try_from(number(value)).unwrap_or(0)
}

/// `None` for negative numbers and for the largest: Kafka's two ways to say "never".
fn limit(value: &Value) -> Option<u64> {
    let number = number(value);
    u64::try_from(number).ok().filter(|_| number != i64::MAX)
}

fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) => text,
        _ => unreachable_kind(value),
    }
}

fn cleanup_policy(value: &Value) -> CleanupPolicy {
    let Value::List(names) = value else {
        return unreachable_kind(value);
    };
    let names = |name| names.iter().any(|n| n == name);
    CleanupPolicy {
        delete: names("delete"),
        compact: names("compact"),
    }
}

fn compression(value: &Value) -> Option<Compression> {
    match text(value) {
        "uncompressed" => Some(Compression::None),
        "gzip" => Some(Compression::Gzip),
        "snappy" => Some(Compression::Snappy),
        "lz4" => Some(Compression::Lz4),
        "zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

fn timestamp_type(value: &Value) -> TimestampType {
    match text(value) {
        "LogAppendTime" => TimestampType::LogAppendTime,
        _ => TimestampType::CreateTime,
    }
}

/// A row's kind decides the variant of its values, so this is a slip between table and `set`.
fn unreachable_kind<T>(value: &Value) -> T {
    panic!("a value of another kind than its row value={value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(pairs: &[(&str, &str)]) -> Configs {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn the_table_holds_every_topic_setting_of_kafka_4_4_and_each_default_parses() {
        let mut names: Vec<_> = TOPIC_SETTINGS.rows().map(|row| row.name).collect();
        // 37 that are shown, and one for tests.
        assert_eq!(names.len(), 38);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 38);
        for row in TOPIC_SETTINGS.rows() {
            assert!(!row.sentence.is_empty(), "{} has no sentence", row.name);
            let _ = row.default_value();
        }
    }

    #[test]
    fn no_setting_at_all_is_kafkas_default_but_for_the_sync() {
        let config = TopicConfig::of_kafka();
        assert_eq!(config.retention_ms, Some(604_800_000));
        assert_eq!(config.retention_bytes, None);
        assert_eq!(config.segment_bytes, 1 << 30);
        assert_eq!(config.flush_ms, Some(1000));
        assert_eq!(config.flush_messages, None);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.compression_type, None);
        assert!(config.cleanup_policy.delete && !config.cleanup_policy.compact);
    }

    #[test]
    fn a_topics_own_settings_win_and_the_internal_one_over_its_bounded_sister() {
        let config = TopicConfig::of_kafka().with(&configs(&[
            ("cleanup.policy", "compact"),
            ("compression.type", "zstd"),
            ("internal.segment.bytes", "100"),
            ("retention.ms", "-1"),
            ("retention.bytes", "nonsense"),
            ("segment.bytes", "2097152"),
            ("gone.in.this.version", "x"),
        ]));
        assert!(config.cleanup_policy.is_compact_only());
        assert_eq!(config.compression_type, Some(Compression::Zstd));
        assert_eq!(config.segment_bytes, 100);
        assert_eq!(config.retention_ms, None);
        assert_eq!(config.retention_bytes, None);
    }

    #[test]
    fn settings_of_a_topic_are_checked_alone_and_together() {
        let check = |pairs: &[(&str, &str)], expected: Result<(), &str>| {
            let found = TopicConfig::of_kafka().check(&configs(pairs));
            let found = found.map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned));
        };
        check(
            &[("cleanup.policy", "compact"), ("preallocate", "true")],
            Ok(()),
        );
        check(
            &[("no.such", "5")],
            Err("Unknown topic config name: no.such"),
        );
        check(
            &[
                ("min.compaction.lag.ms", "5"),
                ("max.compaction.lag.ms", "3"),
            ],
            Err(
                "conflict topic config setting min.compaction.lag.ms (5) > max.compaction.lag.ms (3)",
            ),
        );
        check(
            &[("remote.storage.enable", "true")],
            Err(
                "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
            ),
        );
    }
}
