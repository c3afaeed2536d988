//! The settings of remote storage: which records are archived, and how long they stay here as well.

use super::TopicConfig;

/// What a topic has of remote storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteConfig {
    /// Whether the brokers have an archive at all: not a setting of the topic.
    pub is_there: bool,
    /// `remote.storage.enable`.
    pub is_enabled: bool,
    /// `remote.log.copy.disable`: what is archived stays so, and nothing is added.
    pub copies_nothing_more: bool,
    /// `local.retention.ms`: -1 is for ever, -2 is `retention.ms`.
    pub local_retention_ms: i64,
    /// `local.retention.bytes`: -1 is without limit, -2 is `retention.bytes`.
    pub local_retention_bytes: i64,
}

/// Why the settings of remote storage contradict others; the texts are Kafka's (`LogConfig`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteRefusal {
    /// The brokers have no archive.
    #[error(
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
    )]
    NotThere,
    /// Compaction would take records away behind the archive's back.
    #[error("Remote log storage is unsupported for the compacted topics")]
    Compacted,
    /// Nothing would ever leave the disk, but for what leaves the archive as well.
    #[error(
        "Invalid value -1 for configuration {local}: Value must not be -1 as {whole} value is set as {limit}."
    )]
    LocalForEver {
        /// `local.retention.ms` or `local.retention.bytes`.
        local: &'static str,
        /// `retention.ms` or `retention.bytes`.
        whole: &'static str,
        /// The value of that.
        limit: u64,
    },
    /// Records would stay on the disk for longer than anywhere.
    #[error(
        "Invalid value {value} for configuration {local}: Value must not be more than property: {whole} value: {limit}"
    )]
    LocalBeyondWhole {
        /// `local.retention.ms` or `local.retention.bytes`.
        local: &'static str,
        /// Its value.
        value: u64,
        /// `retention.ms` or `retention.bytes`.
        whole: &'static str,
        /// The value of that.
        limit: u64,
    },
}

/// Stands for the limit of the whole, in the settings of local retention.
const AS_WHOLE: i64 = -2;

impl RemoteConfig {
    pub(super) const NONE: Self = Self {
        is_there: false,
        is_enabled: false,
        copies_nothing_more: false,
        local_retention_ms: AS_WHOLE,
        local_retention_bytes: AS_WHOLE,
    };
}

impl TopicConfig {
    /// The same, of brokers that have an archive or have none.
    #[must_use]
    pub fn with_remote_storage(mut self, is_there: bool) -> Self {
        self.remote.is_there = is_there;
        self
    }

    /// How long records stay on the disk, in milliseconds; `None` is for ever.
    pub fn local_retention_ms(&self) -> Option<u64> {
        self.local_limit(self.remote.local_retention_ms, self.retention_ms)
    }

    /// How much of a partition stays on the disk, in bytes; `None` is without limit.
    pub fn local_retention_bytes(&self) -> Option<u64> {
        self.local_limit(self.remote.local_retention_bytes, self.retention_bytes)
    }

    fn local_limit(&self, local: i64, whole: Option<u64>) -> Option<u64> {
        match self.remote.is_enabled && local != AS_WHOLE {
            true => u64::try_from(local).ok(),
            false => whole,
        }
    }

    /// `LogConfig.validateRemoteStorage…`.
    pub(super) fn check_remote(&self) -> Result<(), RemoteRefusal> {
        if !self.remote.is_enabled {
            return Ok(());
        }
        if !self.remote.is_there {
            return Err(RemoteRefusal::NotThere);
        }
        if self.cleanup_policy.compact {
            return Err(RemoteRefusal::Compacted);
        }
        let (time, size) = (
            self.remote.local_retention_ms,
            self.remote.local_retention_bytes,
        );
        check_local(
            ("local.retention.ms", time),
            ("retention.ms", self.retention_ms),
        )?;
        check_local(
            ("local.retention.bytes", size),
            ("retention.bytes", self.retention_bytes),
        )
    }
}

fn check_local(
    (local, value): (&'static str, i64),
    (whole, limit): (&'static str, Option<u64>),
) -> Result<(), RemoteRefusal> {
    let Some(limit) = limit.filter(|_| value != AS_WHOLE) else {
        return Ok(());
    };
    match u64::try_from(value) {
        Err(_) => Err(RemoteRefusal::LocalForEver {
            local,
            whole,
            limit,
        }),
        Ok(value) if value > limit => Err(RemoteRefusal::LocalBeyondWhole {
            local,
            value,
            whole,
            limit,
        }),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Configs;
    use super::*;

    fn defaults() -> TopicConfig {
        TopicConfig::of_kafka().with_remote_storage(true)
    }

    fn configs(pairs: &[(&str, &str)]) -> Configs {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn records_stay_here_as_long_as_anywhere_unless_local_limits_say_less() {
        let with = |pairs: &[(&str, &str)]| {
            let config = defaults().with(&configs(pairs));
            (config.local_retention_ms(), config.local_retention_bytes())
        };
        let week = Some(604_800_000);
        assert_eq!(with(&[("remote.storage.enable", "true")]), (week, None));
        let local = [("local.retention.ms", "7"), ("local.retention.bytes", "9")];
        assert_eq!(
            with(&local),
            (week, None),
            "without an archive they mean nothing"
        );
        let [time, size] = local;
        let enabled = [time, size, ("remote.storage.enable", "true")];
        assert_eq!(with(&enabled), (Some(7), Some(9)));
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_with_kafkas_words() {
        let refuse = |pairs: &[(&str, &str)], text: &str| {
            let pairs = [pairs, &[("remote.storage.enable", "true")]].concat();
            let refused = defaults().check(&configs(&pairs)).unwrap_err();
            assert_eq!(refused.to_string(), text);
        };
        refuse(
            &[("cleanup.policy", "compact")],
            "Remote log storage is unsupported for the compacted topics",
        );
        refuse(
            &[("local.retention.ms", "-1")],
            "Invalid value -1 for configuration local.retention.ms: Value must not be -1 as retention.ms value is set as 604800000.",
        );
        refuse(
            &[("local.retention.bytes", "5"), ("retention.bytes", "4")],
            "Invalid value 5 for configuration local.retention.bytes: Value must not be more than property: retention.bytes value: 4",
        );
        let fine = [
            ("remote.storage.enable", "true"),
            ("local.retention.ms", "5"),
        ];
        assert_eq!(defaults().check(&configs(&fine)), Ok(()));
        let without = defaults().with_remote_storage(false);
        assert_eq!(
            without.check(&configs(&fine)),
            Err(RemoteRefusal::NotThere.into())
        );
    }
}
