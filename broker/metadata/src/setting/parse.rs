//! From text to value, with Kafka's rules and Kafka's texts.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::{Kind, Setting, Standing, Valid};
use crate::topic_config::RemoteRefusal;

/// A parsed value. Printed in the one way Kafka prints it (`ConfigDef.convertToString`).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Kind::Boolean`].
    Boolean(bool),
    /// Of [`Kind::Short`], [`Kind::Int`] and [`Kind::Long`].
    Number(i64),
    /// Of [`Kind::Double`].
    Real(f64),
    /// Of [`Kind::String`], [`Kind::Password`] and [`Kind::Class`].
    Text(String),
    /// Of [`Kind::List`].
    List(Vec<String>),
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such setting for this kind of resource.
    #[error("Unknown {what} config name: {name}")]
    Unknown {
        /// "topic", "group" or "broker".
        what: &'static str,
        /// The name as given.
        name: String,
    },
    /// A value that the setting does not accept.
    #[error("Invalid value {value} for configuration {name}: {problem}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// The value as given (as parsed, where it could be parsed).
        value: String,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A value that would promise something Klamm does not do.
    #[error("Invalid value {value} for configuration {name}: not available here: {reason}")]
    NotServed {
        /// The setting.
        name: &'static str,
        /// The value as given.
        value: String,
        /// Why, and what is accepted.
        reason: &'static str,
    },
    /// The least time before compaction is above the most (`LogConfig.validateTopicLogConfigValues`).
    #[error(
        "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
    )]
    CompactionLag {
        /// `min.compaction.lag.ms`.
        least: u64,
        /// `max.compaction.lag.ms`.
        most: u64,
    },
    /// Settings of remote storage contradict others.
    #[error(transparent)]
    Remote(#[from] RemoteRefusal),
    /// A null where only a text makes sense.
    #[error("Null value not supported for topic configs: {}", .0.join(","))]
    Null(Vec<String>),
}

/// What is wrong with a value (the texts of `ConfigDef`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not a boolean.
    #[error("Expected value to be either true or false")]
    NotBoolean,
    /// Not a number, or too large for its type.
    #[error("Not a number of type {0}")]
    NotNumber(Kind),
    /// Too small.
    #[error("Value must be at least {0}")]
    TooSmall(String),
    /// Too large.
    #[error("Value must be no more than {0}")]
    TooLarge(String),
    /// Not one of the accepted texts.
    #[error("String must be one of: {}", .0.join(", "))]
    NotOneOf(&'static [&'static str]),
    /// Not a level of gzip.
    #[error("Value must be between 1 and 9 or equal to -1")]
    GzipLevel,
    /// Not a list of replicas.
    #[error(
        "{0} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    )]
    ThrottledReplicas(&'static str),
    /// Empty.
    #[error("String must be non-empty")]
    Empty,
    /// Zero, or below -1.
    #[error("Value must be at least 1, or -1 for no limit")]
    NotPositive,
    /// Not a list of counts.
    #[error("String must look like 10.0.0.1:100,10.0.0.2:200")]
    NotCountsByAddress,
}

