//! What the answers that are no success mean to the caller.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use klamm_tiering::{ObjectKey, StoreError};

/// Codes of S3 that stay until a person has changed something, beside those with status 401 and 403.
const FOR_A_PERSON: [&str; 8] = [
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidBucketName",
    "InvalidToken",
    "KMS.DisabledException",
    "KMS.NotFoundException",
    "PermanentRedirect",
    "UserKeyMustBeSpecified",
];

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) bucket: &'a str,
    /// The object it was about, if it was about one.
    pub(crate) key: Option<&'a ObjectKey>,
}

/// What a store said: S3's code (absent where there is no body, as in answers to HEAD), text and status.
#[derive(Clone, Copy, Debug)]
struct Answer<'a> {
    code: Option<&'a str>,
    message: Option<&'a str>,
    status: u16,
}

impl Asked<'_> {
    /// Why it was not done.
    pub(crate) fn refused<E>(self, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let SdkError::ServiceError(service) = error {
            return self.answered(Answer {
                code: service.err().code(),
                message: service.err().message(),
                status: service.raw().status().as_u16(),
            });
        }
        let reason = causes(error);
        match lacks_credentials(error) {
            true => StoreError::Denied { reason },
            false => StoreError::Unavailable { reason },
        }
    }

    fn answered(self, answer: Answer<'_>) -> StoreError {
        match (answer.code, answer.status, self.key) {
            (Some("NoSuchBucket"), ..) => StoreError::Denied {
                reason: format!("the bucket does not exist bucket={}", self.bucket),
            },
            // The upload of parts is gone, not the object that it would have been.
            (Some("NoSuchUpload"), ..) => StoreError::Unavailable {
                reason: self.text(answer),
            },
            (None | Some("NoSuchKey" | "NotFound"), 404, Some(key)) => {
                StoreError::NotFound(key.clone())
            }
            (_, 412, Some(key)) => StoreError::ConditionFailed(key.clone()),
            // Of somebody that they do not know some say that he is not found.
            (_, 401 | 403 | 404, _) => StoreError::Denied {
                reason: self.text(answer),
            },
            (Some(code), ..) if FOR_A_PERSON.contains(&code) => StoreError::Denied {
                reason: self.text(answer),
            },
            // Among them 409, of writes that race: who is first is known to those who ask again.
            _ => StoreError::Unavailable {
                reason: self.text(answer),
            },
        }
    }

    /// One line, facts last.
    fn text(self, answer: Answer<'_>) -> String {
        let (status, bucket) = (answer.status, self.bucket);
        let mut text = match (answer.code, answer.message) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(one), None) | (None, Some(one)) => one.to_owned(),
            (None, None) => "the store gives no reason".to_owned(),
        };
        text.push_str(&format!(" status={status} bucket={bucket}"));
        if let Some(key) = self.key {
            text.push_str(&format!(" key={key}"));
        }
        text
    }
}

/// Whether there is nobody to ask as, which no repetition changes. Whoever hands out credentials and cannot
/// be reached is another matter.
fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    chain(error)
        .filter_map(|cause| cause.downcast_ref::<CredentialsError>())
        .any(|cause| {
            matches!(
                cause,
                CredentialsError::CredentialsNotLoaded(_)
                    | CredentialsError::InvalidConfiguration(_)
            )
        })
}

/// All causes in one line.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::error::ConnectorError;
    use aws_sdk_s3::operation::get_object::GetObjectError;

    const BUCKET: &str = "logs";

    fn check(code: Option<&str>, status: u16, expected: &StoreError) {
        let key = ObjectKey::new("a").unwrap();
        let asked = Asked {
            bucket: BUCKET,
            key: Some(&key),
        };
        let message = None;
        let answer = Answer {
            code,
            message,
            status,
        };
        assert_eq!(asked.answered(answer), *expected, "{code:?} {status}");
    }

    #[test]
    fn an_answer_means_what_its_code_and_its_status_say() {
        let key = ObjectKey::new("a").unwrap();
        let missing = StoreError::NotFound(key.clone());
        check(None, 404, &missing);
        check(Some("NoSuchKey"), 404, &missing);
        let there = StoreError::ConditionFailed(key);
        check(Some("PreconditionFailed"), 412, &there);
        let denied = |reason: &str| StoreError::Denied {
            reason: reason.to_owned(),
        };
        let no_bucket = denied("the bucket does not exist bucket=logs");
        check(Some("NoSuchBucket"), 404, &no_bucket);
        let refused = denied("AccessDenied status=403 bucket=logs key=a");
        check(Some("AccessDenied"), 403, &refused);
        let silent = denied("the store gives no reason status=403 bucket=logs key=a");
        check(None, 403, &silent);
        let expired = denied("ExpiredToken status=400 bucket=logs key=a");
        check(Some("ExpiredToken"), 400, &expired);
        let unknown = denied("NoSuchUser status=404 bucket=logs key=a");
        check(Some("NoSuchUser"), 404, &unknown);
        let unavailable = |reason: &str| StoreError::Unavailable {
            reason: reason.to_owned(),
        };
        let race = unavailable("ConditionalRequestConflict status=409 bucket=logs key=a");
        check(Some("ConditionalRequestConflict"), 409, &race);
        let busy = unavailable("SlowDown status=503 bucket=logs key=a");
        check(Some("SlowDown"), 503, &busy);
        let gone = unavailable("NoSuchUpload status=404 bucket=logs key=a");
        check(Some("NoSuchUpload"), 404, &gone);
    }

    fn dispatched(cause: CredentialsError) -> StoreError {
        let asked = Asked {
            bucket: BUCKET,
            key: None,
        };
        let cause = ConnectorError::other(cause.into(), None);
        let error: SdkError<GetObjectError, HttpResponse> = SdkError::dispatch_failure(cause);
        asked.refused(&error)
    }

    #[test]
    fn whoever_has_no_credentials_is_denied_and_whoever_waits_for_them_waits() {
        let none = dispatched(CredentialsError::not_loaded("no provider has any"));
        match none {
            StoreError::Denied { reason } => assert!(reason.contains("no provider has any")),
            other => panic!("{other:?}"),
        }
        let waits = dispatched(CredentialsError::provider_error("the machine is silent"));
        match waits {
            StoreError::Unavailable { reason } => assert!(reason.contains("the machine is silent")),
            other => panic!("{other:?}"),
        }
    }
}
