//! What librdkafka notices in the background, kept for the message if the command fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The context of every client of the command line. It prints nothing: a broker that is away for a
/// moment is no news.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    why: Mutex<Option<String>>,
    down: AtomicBool,
    refused: AtomicBool,
}

impl Watch {
    /// The last thing that went wrong, in librdkafka's words: which address, and why.
    pub(crate) fn why(&self) -> Option<String> {
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        why.clone()
    }

    fn note(&self, reason: &str) {
        let mut why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        *why = Some(reason.to_owned());
    }

    /// Whether every address has failed.
    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Whether trying again cannot help: certificates or passwords are wrong.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

impl ClientContext for Watch {
    /// Some failures, such as those of TLS handshakes, are logged only.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            self.note(without_thread(message));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.down.store(true, Ordering::Relaxed);
                return;
            }
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => {
                self.refused.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
        self.note(reason);
    }
}

impl ConsumerContext for Watch {}

/// `[thrd:a/bootstrap]: a/bootstrap: Connect failed` without its first part.
fn without_thread(message: &str) -> &str {
    let rest = message
        .strip_prefix("[thrd:")
        .and_then(|rest| rest.split_once("]: "));
    rest.map_or(message, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reason_is_kept_without_the_name_of_a_thread() {
        let watch = Watch::default();
        let log = |facility: &str, text: &str| watch.log(RDKafkaLogLevel::Error, facility, text);
        log("FAIL", "[thrd:a/bootstrap]: a/bootstrap: no [thrd: here]");
        log("ERROR", "2/2 brokers are down");
        assert_eq!(watch.why().as_deref(), Some("a/bootstrap: no [thrd: here]"));
        log("FAIL", "plain");
        assert_eq!(watch.why().as_deref(), Some("plain"));
    }
}
