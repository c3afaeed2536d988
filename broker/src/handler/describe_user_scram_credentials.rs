//! DescribeUserScramCredentials (KIP-554): nobody has any, since nobody is asked who they are.
//! Kafka's tools ask for them whenever they describe users.

use std::collections::BTreeMap;

use klamm_protocol::ErrorCode;
use klamm_protocol::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use klamm_protocol::messages::describe_user_scram_credentials_response::{
    DescribeUserScramCredentialsResponse, DescribeUserScramCredentialsResult,
};
use klamm_protocol::messages::{StrBytes, text_of};

use crate::dispatch::Call;

/// All users are none; of those that are named each is told (`ScramImage.describe`).
pub(crate) fn handle(call: Call, request: &DescribeUserScramCredentialsRequest) {
    let mut times: BTreeMap<&StrBytes, usize> = BTreeMap::new();
    for user in request.users.iter().flatten() {
        *times.entry(&user.name).or_default() += 1;
    }
    let results = times.into_iter().map(|(name, times)| {
        let (error, text) = match times {
            1 => (
                ErrorCode::ResourceNotFound,
                "Attempt to describe a user credential that does not exist: ",
            ),
            _ => (
                ErrorCode::DuplicateResource,
                "Cannot describe SCRAM credentials for the same user twice in a single request: ",
            ),
        };
        DescribeUserScramCredentialsResult::default()
            .with_user(name.clone())
            .with_error_code(error.code())
            .with_error_message(Some(text_of(&format!("{text}{}", &**name))))
    });
    let results = results.collect();
    let response = DescribeUserScramCredentialsResponse::default()
        .with_error_message(None)
        .with_results(results);
    call.reply(response);
}
