//! IncrementalAlterConfigs, which librdkafka has and the crate `rdkafka` does not pass on.
//!
//! The older AlterConfigs, which the crate has, replaces *all* settings of a topic or broker: what
//! is not repeated is lost, and secrets cannot be read to be repeated. So this file calls
//! librdkafka itself. It is the only one of the command line with `unsafe` code.
#![expect(
    unsafe_code,
    reason = "calls of librdkafka that the crate rdkafka has no safe form of"
)]

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::bindings::rd_kafka_AlterConfigOpType_t as Operation;
use rdkafka::bindings::rd_kafka_ResourceType_t as Kind;
use rdkafka::consumer::Consumer as _;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::Resource;
use crate::cluster::Cluster;
use crate::error::CliError;

/// What shall happen to one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Set { key: String, value: String },
    Unset { key: String },
}

/// Changes the settings that are named, and no others.
///
/// # Errors
/// The cluster refuses, in its own words, or does not answer in time.
pub(super) fn alter(
    cluster: &Cluster,
    resource: &Resource,
    changes: &[Change],
) -> Result<(), CliError> {
    let what = format!("settings of {resource}");
    let client = cluster.consumer().client().native_ptr();
    let request = Request::new(resource, changes)?;
    // SAFETY: the client lives as long as `cluster`, which is borrowed; the options and the queue
    // are ours until they are dropped below, after the last call that uses them.
    let (options, queue) = unsafe {
        let api = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS;
        let options = native::rd_kafka_AdminOptions_new(client, api);
        (Options(options), Queue(native::rd_kafka_queue_new(client)))
    };
    options.set_timeout(cluster.timeout())?;
    if let Resource::Broker(id) = resource {
        options.set_broker(*id)?;
    }
    let mut resources = [request.0];
    // SAFETY: all four are valid, and librdkafka copies the resources before it returns.
    unsafe {
        native::rd_kafka_IncrementalAlterConfigs(
            client,
            resources.as_mut_ptr(),
            resources.len(),
            options.0,
            queue.0,
        );
    }
    // librdkafka keeps the time-out; a second more, so that its own words are heard.
    let patience = cluster.timeout() + Duration::from_secs(1);
    // SAFETY: the queue is valid; the event that comes, or null, is ours.
    let event = Event(unsafe { native::rd_kafka_queue_poll(queue.0, milliseconds(patience)) });
    event.verdict(&what, cluster.timeout().as_secs())
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn text(text: &str) -> Result<CString, CliError> {
    CString::new(text).map_err(|_| CliError::Usage("a setting cannot hold a zero byte".to_owned()))
}

/// Text of librdkafka's; empty for none.
fn words(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and librdkafka's texts end with a zero byte and live as long as what they
    // belong to, which outlives this call.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// The settings that shall change.
struct Request(*mut native::rd_kafka_ConfigResource_t);

impl Request {
    fn new(resource: &Resource, changes: &[Change]) -> Result<Self, CliError> {
        let (kind, name) = match resource {
            Resource::Topic(name) => (Kind::RD_KAFKA_RESOURCE_TOPIC, name.clone()),
            Resource::Broker(id) => (Kind::RD_KAFKA_RESOURCE_BROKER, id.to_string()),
        };
        let name = text(&name)?;
        // SAFETY: the name is a valid text, which librdkafka copies.
        let request = Self(unsafe { native::rd_kafka_ConfigResource_new(kind, name.as_ptr()) });
        for change in changes {
            request.add(change)?;
        }
        Ok(request)
    }

    fn add(&self, change: &Change) -> Result<(), CliError> {
        let (key, value, operation) = match change {
            Change::Set { key, value } => (
                key,
                Some(text(value)?),
                Operation::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET,
            ),
            Change::Unset { key } => (key, None, Operation::RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE),
        };
        let key_text = text(key)?;
        let value = value.as_ref().map_or(ptr::null(), |value| value.as_ptr());
        // SAFETY: the resource is ours, the texts live until after the call, which copies them; a
        // null value is what DELETE asks for. The error, if any, is ours to destroy.
        let refused = unsafe {
            let error = native::rd_kafka_ConfigResource_add_incremental_config(
                self.0,
                key_text.as_ptr(),
                operation,
                value,
            );
            (!error.is_null()).then(|| {
                let why = words(native::rd_kafka_error_string(error));
                native::rd_kafka_error_destroy(error);
                why
            })
        };
        refused.map_or(Ok(()), |why| {
            Err(CliError::Usage(format!("setting {key}: {why}")))
        })
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: made by us, and destroyed once.
        unsafe { native::rd_kafka_ConfigResource_destroy(self.0) }
    }
}

struct Options(*mut native::rd_kafka_AdminOptions_t);

impl Options {
    fn set_timeout(&self, timeout: Duration) -> Result<(), CliError> {
        // SAFETY: the options are ours; no text of the error is asked for.
        let code = unsafe {
            native::rd_kafka_AdminOptions_set_request_timeout(
                self.0,
                milliseconds(timeout),
                ptr::null_mut(),
                0,
            )
        };
        accepted("--timeout", code)
    }

    fn set_broker(&self, id: i32) -> Result<(), CliError> {
        // SAFETY: as above.
        let code =
            unsafe { native::rd_kafka_AdminOptions_set_broker(self.0, id, ptr::null_mut(), 0) };
        accepted("the broker's id", code)
    }
}

fn accepted(what: &str, code: RDKafkaRespErr) -> Result<(), CliError> {
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(CliError::of_code(what, code)),
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made by us, and destroyed once.
        unsafe { native::rd_kafka_AdminOptions_destroy(self.0) }
    }
}

struct Queue(*mut native::rd_kafka_queue_t);

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: made by us, and destroyed once.
        unsafe { native::rd_kafka_queue_destroy(self.0) }
    }
}

