//! What an operator may change about the coordinator.

use std::time::Duration;

/// The settings the coordinator obeys; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `group.min.session.timeout.ms`: the shortest session a member may ask for, in ms.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`: the longest, in ms.
    pub session_timeout_max_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits
    /// for more members.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: how many members a group may have.
    pub group_max_size: usize,
    /// `offset.metadata.max.bytes`: the longest text beside a committed offset, in UTF-16 units
    /// (as Kafka counts, in spite of the name).
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`: how long offsets outlive their group.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`: how often expired offsets are looked for.
    pub offsets_retention_check_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            initial_rebalance_delay: Duration::from_secs(3),
            group_max_size: i32::MAX as usize,
            offset_metadata_max: 4_096,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            offsets_retention_check_interval: Duration::from_secs(10 * 60),
        }
    }
}
