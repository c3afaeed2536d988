//! What the controller refuses, as responses say it.

use klamm_metadata::Refusal;
use klamm_metadata::controller::{AlterReply, AlterResource};
use klamm_protocol::ErrorCode;
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

/// What became of the settings of one resource.
pub(crate) struct Altered {
    pub(crate) kind: i8,
    pub(crate) name: StrBytes,
    pub(crate) code: i16,
    pub(crate) text: Option<StrBytes>,
}

/// What became of each resource: what was decided, or the same error for all if nothing could be.
pub(crate) fn of_alterations<C>(
    decided: Result<AlterReply, ErrorCode>,
    resources: &[AlterResource<C>],
) -> Vec<Altered> {
    let altered = |kind, name: &str, (code, text)| Altered {
        kind,
        name: text_of(name),
        code,
        text,
    };
    match decided {
        Ok(outcomes) => outcomes
            .iter()
            .map(|(kind, name, outcome)| altered(*kind, name, of_outcome(outcome)))
            .collect(),
        Err(error) => {
            let told = (error.code(), Some(text_of(error.message())));
            resources
                .iter()
                .map(|resource| altered(resource.kind, &resource.name, told.clone()))
                .collect()
        }
    }
}
