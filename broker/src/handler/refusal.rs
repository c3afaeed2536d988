//! What the controller refuses, as responses say it.

use klamm_metadata::Refusal;
use klamm_protocol::messages::{StrBytes, text_of};

/// The code, and the text that tools show.
pub(crate) fn told(refusal: &Refusal) -> (i16, Option<StrBytes>) {
    (refusal.code(), Some(text_of(&refusal.to_string())))
}

/// The code and the text of what came of a request; 0 and none if it was done.
pub(crate) fn of_outcome<T>(outcome: &Result<T, Refusal>) -> (i16, Option<StrBytes>) {
    match outcome {
        Ok(_) => (0, None),
        Err(refusal) => told(refusal),
    }
}