impl Setting {
    /// Parses `text` and checks it against the row, but for whether Klamm serves it.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let value = self
            .parse_kind(text.trim())
            .map_err(|problem| self.invalid(text.to_owned(), problem))?;
        self.check_range(&value)?;
        Ok(value)
    }

    /// [`Setting::parse`], and refuses what Klamm does not do.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] and [`ConfigError::NotServed`].
    pub fn check(&self, text: &str) -> Result<Value, ConfigError> {
        let value = self.parse(text)?;
        match self.standing {
            Standing::DefaultOnly(reason) if Some(&value) != self.default_value().as_ref() => {
                Err(ConfigError::NotServed {
                    name: self.name,
                    value: text.to_owned(),
                    reason,
                })
            }
            _ => Ok(value),
        }
    }

    /// The default, parsed; `None` is "not set".
    pub fn default_value(&self) -> Option<Value> {
        let text = self.default?;
        Some(
            self.parse(text)
                .expect("a test parses the default of every row"),
        )
    }

    fn parse_kind(&self, text: &str) -> Result<Value, Problem> {
        let not_number = |_| Problem::NotNumber(self.kind);
        Ok(match self.kind {
            Kind::Boolean if text.eq_ignore_ascii_case("true") => Value::Boolean(true),
            Kind::Boolean if text.eq_ignore_ascii_case("false") => Value::Boolean(false),
            Kind::Boolean => return Err(Problem::NotBoolean),
            Kind::Short => Value::Number(text.parse::<i16>().map_err(not_number)?.into()),
            Kind::Int => Value::Number(text.parse::<i32>().map_err(not_number)?.into()),
            Kind::Long => Value::Number(text.parse::<i64>().map_err(not_number)?),
            Kind::Double => match text.parse::<f64>() {
                Ok(number) if !number.is_nan() => Value::Real(number),
                _ => return Err(Problem::NotNumber(self.kind)),
            },
            Kind::String | Kind::Password | Kind::Class => Value::Text(text.to_owned()),
            Kind::List if text.is_empty() => Value::List(Vec::new()),
            Kind::List => Value::List(text.split(',').map(|part| part.trim().to_owned()).collect()),
        })
    }

    fn check_range(&self, value: &Value) -> Result<(), ConfigError> {
        let problem = match (self.valid, value) {
            (Valid::AtLeast(least) | Valid::Between(least, _), Value::Number(number))
                if *number < least =>
            {
                Problem::TooSmall(least.to_string())
            }
            (Valid::Between(_, most), Value::Number(number)) if *number > most => {
                Problem::TooLarge(most.to_string())
            }
            (Valid::RealBetween(least, _), Value::Real(number)) if *number < least => {
                Problem::TooSmall(least.to_string())
            }
            (Valid::RealBetween(_, most), Value::Real(number)) if *number > most => {
                Problem::TooLarge(most.to_string())
            }
            (Valid::GzipLevel, Value::Number(level)) if !matches!(level, -1 | 1..=9) => {
                Problem::GzipLevel
            }
            (Valid::NonEmpty, Value::Text(text)) if text.is_empty() => Problem::Empty,
            (Valid::PositiveOrNoLimit, Value::Number(number)) if *number < -1 || *number == 0 => {
                Problem::NotPositive
            }
            (Valid::CountsByAddress, Value::Text(text)) if counts_by_address(text).is_none() => {
                Problem::NotCountsByAddress
            }
            (Valid::OneOf(names), Value::Text(text)) if !names.contains(&text.as_str()) => {
                Problem::NotOneOf(names)
            }
            (Valid::OneOf(names), Value::List(list)) => {
                return match list.iter().find(|text| !names.contains(&text.as_str())) {
                    Some(bad) => Err(self.invalid(bad.clone(), Problem::NotOneOf(names))),
                    None => Ok(()),
                };
            }
            (Valid::ThrottledReplicas, Value::List(list)) if !are_throttled_replicas(list) => {
                let shown = format!("[{}]", list.join(", "));
                return Err(self.invalid(shown, Problem::ThrottledReplicas(self.name)));
            }
            _ => return Ok(()),
        };
        Err(self.invalid(value.to_string(), problem))
    }

    fn invalid(&self, value: String, problem: Problem) -> ConfigError {
        let value = if self.sensitive {
            "[hidden]".to_owned()
        } else {
            value
        };
        ConfigError::Invalid {
            name: self.name,
            value,
            problem,
        }
    }
}

/// `ThrottledReplicaListValidator`: nothing, `*`, `none`, or pairs of numbers.
fn are_throttled_replicas(list: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match list {
        [] => true,
        [only] if only == "*" || only == "none" => true,
        _ => list.iter().all(|pair| {
            let pair = pair.split_once(':');
            pair.is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
        }),
    }
}

