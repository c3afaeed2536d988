//! Why a command did not do all that it was asked for, and the exit code that says so.

use std::path::PathBuf;
use std::process::ExitCode;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why the process does not end with 0.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The words do not make sense together: 2, as clap's own refusals.
    #[error("{0}")]
    Usage(String),
    /// No broker answered: 3.
    #[error("no broker answers at {bootstrap}: {why}")]
    Unreachable { bootstrap: String, why: String },
    /// A broker is there, and did not answer in time: 3.
    #[error("no answer within {seconds} s to: {what}; give it more time with --timeout")]
    TimedOut { what: String, seconds: u64 },
    /// The cluster refused: 1.
    #[error("{what}: {why}")]
    Refused { what: String, why: String },
    /// Some of it was done, some refused; each refusal has been named already: 4.
    #[error("{failed} of {total} {what}")]
    Partly {
        failed: u64,
        total: u64,
        what: &'static str,
    },
    /// One of several processes could not do its part: what it says itself, or 3 if it cannot be
    /// reached.
    #[error("{part}: {why}")]
    Part { part: String, why: String, code: u8 },
    /// A file cannot be used: 1.
    #[error("{}: {error}", path.display())]
    File {
        path: PathBuf,
        error: std::io::Error,
    },
    /// The standard output, or input, is gone: 1, but 0 if its reader has had enough.
    #[error("standard output or input: {0}")]
    Stream(#[from] std::io::Error),
    /// Ctrl-C or SIGTERM before it was done: 130.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

/// What the command was refused, or not able to do.
pub(crate) const FAILED: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;
/// Nobody answered.
pub(crate) const UNREACHABLE: u8 = 3;
/// Done in part.
const PARTLY: u8 = 4;
/// What a shell says of a command that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

impl CliError {
    /// What the cluster said to `what`, which was given `seconds`.
    pub(crate) fn of_cluster(what: impl Into<String>, error: &KafkaError, seconds: u64) -> Self {
        let what = what.into();
        match code(error) {
            Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::MessageTimedOut) => {
                Self::TimedOut { what, seconds }
            }
            Some(code) => Self::of_code(what, code),
            None => Self::Refused {
                what,
                why: error.to_string(),
            },
        }
    }

    /// A refusal that came as a code.
    pub(crate) fn of_code(what: impl Into<String>, code: RDKafkaErrorCode) -> Self {
        Self::Refused {
            what: what.into(),
            why: reason(code),
        }
    }

    /// Whether there is nothing to say: the reader of our output has gone, as `head` does.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Stream(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The same as a number.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Part { code, .. } => *code,
            Self::Stream(_) if self.is_closed_pipe() => 0,
            Self::Refused { .. } | Self::File { .. } | Self::Stream(_) => FAILED,
            Self::Usage(_) => USAGE,
            Self::Unreachable { .. } | Self::TimedOut { .. } => UNREACHABLE,
            Self::Partly { .. } => PARTLY,
            Self::Interrupted(_) => INTERRUPTED,
        }
    }
}

/// The code in an error; admin requests have one too.
pub(crate) fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        error => error.rdkafka_error_code(),
    }
}

/// librdkafka's words for an error.
pub(crate) fn words(error: &KafkaError) -> String {
    code(error).map_or_else(|| error.to_string(), reason)
}

/// librdkafka's words for a code, without the part that says where it came from.
pub(crate) fn reason(code: RDKafkaErrorCode) -> String {
    let text = code.to_string();
    // `InvalidTopic (Broker: Invalid topic)`: the words in brackets are for people.
    let text = text.split_once('(').map_or(text.as_str(), |(_, inside)| {
        inside.strip_suffix(')').unwrap_or(inside)
    });
    text.strip_prefix("Broker: ")
        .or_else(|| text.strip_prefix("Local: "))
        .unwrap_or(text)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_told_in_words() {
        let check = |code, expected: &str| assert_eq!(reason(code), expected);
        check(RDKafkaErrorCode::TopicAlreadyExists, "Topic already exists");
        check(RDKafkaErrorCode::OperationTimedOut, "Timed out");
    }

    #[test]
    fn a_reader_who_has_had_enough_is_no_failure() {
        let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(CliError::from(closed).is_closed_pipe());
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(!CliError::from(full).is_closed_pipe());
    }
}