/// The cluster's answer, or null if there was none.
struct Event(*mut native::rd_kafka_event_t);

impl Event {
    fn verdict(&self, what: &str, seconds: u64) -> Result<(), CliError> {
        let timed_out = || CliError::TimedOut {
            what: what.to_owned(),
            seconds,
        };
        if self.0.is_null() {
            return Err(timed_out());
        }
        // SAFETY: the event is valid, and so is the text until it is dropped.
        let (code, why) = unsafe {
            let code = native::rd_kafka_event_error(self.0);
            (code, words(native::rd_kafka_event_error_string(self.0)))
        };
        match RDKafkaErrorCode::from(code) {
            RDKafkaErrorCode::NoError => self.refusal(what).map_or(Ok(()), Err),
            RDKafkaErrorCode::OperationTimedOut => Err(timed_out()),
            _ => Err(refused(what, why)),
        }
    }

    /// What the cluster said of the one resource that was asked about.
    fn refusal(&self, what: &str) -> Option<CliError> {
        // SAFETY: the event is valid. The result is null if the event is another's; the array has
        // `count` valid resources, which live as long as the event.
        unsafe {
            let result = native::rd_kafka_event_IncrementalAlterConfigs_result(self.0);
            if result.is_null() {
                return Some(refused(what, "the answer is another request's".to_owned()));
            }
            let mut count = 0;
            let resources =
                native::rd_kafka_IncrementalAlterConfigs_result_resources(result, &mut count);
            let all = (0..count).map(|index| *resources.add(index));
            all.map(|one| {
                let code = RDKafkaErrorCode::from(native::rd_kafka_ConfigResource_error(one));
                (
                    code,
                    words(native::rd_kafka_ConfigResource_error_string(one)),
                )
            })
            .find(|(code, _)| *code != RDKafkaErrorCode::NoError)
            .map(|(_, why)| refused(what, why))
        }
    }
}

fn refused(what: &str, why: String) -> CliError {
    CliError::Refused {
        what: what.to_owned(),
        why,
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: handed to us by the queue, and destroyed once.
            unsafe { native::rd_kafka_event_destroy(self.0) }
        }
    }
}