/// Reads `address:count,…` (`max.connections.per.ip.overrides`); an address of version 6 may stand
/// in brackets. `None` for anything else.
pub fn counts_by_address(text: &str) -> Option<BTreeMap<IpAddr, usize>> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let counts = parts.map(|part| {
        let (address, count) = part.rsplit_once(':')?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        Some((address.parse().ok()?, count.parse().ok()?))
    });
    counts.collect()
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            // As Java prints doubles of ordinary size: always with a fraction.
            Self::Real(value) => write!(f, "{value:?}"),
            Self::Text(value) => value.fmt(f),
            Self::List(values) => f.write_str(&values.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Unit, setting};
    use super::*;

    fn check(row: Setting, text: &str, expected: Result<&str, &str>) {
        let found = row.check(text).map(|value| value.to_string());
        let found = found.map_err(|error| error.to_string());
        assert_eq!(
            found.as_deref().map_err(String::as_str),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn values_are_parsed_and_refused_as_kafka_does_it() {
        let flag = setting("preallocate", Kind::Boolean, Some("false"));
        check(flag, " TRUE ", Ok("true"));
        check(
            flag,
            "yes",
            Err(
                "Invalid value yes for configuration preallocate: Expected value to be either true or false",
            ),
        );
        let size = setting("segment.bytes", Kind::Int, Some("1"))
            .unit(Unit::Bytes)
            .valid(Valid::AtLeast(1_048_576));
        check(size, "2097152", Ok("2097152"));
        check(
            size,
            "99999999999",
            Err(
                "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT",
            ),
        );
        check(
            size,
            "1",
            Err("Invalid value 1 for configuration segment.bytes: Value must be at least 1048576"),
        );
        let ratio = setting("min.cleanable.dirty.ratio", Kind::Double, Some("0.5"))
            .valid(Valid::RealBetween(0.0, 1.0));
        check(ratio, "1", Ok("1.0"));
        check(
            ratio,
            "2",
            Err(
                "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
            ),
        );
        let policy = setting("cleanup.policy", Kind::List, Some("delete"))
            .valid(Valid::OneOf(&["compact", "delete"]));
        check(policy, "", Ok(""));
        check(policy, "compact , delete", Ok("compact,delete"));
        check(
            policy,
            "foo",
            Err(
                "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
            ),
        );
        let level =
            setting("compression.gzip.level", Kind::Int, Some("-1")).valid(Valid::GzipLevel);
        check(level, "-1", Ok("-1"));
        check(
            level,
            "0",
            Err(
                "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
            ),
        );
    }

    #[test]
    fn replicas_to_throttle_are_pairs_of_numbers_or_a_star() {
        let row = setting(
            "leader.replication.throttled.replicas",
            Kind::List,
            Some(""),
        )
        .valid(Valid::ThrottledReplicas);
        check(row, "*", Ok("*"));
        check(row, "0:1,1:2", Ok("0:1,1:2"));
        check(
            row,
            "0:1,1:x",
            Err(
                "Invalid value [0:1, 1:x] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            ),
        );
    }

    #[test]
    fn what_would_promise_something_absent_is_refused() {
        let row = setting("remote.storage.enable", Kind::Boolean, Some("false"))
            .default_only("there is no remote storage");
        check(row, "false", Ok("false"));
        check(
            row,
            "true",
            Err(
                "Invalid value true for configuration remote.storage.enable: not available here: there is no remote storage",
            ),
        );
    }

    #[test]
    fn limits_by_address_are_read() {
        let row = setting("overrides", Kind::String, Some("")).valid(Valid::CountsByAddress);
        check(row, "", Ok(""));
        check(row, "10.0.0.1:5,[::1]:7", Ok("10.0.0.1:5,[::1]:7"));
        let counts = counts_by_address("10.0.0.1:5, [::1]:7").expect("valid");
        assert_eq!(counts.into_values().collect::<Vec<_>>(), [5, 7]);
        check(
            row,
            "localhost:5",
            Err(
                "Invalid value localhost:5 for configuration overrides: String must look like 10.0.0.1:100,10.0.0.2:200",
            ),
        );
    }

    #[test]
    fn a_secret_is_not_repeated_in_an_error() {
        let row = setting("k", Kind::Password, None).valid(Valid::NonEmpty);
        check(
            row,
            " ",
            Err("Invalid value [hidden] for configuration k: String must be non-empty"),
        );
    }
}
